# SPDX-License-Identifier: Apache-2.0
"""Goal: `tokenctl policy check` takes what the service takes and says what it means, and `policy explain` gives the
service's own answer, word for word, with the grant and its line."""

import base64
import datetime
import json
import subprocess
import time
import uuid

import pytest
import yaml
from nacl.public import PrivateKey
from nacl.signing import SigningKey

from conftest import BUILD
from requester import OUTCOME, RECORD, home, pb

DAY = 86400


def public():
    return base64.b64encode(bytes(SigningKey.generate().verify_key)).decode()


def box():
    return base64.b64encode(bytes(PrivateKey.generate().public_key)).decode()


def moment(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def tokenctl(*arguments):
    command = [str(a) for a in (BUILD / "tokenctl", *arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


NOW = int(time.time())
TEXT = f"""version: 1
principals:
  - name: telemetry
    signing_keys:
      - {{id: t-old, ed25519: "{public()}", not_after: {moment(NOW - DAY)}}}
      - {{id: t-now, ed25519: "{public()}", not_after: {moment(NOW + 29 * DAY)}}}
      - {{id: t-new, ed25519: "{public()}", not_before: {moment(NOW + DAY)}, not_after: {moment(NOW + 400 * DAY)}}}
    recipient_keys:
      - {{id: t-box, suite: sealedbox-x25519, key: "{box()}"}}
      - {{id: t-box-old, suite: sealedbox-x25519, key: "{box()}", not_after: {moment(NOW - DAY)}}}
    grants:
      - clusters: [prod]
        databases: ["telemetry_*"]
        actions: [read, write]
        max_ttl: 36h
      - {{clusters: [edge, prod], all_databases: true, actions: [read], max_ttl: 90d}}
    limits: {{per_minute: 10, per_day: 200}}
  - name: guest
    signing_keys: [{{id: g-1, ed25519: "{public()}"}}]
    allow_inline_key: true
    grants: [{{clusters: ["*"], databases: ["*"], actions: [write]}}]
"""


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def service_config(tmp_path):
    """Whose clusters are prod, and edge, which is retiring."""
    made = tokenctl(
        *("--cluster", "prod", "init", tmp_path / "conf", "--service-id", "s", "--principal", "telemetry"),
        *("--bootstrap", "localhost:1", "--product", "clustered", "--url", "http://127.0.0.1:1"),
        *("--management-token-file", "/nowhere", "--grant-databases", "a"),
    )
    assert made.returncode == 0, made.stderr
    path = tmp_path / "conf" / "tokend.yaml"
    config = yaml.safe_load(path.read_text())
    config["clusters"].append({**config["clusters"][0], "name": "edge", "url": "http://127.0.0.1:2", "retiring": True})
    path.write_text(yaml.safe_dump(config))
    return path


# ---- policy check --------------------------------------------------------------------------------------------------


def test_check_tells_a_good_policy_in_words(policy):
    done = tokenctl("policy", "check", policy)
    assert done.returncode == 0 and done.stderr == ""
    for line in (
        f"{policy}: good; 2 principals, 4 signing keys",
        "telemetry (line 3)",
        f"  signing key    t-old: EXPIRED since {moment(NOW - DAY)}",
        f"  signing key    t-now: until {moment(NOW + 29 * DAY)}, SOON",
        f"  signing key    t-new: not before {moment(NOW + DAY)}, until {moment(NOW + 400 * DAY)}",
        "  recipient key  t-box: always",
        "  inline keys    refused",
        "  grant 1        line 12: may read and write telemetry_* on prod; tokens live 36h at most",
        "  grant 2        line 16: may read every database on edge, prod; tokens live 90d at most",
        "  limits         10 a minute, 200 a day, on each partition",
        "guest (line 18)",
        "  inline keys    allowed: a request may bring any key along",
        "  grant 1        line 21: may write * on *; tokens may live for ever",
        "  limits         none",
    ):
        assert line in done.stdout.splitlines(), done.stdout
    notes = [line for line in done.stdout.splitlines() if line.startswith("note: ")]
    assert notes == [
        f"note: telemetry: signing key t-now: until {moment(NOW + 29 * DAY)}, SOON",
        f"note: telemetry: signing key t-old: EXPIRED since {moment(NOW - DAY)}",
        f"note: telemetry: recipient key t-box-old: EXPIRED since {moment(NOW - DAY)}",
    ]


def test_check_notes_what_is_lawful_and_looks_like_a_slip(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(
        f"""version: 1
principals:
  - name: idle
    signing_keys: [{{id: i-1, ed25519: "{public()}", not_after: 2020-01-01T00:00:00Z}}]
  - name: wide
    signing_keys: [{{id: w-1, ed25519: "{public()}"}}]
    grants: [{{clusters: [prod], databases: [a], all_databases: true, actions: [read]}}]
"""
    )
    done = tokenctl("policy", "check", path)
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if line.startswith("note: ")] == [
        "note: idle: signing key i-1: EXPIRED since 2020-01-01T00:00:00Z",
        "note: idle: no signing key is valid now: whatever it asks for is refused",
        "note: idle: no recipient key is valid now, and inline keys are refused: no token could be sealed",
        "note: idle: has no grants: whatever it asks for is denied",
        "note: wide: no recipient key is valid now, and inline keys are refused: no token could be sealed",
        "note: wide: grant 1 (line 7): its databases narrow nothing beside all_databases: true",
    ]


def test_check_refuses_what_the_service_refuses(tmp_path, policy, service_config):
    """One of each room's refusals; the unit test has them all."""
    for change, sentence in (
        (("max_ttl: 36h", "max_ttl: soon"), 'principal "telemetry" (line 3): grant 1 (line 12): max_ttl "soon"'),
        (("id: g-1", "id: t-now"), 'signing key "t-now" stands twice: of'),
        (("actions: [write]", "actions: [drop]"), "drop"),
        (("name: guest", "nome: guest"), "nome"),
        (('["*"], actions', '["\\e[31m*"], actions'), '"\\x1b[31m*" can match no name'),
        ((TEXT, ""), "is empty"),
    ):
        text = TEXT.replace(*change)
        assert text != TEXT
        path = tmp_path / "bad.yaml"
        path.write_text(text)
        done = tokenctl("policy", "check", path)
        assert (done.returncode, done.stdout) == (1, "") and sentence in done.stderr and str(path) in done.stderr
        assert "\x1b" not in done.stderr and done.stderr.count("\n") == 1
        (tmp_path / "conf" / "policy.yaml").write_text(text)
        started = subprocess.run(
            [BUILD / "tokend", "--config", service_config, "--check-config"], capture_output=True, text=True, timeout=60
        )
        assert started.returncode == 1 and sentence in started.stderr


def test_check_looks_clusters_up(tmp_path, policy, service_config):
    assert tokenctl("policy", "check", policy, "--tokend-config", service_config).returncode == 0
    policy.write_text(TEXT.replace("[edge, prod]", "[stage, prod]"))
    assert tokenctl("policy", "check", policy).returncode == 0
    done = tokenctl("policy", "check", policy, "--tokend-config", service_config)
    assert done.returncode == 1
    assert 'grant 2 (line 16): the configuration has no cluster "stage"' in done.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("a", "b"), ("a", "--tokend-config", "/nonexistent"), ("--nonsense",)], ids=str
)
def test_check_with_a_bad_command_line(arguments):
    done = tokenctl("policy", "check", *arguments)
    assert done.returncode == 2 and done.stderr.startswith("tokenctl: ")


# ---- policy explain ------------------------------------------------------------------------------------------------

READ, WRITE = "--read-database", "--write-database"
SOON = ("--expires-at", moment(NOW + DAY))
EXPLAINED = [
    (("telemetry", "prod", READ, "telemetry_a", *SOON), 0, "by grant 1, line 12, which may read and write"),
    (("telemetry", "edge", READ, "*", *SOON), 0, "read every database on edge: by grant 2, line 16"),
    (("telemetry", "edge", READ, "one", *SOON), 0, "read one on edge: by grant 2, line 16"),
    (("telemetry", "prod", READ, "a", WRITE, "telemetry_/b", *SOON), 0, "write telemetry_/b on prod: by grant 1"),
    (("guest", "prod", WRITE, "any/db"), 0, "by grant 1, line 21"),
    (("guest", "prod", WRITE, "*"), 1, "grant 1, line 21, does not say all_databases: true"),
    (("telemetry", "prod", WRITE, "a", *SOON), 1, "grant 1, line 12, is for other databases"),
    (("telemetry", "prod", WRITE, "a", *SOON), 1, "grant 2, line 16, allows read only"),
    (("telemetry", "prod", READ, "telemetry_a"), 1, "requires expires_at, within 129600 seconds"),
    (("telemetry", "prod", WRITE, "telemetry_a", "--expires-at", moment(NOW + 3 * DAY)), 1, "within 129600 seconds"),
    (("telemetry", "stage", READ, "a", *SOON), 1, "grant 1, line 12, is for other clusters"),
    (("telemetry", "prod", READ, "a", *SOON, "--key", "t-old"), 1, "UNAUTHENTICATED/KEY_EXPIRED"),
    (("telemetry", "prod", READ, "a", *SOON, "--key", "t-new"), 1, "is not valid before"),
    (("telemetry", "prod", READ, "a", *SOON, "--key", "t-none"), 1, "UNAUTHENTICATED/UNKNOWN_KEY"),
    (("telemetry", "prod", READ, "a", *SOON, "--key", "g-1"), 1, "PERMISSION_DENIED/WRONG_PRINCIPAL"),
    (("telemetry", "prod", READ, "a", *SOON, "--recipient", "t-box-old"), 1, "has expired"),
    (("telemetry", "prod", READ, "a", *SOON, "--recipient", "t-none"), 1, "is not registered"),
    (("telemetry", "prod", READ, "a", *SOON, "--inline-key"), 1, "may not bring keys along"),
    (("guest", "prod", WRITE, "a", "--inline-key"), 0, "granted"),
    (("nobody", "prod", READ, "a"), 1, "the policy has no principal nobody"),
    (("telemetry", "prod", READ, "a", *SOON, "--at", moment(NOW + 2 * DAY)), 1, "lies in the past"),
    (("telemetry", "prod", READ, "a", *SOON, "--at", moment(NOW + 500 * DAY)), 1, '"t-new" expired'),
]


@pytest.mark.parametrize(
    "asked, status, words", EXPLAINED, ids=[f"{i}-{row[2][:30]}" for i, row in enumerate(EXPLAINED)]
)
def test_explain(policy, asked, status, words):
    principal, cluster, *more = asked
    done = tokenctl("policy", "explain", policy, "--principal", principal, "--cluster", cluster, *more)
    assert (done.returncode, done.stderr) == (status, "") and words in done.stdout, done.stdout
    assert done.stdout.startswith("granted\n" if status == 0 else "refused: ")


def test_explain_knows_which_clusters_retire(policy, service_config):
    asks = ("policy", "explain", policy, "--principal", "telemetry", READ, "a", *SOON)
    assert tokenctl(*asks, "--cluster", "edge").returncode == 0
    assert tokenctl(*asks, "--cluster", "prod", "--tokend-config", service_config).returncode == 0
    retiring = tokenctl(*asks, "--cluster", "edge", "--tokend-config", service_config)
    assert retiring.returncode == 1 and "FAILED_PRECONDITION/TARGET_RETIRED" in retiring.stdout
    unknown = tokenctl(*asks, "--cluster", "stage", "--tokend-config", service_config)
    assert unknown.returncode == 2 and 'no cluster "stage"' in unknown.stderr


GOOD = ("--principal", "guest", "--cluster", "prod", WRITE, "a")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("FILE",), "--principal"),
        (("FILE", "--principal", "guest", WRITE, "a"), "--cluster"),
        (("FILE", "--principal", "guest", "--cluster", "prod"), "--read-database"),
        (("FILE", *GOOD, READ, "a b"), '--read-database "a b"'),
        (("FILE", *GOOD, "--at", "noon"), '--at "noon"'),
        (("FILE", *GOOD, "--expires-at", "never"), '--expires-at "never"'),
        (("FILE", *GOOD, "--inline-key", "--recipient", "x"), "exclude each other"),
        (("/nonexistent", *GOOD), "/nonexistent: cannot be opened"),
        (GOOD, "takes one policy file"),
    ],
    ids=str,
)
def test_explain_with_a_bad_command_line(policy, arguments, words):
    done = tokenctl("policy", "explain", *(policy if a == "FILE" else a for a in arguments))
    assert done.returncode == 2 and words in done.stderr, done


# ---- the same words from both --------------------------------------------------------------------------------------


@pytest.mark.mock
def test_the_service_says_what_explain_says(shared):
    """The world's own policy: what a requester is told, and what its operator is."""
    in_a_day, in_two = int(time.time()) + DAY - 60, int(time.time()) + 2 * DAY
    for principal, cluster, read, write, expires_at, inline in (
        ("telemetry", "prod", ["mydb"], ["mydb_2"], None, False),
        ("telemetry", "prod", ["*"], [], None, False),
        ("telemetry", "prod", ["mydb"], ["other"], None, False),
        ("telemetry", "edge", ["*"], ["other"], None, True),
        ("billing", "prod", ["billing_a"], [], in_a_day, False),
        ("billing", "prod", ["billing_a"], [], in_two, False),
        ("billing", "prod", ["billing_a"], [], None, False),
        ("billing", "prod", [], ["billing_a"], in_a_day, False),
        ("billing", "edge", ["billing_a"], [], in_a_day, False),
        ("billing", "prod", ["billing_a"], [], in_a_day, True),
    ):
        r = shared.requester(principal)
        request = r.create(
            f"e-{uuid.uuid4()}", read=read, write=write, expires_at=expires_at, inline=inline, cluster=cluster
        )
        reply = r.ask(request)
        explained = shared.tokenctl(
            *("policy", "explain", shared.conf / "policy.yaml", "--principal", principal, "--cluster", cluster),
            *(a for name in read for a in (READ, name)),
            *(a for name in write for a in (WRITE, name)),
            *(("--expires-at", moment(expires_at)) if expires_at else ()),
            *(("--inline-key",) if inline else ()),
        )
        if explained.returncode == 0:
            assert reply.said == (0, "", OUTCOME, pb.RETRY_UNSPECIFIED), (principal, read, write, reply.said)
        else:
            assert explained.returncode == 1
            assert reply.status.reason == "POLICY_DENIED" and reply.status.message in explained.stdout, reply.status


# ---- a policy in use -----------------------------------------------------------------------------------------------


def text_of(key):
    return base64.b64encode(bytes(key)).decode()


@pytest.mark.mock
def test_keys_rotate(world):
    """Of several keys those that are valid now are taken; a record that was signed too late, or with a key from before,
    is mended by a signature alone; and the answer to a repeat does not depend on the calendar."""
    path = world.conf / "policy.yaml"
    policy = json.loads(path.read_text())
    me = policy["principals"][0]
    old, new = SigningKey.generate(), SigningKey.generate()
    now = int(time.time())
    me["signing_keys"] += [
        {"id": "t-old", "ed25519": text_of(old.verify_key), "not_after": moment(now - DAY)},
        {"id": "t-new", "ed25519": text_of(new.verify_key), "not_before": moment(now + DAY)},
    ]
    box_key = me["recipient_keys"][0]["key"]
    me["recipient_keys"] += [
        {"id": "box-old", "suite": "sealedbox-x25519", "key": box_key, "not_after": moment(now - DAY)},
        {"id": "box-new", "suite": "sealedbox-x25519", "key": box_key, "not_before": moment(now + DAY)},
    ]
    path.write_text(json.dumps(policy))
    world.tokend()
    r = world.requester()
    request = r.create("rotated")
    for key, key_id, sentence in ((old, "t-old", "expired at"), (new, "t-new", "is not valid before")):
        refusal = r.ask(r.sign("CreateToken", request.message, key, key_id))
        assert refusal.said == (16, "KEY_EXPIRED", RECORD, pb.SAME_RECORD) and sentence in refusal.status.message
    token = r.ask(request)
    assert token.said == (0, "", OUTCOME, pb.RETRY_UNSPECIFIED)
    repeat = r.ask(r.sign("CreateToken", request.message, old, "t-old"))
    assert repeat.message.replayed and repeat.secret == token.secret
    for key_id, sentence in (("box-old", "has expired"), ("box-new", "is not valid yet"), ("box", "is not registered")):
        other = r.create("sealed to another")
        other.message.recipient.key_id = key_id
        refusal = r.ask(r.sign("CreateToken", other.message))
        assert refusal.said == (3, "INVALID_REQUEST", OUTCOME, pb.NEW_ID) and sentence in refusal.status.message
    assert len(world.sandbox.truth()["posts"]) == 1


@pytest.mark.mock
def test_a_quota_holds_for_its_principal_and_partition(world):
    path = world.conf / "policy.yaml"
    policy = json.loads(path.read_text())
    policy["principals"][1]["limits"] = {"per_day": 2}
    path.write_text(json.dumps(policy))
    world.tokend()
    r = world.requester("billing")

    def ask(partition, read="billing_a"):
        names = (f"q-{uuid.uuid4()}" for _ in range(1000))
        name = next(n for n in names if home(n.encode(), world.partitions) == partition)
        return r.ask(r.create("counted", read=[read], request_id=name, expires_at=int(time.time()) + DAY // 2))

    assert ask(0, "other").said[1] == "POLICY_DENIED"  # what is denied is not counted
    assert [ask(0).said[1] for _ in range(2)] == ["", ""]
    refusal = ask(0)
    assert refusal.said == (8, "QUOTA", OUTCOME, pb.LATER) and refusal.details == {"limit": "2"}
    assert "principal billing has used up its 2 requests a day on partition 0" in refusal.status.message
    assert ask(1).said[1] == ""
    other = world.requester()
    assert all(other.ask(other.create("not counted")).said[1] == "" for _ in range(4))
