# SPDX-License-Identifier: Apache-2.0
"""Goal: a secret lies where it must and nowhere else: not in the memory that was used for it, not in a file, a log, a
topic or a metric; and whoever takes one of these precautions away is told so by a test.

Point by point, the tests without which each could be lost. (test_the_table_names_tests_that_exist keeps it true.)

 1 allocators that wipe: test_secret.c the_process_is_hardened, test_residue.c an_echoed_secret_is_gone,
   test_residue.c a_token_is_gone_when_its_lease_is_returned; bound at start:
   test_the_loader_leaves_nothing_to_be_written_later; the stack after sealing:
   test_seal_stack.c the_stack_is_zero_after_sealing; registers: test_registers.c what_was_copied_is_forgotten;
   all of it: test_no_token_stays_in_memory,
   test_memory.py test_what_is_over_has_left_nothing, test_memory.py test_a_core_file_would_not_hold_it
 2 one guarded, locked buffer: test_pool.c a_token_comes_back_in_leased_memory_and_is_wiped,
   test_pool.c an_endless_body_fills_no_memory, test_secrets_are_in_locked_memory,
   test_too_little_locked_memory_is_said_and_no_reason_to_stop
 3 plain HTTP/1.1: test_what_goes_over_the_wire; never verbose: test_no_secret_is_told
 4 no core, no ptrace: test_a_process_is_closed_before_it_reads_a_secret, test_secret.c the_process_is_hardened
 5 files alone: test_secret.c says_what_is_wrong_and_never_what_it_read, test_secret.c follows_symlinks,
   test_secrets_as_kubernetes_projects_them, test_a_secret_that_is_none_ends_the_start,
   test_pool.c a_refused_token_is_read_anew_at_once
 6 the right server: test_pool.c a_redirect_is_not_followed, test_pool.c the_environment_names_no_proxy,
   test_config.c only_urls_that_lead_nowhere_else, test_tls.c another_authority_is_not,
   test_tls.c another_name_is_not, test_an_old_tls_is_not_spoken, test_pool.c an_endless_body_fills_no_memory
 7 ids in paths: test_management_api.c only_a_uuid_gets_into_a_path, test_decode.c targets,
   test_config.c bad_files_are_refused_by_name
 8 a strict walk: test_strict.c unknown_fields, test_strict.c repeated_singular_fields, test_strict.c strings,
   test_strict.c explicit_defaults, test_strict.c two_members_of_a_oneof
 9 cJSON's pitfalls: test_answer.c a_member_twice_is_refused,
   test_answer.c whatever_is_not_one_json_object_is_refused, test_answer.c an_id_must_be_a_uuid
10 compiler and linker: test_the_programs_are_hardened, test_every_file_was_compiled_with_the_guards
11 the container: test_the_image_runs_without_root, test_the_chart_takes_every_right_away
"""

import collections
import ctypes
import os
import pathlib
import re
import resource
import shutil
import socket
import stat
import struct
import subprocess
import threading
import time
import uuid

import pytest
import yaml

import conftest
from audit import read_topics
from canary import Canaries
from conftest import BUILD, MANAGEMENT_TOKEN, ROOT, Tokend, end_with_parent, free_port, until
from memory import SANITIZED, areas_of
from requester import OUTCOME, pb, read_secret

PROGRAMS = ("tokend", "tokenctl")
NOBODY = 65532
PR_CAPBSET_DROP, CAP_IPC_LOCK = 24, 14


def output_of(*command):
    return subprocess.run([str(a) for a in command], capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_table_names_tests_that_exist():
    here = pathlib.Path(__file__)
    table = __doc__[__doc__.index("\n 1 ") :]
    points = re.findall(r"^ ?(\d+) ", table, re.M)
    assert [int(n) for n in points] == list(range(1, 12))
    in_c = re.findall(r"(test_\w+\.c) (\w+)", table)
    elsewhere = re.findall(r"(test_\w+\.py) (test_\w+)", table)
    in_python = set(re.findall(r"\b(test_\w+)\b(?!\.)", table)) - {name for _, name in elsewhere}
    assert len(in_c) > 15 and len(in_python) > 10
    for file, name in in_c:
        text = (ROOT / "tests" / "unit" / file).read_text()
        assert re.search(rf"^{name}\(void \*\*state\)", text, re.M) and text.count(name) > 1, (file, name)
    for name in in_python:
        assert f"\ndef {name}(" in here.read_text(), name
    for file, name in elsewhere:
        assert f"\ndef {name}(" in (here.parent / file).read_text(), (file, name)


# ---- 1, 10: the programs as they were built ------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_loader_leaves_nothing_to_be_written_later(program):
    """Lazy binding runs the loader in the middle of our work, and it saves registers with pieces of tokens on the
    stack."""
    assert re.search(r"\(FLAGS\).*BIND_NOW", output_of("readelf", "-dW", BUILD / program))
    assert re.search(r"\(FLAGS_1\).*\bNOW\b", output_of("readelf", "-dW", BUILD / program))
    assert "GNU_RELRO" in output_of("readelf", "-lW", BUILD / program)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_are_hardened(program):
    assert re.search(r"Type:\s+DYN", output_of("readelf", "-hW", BUILD / program))
    assert re.search(r"\(FLAGS_1\).*\bPIE\b", output_of("readelf", "-dW", BUILD / program))
    (stack,) = re.findall(r"GNU_STACK.*", output_of("readelf", "-lW", BUILD / program))
    assert " RW " in stack and "RWE" not in stack
    imported = output_of("nm", "-D", "--undefined-only", BUILD / program)
    assert "__stack_chk_fail" in imported
    if not SANITIZED:  # a sanitizer looks at more than fortified functions do, and is built without them
        assert {"__memcpy_chk", "__snprintf_chk", "__vsnprintf_chk"} <= set(re.findall(r"__\w+_chk", imported))


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_file_was_compiled_with_the_guards(program):
    """What leaves no symbol is in the compiler's own record of its options, one for each file. (The linker keeps
    CET's mark only when the C library's start files have it, which Debian's have not.)"""
    units = output_of("readelf", "--debug-dump=info", "--dwarf-depth=1", BUILD / program)
    how = re.findall(r"DW_AT_producer.*: (GNU C\d.+)$", units, re.M)  # C++ is a sanitizer's own
    if not how:
        pytest.skip("built without -g: the options are not recorded")
    assert len(how) > 40
    for flags in set(how):
        for flag in ("-fPIE", "-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection=full"):
            assert flag in flags, flags


def test_no_shipped_program_can_be_told_to_die(tmp_path):
    """Crash points and switched-off rules are of the chaos flavour alone."""
    table = (ROOT / "service" / "base" / "chaos.h").read_text()
    names = re.findall(r'^\tROW\("([a-z-]+)"', table, re.M)  # a rule's is too short to be no accident
    assert len(names) > 15 and "done-committing" in names
    for program in PROGRAMS:
        output_of("objcopy", "--strip-debug", BUILD / program, tmp_path / program)  # where our own names stand
        binary = (tmp_path / program).read_bytes()
        assert b"TOKEND_CHAOS" not in binary
        assert [n for n in names if f"\0{n}\0".encode() in binary] == []


def test_every_crash_point_and_rule_stands_in_the_code():
    """Whoever asks for one that nobody passes would see a run without it, and call it a success."""
    table = (ROOT / "service" / "base" / "chaos.h").read_text()
    named = set(re.findall(r'^\tROW\("([\w-]+)"', table, re.M))
    code = "".join(p.read_text() for room in ("service", "workers") for p in sorted((ROOT / room).glob("*.c")))
    placed = set(re.findall(r'(?:CHAOS_POINT|CHAOS_DURING|RULE_OFF)\("([\w-]+)"\)', code))
    assert len(named) > 20 and placed == named


# ---- 4: closed before it reads a secret ----------------------------------------------------------------------------


def as_somebody():
    """Not as root, whose processes' files are root's in any case; with core files allowed."""
    end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        end_with_parent()  # changing the user has undone it


def is_dumpable(pid):
    """The kernel gives the files of a process that is not to root."""
    return os.stat(f"/proc/{pid}/environ").st_uid != 0


def core_limits(pid):
    return re.search(r"Max core file size\s+(\S+)\s+(\S+)", pathlib.Path(f"/proc/{pid}/limits").read_text()).groups()


@pytest.mark.parametrize("program, arguments", [("tokend", ()), ("tokenctl", ("token", "create", "x"))])
def test_a_process_is_closed_before_it_reads_a_secret(program, arguments):
    """Where the secrets are stands in the configuration: while the program waits for it (a FIFO), it has read none."""
    directory = pathlib.Path(output_of("mktemp", "-d", "/tmp/tokend-hygiene.XXXXXX").strip())
    fifo, copy = directory / "config.yaml", directory / program
    try:
        directory.chmod(0o755)
        shutil.copy(BUILD / program, copy)
        copy.chmod(0o755)
        os.mkfifo(fifo, 0o644)
        fifo.chmod(0o644)
        plain = subprocess.Popen(["/usr/bin/sleep", "60"], preexec_fn=as_somebody)
        ours = subprocess.Popen(
            [copy, "--config", fifo, *arguments],
            preexec_fn=as_somebody,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:

            def is_open():
                assert ours.poll() is None, "it ended before it read its configuration"
                try:
                    return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
                except OSError:
                    return None  # nobody reads it yet

            fd = until("the program reads its configuration", is_open)
            assert is_dumpable(plain.pid) and core_limits(plain.pid) != ("0", "0")  # that this can be seen at all
            assert not is_dumpable(ours.pid)
            assert core_limits(ours.pid) == ("0", "0")
            os.close(fd)
            assert ours.wait(30) != 0
        finally:
            for process in (plain, ours):
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(directory)


# ---- a life with a bit of everything -------------------------------------------------------------------------------


class Loud(Tokend):
    """tokend that logs all it can."""

    def __init__(self, config, log, ops_port):
        super().__init__(config, log, ops_port, "--log-level", "debug")


def a_description():
    return f"h-{uuid.uuid4()}"


@pytest.fixture(scope="module")
def lived(common):
    """A tokend that has had tokens, errors, answers that were cut, a timeout and refusals, and is still there."""
    with pytest.MonkeyPatch.context() as m:
        m.setattr(conftest, "Tokend", Loud)
        common.tokend()
    r = common.requester()

    def with_fault(said, fault, **how):
        request = r.create(a_description(), **how)
        common.sandbox.fault({"description": request.message.description, **fault})
        assert r.ask(request).said[1] == said
        common.sandbox.no_more_faults()

    assert r.ask(r.create(a_description())).said[1] == ""
    assert r.ask(r.create(a_description(), read=[f"mydb{n}" for n in range(300)])).said[1] == ""
    assert r.ask(r.create(a_description(), cluster="edge", read=["*"], inline=True)).said[1] == ""
    with_fault("", {"fault": "cut", "commit": True, "mid_body": True})
    with_fault("", {"fault": "bad_json", "commit": True})
    with_fault("", {"fault": "missing_token"})
    with_fault("", {"fault": "throttle", "commit": True})
    with_fault("UPSTREAM_REJECTED", {"fault": "error", "status": 400})
    with_fault("POLICY_DENIED", {"fault": "error"}, read=["secret"])
    late = r.create(a_description(), life_s=3)
    common.sandbox.fault({"description": late.message.description, "fault": "hold", "commit": True, "times": -1})
    r.send(late)
    common.sandbox.wait_posts(late.message.description, 1)
    until("the deadline", lambda: time.time() > late.message.deadline.seconds)
    common.sandbox.release()
    assert r.wait(late).said == (4, "UPSTREAM_UNREACHABLE", OUTCOME, pb.LATER)
    common.sandbox.no_more_faults()
    return common


def signing_seed(world):
    return world.conf / world.config["signing_key"]["file"]


def secrets_of(world):
    """What nobody may read anywhere: every token that was made, and the service's own."""
    c = Canaries().add_tokens(world.sandbox.truth())
    c.add("the management token", MANAGEMENT_TOKEN.encode())
    return c.add("the signing key", read_secret(signing_seed(world)))


@pytest.mark.mock
def test_no_secret_is_told(lived):
    """In no record of any topic, aborted ones included, no line of the log, no metric, no answer of the ops port."""
    canaries = secrets_of(lived)
    names = [f"{lived.service_id}.{t}" for t in ("requests", "replies", "journal", "deadletters")]
    topics = read_topics(lived.kafka, names, "read_uncommitted")
    assert all(len(topics[n]) >= 10 for n in names[:3])
    for name in names:
        for m in topics[name]:
            assert canaries.found_in_record(m) == [], (name, m.partition(), m.offset())
    (tokend,) = lived.tokends
    assert tokend.log.read_bytes().count(b"\n") > 15 and canaries.found_in_file(tokend.log) == []
    for path in ("/metrics", "/livez", "/readyz", "/nonsense"):
        assert canaries.found_in(tokend.http(path)[1].encode()) == [], path
    assert "tokend_" in tokend.http("/metrics")[1]


@pytest.mark.mock
@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps freed memory as it was")
@pytest.mark.skipif(os.getuid() != 0, reason="nobody but root can read this process's memory")
def test_no_token_stays_in_memory(lived):
    """Neither a token nor a piece of one, though eight of them went through: on the heap, on a stack, anywhere. The
    management token lies where each cluster keeps it, and the signing key in one place: so the search finds what is
    there."""
    (tokend,) = lived.tokends
    canaries, found = secrets_of(lived), collections.Counter()
    assert len(lived.sandbox.truth()["tokens"]) >= 8
    for area in areas_of(tokend.process.pid):
        there = {name for _, name in canaries.places_in(area.data)}
        found.update({name: area.data.count(MANAGEMENT_TOKEN.encode()) if "management" in name else 1
                      for name in there})
    assert found == {"the management token, as it is": len(lived.config["clusters"]), "the signing key": 1}


def locked_kib(pid):
    return int(re.search(r"VmLck:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


@pytest.mark.mock
@pytest.mark.skipif(SANITIZED, reason="a sanitizer's mlock does nothing")
def test_secrets_are_in_locked_memory(lived):
    """Keys, credentials, and an answer's buffer of each size; nothing is said, for there is enough."""
    (tokend,) = lived.tokends
    assert locked_kib(tokend.process.pid) > 256
    assert not [line for line in tokend.lines() if "may be locked" in line["msg"]]


# ---- 2, 5: what the surroundings give ------------------------------------------------------------------------------


def with_nothing_locked():
    end_with_parent()
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK)  # root's right to lock without limit
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))


@pytest.mark.mock
def test_too_little_locked_memory_is_said_and_no_reason_to_stop(world, monkeypatch):
    if SANITIZED:
        pytest.skip("a sanitizer's mlock does nothing")
    monkeypatch.setattr(Tokend, "before_exec", staticmethod(with_nothing_locked))
    tokend = world.tokend()
    (said,) = tokend.said("little memory may be locked: secrets may reach the swap (see ulimit -l)")
    assert said["bytes"] == 0 and said["level"] == "warn"
    assert locked_kib(tokend.process.pid) == 0
    r = world.requester()
    assert r.ask(r.create(a_description())).said[1] == ""


def project(path):
    """As a Secret's volume has it: file -> ..data/file, ..data -> ..some-time."""
    inside = path.parent / f"..{path.name}" / path.name
    inside.parent.mkdir()
    path.rename(inside)
    (path.parent / f"..data-{path.name}").symlink_to(f"..{path.name}")
    path.symlink_to(f"..data-{path.name}/{path.name}")
    return inside


@pytest.mark.mock
def test_secrets_as_kubernetes_projects_them(world):
    """Through two symlinks, with a newline at the end; and readable by all, as is a Secret's default, which is said."""
    told = "others on this machine can read a secret"
    token = pathlib.Path(world.config["clusters"][0]["management_token_file"])
    for path in (token, signing_seed(world)):
        inside = project(path)
        inside.write_text(inside.read_text().rstrip("\n") + "\r\n\n")
        inside.chmod(0o440)
    r = world.requester()
    tokend = world.tokend()
    assert r.ask(r.create(a_description())).said[1] == "" and tokend.said(told) == []
    assert tokend.terminate() == 0
    token.chmod(0o444)
    signing_seed(world).chmod(0o644)
    tokend = world.tokend()
    assert r.ask(r.create(a_description())).said[1] == ""
    said = [(line["secret"], pathlib.Path(line["file"])) for line in tokend.said(told)]
    clusters = len(world.config["clusters"])
    assert said == [("signing_key", signing_seed(world))] + [("management_token_file", token)] * clusters


def configuration(directory):
    """What tokenctl init makes, with a token of its own."""
    token = directory / "token"
    token.write_text("a-token\n")
    token.chmod(0o600)
    made = subprocess.run(
        [
            *(str(a) for a in (BUILD / "tokenctl", "--cluster", "prod", "init", directory / "conf")),
            *("--service-id", "s", "--principal", "telemetry", "--bootstrap", "localhost:1", "--product", "clustered"),
            *("--url", "http://127.0.0.1:1", "--management-token-file", str(token), "--grant-databases", "a"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    path = directory / "conf" / "tokend.yaml"
    return path, token, path.parent / yaml.safe_load(path.read_text())["signing_key"]["file"]


SPOILT = {
    "absent": (lambda path: path.unlink(), "cannot be opened"),
    "empty": (lambda path: path.write_text(""), "is empty"),
    "newlines": (lambda path: path.write_text("\n\n"), "holds nothing but newlines"),
    "large": (lambda path: path.write_text("canary" * 2000), "more than"),
    "NUL": (lambda path: path.write_bytes(b"canary\0canary"), "holds a NUL byte"),
    "directory": (lambda path: (path.unlink(), path.mkdir()), "is not a regular file"),
    "FIFO": (lambda path: (path.unlink(), os.mkfifo(path)), "is not a regular file"),
}


@pytest.mark.parametrize("which", [1, 2], ids=["management-token", "signing-key"])
@pytest.mark.parametrize("how", SPOILT, ids=str)
def test_a_secret_that_is_none_ends_the_start(tmp_path, how, which):
    files = configuration(tmp_path)
    spoil, sentence = SPOILT[how]
    check = [str(BUILD / "tokend"), "--config", str(files[0]), "--check-config"]
    assert subprocess.run(check, capture_output=True, timeout=60).returncode == 0
    spoil(files[which])
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert str(files[which]) in done.stderr and sentence in done.stderr and "canary" not in done.stderr


# ---- 3, 6: what a server sees --------------------------------------------------------------------------------------


class Listener:
    """Takes one connection at a time on loopback, keeps what comes, and closes when it has heard enough."""

    def __init__(self, port, is_enough):
        self.heard, self.is_enough = [], is_enough
        self.socket = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(30)
                data = b""
                while not self.is_enough(data):
                    more = connection.recv(65536)
                    if not more:
                        break
                    data += more
                self.heard.append(data)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture
def listener(world):
    """Where the cluster dark is."""
    opened = []

    def open_at_dark(scheme, is_enough):
        port = free_port()
        world.config["clusters"][2]["url"] = f"{scheme}://127.0.0.1:{port}"
        opened.append(Listener(port, is_enough))
        world.tokend()
        return opened[0]

    yield open_at_dark
    for one in opened:
        one.close()


def is_request(data):
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.I)
    return length is not None and len(body) >= int(length[1])


@pytest.mark.mock
def test_what_goes_over_the_wire(world, listener):
    """HTTP/1.1, and these headers alone: no Accept-Encoding, so that a token is not unpacked from a second copy; no
    Expect, though the request is large; nothing of ours beside the credential."""
    heard = listener("http", is_request).heard
    r = world.requester()
    databases = [f"mydb{'x' * 50}{n:04}" for n in range(1000)]
    request = r.create(a_description(), cluster="dark", life_s=3, read=databases)
    r.ask(request)
    head, _, body = heard[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == "POST /api/v0/tokens HTTP/1.1" and len(body) > 90000
    assert headers.pop("User-Agent").startswith("tokend/")
    assert headers == {
        "Host": world.config["clusters"][2]["url"].removeprefix("http://"),
        "Authorization": f"Bearer {MANAGEMENT_TOKEN}",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Content-Length": str(len(body)),
    }


def is_tls_record(data):
    return len(data) > 5 and len(data) >= 5 + struct.unpack_from(">H", data, 3)[0]


def offered_versions(hello):
    """Of a ClientHello: what its extension supported_versions lists."""
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + struct.unpack_from(">H", hello, at)[0]
    at += 1 + hello[at]
    end = at + 2 + struct.unpack_from(">H", hello, at)[0]
    at += 2
    while at < end:
        kind, size = struct.unpack_from(">HH", hello, at)
        if kind == 43:
            return {struct.unpack_from(">H", hello, at + 5 + i)[0] for i in range(0, hello[at + 4], 2)}
        at += 4 + size
    raise AssertionError("the hello lists no versions: it is TLS 1.2 at most")


PERMISSIVE = """openssl_conf = a
[a]
ssl_conf = b
[b]
system_default = c
[c]
MinProtocol = TLSv1
CipherString = DEFAULT:@SECLEVEL=0
"""


@pytest.mark.mock
def test_an_old_tls_is_not_spoken(world, listener, monkeypatch, tmp_path):
    """Whatever the machine's OpenSSL would still do."""
    conf = tmp_path / "openssl.cnf"
    conf.write_text(PERMISSIVE)
    monkeypatch.setenv("OPENSSL_CONF", str(conf))
    script = (
        "import ssl; i, o = ssl.MemoryBIO(), ssl.MemoryBIO(); c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT);"
        "c.check_hostname = False; c.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED;"
        "s = c.wrap_bio(i, o)\ntry: s.do_handshake()\nexcept ssl.SSLWantReadError: print(o.read().hex())"
    )
    naive = bytes.fromhex(output_of("/usr/bin/python3", "-W", "ignore", "-c", script))
    assert {0x0301, 0x0302} <= offered_versions(naive)  # that this machine would offer TLS 1.0 and 1.1
    heard = listener("https", is_tls_record).heard
    r = world.requester()
    assert r.ask(r.create(a_description(), cluster="dark", life_s=3)).said[1] == "UPSTREAM_UNREACHABLE"
    assert len(heard) >= 1 and heard[0][0] == 22
    assert offered_versions(heard[0]) == {0x0303, 0x0304}
    assert MANAGEMENT_TOKEN.encode() not in b"".join(heard)


# ---- 11: the container ---------------------------------------------------------------------------------------------


def test_the_image_runs_without_root():
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.M)
    lines = stages[-1].splitlines()
    (user,) = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)  # by number, or Kubernetes cannot know that it is not root
    (entry,) = [line for line in lines if line.startswith("ENTRYPOINT ")]
    assert lines.index(f"USER {user}") < lines.index(entry) and entry == 'ENTRYPOINT ["/usr/bin/tokend"]'  # no shell
    assert not [line for line in lines if re.search(r"ADD |setcap|chmod.*[+]s|sudo", line)]


def without_templates(text):
    """What is left for a reader of YAML when helm's own words are taken out, each value of theirs being a word."""
    text = re.sub(r"^\s*\{\{-.*?\}\}\s*$", "", text, flags=re.M | re.S)
    return yaml.safe_load(re.sub(r"\{\{.*?\}\}", "x", text))


def test_the_chart_takes_every_right_away():
    pods = []
    for path in sorted((ROOT / "helm" / "templates").glob("*.yaml")):
        text = path.read_text()
        if "containers:" in text:
            pods.append(without_templates(text)["spec"]["template"]["spec"])
    assert len(pods) == 1
    (pod,) = pods
    assert pod["securityContext"]["runAsNonRoot"] is True
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        assert isinstance(pod["securityContext"][key], int) and pod["securityContext"][key] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & pod.keys()
    containers = pod["containers"] + pod.get("initContainers", [])
    for container in containers:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]} and not context.get("privileged")
        assert all(mount["readOnly"] is True for mount in container["volumeMounts"])
        for variable in container["env"]:
            assert "secretKeyRef" not in variable.get("valueFrom", {})  # a secret is a file, never the environment
    secrets = [v["secret"] for v in pod["volumes"] if "secret" in v]
    assert secrets and all(stat.S_IMODE(s["defaultMode"]) & 0o007 == 0 for s in secrets)
