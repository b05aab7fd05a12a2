#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The documents' tables, made from the code's:  tests/docs/table.py [--write]

The code keeps each closed set (causes of refusal, configuration keys, metrics, durations, limits) in one
X-macro or #define. Here they are read, and become the blocks between <!-- NAME table --> and
<!-- /NAME table --> in README.md and service/PROTOCOL.md. With --write the blocks are renewed; without it
the ones that are out of date are named, and the exit status is 1. test_docs.py asks the same.

What a reader must do about a cause is no business of the program's, so it stands here: a cause without
advice, and advice without its cause, end it.
"""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "service/PROTOCOL.md")


class Broken(Exception):
    """The code and what stands here about it do not fit together."""


# ---- reading C -----------------------------------------------------------------------------------------------------

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|/\*.*?\*/|[(),]|[^\s"(),/]+|/', re.S)
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def source(path):
    return (ROOT / path).read_text()


def macro(path, name):
    """The body of `#define NAME(ROW) ...`, its continued lines joined."""
    found = re.search(rf"^#define {name}\(\w+\)((?:[^\n]*\\\n)*[^\n]*)", source(path), re.M)
    if not found:
        raise Broken(f"{path} has no #define {name}(ROW)")
    return found[1].replace("\\\n", " ")


def word(tokens):
    """One argument: adjacent strings joined, else the tokens side by side."""
    strings = [STRING.fullmatch(t) for t in tokens]
    if tokens and all(strings):
        return "".join(re.sub(r"\\(.)", r"\1", s[1]) for s in strings)
    return " ".join(tokens)


def rows(path, name):
    """[[argument, ...], ...] of an X-macro; every row has as many."""
    tokens = [t for t in TOKEN.findall(macro(path, name)) if not t.startswith("/*")]
    found, at = [], 0
    while at < len(tokens):
        if tokens[at] != "ROW" or tokens[at + 1] != "(":
            raise Broken(f"{path}: {name} holds {tokens[at]!r} where a ROW should begin")
        at, depth, row, argument = at + 2, 1, [], []
        while depth:
            t = tokens[at]
            depth += (t == "(") - (t == ")")
            if depth == 0 or (depth == 1 and t == ","):
                row.append(word(argument))
                argument = []
            else:
                argument.append(t)
            at += 1
        found.append(row)
    if not found or len({len(r) for r in found}) != 1:
        raise Broken(f"{path}: the rows of {name} are none, or of different lengths")
    return found


def number(path, name):
    """What `#define NAME 128` or `(128 * 1024)` comes to."""
    found = re.search(rf"^#define {name}\s+\(?([0-9u*+ ()]+?)\)?\s*(?:/\*.*)?$", source(path), re.M)
    if not found:
        raise Broken(f"{path} has no #define {name} with a number")
    product = 1
    for factor in found[1].replace("u", "").strip("() ").split("*"):
        product *= int(factor)
    return product


# ---- writing Markdown ----------------------------------------------------------------------------------------------


def cell(text):
    return text.replace("|", "\\|")


def code(text):
    return f"`{text}`" if text else ""


def table(head, body):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(cell(c) for c in row) + " |" for row in body])


def sentence(text):
    return text[:1].upper() + text[1:]


# ---- causes --------------------------------------------------------------------------------------------------------

STATUS_H = "service/status.h"

ADVICE = {
    "CREATED": "open the box, compare its context, store the token",
    "REVOKED": "forget the token",
    "UNDECODABLE": "mend what the message names; an unknown field means that the service is older than your client",
    "INVALID_FIELD": "mend the field that `field` names, then a new ID",
    "INVALID_RECORD": "mend the header or the key that the message names; send the same signed bytes",
    "WRONG_PARTITION": "use Kafka's default partitioner; send the same record to `partition` of `partitions`",
    "WRONG_REPLY_TOPIC": "drop the `kafka_reply*` headers, or set them to the service's",
    "CLOCK_SKEW": "compare your clock with `service_time`; the same record is good once its time has come",
    "BAD_SIGNATURE": "sign the exact bytes of the value, under the type that the message names, with that id's key",
    "UNKNOWN_KEY": "have the key registered in the policy, or mend `tokend-key-id`; then the same record",
    "KEY_EXPIRED": "the same bytes signed with a valid key; meanwhile renew the key in the policy",
    "WRONG_PRINCIPAL": "put the owner of the signing key into `principal`; find out who sent this before",
    "UNKNOWN_METHOD": "use one of the contract's methods",
    "POLICY_DENIED": "ask for less, or ask the operator for a grant; the message names the nearest one",
    "QUOTA": "wait for the next minute or UTC day, then a new ID",
    "REQUEST_ID_REUSED": "send the first bytes, if you have them; else a new ID, once you know the old is not yours",
    "NO_OUTCOME": "nothing was asked under that ID within 7 days, or by another principal; a token that is older is "
    "the operator's to revoke, by its ID",
    "STILL_IN_FLIGHT": "ask again later, in new bytes under the same ID",
    "TARGET_GONE": "tell the operator the token's ID: it is deleted at InfluxDB",
    "PAST_WINDOW": "look in your own store and in InfluxDB for a token of this ID before you ask under a new one",
    "UPSTREAM_REJECTED": "mend what InfluxDB's sentence, quoted in the message, complains of; then a new ID",
    "TARGET_NOT_FOUND": "create the database first, or mend its name or the target",
    "TARGET_RETIRED": "ask for another cluster",
    "UPSTREAM_CONFLICT": "change the description or the permissions, then a new ID",
    "UPSTREAM_BACKLOG": "wait minutes, not seconds, then a new ID",
    "UPSTREAM_AUTH": "tell the operator: the service's management token is refused; then a new ID",
    "UPSTREAM_THROTTLED": "ask for fewer tokens at once; later, with a new ID",
    "UPSTREAM_UNREACHABLE": "later, with a new ID",
    "NOT_STARTED": "later, with a new ID; a longer `deadline` outlasts a longer outage",
    "UPSTREAM_AMBIGUOUS": "later, with a new ID; what the attempts may have left is deleted",
    "INTERNAL": "tell the operator the request ID; the service's log has the reason",
}


def advice_fits(causes):
    lacking, idle = [c for c in causes if c not in ADVICE], [c for c in ADVICE if c not in causes]
    if lacking or idle:
        raise Broken(f"causes without advice: {lacking or 'none'}; advice without a cause: {idle or 'none'}")


def status_table():
    causes = rows(STATUS_H, "STATUSES")
    advice_fits([c[0] for c in causes])
    body = []
    for cause, name, reason, about, retry, when in causes:
        may = retry.replace("NONE", "–")
        body.append((code(reason) or "–", code(name), about, may, sentence(when), sentence(ADVICE[cause])))
    return table(("reason", "code", "about", "retry", "when", "what to do"), body)


# ---- configuration -------------------------------------------------------------------------------------------------

CONFIG_H = "service/base/config_file.h"
CONFIG_PARTS = (
    ("CONFIG_KEYS", ""),
    ("CONFIG_TOPICS_KEYS", "topics."),
    ("CONFIG_SIGNING_KEY_KEYS", "signing_key."),
    ("CONFIG_CLUSTER_KEYS", "clusters[]."),
    ("CONFIG_OPS_KEYS", "ops."),
)


def config_keys():
    """{full key: (required, default, meaning)}, the lists of texts among them."""
    keys = {}
    for name, prefix in CONFIG_PARTS:
        for key, presence, default, meaning in rows(CONFIG_H, name):
            keys[prefix + key] = (presence == "REQUIRED", default, meaning)
    for key, presence, _, _, meaning in rows(CONFIG_H, "CONFIG_LISTS"):
        keys[key] = (presence == "REQUIRED", "NULL", f"a list: {meaning}")
    return keys


def shown_default(required, default):
    if required:
        return "required"
    return "none" if default == "NULL" else code(default)


def config_table():
    keys = config_keys()
    first = ["service_id", "instance", "namespace", "kafka", "kafka_secret_files"]
    order = sorted(keys, key=lambda k: (first.index(k) if k in first else len(first)))
    return table(
        ("key", "default", "meaning"), [(code(k), shown_default(*keys[k][:2]), keys[k][2]) for k in order]
    )


def owned_properties():
    """librdkafka's properties that tokend sets itself, from config_kafka.c's list."""
    found = re.search(r"owned\[\] = \{(.*?)\};", source("service/base/config_kafka.c"), re.S)
    return [p + "*" if p.endswith(".") else p for p in STRING.findall(found[1])]


def owned_table():
    return ", ".join(code(p) for p in owned_properties()) + "."


# ---- metrics, durations, limits ------------------------------------------------------------------------------------


def metrics_table():
    kinds = {"COUNTER": "counter", "GAUGE": "gauge", "HISTOGRAM": "histogram"}
    classes = ", ".join(code(row[1]) for row in rows("workers/job.h", "VERDICTS"))
    told = table(
        ("metric", "kind", "labels", "meaning"),
        [
            (code(name), kinds[kind], ", ".join(code(x) for x in labels if x) or "–", help_)
            for _, kind, name, *labels, help_ in rows("service/base/metrics.h", "METRICS")
        ],
    )
    return f"{told}\n\nThe label `class` says what a call came to: {classes}."


def duration(ms):
    for unit, size in (("d", 86400000), ("h", 3600000), ("min", 60000), ("s", 1000)):
        if ms >= size and ms % size == 0:
            return f"{ms // size} {unit}"
    return f"{ms} ms"


def durations():
    return {name: (int(ms), meaning) for name, ms, _, meaning in rows("service/base/durations.h", "DURATIONS")}


# Those that a requester or an operator can run into, in their words; PROTOCOL.md has them all.
TOLD = {
    "DEADLINE_DEFAULT": "a request without `deadline` lives for",
    "DEADLINE_MOST": "`deadline` may lie after `issued_at` by at most (`deadline_most`)",
    "SKEW": "clocks may differ by; `issued_at` may lie ahead by as much",
    "WINDOW": "W: an outcome is remembered, and told again, for",
    "CALL": "one call of the Management API takes at most",
    "CONNECT": "of which connecting at most",
    "RETRY_AFTER_MOST": "a longer `Retry-After` is cut to",
    "BACKOFF_BASE": "the wait before the next attempt is random, at first up to",
    "BACKOFF_CAP": "doubling up to",
    "BREAKER_FIRST": "a cluster that fails is left alone for",
    "BREAKER_MOST": "doubling up to",
    "DRAIN": "at the end, calls in flight are waited for at most",
    "SESSION": "`session.timeout.ms` of the consumer group",
    "MAX_POLL": "`max.poll.interval.ms`",
}


def told_durations_table():
    known = durations()
    if missing := [name for name in TOLD if name not in known]:
        raise Broken(f"there is no duration {missing}")
    return table(("what", "how long"), [(told, duration(known[name][0])) for name, told in TOLD.items()])


def durations_table():
    return table(("name", "how long", "meaning"), [(code(n), duration(ms), m) for n, (ms, m) in durations().items()])


def evidence_table():
    effects = {"DELETE": "deleted", "KEEP": "kept"}
    clauses = rows("service/evidence.h", "EVIDENCE_CLAUSES")
    return table(("clause", "then", "because"), [(code(lb), effects[e], why) for _, e, lb, why in clauses])


HEADERS, VALUES, TEXT = "service/headers.h", "service/decode_values.c", "service/base/text.c"


def character_limit(function):
    """The most bytes that a `text_is_*` function takes."""
    found = re.search(rf"^{function}\(.*?\n}}", source(TEXT), re.M | re.S)
    most = found and re.search(r"name\(value, (\d+),|value\.bytes > (\d+)", found[0])
    if not most:
        raise Broken(f"{TEXT}: how long may a value be for {function}?")
    return int(most[1] or most[2])


def limits_table():
    kib = lambda n: f"{n // 1024} KiB ({n:,} bytes)" if n % 1024 == 0 else f"{n:,} bytes"  # noqa: E731
    return table(
        ("what", "limit"),
        [
            ("a request's value, frame included", kib(number(HEADERS, "HEADERS_VALUE_MOST"))),
            ("`request_id`, record key", f"1 to {character_limit('text_is_request_id')} of `A-Z a-z 0-9 . _ : -`"),
            ("`principal`", f"1 to {character_limit('text_is_principal')} of `a-z 0-9 . _ -`"),
            ("`service_id`", f"1 to {character_limit('text_is_service_id')} of `a-z 0-9 -`"),
            ("`description`", f"1 to {character_limit('text_is_description')} bytes of UTF-8; no control character, "
             "no blank at either end, not `[tokend/`"),
            ("`permissions`", f"1 to {number(VALUES, 'PERMISSIONS_MOST'):,}, none twice"),
            ("a database's name", f"1 to {character_limit('text_is_database')} of `A-Z a-z 0-9 _ / -`"),
            ("ids of keys", f"1 to {number(VALUES, 'KEY_ID_BYTES_MOST')} of `A-Z a-z 0-9 . _ -`"),
            ("an echoed header's value", f"{number('service/headers.c', 'ECHOED_VALUE_MOST')} bytes"),
            ("echoed headers on one record", f"{len_of_array('service/request.h', 'echoed')}"),
            ("RevokeToken's `reason`", f"{number('service/decode.c', 'REASON_BYTES_MOST')} bytes"),
            ("`status.message`", f"{number(STATUS_H, 'STATUS_MESSAGE_BYTES') - 1} bytes; of an offending value at most "
             f"{number('service/base/text.h', 'TEXT_SHOWN_BYTES')}, escaped"),
            ("an access token", f"{number('workers/job.h', 'JOB_ACCESS_TOKEN_MOST'):,} bytes"),
            ("attempts of unknown fate per request", f"{number('service/ticket.h', 'ATTEMPTS_UNKNOWN_MOST')}"),
            ("a dead letter that is kept whole", kib(number("service/pipeline_answer.c", "DEAD_LETTER_MOST"))),
        ],
    )


def len_of_array(path, member):
    found = re.search(rf"\b{member}\[(\d+)\];", source(path))
    if not found:
        raise Broken(f"{path} has no array {member}")
    return int(found[1])


# ---- topics --------------------------------------------------------------------------------------------------------

POLICY_H = "service/base/topic_policy.h"


def joined(sentences):
    """One sentence of several: what they begin with alike is said once."""
    alike = os.path.commonprefix([s.split() for s in sentences])
    if len(sentences) > 1 and len(alike) > 3:
        return " ".join(alike) + " " + ", ".join(" ".join(s.split()[len(alike):]) for s in sentences)
    return "; ".join(sentences)


def topics_table():
    """One row for each setting and value, whichever topics must have it."""
    window, message = (
        int(re.search(rf'#define TOPIC_{name} "(\d+)"', source(POLICY_H))[1]) for name in ("WINDOW", "MESSAGE")
    )
    merged = {}
    for role, setting, fit, value, weight, why in rows(POLICY_H, "TOPIC_POLICIES"):
        value = {"TOPIC_WINDOW": duration(window), "TOPIC_MESSAGE": f"{message} bytes"}.get(value, value)
        told = f"at least {value}" if fit == "AT_LEAST" else code(value)
        topics, whys = merged.setdefault((setting, told, weight), ([], []))
        topics.append(role.lower())
        whys += [why] if why not in whys else []
    replicas = number(POLICY_H, "TOPIC_REPLICATION")
    shown = {"MUST": "refused", "SHOULD": "a warning"}
    body = [(code(s), ", ".join(t), told, shown[weight], joined(w)) for (s, told, weight), (t, w) in merged.items()]
    why = "the loss of a broker could lose what the topic holds"
    body.append(("replication factor", "all", f"at least {replicas}", shown["SHOULD"], why))
    body.sort(key=lambda row: row[3] != shown["MUST"])
    return table(("setting", "topics", "value", "else, at start", "why"), body)


# ---- tokenctl ------------------------------------------------------------------------------------------------------


def commands():
    """[(name, arguments, summary)] in the order in which tokenctl help lists them."""
    listed = re.search(r"commands\[\] = \{(.*?)\};", source("service/ctl/tokenctl.c"), re.S)
    known = {}
    for path in (ROOT / "service" / "ctl").glob("*.c"):
        for name, body in re.findall(r"^const struct command (\w+) = \{(.*?)^\};", path.read_text(), re.M | re.S):
            member = lambda key: "".join(STRING.findall(re.search(rf"\.{key} = (.*?),\n", body, re.S)[1]))  # noqa: E731
            known[name] = (member("name"), member("arguments"), member("summary"))
    order = re.findall(r"&(\w+)", listed[1])
    if not order or (missing := [name for name in order if name not in known]):
        raise Broken(f"tokenctl.c lists {missing or 'no commands'}, and no file of service/ctl has them")
    return [known[name] for name in order]


def commands_table():
    told = [(code(f"tokenctl {name} {arguments}".rstrip()), summary) for name, arguments, summary in commands()]
    return table(("command", ""), told)


# ---- the blocks ----------------------------------------------------------------------------------------------------

BLOCKS = {
    "status": status_table,
    "configuration": config_table,
    "owned properties": owned_table,
    "metrics": metrics_table,
    "told durations": told_durations_table,
    "durations": durations_table,
    "evidence": evidence_table,
    "limits": limits_table,
    "commands": commands_table,
    "topics": topics_table,
}
BLOCK = re.compile(r"<!-- ([a-z ]+) table -->\n(.*?)<!-- /\1 table -->", re.S)


def renewed(text):
    """The document with its blocks as the code has them."""
    return BLOCK.sub(lambda m: f"<!-- {m[1]} table -->\n{BLOCKS[m[1]]()}\n<!-- /{m[1]} table -->", text)


def stale(text):
    """The names of its blocks that say something else than the code."""
    return [m[1] for m in BLOCK.finditer(text) if m[2] != BLOCKS[m[1]]() + "\n"]


def main(arguments):
    bad = False
    for name in DOCUMENTS:
        text = source(name)
        for block in stale(text):
            print(f"{name}: the {block} table is not the code's")
            bad = True
        if arguments == ["--write"]:
            (ROOT / name).write_text(renewed(text))
    return int(bad and arguments != ["--write"])


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--write"]):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
