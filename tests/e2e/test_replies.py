# SPDX-License-Identifier: Apache-2.0
"""Goal: replies are dressed as the configuration says, framed for Schema Registry's deserializers, as CloudEvents, and
the signature is over what a plain reader would have read.

A tokend that frames and dresses; that one without these keys does neither is what all other files' requesters rest on.
"""

import struct
import uuid

import pytest

from contract import check, told
from requester import SERVICE, pb

pytestmark = pytest.mark.mock  # the broker plays no part in it

SCHEMA_ID = 70000


@pytest.fixture(scope="module")
def running(common):
    common.tokend(reply_schema_id=SCHEMA_ID, cloudevents=True)
    return common


@pytest.fixture
def r(shared):
    return shared.requester()


def a_description():
    return f"d-{uuid.uuid4()}"


def event(reply):
    return {k: v.decode() for k, v in reply.headers if k.startswith("ce_")}


def test_a_framed_reply_is_the_reply_behind_a_frame(shared, r):
    """00, the schema's id, one step into the file: CreateTokenReply is its fourth message, RevokeTokenReply the fifth.
    The requester has verified what stands behind it."""
    request = r.create(a_description())
    for reply, index in ((r.ask(request), 3), (r.ask(request), 3), (r.ask(r.other("RevokeToken", request.id)), 4)):
        frame = b"\0" + struct.pack(">I", SCHEMA_ID) + bytes([2, 2 * index])
        assert reply.value.startswith(frame)
        assert type(reply.message).FromString(reply.value[len(frame) :]) == reply.message
    names = [m.name for m in pb.DESCRIPTOR.message_types_by_name.values()]
    assert names[3:5] == ["CreateTokenReply", "RevokeTokenReply"]


def test_an_outcome_is_one_event_however_often_it_is_told(shared, r):
    request = r.create(a_description())
    first, again = r.ask(request), r.ask(request)
    check(first, "CREATED")
    check(again, "CREATED", replayed=True)
    for reply in (first, again):
        assert event(reply) == {
            "ce_specversion": "1.0",
            "ce_id": request.fingerprint.hex(),
            "ce_source": f"/tokend/{shared.service_id}",
            "ce_type": "tokend.v1.CreateTokenReply",
            "ce_subject": request.id,
        }
        assert dict(reply.headers)["content-type"] == b"application/protobuf"


def test_a_refusal_for_good_is_the_requests_event_too(shared, r):
    request = r.create(a_description(), read=["secret"])
    for replayed in (False, True):
        reply = told(shared, r, request, "POLICY_DENIED", replayed=replayed)
        assert event(reply)["ce_id"] == request.fingerprint.hex()


@pytest.mark.parametrize(
    "refuse, cause, kind",
    [
        (lambda r, q: q.changed(signature=b""), "BAD_SIGNATURE", "CreateTokenReply"),
        (lambda r, q: q.changed(more=[("tokend-key-id", b"x")]), "INVALID_RECORD", "CreateTokenReply"),
        (lambda r, q: r.other("GetOutcome", q.id), "NO_OUTCOME", "CreateTokenReply"),
        (lambda r, q: r.other("RevokeToken", q.id), "NO_OUTCOME", "RevokeTokenReply"),
    ],
    ids=["unsigned", "header", "outcome", "revoke"],
)
def test_a_refused_record_is_an_event_of_its_own(shared, r, refuse, cause, kind):
    """The same record sent again, and mended meanwhile, may be told something else: it must not look like a repeat."""
    record = refuse(r, r.create(a_description()))
    ids = set()
    for n in (1, 2):
        ((partition, offset),) = r.send(record)
        reply = check(r.wait(record, n), cause)
        assert event(reply)["ce_id"] == f"{r.requests}/{partition}@{offset}"
        assert event(reply)["ce_type"] == f"tokend.v1.{kind}" and event(reply)["ce_subject"] == record.id
        ids.add(event(reply)["ce_id"])
    assert len(ids) == 2


def test_a_requests_own_event_headers_are_not_taken_for_ours(shared, r):
    request = r.create(a_description()).changed(more=[("ce_id", b"theirs"), ("content-type", b"text/plain")])
    reply = told(shared, r, request, "CREATED", posts=1, made=1)
    assert [v for k, v in reply.headers if k == "ce_id"] == [request.fingerprint.hex().encode()]
    assert dict(reply.headers)["tokend-method"].decode().startswith(SERVICE)
