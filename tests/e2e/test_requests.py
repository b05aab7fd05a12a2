# SPDX-License-Identifier: Apache-2.0
"""Goal: every record is answered once, with the right outcome or the refusal that names what is wrong; a repeat
never makes a second token; an API that misbehaves costs time and leaves nothing unaccounted for.

One tokend for all of these; when they are over the auditor looks at everything they left.
"""

import base64
import time
import uuid

import pytest
from confluent_kafka import Producer
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from audit import read_topic
from conftest import until
from requester import MARKER, OUTCOME, RECORD, Request, home, journal_pb, media_type, pae, pb

OK = (0, "", OUTCOME, pb.RETRY_UNSPECIFIED)
INVALID_ARGUMENT, DEADLINE_EXCEEDED, ALREADY_EXISTS, PERMISSION_DENIED = 3, 4, 6, 7
RESOURCE_EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE, UNAUTHENTICATED = 8, 12, 14, 16


@pytest.fixture
def r(shared):
    return shared.requester()


@pytest.fixture
def billing(shared):
    return shared.requester("billing")


def a_description():
    return f"d-{uuid.uuid4()}"


# ---- tokens --------------------------------------------------------------------------------------------------------


def test_a_token_is_what_was_asked_for_and_the_data_endpoint_takes_it(shared, r):
    request = r.create(a_description(), read=["mydb", "mydb2"], write=["mydb2"], expires_at=int(time.time()) + 86400)
    reply = r.ask(request)
    assert reply.said == OK and reply.message.attempts == 1 and not reply.message.replayed
    assert reply.message.service_version and abs(reply.message.issued_at.seconds - time.time()) < 60
    (post,) = shared.sandbox.posts(request.message.description)
    assert post["permissions"] == [
        {"action": "read", "resource": "mydb"},
        {"action": "read", "resource": "mydb2"},
        {"action": "write", "resource": "mydb2"},
    ]
    token = reply.secret.access_token
    assert shared.sandbox.data_status("/query?db=mydb", token) == 200
    assert shared.sandbox.data_status("/write?db=mydb2", token, "POST") in (200, 204)
    assert shared.sandbox.data_status("/write?db=mydb", token, "POST") == 403


def test_all_databases_an_inline_key_and_clustered(shared, r):
    reply = r.ask(r.create(a_description(), read=["*"], write=["*"], inline=True, cluster="edge"))
    assert reply.said == OK and reply.message.recipient_key_id.startswith("sha256:")
    assert shared.sandbox.data_status("/query?db=any", reply.secret.access_token) == 200


def test_headers_come_back_as_they_went(shared, r):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    request = r.create(a_description())
    request.more += [
        ("traceparent", f"00-{trace}-00f067aa0ba902b7-01".encode()),
        ("tracestate", b"vendor=1"),
        ("correlation-id", b"\x00\xffbytes"),
        ("kafka_replyTopic", r.replies_topic.encode()),
        ("content-type", b"whatever"),
    ]
    headers = dict(r.ask(request).headers)
    assert headers["traceparent"].decode().split("-")[1] == trace and b"00f067aa0ba902b7" not in headers["traceparent"]
    assert headers["correlation-id"] == b"\x00\xffbytes" and headers["grpc-status"] == b"0"
    assert headers["content-type"] == b"application/protobuf" and headers["tokend-method"].endswith(b"/CreateToken")


def test_a_frame_of_schema_registry_is_taken_off(shared, r):
    request = r.create(a_description())
    framed = r.create(a_description())
    r.sent[framed.digest], r.counts[framed.digest] = framed, 1
    p = Producer(shared.kafka)
    p.produce(
        r.requests,
        value=b"\0" + (7).to_bytes(4, "big") + b"\0" + framed.body,
        key=framed.key,
        partition=home(framed.key, r.partitions),
        headers=framed.headers,
    )
    assert p.flush(30) == 0
    assert r.wait(framed).said == OK
    assert r.ask(request).said == OK


def test_an_onlooker_sees_no_token(shared, r):
    request = r.create(a_description())
    reply = r.ask(request)
    (seen,) = [m for m in read_topic(shared.kafka, r.replies_topic) if m.key() == request.key]
    plain = pb.CreateTokenReply.FromString(seen.value())
    token = reply.secret.access_token.encode()
    assert not any(token[i : i + 8] in seen.value() for i in range(6, len(token) - 8))
    with pytest.raises(CryptoError):
        SealedBox(PrivateKey.generate()).decrypt(plain.sealed_token)


# ---- repeats and conflicts -----------------------------------------------------------------------------------------


def test_the_same_bytes_twice_are_one_token(shared, r):
    request = r.create(a_description())
    first, second = r.ask(request), r.ask(request)
    assert first.said == second.said == OK and not first.message.replayed and second.message.replayed
    assert first.secret == second.secret
    assert len(shared.sandbox.posts(request.message.description)) == 1


def test_a_refusal_is_repeated_too(shared, r):
    request = r.create(a_description(), read=["secret"])
    first, second = r.ask(request), r.ask(request)
    assert first.said == second.said and first.status == second.status and second.message.replayed


def test_a_repeat_signed_by_another_header_order_or_trace_is_the_same_request(shared, r):
    request = r.create(a_description())
    first = r.ask(request)
    second = r.ask(request.changed(more=[("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]))
    assert second.message.replayed and first.secret == second.secret


def test_other_bytes_under_an_old_id_are_refused_and_change_nothing(shared, r):
    request = r.create(a_description())
    first = r.ask(request)
    shared.tokends[0].wait_said("outcome", request_id=request.id)  # it knows by now that its commit succeeded
    other = r.create(a_description(), request_id=request.id)
    refusal = r.ask(other)
    assert refusal.said == (ALREADY_EXISTS, "REQUEST_ID_REUSED", RECORD, pb.NEW_ID)
    assert refusal.details == {"fingerprint": request.fingerprint.hex(), "state": "DONE"}
    assert shared.sandbox.posts(other.message.description) == []
    assert r.ask(request).secret == first.secret


def test_a_repeat_of_one_in_flight_waits_for_it_and_other_bytes_do_not(shared, r):
    request = r.create(a_description())
    shared.sandbox.fault({"description": request.message.description, "fault": "delay", "delay_ms": 4000})
    r.send(request)
    shared.sandbox.wait_posts(request.message.description, 1)
    refusal = r.ask(r.create(a_description(), request_id=request.id))
    assert refusal.said[1] == "REQUEST_ID_REUSED" and refusal.details["state"] == "IN_FLIGHT"
    r.send(request, request)
    replies = [r.wait(request, n) for n in (1, 2, 3)]
    assert [x.message.replayed for x in replies] == [False, True, True]
    assert replies[0].secret == replies[1].secret == replies[2].secret
    assert len(shared.sandbox.posts(request.message.description)) == 1


def test_two_principals_may_use_one_id(shared, r, billing):
    mine = r.create(a_description(), request_id="both")
    theirs = billing.create(a_description(), request_id="both", read=["billing_x"], expires_at=int(time.time()) + 3600)
    assert r.ask(mine).said == OK
    # The other's reply carries the same key: each ignores what is not its own.
    assert billing.ask(theirs).said == OK


# ---- an API that misbehaves ----------------------------------------------------------------------------------------


def test_a_429_is_waited_out_as_it_asks(shared, r):
    request = r.create(a_description())
    shared.sandbox.fault(
        {"description": request.message.description, "fault": "throttle", "retry_after": "2", "times": 1}
    )
    reply = r.ask(request)
    first, second = shared.sandbox.posts(request.message.description)
    assert reply.said == OK and reply.message.attempts == 2
    assert (first["status"], second["status"]) == (429, 200)
    assert second["at_ms"] - first["at_ms"] >= 2000
    assert MARKER.search(first["description"])[4] != MARKER.search(second["description"])[4]


@pytest.mark.parametrize(
    "commit, fault",
    [
        (False, {"fault": "error", "status": 503}),
        (True, {"fault": "error", "status": 503}),
        (False, {"fault": "error", "status": 500}),
        (True, {"fault": "error", "status": 500}),
        (False, {"fault": "cut"}),
        (True, {"fault": "cut"}),
        (True, {"fault": "cut", "mid_body": True}),
    ],
    ids=["503", "503-created", "500", "500-created", "cut", "cut-created", "cut-mid-body"],
)
def test_an_answer_that_is_lost_costs_an_attempt_that_is_closed(shared, r, fault, commit):
    request = r.create(a_description())
    shared.sandbox.fault({"description": request.message.description, "commit": commit, **fault})
    reply = r.ask(request)
    assert reply.said == OK and reply.message.attempts == 2
    lost, delivered = [MARKER.search(p["description"])[4] for p in shared.sandbox.posts(request.message.description)]
    found = shared.audit()
    done = found.done(request.id)
    assert done.attempt == delivered
    assert {u: a.fate for u, a in done.closed.items()} == {lost: journal_pb.UNKNOWN}
    alive = found.orphans(request.message.description)
    assert [MARKER.search(t["description"])[4] for t in alive] == ([lost] if commit else [])


@pytest.mark.parametrize("fault", ["bad_json", "missing_token", "wrong_account"])
def test_an_answer_that_cannot_be_believed_is_no_token(shared, r, fault):
    request = r.create(a_description())
    shared.sandbox.fault({"description": request.message.description, "fault": fault})
    assert r.ask(request).said == OK
    assert len(shared.audit().orphans(request.message.description)) == 1


@pytest.mark.parametrize(
    "cluster, fault, said",
    [
        ("prod", {"fault": "throttle"}, (RESOURCE_EXHAUSTED, "UPSTREAM_THROTTLED")),
        ("edge", {"fault": "error", "status": 401}, (UNAVAILABLE, "UPSTREAM_AUTH")),
        ("prod", {"fault": "hold"}, (DEADLINE_EXCEEDED, "UPSTREAM_UNREACHABLE")),
    ],
    ids=["429", "401", "no-answer"],
)
def test_a_deadline_that_passes_says_what_was_in_the_way(shared, r, cluster, fault, said):
    request = r.create(a_description(), cluster=cluster, life_s=3)
    shared.sandbox.fault({"description": request.message.description, "times": -1, **fault})
    r.send(request)
    if fault["fault"] == "hold":
        shared.sandbox.wait_posts(request.message.description, 1)
        until("the deadline", lambda: time.time() > request.message.deadline.seconds)
        shared.sandbox.release()
    assert r.wait(request).said == (*said, OUTCOME, pb.LATER)


def test_nobody_listens(shared, r):
    request = r.create(a_description(), cluster="dark", life_s=2)
    reply = r.ask(request)
    assert reply.said == (DEADLINE_EXCEEDED, "UPSTREAM_UNREACHABLE", OUTCOME, pb.LATER)
    assert shared.audit().done(request.id).closed == {}  # what was certainly not sent needs no closing


def test_a_deadline_that_has_passed_begins_nothing(shared, r):
    request = r.create(a_description())
    request.message.issued_at.seconds -= 600
    request.message.deadline.seconds = request.message.issued_at.seconds + 300
    request = r.sign("CreateToken", request.message)
    assert r.ask(request).said == (DEADLINE_EXCEEDED, "NOT_STARTED", OUTCOME, pb.LATER)
    assert shared.sandbox.posts(request.message.description) == []


def test_a_token_that_comes_after_the_deadline_is_delivered(shared, r):
    request = r.create(a_description(), life_s=2)
    shared.sandbox.fault({"description": request.message.description, "fault": "delay", "delay_ms": 3500})
    reply = r.ask(request)
    assert reply.said == OK and time.time() > request.message.deadline.seconds


@pytest.mark.parametrize(
    "status, said",
    [
        (400, (INVALID_ARGUMENT, "UPSTREAM_REJECTED", OUTCOME, pb.NEW_ID)),
        (404, (9, "TARGET_NOT_FOUND", OUTCOME, pb.NEVER)),
        (409, (10, "UPSTREAM_CONFLICT", OUTCOME, pb.NEW_ID)),
    ],
)
def test_a_final_word_of_the_api_ends_the_request(shared, r, status, said):
    request = r.create(a_description())
    shared.sandbox.fault({"description": request.message.description, "fault": "error", "status": status, "times": -1})
    assert r.ask(request).said == said
    assert len(shared.sandbox.posts(request.message.description)) == (3 if status == 409 else 1)


# ---- refusals ------------------------------------------------------------------------------------------------------


def test_the_policy_says_no(shared, r, billing):
    for who, request in (
        (r, r.create(a_description(), read=["secret"])),
        (billing, billing.create(a_description(), read=["*"])),
        (billing, billing.create(a_description(), write=["billing_x"], expires_at=int(time.time()) + 60)),
        (billing, billing.create(a_description(), read=["billing_x"])),
        (billing, billing.create(a_description(), read=["billing_x"], expires_at=int(time.time()) + 172800)),
    ):
        reply = who.ask(request)
        assert reply.said == (PERMISSION_DENIED, "POLICY_DENIED", OUTCOME, pb.NEVER)
        assert shared.sandbox.posts(request.message.description) == []
    assert (
        "secret"
        in r.replies[next(d for d, q in r.sent.items() if q.message.permissions[0].database == "secret")][
            0
        ].status.message
    )


def flipped(signature):
    raw = base64.b64decode(signature)
    return base64.b64encode(bytes([raw[0] ^ 1]) + raw[1:])


@pytest.mark.parametrize(
    "spoil, said",
    [
        (
            lambda r, q: q.changed(signature=flipped(q.signature)),
            (UNAUTHENTICATED, "BAD_SIGNATURE", RECORD, pb.SAME_RECORD),
        ),
        (lambda r, q: q.changed(signature=b""), (UNAUTHENTICATED, "BAD_SIGNATURE", RECORD, pb.SAME_RECORD)),
        (
            lambda r, q: q.changed(body=q.body.replace(b"d-", b"e-", 1)),
            (UNAUTHENTICATED, "BAD_SIGNATURE", RECORD, pb.SAME_RECORD),
        ),
        (lambda r, q: q.changed(key_id=b"nobody"), (UNAUTHENTICATED, "UNKNOWN_KEY", RECORD, pb.SAME_RECORD)),
        (lambda r, q: q.changed(key_id=b"", signature=b""), (UNAUTHENTICATED, "UNKNOWN_KEY", RECORD, pb.SAME_RECORD)),
        (lambda r, q: q.changed(key_id=b"b-1"), (UNAUTHENTICATED, "BAD_SIGNATURE", RECORD, pb.SAME_RECORD)),
        (
            lambda r, q: q.changed(signature=q.signature.rstrip(b"=")),
            (INVALID_ARGUMENT, "INVALID_RECORD", RECORD, pb.SAME_RECORD),
        ),
        (
            lambda r, q: q.changed(more=[("tokend-key-id", b"again")]),
            (INVALID_ARGUMENT, "INVALID_RECORD", RECORD, pb.SAME_RECORD),
        ),
        (
            lambda r, q: q.changed(more=[("correlation-id", b"x" * 257)]),
            (INVALID_ARGUMENT, "INVALID_RECORD", RECORD, pb.SAME_RECORD),
        ),
        (
            lambda r, q: q.changed(more=[("kafka_replyTopic", b"elsewhere")]),
            (INVALID_ARGUMENT, "WRONG_REPLY_TOPIC", RECORD, pb.SAME_RECORD),
        ),
        (
            lambda r, q: q.changed(key=f"r-{uuid.uuid4()}".encode()),
            (INVALID_ARGUMENT, "INVALID_RECORD", RECORD, pb.SAME_RECORD),
        ),
        (lambda r, q: q.changed(method="Frob"), (UNIMPLEMENTED, "UNKNOWN_METHOD", RECORD, pb.NEVER)),
    ],
    ids=[
        "signature-flipped",
        "no-signature",
        "body-flipped",
        "unknown-key",
        "no-key",
        "anothers-key",
        "unpadded",
        "header-twice",
        "long-correlation",
        "reply-topic",
        "another-record-key",
        "unknown-method",
    ],
)
def test_a_record_that_is_wrong_outside_is_refused_and_the_id_stays_free(shared, r, spoil, said):
    good = r.create(a_description())
    reply = r.ask(spoil(r, good))
    assert reply.said == said, reply.status
    assert shared.sandbox.posts(good.message.description) == []
    assert r.ask(good).said == OK


def test_a_record_in_the_wrong_partition_is_told_where_it_belongs(shared, r):
    request = r.create(a_description())
    right = home(request.key, r.partitions)
    reply = r.ask(request, partition=(right + 1) % r.partitions)
    assert reply.said == (INVALID_ARGUMENT, "WRONG_PARTITION", RECORD, pb.SAME_RECORD)
    assert (reply.details["partition"], reply.details["partitions"]) == (str(right), str(r.partitions))
    assert "murmur2_random" in reply.status.message
    assert r.ask(request).said == OK


def test_the_key_of_one_principal_does_not_speak_for_another(shared, r, billing):
    request = billing.sign("CreateToken", r.create(a_description()).message)
    assert r.ask(request).said == (PERMISSION_DENIED, "WRONG_PRINCIPAL", RECORD, pb.NEW_ID)


@pytest.mark.parametrize(
    "make, about, field",
    [
        (lambda r: r.create(""), OUTCOME, "description"),
        (lambda r: r.create("x [tokend/1:"), OUTCOME, "description"),
        (lambda r: r.create(" blank"), OUTCOME, "description"),
        (lambda r: r.create("x" * 201), OUTCOME, "description"),
        (lambda r: r.create(a_description(), read=["mydb", "mydb"]), OUTCOME, "permissions"),
        (lambda r: r.create(a_description(), read=["my db"]), OUTCOME, "permissions"),
        (lambda r: r.create(a_description(), cluster="mars"), OUTCOME, "target"),
        (lambda r: r.create(a_description(), life_s=100000), OUTCOME, "deadline"),
        (lambda r: r.create(a_description(), service_id="other"), RECORD, "service_id"),
    ],
    ids=["no-description", "marker", "blank", "long", "twice", "name", "cluster", "deadline", "service"],
)
def test_an_invalid_value_is_named(shared, r, make, about, field):
    request = make(r)
    reply = r.ask(request)
    assert reply.said == (INVALID_ARGUMENT, "INVALID_REQUEST", about, pb.NEW_ID)
    assert reply.details["field"].startswith(field)


def test_issued_in_the_future(shared, r):
    message = r.create(a_description()).message
    message.issued_at.seconds += 600
    reply = r.ask(r.sign("CreateToken", message))
    assert reply.said == (INVALID_ARGUMENT, "CLOCK_SKEW", RECORD, pb.LATER) and "service_time" in reply.details


def test_an_unknown_field_is_not_overlooked(shared, r):
    request = r.create(a_description())
    message = pb.CreateTokenRequest.FromString(request.body + b"\xf8\x07\x01")  # field 127
    reply = r.ask(r.sign("CreateToken", message))
    assert (
        reply.said == (INVALID_ARGUMENT, "INVALID_REQUEST", RECORD, pb.NEW_ID)
        and reply.details["field_number"] == "127"
    )


@pytest.mark.parametrize("method", ["GetOutcome", "RevokeToken"])
def test_what_is_declared_and_not_built_says_so(shared, r, method):
    request = r.create(a_description())
    first = r.ask(request)
    assert r.ask(r.other(method, request.id)).said == (UNIMPLEMENTED, "UNKNOWN_METHOD", RECORD, pb.NEVER)
    assert r.ask(request).secret == first.secret


@pytest.mark.parametrize(
    "key", [None, b"", b"a b", b"x" * 129, b"\xff\xfe"], ids=["null", "empty", "blank", "long", "bytes"]
)
def test_a_record_whose_key_is_no_id_goes_to_the_dead_letters(shared, r, key):
    request = r.create(a_description())
    p = Producer(shared.kafka)
    p.produce(r.requests, value=request.body, key=key, partition=1, headers=request.headers)
    assert p.flush(30) == 0
    dead = until(
        "the dead letter",
        lambda: [m for m in read_topic(shared.kafka, f"{shared.service_id}.deadletters") if m.value() == request.body],
        every_s=0.2,
    )
    headers = dict(dead[0].headers())
    assert len(dead) == 1 and (dead[0].key() or b"") == (key or b"")
    assert (
        headers["tokend-dead-letter-topic"].decode() == r.requests and headers["tokend-dead-letter-partition"] == b"1"
    )
    assert headers["tokend-dead-letter-reason"] == b"invalid_key" and headers["tokend-signature"] == request.signature
    assert shared.sandbox.posts(request.message.description) == []


def test_bytes_that_are_no_protobuf_are_refused_by_the_signature_and_signed_ones_by_the_walk(shared, r):
    body = b"\xff\xff\xff not protobuf"
    key = f"r-{uuid.uuid4()}".encode()
    signature = base64.b64encode(r.me.signing_key.sign(pae(media_type("CreateTokenRequest"), body)).signature)
    request = Request("CreateToken", pb.CreateTokenRequest(), body, key, r.me.key_id.encode(), signature)
    assert r.ask(request).said == (INVALID_ARGUMENT, "INVALID_REQUEST", RECORD, pb.NEW_ID)
    unsigned = Request("CreateToken", pb.CreateTokenRequest(), body, key, r.me.key_id.encode(), b"")
    assert r.ask(unsigned).said[1] == "BAD_SIGNATURE"
