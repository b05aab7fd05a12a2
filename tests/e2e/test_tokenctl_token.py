# SPDX-License-Identifier: Apache-2.0
"""Goal: a token that exists is handed over to where it was meant and nowhere else, or the command that gets it again is
printed, and works; a request and its reply may travel by any means, and are judged no less strictly for it.
"""

import base64
import contextlib
import ctypes
import http.server
import json
import os
import shlex
import stat
import subprocess
import threading
import time

import pytest
from confluent_kafka import Producer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from standin import OUTCOME, RECORD, Request
from typed import TOKEN, TOKENCTL, create, desk, init, kafka, tokenctl  # noqa: F401

# What a program sees that is given a token: its arguments, its environment and its standard input.
WITNESS = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ), sys.stdin.read()], open(sys.argv[1], 'w'))"


def until(condition, within_s=20):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def answered(kafka, desk):
    here, service = desk
    kafka.answer = lambda r: [service.created(r, TOKEN)]
    return here


def asked_for_later(kafka, here):
    """Ask without waiting; the ID, once all of the answer stands in the topic."""
    before = kafka.answered
    done = asked(here, "--no-wait")
    assert done.returncode == 0, done.stderr
    until(lambda: kafka.answered > before)
    return done.stdout.strip(), done.stderr


def asked(here, *arguments, seconds=20):
    return create(here, "--read-database", "cpu", "for the agent", *arguments, seconds=seconds)


def command(here, *arguments, seconds=20, **more):
    return tokenctl("--config", here / "tokenctl.yaml", "--timeout", f"{seconds}s", *arguments, **more)


def the_command_that_was_printed(said, **more):
    """Run what tokenctl told people to paste, as a shell would."""
    (line,) = [at[at.index("tokenctl token ") :] for at in said.splitlines() if ": tokenctl token " in at]
    return subprocess.run([TOKENCTL, *shlex.split(line)[1:]], capture_output=True, text=True, timeout=60, **more)


# ---- where the token goes -------------------------------------------------------------------------------------------


def test_the_token_alone(kafka, desk):
    done = asked(answered(kafka, desk), "--format", "token")
    assert (done.returncode, done.stdout) == (0, TOKEN + "\n") and TOKEN not in done.stderr


@pytest.mark.parametrize(
    "format, reads",
    [
        (None, lambda t: t.rstrip("\n")),
        ("json", lambda t: json.loads(t)["accessToken"]),
        ("table", lambda t: t.split()[-1]),
    ],
)
def test_into_a_new_file_of_one_s_own(kafka, desk, format, reads):
    here = answered(kafka, desk)
    out = here / "token"
    done = asked(here, "--out", out, *(["--format", format] if format else []))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert reads(out.read_text()) == TOKEN and stat.S_IMODE(out.stat().st_mode) == 0o600
    assert TOKEN not in done.stderr and str(out) in done.stderr


def test_no_file_is_written_over_and_nothing_is_sent_for_one(kafka, desk):
    here = answered(kafka, desk)
    (here / "mine").write_text("mine")
    (here / "link").symlink_to(here / "nowhere")
    for name, said in (
        ("mine", "mine exists already"),
        ("link", "link exists already"),
        ("none/token", f"{here}/none/: No such"),
    ):
        done = asked(here, "--out", here / name, seconds=1)
        assert (done.returncode, done.stdout) == (2, "") and said in done.stderr
    assert (here / "mine").read_text() == "mine" and not (here / "state").exists() and kafka.requests == []


def test_a_program_gets_the_token_on_its_standard_input_and_nowhere_else(kafka, desk):
    here = answered(kafka, desk)
    seen = here / "seen"
    done = asked(here, "--exec", "/usr/bin/python3", "-c", WITNESS, seen, "two words", "--debug", "")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    arguments, environment, given = json.loads(seen.read_text())
    assert given == TOKEN
    assert arguments == [str(seen), "two words", "--debug", ""]
    assert TOKEN not in json.dumps([arguments, environment]) and TOKEN not in done.stderr


@pytest.mark.parametrize(
    "script, said", [("exit 7", "ended with exit status 7"), ("kill -9 $$", "was ended by signal 9")]
)
def test_a_program_that_fails_loses_no_token(kafka, desk, script, said):
    here = answered(kafka, desk)
    done = asked(here, "--exec", "sh", "-c", f"test -e {here}/mended || {{ {script}; }}; cat >{here}/got")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"sh {said}" in done.stderr and "exists; to get it again" in done.stderr and TOKEN not in done.stderr
    (here / "mended").touch()
    again = the_command_that_was_printed(done.stderr)
    assert again.returncode == 0, again.stderr
    assert (here / "got").read_text() == TOKEN
    assert len({r.request_id for r in kafka.requests}) == 1


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--exec", "no-such-program"], 'there is no program "no-such-program"'),
        (["--exec", "/etc/passwd"], 'there is no program "/etc/passwd" that can be run'),
        (["--exec"], "--exec wants a command"),
        (["--out", "f", "--exec", "cat"], "leave --out away"),
        (["--format", "json", "--exec", "cat"], "leave --format away"),
        (["--no-wait", "--out", "f"], "belong to token open"),
        (["--wait-active", "http://influx.example/query?db=a"], "a token is sent to https://"),
        (["--wait-active", "https://user:word@influx.example/"], "a token is sent to https://"),
        (["--wait-active", "file:///etc/passwd"], "a token is sent to https://"),
        (["--wait-active", "http://127.0.0.1.example/"], "a token is sent to https://"),
        (["--wait-active", "frob\x1b"], r'"frob\x1b"'),
    ],
)
def test_what_could_not_be_handed_over_is_not_asked_for(kafka, desk, flags, said):
    here = answered(kafka, desk)
    done = asked(here, *flags, seconds=1)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (here / "state").exists() and kafka.requests == []


# ---- once it is active ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def influx(*answers):
    """A server that gives these answers, the last for ever; yields its address and what it was sent."""
    sent, left = [], list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            sent.append((self.path, self.headers["Authorization"]))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/query?db=cpu", sent
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("answers", [[200], [401, 401, 200], [503, 401, 429, 403]])
def test_a_token_is_handed_over_once_it_is_taken(kafka, desk, answers):
    here = answered(kafka, desk)
    with influx(*answers) as (url, sent):
        done = asked(here, "--wait-active", url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == TOKEN
    assert sent == [("/query?db=cpu", f"Bearer {TOKEN}")] * len(answers)
    assert "the token is active, after " in done.stderr and f"answers HTTP {answers[-1]}" in done.stderr
    assert TOKEN not in done.stderr


@pytest.mark.parametrize(
    "answer, said, at_once", [(401, "not active yet after 2.", False), (302, "which says nothing of a token", True)]
)
def test_a_token_that_is_not_active_yet_is_told_of_and_not_lost(kafka, desk, answer, said, at_once):
    here = answered(kafka, desk)
    with influx(answer) as (url, sent):
        done = asked(here, "--wait-active", url, "--out", here / "token", seconds=2)
        assert (done.returncode, done.stdout) == (3, "")
        assert said in done.stderr and f"HTTP {answer}" in done.stderr and "exists; to get it again" in done.stderr
        assert (len(sent) == 1) == at_once and not (here / "token").exists()
        assert {path for path, _ in sent} == {"/query?db=cpu"}
    with influx(204) as (other, _):
        again = the_command_that_was_printed(done.stderr.replace(url, other))
    assert again.returncode == 0, again.stderr
    assert (here / "token").read_text() == TOKEN + "\n"


def test_nobody_there_counts_as_not_yet(kafka, desk):
    here = answered(kafka, desk)
    done = asked(here, "--wait-active", "http://127.0.0.1:1/", seconds=2)
    assert done.returncode == 3
    assert "not active yet" in done.stderr and "the last answer of http://127.0.0.1:1/: none: " in done.stderr


# ---- ask now, fetch later -------------------------------------------------------------------------------------------


def test_ask_now_and_fetch_later(kafka, desk):
    here = answered(kafka, desk)
    sent = asked(here, "--no-wait")
    assert sent.returncode == 0, sent.stderr
    (identity,) = sent.stdout.split()
    assert sent.stdout == identity + "\n" and (here / "state" / f"{identity}.request").exists()


def test_what_was_asked_for_is_fetched_where_it_stands(kafka, desk):
    here = answered(kafka, desk)
    _, said = asked_for_later(kafka, here)
    later = the_command_that_was_printed(said)
    assert later.returncode == 0, later.stderr
    assert later.stdout.split()[-1] == TOKEN
    assert len(kafka.requests) == 1  # nothing was sent for it


@pytest.fixture
def deaf():
    """The address of a Kafka that answers every produce request with an error that passes."""
    lib = ctypes.CDLL("librdkafka.so.1")
    for name in ("rd_kafka_new", "rd_kafka_conf_new", "rd_kafka_mock_cluster_new"):
        getattr(lib, name).restype = ctypes.c_void_p
    lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    client = ctypes.c_void_p(lib.rd_kafka_new(0, ctypes.c_void_p(lib.rd_kafka_conf_new()), None, 0))
    cluster = ctypes.c_void_p(lib.rd_kafka_mock_cluster_new(client, 1))
    for topic in (b"tokend.requests", b"tokend.replies"):
        assert lib.rd_kafka_mock_topic_create(cluster, topic, 4, 1) == 0
    not_enough_replicas, produce, often = 19, ctypes.c_int16(0), 500
    lib.rd_kafka_mock_push_request_errors(cluster, produce, ctypes.c_size_t(often), *[not_enough_replicas] * often)
    yield lib.rd_kafka_mock_cluster_bootstraps(cluster).decode()
    lib.rd_kafka_mock_cluster_destroy(cluster)
    lib.rd_kafka_destroy(client)


def test_sent_is_what_a_broker_has_taken(deaf, tmp_path):
    done = init(tmp_path, "--bootstrap", deaf, "--kafka", "fetch.wait.max.ms=10", "--partitions", 4)
    assert done.returncode == 0, done.stderr
    done = asked(tmp_path, "--no-wait", seconds=2)
    assert (done.returncode, done.stdout) == (3, "")
    assert "did not acknowledge the request in time" in done.stderr and "token create --request-id" in done.stderr


def test_to_open_sends_nothing(kafka, desk):
    here = answered(kafka, desk)
    make(here, "--request-id", "unsent", "x")
    done = command(here, "token", "open", "--request-id", "unsent", seconds=2)
    assert done.returncode == 3
    assert "if it was never sent" in done.stderr and "tokenctl token create --request-id unsent" in done.stderr
    assert kafka.requests == []


def test_a_reply_that_is_not_there_yet_is_waited_for(kafka, desk):
    here, service = desk
    kafka.answer = lambda r: []
    identity, _ = asked_for_later(kafka, here)
    waiting = subprocess.Popen(
        [TOKENCTL, "--config", here / "tokenctl.yaml", "--timeout", "30s", "token", "open", "--request-id", identity],
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.3)  # whether it reads already does not matter
    assert waiting.poll() is None
    kafka.answer = lambda r: [service.created(r, TOKEN)]
    assert command(here, "token", "create", "--request-id", identity, "--no-wait").returncode == 0
    assert waiting.communicate(timeout=40)[0].split()[-1] == TOKEN


@pytest.mark.parametrize("behind, code", [("created", 0), ("nothing", 1), ("outcome", 1)])
def test_a_refused_record_is_not_the_last_word(kafka, desk, behind, code):
    here, service = desk

    def answer(r):
        first = service.refused(r, 3, "CLOCK_SKEW", RECORD, 4, "too early")
        return [first] + {
            "created": [service.created(r, TOKEN)],
            "nothing": [],
            "outcome": [service.refused(r, 7, "POLICY_DENIED", OUTCOME, 1, "no")],
        }[behind]

    kafka.answer = answer
    identity, _ = asked_for_later(kafka, here)
    done = command(here, "token", "open", "--request-id", identity)
    assert done.returncode == code, done.stderr
    assert {"created": "created in cluster", "nothing": "CLOCK_SKEW", "outcome": "POLICY_DENIED"}[behind] in done.stderr


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('principal: "telemetry"', 'principal: "billing"', "is principal telemetry's to service tokend"),
        ('service_id: "tokend"', 'service_id: "other"', "and the profile says principal telemetry, service other"),
        ("telemetry-box-1", "telemetry-box-2", "the profile's box key telemetry-box-2 does not open"),
    ],
)
def test_another_profile_s_request_is_neither_sent_nor_waited_for(kafka, desk, old, new, said):
    here = answered(kafka, desk)
    identity, _ = asked_for_later(kafka, here)
    path = here / "tokenctl.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    for how in ("create", "open"):
        done = command(here, "token", how, "--request-id", identity, seconds=1)
        assert (done.returncode, done.stdout) == (2, "") and said in done.stderr
    assert len(kafka.requests) == 1


def test_a_service_with_another_key_is_told_of(kafka, desk):
    here, service = desk
    kafka.answer = lambda r: [service.created(r, TOKEN, key=Ed25519PrivateKey.generate())]
    done = asked(here, seconds=3)
    assert (done.returncode, done.stdout) == (3, "")
    assert "1 record under this ID did not verify" in done.stderr and "not signed by any service key" in done.stderr
    assert "tokenctl keys export" in done.stderr and "token create --request-id" in done.stderr


# ---- carried by other means -----------------------------------------------------------------------------------------


class Carried:
    """A record that request make has printed, as the service would get it."""

    def __init__(self, text):
        self.document = json.loads(text)

    def value(self):
        return base64.b64decode(self.document["value"], validate=True)

    def key(self):
        return self.document["key"].encode()

    def partition(self):
        return self.document["partition"]

    def headers(self):
        return [(name, text.encode()) for name, text in self.document["headers"].items()]


def make(here, *arguments):
    done = tokenctl("--config", here / "tokenctl.yaml", "request", "make", "--read-database", "cpu", *arguments)
    assert done.returncode == 0, done.stderr
    return done


def reply_file(path, request, headers, value, **more):
    document = {
        "key": request.request_id,
        "headers": {n: v.decode() for n, v in headers},
        "value": base64.b64encode(value).decode(),
        **more,
    }
    path.write_text(json.dumps(document))
    return path


def test_a_request_carried_by_somebody_else_is_answered(kafka, desk):
    here = answered(kafka, desk)
    carried = Carried(make(here, "by hand").stdout)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(
        carried.document["topic"], carried.value(), carried.key(), carried.partition(), headers=carried.headers()
    )
    producer.flush(10)
    until(lambda: kafka.requests)
    done = command(here, "token", "open", "--request-id", carried.document["key"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == TOKEN


def test_the_same_request_is_made_once(desk):
    here, _ = desk
    first = make(here, "--request-id", "carried", "--out", here / "record", "x")
    assert first.stdout == "" and "tokenctl reply open --request-id carried" in first.stderr
    again = tokenctl("--config", here / "tokenctl.yaml", "request", "make", "--request-id", "carried")
    assert again.stdout == (here / "record").read_text()
    other = tokenctl("--config", here / "tokenctl.yaml", "request", "make", "--request-id", "carried", "y")
    assert other.returncode == 2 and "the description was different" in other.stderr
    over = tokenctl(
        "--config", here / "tokenctl.yaml", "request", "make", "--request-id", "carried", "--out", here / "record"
    )
    assert over.returncode == 2 and "exists already" in over.stderr


def opened(here, *arguments, **more):
    return tokenctl("--config", here / "tokenctl.yaml", "reply", "open", *arguments, **more)


def test_a_reply_brought_by_somebody_else_is_opened(desk):
    here, service = desk
    request = Request(Carried(make(here, "x").stdout))
    headers, value = service.created(request, TOKEN)
    path = reply_file(here / "reply.json", request, headers, value, topic="tokend.replies", partition=3, offset=7, ts=1)
    done = opened(here, path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == TOKEN and "reply tokend.replies[3]@7" in done.stderr

    from_stdin = opened(here, "-", "--format", "token", input=path.read_text())
    assert (from_stdin.returncode, from_stdin.stdout) == (0, TOKEN + "\n"), from_stdin.stderr

    (here / "value").write_bytes(value)
    signature = dict(headers)["tokend-signature"].decode()
    bare = opened(
        here,
        "--request-id",
        request.request_id,
        "--header",
        f"tokend-signature={signature}",
        here / "value",
        "--out",
        here / "token",
    )
    assert bare.returncode == 0, bare.stderr
    assert (here / "token").read_text() == TOKEN + "\n"


def test_a_reply_is_judged_as_strictly_as_one_from_kafka(desk):
    here, service = desk
    request = Request(Carried(make(here, "x").stdout))
    headers, value = service.created(request, TOKEN)
    thief = Ed25519PrivateKey.generate()
    for spoilt, why in (
        (service.created(request, TOKEN, key=thief), "not signed by any service key"),
        (([], value), "not signed by any service key"),
        ((headers, value[:-1]), "not signed by any service key"),
        (service.created(request, TOKEN, digest=b"\1" * 32), "answers another record under this ID"),
        (service.created(request, TOKEN, principal="billing"), "for another principal"),
        (service.created(request, TOKEN, cluster="elsewhere"), "names another cluster"),
        (service.created(request, TOKEN, request_id="other"), "answers another request"),
    ):
        path = here / "spoilt.json"
        done = opened(here, reply_file(path, request, *spoilt))
        assert (done.returncode, done.stdout) == (1, ""), why
        assert f"is not the reply to request {request.request_id}" in done.stderr and why in done.stderr
    other = Request(Carried(make(here, "y").stdout))
    done = opened(here, "--request-id", other.request_id, reply_file(here / "r.json", request, headers, value))
    assert done.returncode == 1 and "its key names another" in done.stderr


def test_a_refusal_brought_by_somebody_else(desk):
    here, service = desk
    request = Request(Carried(make(here, "x").stdout))
    done = opened(
        here,
        reply_file(
            here / "r.json", request, *service.refused(request, 16, "UNKNOWN_KEY", RECORD, 2, "who?", principal="")
        ),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "UNAUTHENTICATED/UNKNOWN_KEY: who?" in done.stderr
    assert f"tokenctl request make --request-id {request.request_id}" in done.stderr


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "is empty"),
        ("{", ":1:2: the JSON ends too early"),
        ("[]", "must be a JSON object with key, headers and value"),
        ('{"key": "k", "headers": {}}', "value is missing"),
        ('{"headers": {}, "value": "AAAA"}', "key is missing"),
        ('{"key": "k", "value": "AAAA"}', "headers must be an object"),
        ('{"key": "k", "headers": {"a": 1}, "value": "AAAA"}', "the header a must be a string"),
        ('{"key": "k", "headers": {}, "value": "A"}', "value is not base64"),
        ('{"key": "k", "headers": {}, "headers": {}, "value": "AAAA"}', '"headers" stands twice'),
        ('{"key": "a b", "headers": {}, "value": "AAAA"}', 'the key "a b" is no request ID'),
        ('{"key": "gone", "headers": {}, "value": "AAAA"}', "there is no request gone in"),
    ],
)
def test_what_is_no_record_is_told_by_its_place(desk, text, said):
    here, _ = desk
    (here / "r.json").write_text(text)
    done = opened(here, here / "r.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["reply", "open"], "which reply?"),
        (["reply", "open", "a", "b"], 'not "b" too'),
        (["reply", "open", "none.json"], "cannot read none.json: No such file"),
        (["reply", "open", "--header", "a=b", "none.json"], "--header goes with --request-id"),
        (["reply", "open", "--request-id", "i", "--header", "ab", "none.json"], '--header "ab" is not NAME=TEXT'),
        (["token", "open"], "--request-id ID is missing"),
        (["token", "open", "--request-id", "a b"], '--request-id "a b"'),
        (["token", "open", "--request-id", "gone"], "there is no request gone in"),
        (["token", "open", "x"], 'not "x"'),
        (["request", "make"], "a description is missing"),
    ],
)
def test_a_wrong_command_line_is_told_by_name(desk, arguments, said):
    here, _ = desk
    done = command(here, *arguments, seconds=1)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
