# SPDX-License-Identifier: Apache-2.0
"""Goal: each field takes what the contract allows, up to its limit, and one beyond is refused by the field's path and
with the offending value: about RECORD where it is no request at all, about OUTCOME where the request is.

One tokend for all of them. Bytes that no library writes are put together by hand.
"""

import base64
import time
import uuid

import pytest

from conftest import ACCOUNT, CLUSTER
from contract import told
from requester import Request, home, media_type, pae, pb

pytestmark = pytest.mark.mock  # the broker plays no part in it

HOUR_S, SKEW_S = 3600, 120
LOW_ORDER = bytes(32)  # a point that makes every shared secret known


@pytest.fixture
def r(shared):
    return shared.requester()


def a_description():
    return f"d-{uuid.uuid4()}"


def made_by(r, change, **how):
    """A CreateToken whose message was changed before it was signed."""
    message = r.create(a_description(), **how).message
    change(message)
    return r.sign("CreateToken", message)


def with_bytes(r, more, **how):
    """One with more bytes behind its message, signed as they stand."""
    request = r.create(a_description(), **how)
    body = request.body + more
    signature = r.me.signing_key.sign(pae(media_type("CreateTokenRequest"), body)).signature
    return Request("CreateToken", request.message, body, request.key, request.key_id, base64.b64encode(signature))


def tag(field, kind):
    n = field << 3 | kind
    return bytes([n]) if n < 0x80 else bytes([n & 0x7F | 0x80, n >> 7])


def text(field, value):
    assert len(value) < 0x80
    return tag(field, 2) + bytes([len(value)]) + value


def number(field, value):
    return tag(field, 0) + bytes([value])


# ---- taken, at the limit -------------------------------------------------------------------------------------------

NAME_64 = "aZ09_/-" + "x" * 57
TAKEN = {
    "description-of-1": lambda r: r.create("x"),
    "description-of-200": lambda r: r.create("x" * 200),
    "description-of-200-bytes": lambda r: r.create("é" * 100),
    "description-with-a-marker-cut-off": lambda r: r.create("[tokend"),
    "description-of-odd-characters": lambda r: r.create('"\\/<>&%\u200d\U0001f980 [x]'),
    "database-of-1": lambda r: r.create(a_description(), read=["D"], cluster="edge"),
    "database-of-64": lambda r: r.create(a_description(), read=[NAME_64], cluster="edge"),
    "a-retention-policy": lambda r: r.create(a_description(), write=["mydb/rp"], cluster="edge"),
    "reading-and-writing-are-two": lambda r: r.create(a_description(), read=["mydb"], write=["mydb"]),
    "all-and-one": lambda r: r.create(a_description(), read=["*", "mydb"], cluster="edge"),
    "permissions-1000": lambda r: r.create(
        a_description(), read=[f"mydb{i}" for i in range(500)], write=[f"mydb{i}" for i in range(500)]
    ),
    "deadline-of-1h": lambda r: r.create(a_description(), life_s=HOUR_S),
    "issued-2-min-ahead": lambda r: made_by(r, lambda m: setattr(m.issued_at, "seconds", m.issued_at.seconds + SKEW_S)),
    "issued-before-the-deadline": lambda r: made_by(
        r, lambda m: setattr(m.issued_at, "seconds", m.issued_at.seconds - 800)),
    "expires-in-3000": lambda r: r.create(a_description(), expires_at=32503680000),
    "inline-key": lambda r: r.create(a_description(), inline=True),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_allowed_is_taken(shared, r, name):
    request = TAKEN[name](r)
    reply = told(shared, r, request, "CREATED", posts=1, made=1)
    (post,) = [p for p in shared.sandbox.truth()["posts"][-1:]]
    assert post["description"].startswith(request.message.description)
    assert [(p["action"], p["resource"]) for p in post["permissions"]] == [
        (pb.Action.Name(p.action).lower(), p.database or "*") for p in request.message.permissions
    ]
    assert list(reply.secret.permissions) == list(request.message.permissions)
    if request.message.HasField("expires_at"):
        assert abs(reply.secret.expires_at.seconds - request.message.expires_at.seconds) <= 1


@pytest.mark.parametrize("request_id", ["x", "A.z_0:9-" + "x" * 120, ":", "-"], ids=["1", "128", "colon", "dash"])
def test_a_request_id_at_its_limits(shared, r, request_id):
    told(shared, r, r.create(a_description(), request_id=request_id), "CREATED", posts=1, made=1)


def test_explicit_defaults_are_fine(shared, r):
    """Go's and Java's libraries leave them out; whoever writes them means the same."""
    message = r.create(a_description()).message
    message.ClearField("target")
    target = text(1, b"prod") + text(2, b"") + text(3, b"")
    request = r.sign("CreateToken", message)
    body = request.body + text(4, target)
    signature = r.me.signing_key.sign(pae(media_type("CreateTokenRequest"), body)).signature
    q = request.changed(body=body, signature=base64.b64encode(signature),
                        message=pb.CreateTokenRequest.FromString(body))
    told(shared, r, q, "CREATED", posts=1, made=1)


def test_a_cluster_by_its_ids(shared, r):
    def by_ids(m):
        m.target.Clear()
        m.target.account_id, m.target.cluster_id = ACCOUNT, CLUSTER

    message = r.create(a_description()).message
    by_ids(message)
    request = r.sign("CreateToken", message)
    r.send(request)
    # The box names the cluster that was meant; the requester compares it with a name where it asked for one.
    request.message.target.cluster = "prod"
    assert r.wait(request).secret.cluster_id == CLUSTER


# ---- refused: no request at all ------------------------------------------------------------------------------------


def nanos(field):
    return lambda m: setattr(getattr(m, field), "nanos", 1)


PERMISSION_OF_BOTH = number(1, 1) + text(2, b"mydb") + number(3, 1)
RECIPIENT_OF_BOTH = text(1, b"t-box1") + text(2, number(1, 1))
NO_REQUEST = {  # name: (request, words, details)
    "unknown-field": (lambda r: with_bytes(r, number(127, 1)), ["127", "older than your client"],
                      {"field_number": "127"}),
    "unknown-field-within": (
        lambda r: with_bytes(r, text(6, number(1, 1) + text(2, b"mydb2") + number(9, 1))),
        ["permissions", "9"],
        {"field": "permissions[1]", "field_number": "9"},
    ),
    "field-twice": (lambda r: with_bytes(r, text(1, b"other")), ["request_id"], None),
    "message-twice": (lambda r: with_bytes(r, text(4, text(1, b"edge"))), ["target"], None),
    "both-of-a-resource": (lambda r: with_bytes(r, text(6, PERMISSION_OF_BOTH)), ["permissions"], None),
    "one-of-a-resource-twice": (
        lambda r: with_bytes(r, text(6, number(1, 1) + text(2, b"mydb2") + text(2, b"mydb3"))),
        ["permissions"],
        None,
    ),
    "both-of-a-recipient": (lambda r: with_recipient(r, RECIPIENT_OF_BOTH), ["recipient"], None),
    "nul": (lambda r: made_by(r, lambda m: setattr(m, "description", "a\0b")), ["description"], None),
    "nul-in-a-database": (lambda r: r.create(a_description(), read=["my\0db"]), ["permissions", "database"], None),
    "bad-utf-8": (lambda r: with_bytes(r, text(6, number(1, 1) + text(2, b"\xff\xfe"))), ["permissions"], None),
    "wrong-wire-type": (lambda r: with_bytes(r, number(10, 1)), ["recipient"], None),
    "cut": (lambda r: with_bytes(r, tag(127, 2) + b"\x7f"), [], None),
    "no-issued-at": (lambda r: made_by(r, lambda m: m.ClearField("issued_at")), ["issued_at"], {"field": "issued_at"}),
    "issued-at-nanos": (lambda r: made_by(r, nanos("issued_at")), ["issued_at", "nanos is 1"], {"field": "issued_at"}),
    "issued-before-time": (
        lambda r: made_by(r, lambda m: setattr(m.issued_at, "seconds", -(10**12))),
        ["issued_at", "-1000000000000"],
        {"field": "issued_at"},
    ),
    "another-service": (
        lambda r: r.create(a_description(), service_id="other"),
        ["service_id", '"other"'],
        {"field": "service_id"},
    ),
}


def with_recipient(r, recipient):
    request = r.create(a_description())
    request.message.ClearField("recipient")
    body = request.message.SerializeToString(deterministic=True) + text(10, recipient)
    signature = r.me.signing_key.sign(pae(media_type("CreateTokenRequest"), body)).signature
    return Request("CreateToken", request.message, body, request.key, request.key_id, base64.b64encode(signature))


@pytest.mark.row("UNDECODABLE")
@pytest.mark.parametrize("name", NO_REQUEST)
def test_what_is_no_request_refuses_the_record(shared, r, name):
    make, words, details = NO_REQUEST[name]
    request = make(r)
    reply = told(shared, r, request, "UNDECODABLE", *words)
    assert details is None or reply.details == details
    assert reply.message.principal == "" and reply.message.request_id == request.id
    # Nothing is said of the ID: another record may have it.
    told(shared, r, r.create(a_description(), request_id=request.id), "CREATED", posts=1, made=1)


# ---- refused: a request that will never fare better ----------------------------------------------------------------


def target(**ids):
    def change(m):
        m.target.Clear()
        for name, value in ids.items():
            setattr(m.target, name, value)

    return lambda r: made_by(r, change)


def permissions(*wanted):
    def change(m):
        del m.permissions[:]
        for one in wanted:
            m.permissions.add(**one)

    return lambda r: made_by(r, change)


def inline(suite=pb.SEALEDBOX_X25519, key=b"k" * 32):
    def change(m):
        m.recipient.inline_key.suite, m.recipient.inline_key.public_key = suite, key

    return lambda r: made_by(r, change)


def described(value):
    return lambda r: r.create(value)


MYDB = {"action": pb.READ, "database": "mydb"}
OTHER = "33333333-3333-4333-8333-333333333333"
INVALID = {  # name: (request, field, words)
    "no-description": (described(""), "description", ["these are 0"]),
    "description-of-201": (described("x" * 201), "description", ["these are 201", "xxx"]),
    "description-of-202-bytes": (described("é" * 101), "description", ["these are 202"]),
    "description-newline": (described("a\nb"), "description", ["a\\x0ab"]),
    "description-delete": (described("a\x7fb"), "description", ["a\\x7fb"]),
    "description-c1": (described("a\x85b"), "description", []),
    "blank-before": (described(" x"), "description", ['" x"']),
    "blank-behind": (described("x "), "description", ['"x "']),
    "marker": (described("x [tokend/1:a]"), "description", ["[tokend/1:a]"]),
    "no-target": (target(), "target", ["is missing"]),
    "unknown-cluster": (target(cluster="mars"), "target.cluster", ['"mars"']),
    "cluster-by-name-and-ids": (target(cluster="prod", account_id=ACCOUNT, cluster_id=CLUSTER), "target", ["both"]),
    "cluster-by-name-and-one-id": (target(cluster="prod", cluster_id=CLUSTER), "target", ["both"]),
    "account-alone": (target(account_id=ACCOUNT), "target", ["cluster_id is missing"]),
    "cluster-id-alone": (target(cluster_id=CLUSTER), "target", ["account_id is missing"]),
    "account-no-uuid": (target(account_id="x", cluster_id=CLUSTER), "target.account_id", ['"x"']),
    "cluster-id-in-capitals": (target(account_id=ACCOUNT, cluster_id="A" * 36), "target.cluster_id", ["AAAA"]),
    "unknown-ids": (target(account_id=ACCOUNT, cluster_id=OTHER), "target", [OTHER]),
    "no-permissions": (permissions(), "permissions", []),
    "permissions-1001": (
        permissions(*({"action": pb.READ, "database": f"mydb{i}"} for i in range(1001))),
        "permissions",
        ["1001", "at most 1000"],
    ),
    "permission-twice": (permissions(MYDB, {**MYDB, "action": pb.WRITE}, MYDB), "permissions[2]", ["permissions[0]"]),
    "all-twice": (permissions(*[{"action": pb.READ, "all_databases": True}] * 2), "permissions[1]", ["permissions[0]"]),
    "no-action": (permissions(MYDB, {"database": "mydb2"}), "permissions[1].action", ["0 is neither"]),
    "action-3": (permissions({"action": 3, "database": "mydb2"}), "permissions[0].action", ["3 is neither"]),
    "no-resource": (permissions({"action": pb.READ}), "permissions[0]", ["neither a database nor all_databases"]),
    "all-databases-false": (
        permissions({"action": pb.READ, "all_databases": False}),
        "permissions[0].all_databases",
        ["false"],
    ),
    "database-empty": (permissions({"action": pb.READ, "database": ""}), "permissions[0].database", ['""']),
    "database-of-65": (permissions({"action": pb.READ, "database": "x" * 65}), "permissions[0].database", ["x" * 65]),
    "database-blank": (permissions(MYDB, {"action": pb.READ, "database": "my db"}), "permissions[1].database",
                       ["my db"]),
    "database-dot": (permissions({"action": pb.READ, "database": "my.db"}), "permissions[0].database", ["my.db"]),
    "database-star": (permissions({"action": pb.READ, "database": "*"}), "permissions[0].database", ["all_databases"]),
    "database-accent": (permissions({"action": pb.READ, "database": "é"}), "permissions[0].database", ["é"]),
    "expires-in-the-past": (lambda r: r.create(a_description(), expires_at=1), "expires_at", ["1970-01-01T00:00:01Z"]),
    "expires-nanos": (lambda r: made_by(r, nanos("expires_at")), "expires_at", ["nanos is 1"]),
    "expires-after-time": (lambda r: r.create(a_description(), expires_at=10**12), "expires_at", ["1000000000000"]),
    "deadline-nanos": (lambda r: made_by(r, nanos("deadline"), life_s=60), "deadline", ["nanos is 1"]),
    "deadline-of-1h-and-1s": (lambda r: r.create(a_description(), life_s=HOUR_S + 1), "deadline", ["3601 seconds"]),
    "deadline-before-it-was-issued": (lambda r: r.create(a_description(), life_s=-1), "deadline", []),
    "no-recipient": (lambda r: made_by(r, lambda m: m.ClearField("recipient")), "recipient", ["missing"]),
    "empty-recipient": (lambda r: made_by(r, lambda m: m.recipient.Clear()), "recipient", ["missing"]),
    "recipient-of-no-name": (lambda r: made_by(r, lambda m: setattr(m.recipient, "key_id", "")), "recipient.key_id",
                             ['""']),
    "recipient-with-a-colon": (
        lambda r: made_by(r, lambda m: setattr(m.recipient, "key_id", "sha256:00")),
        "recipient.key_id",
        ['"sha256:00"'],
    ),
    "recipient-of-65": (
        lambda r: made_by(r, lambda m: setattr(m.recipient, "key_id", "k" * 65)),
        "recipient.key_id",
        ["k" * 65],
    ),
    "recipient-unknown": (
        lambda r: made_by(r, lambda m: setattr(m.recipient, "key_id", "nobodys")),
        "recipient.key_id",
        ['"nobodys"'],
    ),
    "recipient-of-another": (
        lambda r: made_by(r, lambda m: setattr(m.recipient, "key_id", "b-box1")),
        "recipient.key_id",
        ['"b-box1"'],
    ),
    "no-suite": (inline(suite=0), "recipient.inline_key.suite", ["0 is not"]),
    "suite-hpke": (inline(suite=pb.HPKE_RESERVED), "recipient.inline_key.suite", ["2 is not"]),
    "inline-key-of-31": (inline(key=b"k" * 31), "recipient.inline_key.public_key", ["31 bytes"]),
    "inline-key-of-33": (inline(key=b"k" * 33), "recipient.inline_key.public_key", ["33 bytes"]),
    "inline-key-of-low-order": (inline(key=LOW_ORDER), "recipient.inline_key.public_key", ["low order"]),
}


@pytest.mark.row("INVALID_FIELD")
@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_value_is_the_requests_outcome(shared, r, name):
    make, field, words = INVALID[name]
    request = make(r)
    reply = told(shared, r, request, "INVALID_FIELD", *words)
    assert reply.details["field"] == field and reply.status.message.startswith(field + ":")
    assert reply.message.principal == "telemetry"
    assert set(reply.details) == {"field", "limit"} if "at most" in reply.status.message else {"field"}
    told(shared, r, request, "INVALID_FIELD", *words, replayed=True)


@pytest.mark.row("CLOCK_SKEW")
def test_a_clock_that_is_more_than_two_minutes_ahead(shared, r):
    request = made_by(r, lambda m: setattr(m.issued_at, "seconds", int(time.time()) + SKEW_S + 15))
    told(shared, r, request, "CLOCK_SKEW", "issued_at")


def test_a_value_is_shown_escaped_and_cut(shared, r):
    """Whatever stands in it, a line of log stays a line, and no more than 128 bytes of it are told."""
    evil = "\x1b[31m\r\n\u202e" + "x" * 190
    reply = told(shared, r, r.create(evil), "INVALID_FIELD", "\\x1b[31m\\x0d\\x0a")
    assert "x" * 129 not in reply.status.message and "\u202e" not in reply.status.message
    assert not any(ord(c) < 0x20 for c in reply.status.message)


def test_ids_of_one_partition_and_of_the_other_come_home(shared, r):
    requests = [r.create(a_description()) for _ in range(8)]
    r.send(*requests)
    replies = r.wait_all(requests)
    assert {x.partition for x in replies} == {0, 1}
    assert all(x.partition == home(q.key, r.partitions) for x, q in zip(replies, requests))
