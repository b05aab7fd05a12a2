# SPDX-License-Identifier: Apache-2.0
"""Goal: what people type works as they expect, every refusal names what is wrong, the exit codes hold, no file is ever
overwritten, and of all records under its ID tokenctl prints only the genuine token.

The service here is a stand-in (standin.py), so that its lies can be scripted.
"""

import base64
import json
import os
import re
import signal
import stat
import subprocess
import time

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from standin import OUTCOME, RECORD
from typed import (
    ACCOUNT,
    CLUSTER,
    TOKEN,
    TOKENCTL,
    create,
    desk,
    here,
    init,
    kafka,
    raw,
    secret_of,
    tokenctl,
)  # noqa: F401

FILES = {"signing.key", "telemetry.signing.key", "telemetry.box.key", "policy.yaml", "tokend.yaml", "tokenctl.yaml"}


# ---- help and usage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["help"],
        ["--help"],
        ["-h"],
        ["help", "token", "create"],
        ["token", "create", "--help"],
        ["--debug", "init", "-h"],
        ["--version"],
    ],
)
def test_help_is_on_stdout_and_succeeds(arguments):
    done = tokenctl(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tokenctl" in done.stdout


def test_help_lists_every_command():
    listed = tokenctl("help").stdout
    for command in ("init", "token create", "topics create"):
        assert f"  {command} " in listed
        assert tokenctl("help", *command.split()).returncode == 0


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "a command is missing"),
        (["frob"], 'no command "frob"'),
        (["token"], 'no command "token" by itself; there are: token create, token open, token outcome'),
        (["token", "creat\x1b"], 'no command "token creat\\x1b"; there are: token create, token open, token outcome'),
        (["help", "keys"], "there are: keys make, keys show, keys export"),
        (["--frob", "help"], "no flag --frob"),
        (["token", "create", "--frob", "x"], "no flag --frob"),
        (["--timeout", "5", "help"], '--timeout wants a duration such as 90s, 1m0s or 1h, not "5"'),
        (["--timeout"], "--timeout wants a value: DURATION"),
        (["--debug=yes", "help"], "--debug takes no value"),
        (["init", "--partitions", "0"], "--partitions wants a whole number"),
        (["init", "a", "b"], 'not "b" too'),
        (["topics", "create", "x"], 'not "x"'),
        (["topics", "create", "--min-insync", "4"], "nothing could ever be written"),
    ],
)
def test_a_wrong_command_line_is_told_by_name(arguments, said):
    done = tokenctl(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


# ---- init -----------------------------------------------------------------------------------------------------------


def test_init_writes_private_files_that_fit_together(tmp_path):
    here = tmp_path / "a" / "b"
    done = init(
        here, "--bootstrap", "k:1", "--kafka", "fetch.wait.max.ms=10", "--all-databases", "--grant-databases", "cpu_*"
    )
    assert done.returncode == 0, done.stderr
    assert {p.name for p in here.iterdir()} == FILES
    assert stat.S_IMODE(here.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in here.iterdir())

    policy, tokend, ctl = (
        yaml.safe_load((here / f"{name}.yaml").read_text()) for name in ("policy", "tokend", "tokenctl")
    )
    principal, profile = policy["principals"][0], ctl["profiles"][0]
    service_key = raw(Ed25519PrivateKey.from_private_bytes(secret_of(here / "signing.key")).public_key())
    signing_key = raw(Ed25519PrivateKey.from_private_bytes(secret_of(here / "telemetry.signing.key")).public_key())
    box_key = raw(X25519PrivateKey.from_private_bytes(secret_of(here / "telemetry.box.key")).public_key())
    assert base64.b64decode(profile["service_keys"][0]["ed25519"]) == service_key
    assert base64.b64decode(principal["signing_keys"][0]["ed25519"]) == signing_key
    assert base64.b64decode(principal["recipient_keys"][0]["key"]) == box_key
    assert principal["signing_keys"][0]["id"] == profile["signing_key"]["id"]
    assert principal["recipient_keys"][0]["id"] == profile["box_key"]["id"]
    assert tokend["signing_key"]["id"] == profile["service_keys"][0]["id"]
    assert tokend["kafka"] == profile["kafka"] == ["bootstrap.servers=k:1", "fetch.wait.max.ms=10"]
    assert tokend["topics"]["partitions"] == profile["partitions"] == 6
    assert {k: tokend["topics"][k] for k in ("requests", "replies")} == profile["topics"]
    assert principal["grants"] == [
        {"clusters": ["main"], "databases": ["cpu_*"], "actions": ["read", "write"], "all_databases": True}
    ]


def test_init_never_overwrites(tmp_path):
    (tmp_path / "tokend.yaml").write_text("mine")
    done = init(tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path}/tokend.yaml exists already" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["tokend.yaml"]
    assert (tmp_path / "tokend.yaml").read_text() == "mine"


def test_init_without_a_directory_writes_to_the_default_one(tmp_path):
    done = tokenctl("init", "--account", ACCOUNT, "--cluster-uuid", CLUSTER, "--cluster", "prod", home=tmp_path)
    assert done.returncode == 0, done.stderr
    here = tmp_path / ".config" / "tokend"
    tokend = yaml.safe_load((here / "tokend.yaml").read_text())
    assert tokend["clusters"] == [
        {
            "name": "prod",
            "product": "dedicated",
            "url": "https://console.influxdata.com",
            "account_id": ACCOUNT,
            "cluster_id": CLUSTER,
            "management_token_file": "management-token",
        }
    ]
    assert (here / "some.body-1.box.key").exists()


@pytest.mark.parametrize(
    "more, said",
    [
        (["--product", "dedicated"], "--account UUID and --cluster-uuid UUID"),
        (["--product", "frob"], 'not "frob"'),
        (["--account", ACCOUNT, "--cluster-uuid", CLUSTER], "belong to --product dedicated"),
        (["--service-id", "A"], '--service-id "A"'),
        (["--principal", "a/b"], '--principal "a/b"'),
        (["--kafka", "frob"], '--kafka "frob" is not KEY=VALUE'),
        (["--topic-checks", "no"], 'not "no"'),
        (["--url", "http://influx.example"], "plain http is for 127.0.0.1"),
        (["--url", "https://influx.example/"], "not even a slash"),
        (["--cluster", "a b"], "a b"),
        (["--kafka", "group.id=mine"], "group.id"),
        (["--kafka", "isolation.level=read_uncommitted"], "isolation.level"),
    ],
)
def test_init_refuses_what_the_service_would_refuse(tmp_path, more, said):
    done = init(tmp_path / "x", *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (tmp_path / "x").exists() or list((tmp_path / "x").iterdir()) == []


def test_init_quotes_whatever_was_typed(tmp_path):
    hostile = 'a="\\x: [y]\n- z'
    assert init(tmp_path, "--kafka", hostile).returncode == 0
    assert yaml.safe_load((tmp_path / "tokend.yaml").read_text())["kafka"][1] == hostile


# ---- token create, before anything is sent --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "a description is missing"),
        (["x"], "may do nothing"),
        (["--read-database", "a b", "x"], '--read-database "a b"'),
        (["--read-database", "a", "--read-database=a", "x"], "--read-database a stands there twice"),
        (["--read-database", "*", "--read-database=*", "x"], "stands there twice"),
        (["--read-database", "a", "x", "y"], 'there is another: "y"'),
        (["--read-database", "a", " x"], 'the description " x"'),
        (["--read-database", "a", "x [tokend/1"], "the description"),
        (["--read-database", "a", "--expires-at", "soon", "x"], '--expires-at "soon" is not a time'),
        (["--read-database", "a", "--expires-at", "2020-01-01T00:00:00+0000", "x"], "is in the past"),
        (["--read-database", "a", "--expires-at", "2099-01-01T00:00:00.5Z", "x"], "has a fraction"),
        (["--read-database", "a", "--deadline", "1500ms", "x"], "--deadline has a fraction"),
        (["--read-database", "a", "--format", "xml", "x"], 'not "xml"'),
        (["--read-database", "a", "--request-id", "a b", "x"], '--request-id "a b"'),
        (["--read-database", "a", "--account", ACCOUNT, "x"], "belong together"),
        (
            ["--read-database", "a", "--account", ACCOUNT, "--cluster-uuid", CLUSTER, "--cluster", "m", "x"],
            "named twice",
        ),
        (["--read-database", "a", "--account", "A", "--cluster-uuid", CLUSTER, "x"], '--account "A" is not a UUID'),
        (["--request-id", "never-made"], "there is no request never-made"),
        (["--profile", "other", "x"], 'no profile "other" in'),
    ],
)
def test_bad_input_is_refused_here_and_nothing_is_stored(here, arguments, said):
    done = create(here, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (here / "state").exists()


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("cluster:", "clutser:", "Unexpected key: clutser"),
        ("partitions: 6", "partitions: six", "'six'"),
        ("partitions: 6", "partitions: 0", "partitions is 0"),
        ("fetch.wait", "isolation.level=x,fetch.wait", "isolation.level is set by tokenctl itself"),
        ('ed25519: "', 'ed25519: "A', "is not the base64 of 32 bytes"),
        ("    principal:", "    #principal:", "principal"),
        ("telemetry.box.key", "gone.box.key", "gone.box.key"),
    ],
)
def test_a_wrong_profile_is_told_by_name(tmp_path, old, new, said):
    init(tmp_path, "--kafka", "fetch.wait.max.ms=10")
    path = tmp_path / "tokenctl.yaml"
    path.write_text(path.read_text().replace(old, new, 1))
    done = create(tmp_path, "--read-database", "a", "x")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("text", ["", "AAAA\n", "not base64\n", base64.b64encode(b"x" * 33).decode() + "\n"])
@pytest.mark.parametrize("name", ["telemetry.box.key", "telemetry.signing.key"])
def test_a_file_that_is_no_key_is_told_by_name(here, name, text):
    (here / name).write_text(text)
    done = create(here, "--read-database", "a", "x")
    assert done.returncode == 2
    assert name in done.stderr
    assert not (here / "state").exists()


def test_without_brokers_the_request_is_kept_and_the_command_that_goes_on_is_printed(here):
    path = here / "tokenctl.yaml"
    path.write_text(path.read_text().replace(":9092", ":1"))
    done = create(here, "--read-database", "a", "x")
    assert done.returncode == 3
    (stored,) = (here / "state").iterdir()
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert f"tokenctl token create --request-id {stored.name.removesuffix('.request')} --config" in done.stderr


# ---- token create, against a service that may lie -------------------------------------------------------------------


def test_a_token_is_printed_and_easy_to_cut(kafka, desk):
    here, service = desk
    kafka.answer = lambda r: [service.created(r, TOKEN)]
    done = create(here, "--read-database", "cpu", "--write-database=*", "for the agent", seconds=20)
    assert done.returncode == 0, done.stderr
    header, row = done.stdout.splitlines()
    assert row.split()[-1] == TOKEN and header.split() == ["TOKEN", "ID", "TOKEN"]
    assert TOKEN not in done.stderr and "never expires" in done.stderr

    (request,) = kafka.requests
    signing = raw(Ed25519PrivateKey.from_private_bytes(secret_of(here / "telemetry.signing.key")).public_key())
    assert request.signature_verifies(signing)
    assert request.key.decode() == request.request_id
    assert (request.principal, request.service_id, request.cluster) == ("telemetry", "tokend", "main")
    assert request.permissions == [b"\x08\x01\x12\x03cpu", b"\x08\x02\x18\x01"]
    assert request.headers["tokend-method"] == b"/tokend.v1.TokenService/CreateToken"
    assert request.deadline is None and request.expires_at == b""


def test_json_has_it_all(kafka, desk):
    here, service = desk
    kafka.answer = lambda r: [service.created(r, TOKEN, replayed=True)]
    done = create(
        here,
        "--write-database",
        "b",
        "--read-database",
        "a",
        "--expires-at",
        "2099-01-01T01:00:00+0100",
        "--format",
        "json",
        "--request-id",
        "json-1",
        "x",
        seconds=20,
    )
    assert done.returncode == 0, done.stderr
    token = json.loads(done.stdout)
    assert token["accessToken"] == TOKEN and token["request_id"] == "json-1" and token["replayed"] is True
    assert token["permissions"] == [{"action": "write", "resource": "b"}, {"action": "read", "resource": "a"}]
    assert token["expiresAt"] == "2099-01-01T00:00:00Z" and token["cluster"] == "main"
    assert token["partition"] == kafka.requests[0].partition and token["offset"] >= 0
    assert {"id", "description", "createdAt"} <= set(token)


def test_lies_are_waited_past(kafka, desk):
    here, service = desk
    thief = Ed25519PrivateKey.generate()

    def answer(request):
        genuine = service.created(request, TOKEN)
        return [
            service.created(request, "apiv1_forged", key=thief),
            ([], genuine[1]),
            service.created(request, "apiv1_other-record", digest=b"\1" * 32),
            service.created(request, "apiv1_other-principal", principal="billing"),
            service.created(request, "apiv1_other-cluster", cluster="elsewhere"),
            service.created(request, "apiv1_other-description", description="another"),
            service.refused(request, 7, "POLICY_DENIED", OUTCOME, 1, "no", digest=b"\1" * 32),
            (genuine[0], b""),
            (genuine[0], b"\0\0\0"),
            genuine,
        ]

    kafka.answer = answer
    done = create(here, "--read-database", "cpu", "--debug", "x", seconds=20)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == TOKEN
    assert "9 records under this ID did not verify" in done.stderr
    assert "apiv1_" not in done.stderr


@pytest.mark.parametrize(
    "code, reason, about, retry, said",
    [
        (7, "POLICY_DENIED", OUTCOME, 1, "asking again as it is will not help"),
        (8, "QUOTA", OUTCOME, 4, "ask anew later, without --request-id"),
        (3, "INVALID_REQUEST", OUTCOME, 3, "then ask anew, without --request-id"),
        (3, "INVALID_REQUEST", RECORD, 3, "make sure that this ID has no token yet"),
        (3, "CLOCK_SKEW", RECORD, 4, "tokenctl token create --request-id"),
        (16, "UNKNOWN_KEY", RECORD, 2, "tokenctl token create --request-id"),
    ],
)
def test_a_refusal_says_why_and_what_next(kafka, desk, code, reason, about, retry, said):
    here, service = desk
    kafka.answer = lambda r: [
        service.refused(r, code, reason, about, retry, "a sentence\x1b[2J", principal="" if code == 16 else "telemetry")
    ]
    done = create(here, "--read-database", "cpu", "x", seconds=20)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"/{reason}: a sentence" in done.stderr and said in done.stderr
    assert "\x1b" not in done.stderr


def test_the_same_id_sends_the_same_bytes(kafka, desk):
    here, service = desk
    flags = ["--read-database", "a", "--write-database", "b", "--deadline", "5m", "--request-id", "again-1", "x"]
    kafka.answer = lambda r: []
    done = create(here, *flags, seconds=3)
    assert done.returncode == 3
    assert "tokenctl token create --request-id again-1" in done.stderr
    assert len(kafka.requests) == 1
    kafka.answer = lambda r: [service.created(r, TOKEN, replayed=True)]
    time.sleep(1.1)  # a new issued_at, were it made anew
    for more in (["--request-id", "again-1"], flags):
        done = create(here, *more, seconds=20)
        assert done.returncode == 0, done.stderr
        assert "told again" in done.stderr
    first, *repeats = kafka.requests
    assert len(repeats) == 2
    for repeat in repeats:
        assert (repeat.body, repeat.headers, repeat.partition) == (first.body, first.headers, first.partition)


def test_ctrl_c_prints_the_command_that_goes_on(kafka, desk):
    here, _ = desk
    kafka.answer = lambda r: []
    waiting = subprocess.Popen(
        [
            TOKENCTL,
            "--config",
            here / "tokenctl.yaml",
            "--timeout",
            "50s",
            "token",
            "create",
            "--read-database",
            "a",
            "--request-id",
            "stopped",
            "x",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 20
    while not kafka.requests and time.monotonic() < until:
        time.sleep(0.05)
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=10)
    assert waiting.returncode == 3
    assert "interrupted" in said and "tokenctl token create --request-id stopped" in said


@pytest.mark.parametrize(
    "flags, said",
    [
        (["y"], "the description"),
        (["--read-database", "b"], "--read-database"),
        (["--write-database", "a"], "--read-database"),
        (["--expires-at", "2099-01-01T00:00:00Z"], "--expires-at"),
        (["--deadline", "1m"], "--deadline"),
        (["--cluster", "other"], "the cluster"),
    ],
)
def test_new_bytes_under_an_old_id_are_refused_here(kafka, desk, flags, said):
    here, service = desk
    kafka.answer = lambda r: [service.created(r, TOKEN)]
    assert create(here, "--read-database", "a", "--request-id", "fixed", "x", seconds=20).returncode == 0
    kafka.requests.clear()
    done = create(here, "--request-id", "fixed", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"request fixed was made before, and {said}" in done.stderr
    assert kafka.requests == []


def test_a_damaged_stored_request_is_not_sent(kafka, desk):
    here, service = desk
    kafka.answer = lambda r: [service.created(r, TOKEN)]
    assert create(here, "--read-database", "a", "--request-id", "hurt", "x", seconds=20).returncode == 0
    stored = here / "state" / "hurt.request"
    stored.write_text(stored.read_text()[:-9])
    done = create(here, "--request-id", "hurt")
    assert done.returncode == 2 and "hurt.request is damaged" in done.stderr


def test_a_profile_with_another_partition_count_sends_nothing(kafka, desk):
    here, _ = desk
    path = here / "tokenctl.yaml"
    path.write_text(re.sub(r"partitions: \d+", "partitions: 5", path.read_text()))
    done = create(here, "--read-database", "a", "x", seconds=20)
    assert done.returncode == 2
    assert "has 4 partitions, the profile says 5" in done.stderr
    assert kafka.requests == []
