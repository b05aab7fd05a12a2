# SPDX-License-Identifier: Apache-2.0
"""Goal: each row of the contract's table of replies can be had, is told whole (code, reason, about, retry, details, a
sentence with the offending value), once, and costs no more POSTs and tokens than it says.

One tokend for all of them. Rows that an API brings about have a cluster each, so that no breaker of one is in the way
of another. Every way that a field or a header may be wrong: test_fields.py and test_records.py.
"""

import base64
import datetime
import time
import uuid

import pytest
from nacl.signing import SigningKey

from conftest import public_entry, until
from contract import check, told
from requester import MARKER, Principal, home, journal_pb

CLUSTERS = [
    "retired",
    "unauthorized",
    "forbidden",
    "throttled",
    "failing",
    "silent",
    "lost",
    "capped",
    "unknown",
    "conflict",
    "gated",
]
DAY_S = 86400


def moment(seconds_from_now):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def running(common):
    """With keys that are not valid now, a principal that may not ask for much, and a cluster that is being retired."""
    telemetry = common.policy["principals"][0]
    common.old, common.new = (Principal("telemetry", k, SigningKey.generate(), "", None) for k in ("t-old", "t-new"))
    telemetry["signing_keys"] += [
        {**public_entry(common.old), "not_after": moment(-DAY_S)},
        {**public_entry(common.new), "not_before": moment(DAY_S)},
    ]
    common.add_principal(
        "modest", "m", grants=[{"clusters": ["prod"], "databases": ["mydb"], "actions": ["read"]}],
        limits={"per_day": 2}
    )
    next(c for c in common.config["clusters"] if c["name"] == "retired")["retiring"] = True
    common.tokend()
    return common


@pytest.fixture
def r(shared):
    return shared.requester()


def a_description():
    return f"d-{uuid.uuid4()}"


# ---- told by the record --------------------------------------------------------------------------------------------


@pytest.mark.row("CREATED")
def test_created(shared, r):
    reply = told(shared, r, r.create(a_description()), "CREATED", "created", posts=1, made=1, details={})
    assert reply.message.attempts == 1 and reply.secret.access_token


@pytest.mark.row("UNDECODABLE")
def test_another_service_is_meant(shared, r):
    request = r.create(a_description(), service_id="elsewhere")
    words = '"elsewhere"', shared.service_id
    assert told(shared, r, request, "UNDECODABLE", *words, details={"field": "service_id"}).message.principal == ""


@pytest.mark.row("INVALID_FIELD")
def test_an_unknown_cluster(shared, r):
    request = r.create(a_description(), cluster="mars")
    reply = told(shared, r, request, "INVALID_FIELD", '"mars"', details={"field": "target.cluster"})
    assert reply.message.principal == "telemetry" and reply.message.attempts == 0
    told(shared, r, request, "INVALID_FIELD", '"mars"', replayed=True)


@pytest.mark.row("INVALID_RECORD")
def test_a_header_stands_twice(shared, r):
    good = r.create(a_description())
    told(shared, r, good.changed(more=[("tokend-key-id", b"again")]), "INVALID_RECORD", "tokend-key-id", details={})
    told(shared, r, good, "CREATED", posts=1, made=1)


@pytest.mark.row("WRONG_PARTITION")
def test_not_its_home_partition(shared, r):
    good = r.create(a_description())
    right = home(good.key, r.partitions)
    details = {"partition": str(right), "partitions": str(r.partitions)}
    words = f"partition {1 - right},", "partitioner=murmur2_random"
    told(shared, r, good, "WRONG_PARTITION", *words, details=details, partition=1 - right)
    told(shared, r, good, "CREATED", posts=1, made=1)


@pytest.mark.row("WRONG_REPLY_TOPIC")
@pytest.mark.parametrize(
    "header, words",
    [
        (("kafka_replyTopic", b"elsewhere"), ['"elsewhere"']),
        (("kafka_replyTopic", b""), ['""']),
        (("kafka_replyPartition", b"\0\0\0\x07"), ["0x00000007"]),
        (("kafka_replyPartition", b"1"), ["0x31"]),
        (("kafka_replyPartition", b""), ["nothing"]),
    ],
    ids=["topic", "no-topic", "partition", "one-byte", "no-partition"],
)
def test_a_reply_asked_for_elsewhere(shared, r, header, words):
    good = r.create(a_description())
    told(shared, r, good.changed(more=[header]), "WRONG_REPLY_TOPIC", header[0], *words, details={})
    ours = home(good.key, r.partitions).to_bytes(4, "big")
    more = [("kafka_replyTopic", r.replies_topic.encode()), ("kafka_replyPartition", ours)]
    told(shared, r, good.changed(more=more), "CREATED", posts=1, made=1)


@pytest.mark.row("CLOCK_SKEW")
def test_issued_in_the_future(shared, r):
    message = r.create(a_description()).message
    message.issued_at.seconds += 600
    reply = told(shared, r, r.sign("CreateToken", message), "CLOCK_SKEW", "issued_at", "future")
    (when,) = reply.details.values()
    assert list(reply.details) == ["service_time"] and when in reply.status.message
    assert abs(datetime.datetime.fromisoformat(when.replace("Z", "+00:00")).timestamp() - time.time()) < 60


@pytest.mark.row("BAD_SIGNATURE")
def test_a_signature_that_does_not_verify(shared, r):
    good = r.create(a_description())
    raw = bytearray(base64.b64decode(good.signature))
    raw[0] ^= 1
    for bad in (
        good.changed(signature=base64.b64encode(raw)),
        good.changed(signature=b""),
        good.changed(body=good.body.replace(b"d-", b"e-", 1)),
        good.changed(key_id=b"b-1"),
    ):
        assert told(shared, r, bad, "BAD_SIGNATURE", details={}).message.principal == ""
    told(shared, r, good, "CREATED", posts=1, made=1)


@pytest.mark.row("UNKNOWN_KEY")
def test_no_key_or_one_that_the_policy_does_not_know(shared, r):
    good = r.create(a_description())
    told(shared, r, good.changed(key_id=b"nobody"), "UNKNOWN_KEY", '"nobody"', details={})
    told(shared, r, good.changed(key_id=b""), "UNKNOWN_KEY", details={})
    told(shared, r, good.changed(key_id=b"", signature=b""), "UNKNOWN_KEY", details={})
    told(shared, r, good, "CREATED", posts=1, made=1)


@pytest.mark.row("KEY_EXPIRED")
def test_a_key_that_is_not_valid_now(shared, r):
    message = r.create(a_description()).message
    for key, words in ((shared.old, '"t-old" expired at'), (shared.new, '"t-new" is not valid before')):
        request = r.sign("CreateToken", message, key.signing_key, key.key_id)
        assert told(shared, r, request, "KEY_EXPIRED", words, details={}).message.principal == "telemetry"


@pytest.mark.row("KEY_EXPIRED")
def test_an_expired_key_still_verifies_what_was_answered(shared, r):
    """What was decided under it is told again, and the same bytes signed by a newer key are the same request."""
    request = r.create(a_description())
    first = told(shared, r, request, "CREATED", posts=1, made=1)
    old = r.sign("CreateToken", request.message, shared.old.signing_key, shared.old.key_id)
    assert old.fingerprint == request.fingerprint and old.digest != request.digest
    assert told(shared, r, old, "CREATED", replayed=True).secret == first.secret


@pytest.mark.row("WRONG_PRINCIPAL")
def test_the_key_of_one_does_not_speak_for_another(shared, r):
    request = shared.requester("billing").sign("CreateToken", r.create(a_description()).message)
    words = '"telemetry"', "billing"
    assert told(shared, r, request, "WRONG_PRINCIPAL", *words, details={"field": "principal"}).message.principal == ""


@pytest.mark.row("UNKNOWN_METHOD")
def test_a_method_that_there_is_not(shared, r):
    good = r.create(a_description())
    told(shared, r, good.changed(method="RenewToken"), "UNKNOWN_METHOD", "/RenewToken", details={})
    told(shared, r, good, "CREATED", posts=1, made=1)


# ---- told by the policy and the journal ----------------------------------------------------------------------------


@pytest.mark.row("POLICY_DENIED")
def test_the_policy_says_no(shared, r):
    billing = shared.requester("billing")
    soon = int(time.time()) + 60
    for who, request, word in (
        (r, r.create(a_description(), read=["mydb", "secret"]), "secret"),
        (r, r.create(a_description(), read=["*"]), "all databases"),
        (billing, billing.create(a_description(), write=["billing_x"], expires_at=soon), "billing_x"),
        (billing, billing.create(a_description(), read=["billing_x"]), "expires_at"),
        (billing, billing.create(a_description(), read=["billing_x"], expires_at=soon + 2 * DAY_S), "expires_at"),
        (billing, billing.create(a_description(), read=["billing_x"], expires_at=soon, cluster="edge"), "edge"),
        (billing, billing.create(a_description(), read=["billing_x"], expires_at=soon, inline=True), "inline_key"),
    ):
        first = told(shared, who, request, "POLICY_DENIED", word)
        assert first.message.principal == who.me.name and first.message.attempts == 0
        assert told(shared, who, request, "POLICY_DENIED", word, replayed=True).status == first.status


@pytest.mark.row("QUOTA")
def test_the_principals_limit(shared):
    """Two a day on each partition; what was refused, or is told again, does not count."""
    modest = shared.requester("modest")

    def another(**how):
        return modest.create(a_description(), request_id=an_id_at_home_in(0, modest.partitions), **how)

    first = another()
    told(shared, modest, another(read=["secret"]), "POLICY_DENIED", "secret")
    told(shared, modest, first, "CREATED", posts=1, made=1)
    told(shared, modest, first, "CREATED", replayed=True)
    told(shared, modest, another(), "CREATED", posts=1, made=1)
    last = another()
    for replayed in (False, True):
        told(shared, modest, last, "QUOTA", "modest", "2 requests a day", details={"limit": "2"}, replayed=replayed)
    elsewhere = modest.create(a_description(), request_id=an_id_at_home_in(1, modest.partitions))
    told(shared, modest, elsewhere, "CREATED", posts=1, made=1)


def an_id_at_home_in(partition, partitions):
    return next(i for i in iter(lambda: f"r-{uuid.uuid4()}", None) if home(i.encode(), partitions) == partition)


@pytest.mark.row("REQUEST_ID_REUSED")
def test_the_same_id_with_other_bytes(shared, r):
    good = r.create(a_description())
    first = told(shared, r, good, "CREATED", posts=1, made=1)
    shared.tokends[0].wait_said("outcome", request_id=good.id)  # it knows by now that its commit succeeded
    other = r.create(a_description(), request_id=good.id)
    details = {"fingerprint": good.fingerprint.hex(), "state": "DONE"}
    told(shared, r, other, "REQUEST_ID_REUSED", f'"{good.id}"', details=details)
    assert told(shared, r, good, "CREATED", replayed=True).secret == first.secret


@pytest.mark.row("PAST_WINDOW")
def test_too_old_to_know(shared, r):
    message = r.create(a_description()).message
    message.issued_at.seconds -= 8 * DAY_S
    request = r.sign("CreateToken", message)
    told(shared, r, request, "PAST_WINDOW", "an earlier reply may exist", details={})
    old = r.sign("CreateToken", message, shared.old.signing_key, shared.old.key_id)
    told(shared, r, old, "PAST_WINDOW", details={})  # it is asked for before the key's expiry


# ---- told by the clusters (the broker plays no part in it) ----------------------------------------------------------


@pytest.mark.mock
@pytest.mark.row("TARGET_RETIRED")
def test_a_cluster_that_is_being_retired(shared, r):
    told(shared, r, r.create(a_description(), cluster="retired"), "TARGET_RETIRED", "cluster retired", details={})


def fails(shared, request, **fault):
    shared.sandbox.fault({"description": request.message.description, "times": -1, **fault})


@pytest.mark.mock
@pytest.mark.row("UPSTREAM_REJECTED")
def test_refused_for_good(shared, r):
    request = r.create(a_description())
    fails(shared, request, fault="error", status=422, answer='{"message": "no such right"}')
    told(shared, r, request, "UPSTREAM_REJECTED", "422", "no such right", posts=1, details={})
    told(shared, r, request, "UPSTREAM_REJECTED", replayed=True)


@pytest.mark.mock
@pytest.mark.row("TARGET_NOT_FOUND")
@pytest.mark.verdict("listed", "200")
def test_a_404_that_the_list_confirms(shared, r):
    request, cluster = r.create(a_description(), cluster="unknown"), shared.cluster_id("unknown")
    fails(shared, request, fault="error", status=404)
    told(shared, r, request, "TARGET_NOT_FOUND", "404", posts=1, details={})
    assert shared.sandbox.calls("list", cluster) == 1
    told(shared, r, request, "TARGET_NOT_FOUND", "404", replayed=True)
    assert shared.sandbox.calls("list", cluster) == 1


@pytest.mark.mock
@pytest.mark.row("UPSTREAM_CONFLICT")
def test_a_409_that_the_list_does_not_explain(shared, r):
    request, cluster = r.create(a_description(), cluster="conflict"), shared.cluster_id("conflict")
    fails(shared, request, fault="error", status=409)
    reply = told(shared, r, request, "UPSTREAM_CONFLICT", "409", posts=3, details={})
    assert reply.message.attempts == shared.sandbox.calls("list", cluster) == 3
    assert [a.fate for a in shared.audit().done(request.id).closed.values()] == [journal_pb.REFUSED] * 3


@pytest.mark.mock
@pytest.mark.row("UPSTREAM_AUTH")
@pytest.mark.parametrize("status, cluster", [(401, "unauthorized"), (403, "forbidden")])
def test_a_credential_that_is_refused_until_the_deadline(shared, r, status, cluster):
    request = r.create(a_description(), cluster=cluster, life_s=2)
    fails(shared, request, fault="error", status=status)
    reply = check(r.ask(request), "UPSTREAM_AUTH", "deadline", f"the last: {status}", details={})
    assert reply.message.attempts == len(shared.sandbox.posts(request.message.description)) >= 1


@pytest.mark.mock
@pytest.mark.row("UPSTREAM_THROTTLED")
def test_asked_to_slow_down_until_the_deadline(shared, r):
    request = r.create(a_description(), cluster="throttled", life_s=2)
    fails(shared, request, fault="throttle", retry_after="30")
    reply = told(shared, r, request, "UPSTREAM_THROTTLED", "deadline", "the last: 429", posts=1, details={})
    assert reply.message.attempts == 1


@pytest.mark.mock
@pytest.mark.row("UPSTREAM_UNREACHABLE")
def test_failing_until_the_deadline(shared, r):
    request = r.create(a_description(), cluster="failing", life_s=2)
    fails(shared, request, fault="error", status=503, delay_ms=700)     # so slowly that five do not fit
    reply = check(r.ask(request), "UPSTREAM_UNREACHABLE", "deadline", "the last: 503", details={})
    posts = shared.sandbox.posts(request.message.description)
    assert reply.message.attempts == len(posts)
    closed = shared.audit().done(request.id).closed
    assert {u: a.fate for u, a in closed.items()} == {
        MARKER.search(p["description"])[4]: journal_pb.UNKNOWN for p in posts
    }


@pytest.mark.mock
@pytest.mark.row("UPSTREAM_UNREACHABLE")
def test_no_answer_until_the_deadline(shared, r):
    request = r.create(a_description(), cluster="silent", life_s=2)
    fails(shared, request, fault="hold", commit=True)
    r.send(request)
    shared.sandbox.wait_posts(request.message.description, 1)
    until("the deadline", lambda: time.time() > request.message.deadline.seconds)
    shared.sandbox.release()
    check(r.wait(request), "UPSTREAM_UNREACHABLE", "deadline", details={})
    assert len(shared.audit().orphans(request.message.description)) == 1


@pytest.mark.mock
@pytest.mark.row("UPSTREAM_UNREACHABLE")
def test_nobody_listens(shared, r):
    request = r.create(a_description(), cluster="dark", life_s=2)
    told(shared, r, request, "UPSTREAM_UNREACHABLE", "deadline", "Failed to connect", details={})
    assert shared.audit().done(request.id).closed == {}  # what was certainly not sent needs no closing


@pytest.mark.mock
@pytest.mark.row("NOT_STARTED")
def test_a_deadline_that_had_passed_before_it_came(shared, r):
    message = r.create(a_description()).message
    message.issued_at.seconds -= 600
    message.deadline.seconds = message.issued_at.seconds + 300
    when = datetime.datetime.fromtimestamp(message.deadline.seconds, datetime.timezone.utc)
    when = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    told(shared, r, r.sign("CreateToken", message), "NOT_STARTED", when, details={})


@pytest.mark.mock
@pytest.mark.row("NOT_STARTED")
def test_a_deadline_that_passes_in_the_line_before_the_cluster(shared, r):
    """One is told to wait, and the whole cluster waits along."""
    first = r.create(a_description(), cluster="gated", life_s=4)
    fails(shared, first, fault="throttle", retry_after="60")
    r.send(first)
    shared.tokends[0].wait_said("an attempt ended without a token; another follows", request_id=first.id)
    told(shared, r, r.create(a_description(), cluster="gated", life_s=1), "NOT_STARTED", "before anything was begun")
    check(r.wait(first), "UPSTREAM_THROTTLED")


@pytest.mark.mock
@pytest.mark.row("UPSTREAM_AMBIGUOUS")
def test_five_attempts_without_a_word(shared, r):
    """Each of them made a token that nobody has; all are closed, so that they can be found."""
    request = r.create(a_description(), cluster="capped")
    fails(shared, request, fault="cut", commit=True)
    reply = told(shared, r, request, "UPSTREAM_AMBIGUOUS", "5 attempts", posts=5, made=5, details={})
    assert reply.message.attempts == 5
    found = shared.audit()
    assert [a.fate for a in found.done(request.id).closed.values()] == [journal_pb.UNKNOWN] * 5
    assert len(found.orphans(request.message.description)) == 5
    told(shared, r, request, "UPSTREAM_AMBIGUOUS", replayed=True)
