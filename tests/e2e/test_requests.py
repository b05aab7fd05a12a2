# SPDX-License-Identifier: Apache-2.0
"""Goal: a request is answered once, with a token that is what was asked for and that nobody else can read; a repeat
never makes a second token; an API that misbehaves costs time and leaves nothing unaccounted for.

What is refused, and in which words: test_status_rows.py, test_records.py, test_fields.py; what the API may answer:
test_signals.py.

One tokend for all of these; when they are over the auditor looks at everything they left.
"""

import time
import uuid

import pytest
from confluent_kafka import Producer
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from audit import read_topic
from requester import MARKER, OUTCOME, RECORD, home, journal_pb, pb

OK = (0, "", OUTCOME, pb.RETRY_UNSPECIFIED)
ALREADY_EXISTS = 6


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
    [(True, {"fault": "error", "status": 503}), (False, {"fault": "cut"}), (True, {"fault": "cut", "at": "body"})],
    ids=["503-created", "cut", "cut-mid-body-created"],
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
    orphans = found.orphans(request.message.description)
    assert [MARKER.search(t["description"])[4] for t in orphans] == ([lost] if commit else [])


def test_a_token_that_comes_after_the_deadline_is_delivered(shared, r):
    request = r.create(a_description(), life_s=2)
    shared.sandbox.fault({"description": request.message.description, "fault": "delay", "delay_ms": 3500})
    reply = r.ask(request)
    assert reply.said == OK and time.time() > request.message.deadline.seconds
