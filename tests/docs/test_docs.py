# SPDX-License-Identifier: Apache-2.0
"""Goal: what the documents say of the code is what the code says.

Tables that are made from the code are compared with it; names of rules, files, targets, flags, keys, metrics, headers
and fields are looked up; links are followed; the README's Python is run. Prose is nobody's to check: it is kept short.
"""
import hashlib
import json
import re
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
import table  # noqa: E402

ROOT = table.ROOT
README, PROTOCOL = (table.source(name) for name in table.DOCUMENTS)
TOKEN_PROTO = "proto/tokend/v1/token.proto"
DOCUMENTS = [*table.DOCUMENTS, *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("tests/**/README.md"))]


def pieces(text):
    """(language, body) of each fenced block and (None, text) of what stands between, in order."""
    language, kept = None, []
    for line in text.splitlines(keepends=True):
        fence = re.match(r" *```(\w*)$", line.rstrip("\n"))
        if not fence:
            kept.append(line)
            continue
        yield language, "".join(kept)
        language, kept = (fence[1] if language is None else None), []
    assert language is None, "a fenced block has no end"
    yield None, "".join(kept)


def blocks(text, language=None):
    return [body for of, body in pieces(text) if of is not None and language in (None, of)]


def without_blocks(text):
    return "".join(body for of, body in pieces(text) if of is None)


def spans(text):
    """Inline code."""
    return re.findall(r"`([^`\n]+)`", without_blocks(text))


def section(text, title):
    """What stands under that heading, up to the next one."""
    found, language = [], None
    for line in text.splitlines(keepends=True):
        fence = re.match(r" *```", line)
        language = not language if fence else language
        if not language and re.match(r"#{1,6} ", line):
            if found:
                break
            if line.lstrip("# ").rstrip() == title:
                found.append("")
        elif found:
            found.append(line)
    assert found, f"there is no heading {title!r}"
    return "".join(found)


def first_column(text):
    """The inline code in the first cells of a section's tables."""
    return {c for line in re.findall(r"^\| (.*?) \|", text, re.M) for c in re.findall(r"`([^`]+)`", line)}


# ---- tables made from the code -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", table.DOCUMENTS)
def test_tables_are_the_codes(name):
    assert table.stale(table.source(name)) == [], "tests/docs/table.py --write renews them"


def test_every_table_stands_in_a_document():
    assert {m[1] for m in table.BLOCK.finditer(README + PROTOCOL)} == set(table.BLOCKS)


def test_every_verdict_is_in_the_protocol():
    told = set(spans(section(PROTOCOL, "What a result means")))
    assert {label for _, label, _, _ in table.rows("workers/job.h", "VERDICTS")} <= told


def test_details_are_the_codes():
    sources = "".join(p.read_text() for p in (ROOT / "service").glob("*.c"))
    used = set(re.findall(r'status_detail\(\w+(?:->\w+)*, "(\w+)"', sources.replace("&t->status", "status")))
    told = first_column(section(README, "Errors").split("`status.details`")[1])
    assert told == used
    comment = re.search(r"// ([^\n]+)\n  string key = 1;", table.source(TOKEN_PROTO))[1]
    assert used <= set(re.findall(r"\w+", comment))


# ---- rules and invariants ------------------------------------------------------------------------------------------

READ_BY_PEOPLE = {".c", ".h", ".py", ".sh", ".md", ".proto", ".yaml"}


def sources():
    for folder in ("service", "workers", "tests", "proto"):
        for path in sorted((ROOT / folder).rglob("*")):
            named = path.suffix in READ_BY_PEOPLE or (path.suffix == "" and path.parent.name in ("tests", "demo"))
            if path.is_file() and named and "corpus" not in path.parts:
                yield path


def test_rules_and_invariants_are_numbered_once_and_without_gaps():
    assert re.findall(r"^- \*\*R(\d+) ", PROTOCOL, re.M) == [str(n) for n in range(1, 12)]
    assert re.findall(r"^\| \*\*I(\d+)\*\* \|", PROTOCOL, re.M) == [str(n) for n in range(1, 13)]


def test_every_rule_number_resolves():
    defined = {f"R{n}" for n in range(1, 12)} | {f"I{n}" for n in range(1, 13)}
    named = {}
    for path in sources():
        for number in re.findall(r"(?<![\w.\\-])[RI]\d+\b", path.read_text(errors="replace")):
            named.setdefault(number, path.relative_to(ROOT))
    assert {"R1", "R11", "I7"} <= set(named), "the search finds nothing any more"
    assert {n: p for n, p in named.items() if n not in defined} == {}


# ---- files, links, targets, flags ----------------------------------------------------------------------------------

FILE = re.compile(r"[\w./-]+\.(?:c|h|py|sh|md|proto|yaml|json)")
MADE_BY_USERS = {"policy.yaml", "tokend.yaml", "tokenctl.yaml", "values.yaml", "ready.json", "state.json"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_named_exist(name):
    text, folder = table.source(name), (ROOT / name).parent
    named = {s for s in spans(text) if FILE.fullmatch(s) and not s.startswith("build/")} - MADE_BY_USERS
    assert {n for n in named if not (ROOT / n).exists() and not (folder / n).exists()} == set()


def anchors(text):
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.+)$", without_blocks(text), re.M)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    text, bad = table.source(name), []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(text)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = ROOT / name if path == "" else (ROOT / name).parent / path
        if not there.exists() or (anchor and anchor not in anchors(there.read_text())):
            bad.append(target)
    assert bad == []


def test_every_heading_of_the_readme_is_in_its_contents():
    contents = set(re.findall(r"\]\(#([^)]+)\)", section(README, "Contents")))
    titles = re.findall(r"^## (.+)$", without_blocks(README), re.M)
    chapters = {a for a in anchors(README) if a in anchors("\n".join(f"## {t}" for t in titles))}
    assert chapters - {"two-commands", "contents"} <= contents


def test_the_folders_are_told():
    told = re.search(r"^tests/ +(.*)$", README, re.M)[1]
    there = {p.name for p in (ROOT / "tests").iterdir() if p.is_dir() and not p.name.startswith(("_", "."))}
    assert set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", told))) == there


def test_the_sandbox_has_as_many_faults():
    said = re.search(r"(\d+) faults, each", section(README, "A sandbox for your own tests"))
    assert int(said[1]) == len(table.rows("tests/sandbox/faults.h", "FAULTS"))


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z][a-z-]*):", table.source("Makefile"), re.M))
    command = r"(?:^|&& |sudo |[A-Z]+=\w+ )make\b((?: [\w=-]+)*)"
    words = re.findall(command, "\n".join(blocks(README) + spans(README)), re.M)
    named = {w for rest in words for w in rest.split() if "=" not in w}
    assert {"demo", "test", "help", "install"} <= named
    assert named - targets == set()


OPTION = re.compile(r"""\{ "([a-z][a-z-]+)", (?:(?:0|'\w'), OPTION_|(?:required|no)_argument|[01], NULL)""")


def test_flags_exist():
    files = [p for folder in ("service", "tests/sandbox") for p in (ROOT / folder).rglob("*.[ch]")]
    known = set(OPTION.findall("\n".join(p.read_text() for p in files))) | {"write"}     # table.py's
    named = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", "\n".join(blocks(README) + spans(README))))
    assert {"check-config", "read-database", "ready-file"} <= named and named - known == set()


# ---- configuration and policy --------------------------------------------------------------------------------------


def keys_of(value, prefix=""):
    """{"topics.partitions", "clusters[].name", ...} of a YAML value."""
    if isinstance(value, dict):
        for key, below in value.items():
            if isinstance(below, dict) or (isinstance(below, list) and below and isinstance(below[0], dict)):
                yield from keys_of(below, f"{prefix}{key}{'[]' if isinstance(below, list) else ''}.")
            else:
                yield f"{prefix}{key}"
    elif isinstance(value, list):
        for one in value:
            yield from keys_of(one, prefix)


def example(file):
    found = [b for b in blocks(README, "yaml") if b.startswith(f"# {file}\n")]
    assert len(found) == 1
    return yaml.safe_load(found[0])


def test_the_example_of_tokend_yaml_is_whole():
    known = table.config_keys()
    used = set(keys_of(example("tokend.yaml")))
    assert used - set(known) == set()
    assert {k for k, (required, _, _) in known.items() if required} - used == set()


def test_every_key_of_tokend_yaml_that_is_named_exists():
    known = {part for key in table.config_keys() for part in (key, key.split(".")[-1])}
    named = {m[1] for s in spans(README) if (m := re.fullmatch(r"([a-z_]+): [\w\[].*", s))}
    assert {"topic_checks", "cloudevents", "skip", "reply_schema_id"} <= named
    assert named - known - policy_keys() == set()


def policy_keys():
    grammar = table.source("service/policy_file.c")
    named = r'(?:TEXT|NUMBER|WORD|WORDS|LIST)\("(\w+)"|CYAML_FIELD_(?:UINT|MAPPING)\("(\w+)"'
    return {one or two for one, two in re.findall(named, grammar)}


def test_the_policy_is_told_whole():
    chapter = section(README, "Policy")
    used = {part.removesuffix("[]") for key in keys_of(example("policy.yaml")) for part in key.split(".")}
    assert used - policy_keys() == set()
    assert policy_keys() - used - set(spans(chapter)) == set()


def test_metrics_named_exist():
    known = {row[2] for row in table.rows("service/base/metrics.h", "METRICS")}
    for text in (README, PROTOCOL):
        named = set(re.findall(r"\btokend_[a-z_]+\b", text))
        assert named and named - known == set()


# ---- the contract --------------------------------------------------------------------------------------------------


def fields(message):
    body = re.search(rf"^message {message} \{{\n(.*?)^\}}", table.source(TOKEN_PROTO), re.M | re.S)[1]
    return re.findall(r"^\s+(?:repeated )?[\w.]+ (\w+) = \d+;", body, re.M)


@pytest.mark.parametrize(
    "title, message", [("The request", "CreateTokenRequest"), ("The reply", "CreateTokenReply")]
)
def test_members_are_told(title, message):
    assert first_column(section(README, title)) == set(fields(message))


def test_every_member_of_the_box_is_told():
    assert set(spans(section(README, "Opening the box"))) >= set(fields("TokenSecret"))


def test_every_header_is_told():
    told = first_column(section(README, "Headers"))
    written = set(re.findall(r'\{ span_str\("([\w-]+)"\)', table.source("service/reply_headers.c")))
    c = table.source("service/headers.c")
    echoed = re.search(r"echoed_names\[\] = \{(.*?)\}", c)[1]
    read = set(re.findall(r'ROW\(\w+, "([\w-]+)"\)', c)) | set(re.findall(r'"([\w-]+)"', echoed))
    assert "tokend-signature" in written & read and "correlation-id" in read
    assert (read | written) - told == set()


def test_every_cause_of_a_dead_letter_is_told():
    walk = table.source("service/pipeline_walk.c")
    reasons = set(re.findall(r'answer_dead_letter\(p, t, "(\w+)"', walk))
    headers = set(re.findall(r'span_str\("tokend-dead-letter(-[a-z-]+)"\)', table.source("service/pipeline_answer.c")))
    assert {"invalid_key"} <= reasons <= set(spans(README))
    told = {s.removeprefix("tokend-dead-letter") for s in spans(section(README, "Small print"))}
    assert "-reason" in headers and headers <= told


DECLARATION = re.compile(r"\s*(?:(?:message|enum|service|rpc) |(?:repeated )?[\w.]+ \w+ = \d+;|[A-Z]\w* = \d+;)")


@pytest.mark.parametrize("name", ["token", "journal"])
def test_every_declaration_has_a_comment(name):
    lines, bare = table.source(f"proto/tokend/v1/{name}.proto").splitlines(), []
    for above, line in zip(lines, lines[1:]):
        if DECLARATION.match(line) and not above.strip().startswith("//"):
            bare.append(line.strip())
    assert bare == []


@pytest.fixture(scope="module")
def arithmetic():
    """The README's own lines, run."""
    names = {}
    (lines,) = blocks(README, "python")
    exec(compile(lines, "README.md", "exec"), names)
    return names


# The figures of Kafka's own test of its own function (UtilsTest.testMurmur2).
KAFKA = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536,
         b"a-little-bit-longer-string": -1486304829, b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
         b"abc": 479470107}


def test_murmur2_is_kafkas(arithmetic):
    assert {k: arithmetic["murmur2"](k) for k in KAFKA} == {k: v & 0xFFFFFFFF for k, v in KAFKA.items()}
    assert arithmetic["partition"](b"21", 6) == (-973932308 & 0x7FFFFFFF) % 6


def test_the_arithmetic_is_what_is_written(arithmetic):
    encoded = b"DSSEv1 53 application/vnd.tokend.v1.CreateTokenRequest+protobuf 3 \x0a\x01r"
    assert arithmetic["pae"](b"CreateTokenRequest", b"\x0a\x01r") == encoded
    assert arithmetic["fingerprint"](b"CreateTokenRequest", b"\x0a\x01r") == hashlib.sha256(encoded).digest()
    more = encoded + b" 2 k1 0 "
    digest = arithmetic["request_digest"](b"CreateTokenRequest", b"\x0a\x01r", b"k1", b"")
    assert digest == hashlib.sha256(more).digest()


def vectors(name):
    found = json.loads(table.source(f"tests/vectors/{name}.json"))
    assert len(found) > 3
    return found


def test_the_arithmetic_is_the_vectors(arithmetic):
    for v in vectors("requests"):
        message, body = v["message"].encode(), bytes.fromhex(v["body"])
        assert arithmetic["pae"](message, body).hex() == v["pae"], v["name"]
        assert arithmetic["fingerprint"](message, body).hex() == v["fingerprint"], v["name"]
        digest = arithmetic["request_digest"](message, body, v["key_id"].encode(), v["signature"].encode())
        assert digest.hex() == v["request_digest"], v["name"]


def test_the_partition_is_the_vectors(arithmetic):
    for v in vectors("partitions"):
        assert arithmetic["murmur2"](v["key"].encode()) == v["murmur2"], v["key"]
        for partitions, home in v["partitions"].items():
            assert arithmetic["partition"](v["key"].encode(), int(partitions)) == home, v["key"]
