# SPDX-License-Identifier: Apache-2.0
"""Goal: whatever is wrong about a record's outside (key, headers, frame, size, place) refuses the record, in the
contract's order, by a sentence that names it, and says nothing of the ID; what nobody can be answered for goes to the
dead letters as it came.

One tokend for all of them. Fields: test_fields.py. The rows of the table as such: test_status_rows.py.
"""

import base64
import uuid

import pytest
from confluent_kafka import Producer
from nacl.signing import SigningKey

from audit import read_topic
from conftest import until
from contract import SAYS, check, told
from requester import SERVICE, Request, home, media_type, pae, pb

VALUE_MOST = 128 * 1024
ECHOED_MOST, ECHOED_BYTES_MOST = 8, 256
ECHOED = ["kafka_correlationId", "correlation-id", "REPLY_CORRELATION_ID", "x-request-id", "x-saga"]


@pytest.fixture(scope="module")
def running(common):
    common.tokend(echo_headers=ECHOED[3:])
    return common


@pytest.fixture
def r(shared):
    return shared.requester()


def a_description():
    return f"d-{uuid.uuid4()}"


def produce(shared, request, value=None, key=None, partition=None, headers=None):
    """A record of any shape, which the requester waits for as that request's."""
    r = shared.requester()
    producer = Producer({**shared.kafka, "linger.ms": 1})
    r.sent[request.digest] = request
    r.counts[request.digest] = r.counts.get(request.digest, 0) + 1
    producer.produce(
        r.requests,
        value=request.body if value is None else value,
        key=request.key,
        partition=home(request.key, r.partitions) if partition is None else partition,
        headers=request.headers if headers is None else headers,
    )
    assert producer.flush(30) == 0


def signed(r, body, kind="CreateTokenRequest", key=None):
    """Any bytes, signed as that message: what a broken client would send."""
    signature = base64.b64encode(r.me.signing_key.sign(pae(media_type(kind), body)).signature)
    return Request(
        kind.removesuffix("Request"),
        pb.CreateTokenRequest(),
        body,
        key or f"r-{uuid.uuid4()}".encode(),
        r.me.key_id.encode(),
        signature,
    )


# ---- headers -------------------------------------------------------------------------------------------------------


def methods(*values):
    """Instead of the one that a request has; answered as a CreateToken."""

    return lambda q: q.changed(method="", more=[("tokend-method", v) for v in values])


CREATE = (SERVICE + "CreateToken").encode()

WRONG_HEADERS = {
    "unknown-method": (methods(b"/tokend.v1.TokenService/Frob"), "UNKNOWN_METHOD", "/tokend.v1.TokenService/Frob"),
    "no-slash": (methods(CREATE[1:]), "UNKNOWN_METHOD", '"tokend.v1.TokenService/CreateToken"'),
    "other-case": (methods(CREATE.lower()), "UNKNOWN_METHOD", '"/tokend.v1.tokenservice/createtoken"'),
    "empty-method": (methods(b""), "INVALID_RECORD", "tokend-method"),
    "method-of-bytes": (methods(b"\xff\x00"), "INVALID_RECORD", "tokend-method"),
    "method-twice": (methods(CREATE, CREATE), "INVALID_RECORD", "tokend-method stands more than once"),
    "two-methods": (
        methods((SERVICE + "GetOutcome").encode(), CREATE),
        "INVALID_RECORD",
        "tokend-method stands more than once",
    ),
    "method-in-capitals": (
        lambda q: q.changed(more=[("Tokend-Method", CREATE)]),
        "INVALID_RECORD",
        "Tokend-Method must be written tokend-method",
    ),
    "signature-in-capitals": (
        lambda q: q.changed(more=[("TOKEND-SIGNATURE", b"x")]),
        "INVALID_RECORD",
        "TOKEND-SIGNATURE must be written tokend-signature",
    ),
    "key-id-twice": (
        lambda q: q.changed(more=[("tokend-key-id", q.key_id)]),
        "INVALID_RECORD",
        "tokend-key-id stands more than once",
    ),
    "signature-twice": (
        lambda q: q.changed(more=[("tokend-signature", q.signature)]),
        "INVALID_RECORD",
        "tokend-signature stands more than once",
    ),
    "reply-topic-twice": (
        lambda q: q.changed(more=[("kafka_replyTopic", b"x")] * 2),
        "INVALID_RECORD",
        "kafka_replyTopic stands more than once",
    ),
    "key-id-of-bytes": (lambda q: q.changed(key_id=b"\xc3\xa9"), "INVALID_RECORD", "tokend-key-id"),
    "signature-unpadded": (lambda q: q.changed(signature=q.signature.rstrip(b"=")), "INVALID_RECORD",
                           "tokend-signature"),
    "signature-of-63": (lambda q: q.changed(signature=base64.b64encode(b"x" * 63)), "INVALID_RECORD", "64 bytes"),
    "signature-no-base64": (lambda q: q.changed(signature=b"!" * 88), "INVALID_RECORD", "tokend-signature"),
    "signature-blank-behind": (lambda q: q.changed(signature=q.signature + b"\n"), "INVALID_RECORD",
                               "tokend-signature"),
    "echoed-too-long": (
        lambda q: q.changed(more=[("correlation-id", b"x" * (ECHOED_BYTES_MOST + 1))]),
        "INVALID_RECORD",
        "correlation-id has 257 bytes",
    ),
    "ninth-echoed": (
        lambda q: q.changed(more=[("x-saga", b"%d" % i) for i in range(ECHOED_MOST)] + [("x-request-id", b"9")]),
        "INVALID_RECORD",
        "x-request-id is one too many",
    ),
    "another-record-key": (
        lambda q: q.changed(key=f"other-{uuid.uuid4()}".encode()),
        "INVALID_RECORD",
        "but the record's key is \"other-",
    ),
}


@pytest.mark.mock  # the broker plays no part in it
@pytest.mark.parametrize("name", WRONG_HEADERS)
def test_a_wrong_header_is_named_and_the_id_stays_free(shared, r, name):
    spoil, cause, words = WRONG_HEADERS[name]
    good = r.create(a_description())
    mark_of_old = len(r.ignored)
    reply = told(shared, r, spoil(good), cause, words)
    assert dict(reply.headers)["tokend-method"] == CREATE
    assert reply.details == ({"field": "request_id"} if name == "another-record-key" else {})
    assert reply.message.principal == "" and len(r.ignored) == mark_of_old
    told(shared, r, good, "CREATED", posts=1, made=1)


def test_what_is_to_be_echoed_comes_back_byte_for_byte(shared, r):
    """Eight of them, the operator's own and doubled ones too, in their order, on tokens and on refusals."""
    more = [(name, bytes([i]) + b"\xff\0" + name.encode()) for i, name in enumerate(ECHOED)]
    more += [("x-saga", b""), ("x-saga", b"again"), ("correlation-id", b"x" * ECHOED_BYTES_MOST)]
    assert len(more) == ECHOED_MOST
    good = r.create(a_description()).changed(more=[*more, ("x-other", b"not echoed")])
    for request, cause in ((good, "CREATED"), (good.changed(signature=b""), "BAD_SIGNATURE")):
        reply = r.ask(request)
        check(reply, cause)
        assert [(k, v or b"") for k, v in reply.headers if k in ECHOED] == more
        assert "x-other" not in dict(reply.headers)


def test_a_refusal_for_its_correlations_still_echoes_what_fits(shared, r):
    more = [("kafka_correlationId", b"mine"), ("correlation-id", b"x" * 257)]
    reply = told(shared, r, r.create(a_description()).changed(more=more), "INVALID_RECORD", "correlation-id")
    headers = dict(reply.headers)
    assert headers["kafka_correlationId"] == b"mine" and "correlation-id" not in headers


@pytest.mark.parametrize("parent", [b"nonsense", b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01", b"\xff" * 55])
def test_a_trace_that_is_none_is_not_continued(shared, r, parent):
    more = [("traceparent", parent), ("tracestate", b"vendor=1")]
    reply = told(shared, r, r.create(a_description()).changed(more=more), "CREATED", posts=1, made=1)
    assert not {"traceparent", "tracestate"} & set(dict(reply.headers))


def test_without_a_method_it_is_a_create(shared, r):
    request = r.create(a_description())
    reply = told(shared, r, request.changed(method=""), "CREATED", posts=1, made=1)
    assert dict(reply.headers)["tokend-method"] == CREATE


# ---- frames and sizes ----------------------------------------------------------------------------------------------

CREATE_FRAME = b"\0\0\0\0\7\0"  # schema 7, the file's first message


@pytest.mark.parametrize("frame", [CREATE_FRAME, b"\0\xff\xff\xff\xff\x02\0"], ids=["short", "path-of-one"])
def test_a_frame_is_taken_off(shared, r, frame):
    request = r.create(a_description())
    produce(shared, request, value=frame + request.body)
    check(r.wait(request), "CREATED")


@pytest.mark.parametrize("frame", [b"\0", b"\0\0\0\0", b"\0\0\0\0\7", b"\0\0\0\0\7\x80", b"\0\0\0\0\7\x04\0"])
def test_a_broken_frame_is_answered_as_a_create(shared, r, frame):
    """The digest is over all of it."""
    request = signed(r, frame)
    outcome = [("tokend-method", (SERVICE + "GetOutcome").encode())]
    produce(shared, request, headers=request.changed(method="", more=outcome).headers)
    reply = check(r.wait(request), "UNDECODABLE", "frame is broken", details={})
    assert dict(reply.headers)["tokend-method"] == CREATE


@pytest.mark.parametrize(
    "frame, index", [(b"\0\0\0\0\7\x02\x02", "1"), (b"\0\0\0\0\7\x02\x06", "3"), (b"\0\0\0\0\7\x04\0\0", "-1")]
)
def test_a_frame_that_names_another_message(shared, r, frame, index):
    request = r.create(a_description())
    produce(shared, request, value=frame + request.body)
    check(r.wait(request), "UNDECODABLE", f"message index {index} ", "CreateToken", details={})
    produce(shared, request)
    check(r.wait(request, 2), "CREATED")


def test_a_value_of_128_kib_is_read_and_one_byte_more_is_not(shared, r):
    """Full of permissions it is refused for their number: the limit that is met first by whoever is within the size."""
    message = r.create(a_description(), read=["a"]).message
    while len(message.SerializeToString()) < VALUE_MOST - 80:
        message.permissions.add(action=pb.READ, database="x" * 64)
    request = r.sign("CreateToken", filled(message, VALUE_MOST))
    assert len(request.body) == VALUE_MOST
    told(shared, r, request, "INVALID_FIELD", "at most 1000", details={"field": "permissions", "limit": "1000"})
    request = r.sign("CreateToken", filled(message, VALUE_MOST + 1))
    assert len(request.body) == VALUE_MOST + 1
    words = f"the value has {VALUE_MOST + 1} bytes"
    told(shared, r, request, "UNDECODABLE", words, details={"limit": str(VALUE_MOST)})


def filled(message, size):
    """The same, of exactly so many bytes, under another ID."""
    m = pb.CreateTokenRequest.FromString(message.SerializeToString())
    m.request_id = f"r-{uuid.uuid4()}"
    m.description += "x" * (size - len(m.SerializeToString()))
    m.description = m.description[: len(m.description) - (len(m.SerializeToString()) - size)]
    assert len(m.SerializeToString()) == size
    return m


def test_a_record_of_700_kib_is_answered_too(shared, r):
    request = signed(r, b"\x0a" + b"x" * 700 * 1024)
    told(shared, r, request, "UNDECODABLE", "716801 bytes", details={"limit": str(VALUE_MOST)})


def test_a_record_without_a_value(shared, r):
    request = r.create(a_description()).changed(body=b"")
    r.sent[request.digest], r.counts[request.digest] = request, 1
    producer = Producer(shared.kafka)
    producer.produce(r.requests, key=request.key, partition=home(request.key, r.partitions), headers=request.headers)
    assert producer.flush(30) == 0
    check(r.wait(request), "UNDECODABLE", "no value")


def test_bytes_that_are_no_protobuf(shared, r):
    """Whoever did not sign them learns no more than that."""
    told(shared, r, signed(r, b"\xff\xff\xff no protobuf"), "UNDECODABLE")
    told(shared, r, signed(r, b"\xff\xff\xff no protobuf").changed(signature=b""), "BAD_SIGNATURE")


# ---- the order of checks -------------------------------------------------------------------------------------------


def test_the_order_of_checks(shared, r):
    """A record in which everything is wrong, mended one by one: each time the next is named, and nothing else."""
    stranger = SigningKey.generate()
    message = r.create("", service_id="elsewhere", cluster="mars").message
    message.principal = "billing"
    message.issued_at.seconds += 600
    own = r.sign("CreateToken", message)
    wrong_home = 1 - home(own.key, r.partitions)

    def record(value=b"", more=(), **changed):
        q = own.changed(more=list(more), **changed)
        return q.changed(body=value or q.body)

    long_value, twice = own.body + b"x" * VALUE_MOST, [("tokend-key-id", b"twice")]
    frob = [("tokend-method", SERVICE.encode() + b"Frob")]
    topic = [("kafka_replyTopic", b"elsewhere")]
    unsigned = base64.b64encode(stranger.sign(b"").signature)
    steps = [
        ("UNDECODABLE", record(long_value, [*twice, *frob, *topic], method="", signature=unsigned), wrong_home),
        ("INVALID_RECORD", record(more=[*twice, *frob, *topic], method="", signature=unsigned), wrong_home),
        ("UNDECODABLE", record(b"\0", [*frob, *topic], method="", signature=unsigned), wrong_home),
        ("UNKNOWN_METHOD", record(more=[*frob, *topic], method="", signature=unsigned), wrong_home),
        ("WRONG_PARTITION", record(more=topic, signature=unsigned), wrong_home),
        ("WRONG_REPLY_TOPIC", record(more=topic, signature=unsigned), None),
        ("BAD_SIGNATURE", record(signature=unsigned), None),
        ("WRONG_PRINCIPAL", record(), None),
    ]
    for cause, q, partition in steps:
        told(shared, r, q, cause, partition=partition)
    for cause, mend in (
        ("UNDECODABLE", lambda m: setattr(m, "principal", "telemetry")),
        ("CLOCK_SKEW", lambda m: setattr(m, "service_id", shared.service_id)),
        ("INVALID_FIELD", lambda m: setattr(m.issued_at, "seconds", m.issued_at.seconds - 600)),
    ):
        mend(message)
        last = told(shared, r, r.sign("CreateToken", message), cause)
    assert last.details["field"] == "target.cluster"  # the fields have an order, too
    assert SAYS["INVALID_FIELD"] == last.said


# ---- dead letters --------------------------------------------------------------------------------------------------


def dead_letters(shared, reason, value):
    found = until(
        "the dead letter",
        lambda: [
            m
            for m in read_topic(shared.kafka, f"{shared.service_id}.deadletters")
            if m.value() == value and dict(m.headers())["tokend-dead-letter-reason"] == reason
        ],
        every_s=0.2,
    )
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    "key",
    [None, b"", b"a b", b"x" * 129, b"\xff\xfe", b"a\0b", "é".encode(), b"a/b"],
    ids=["null", "empty", "blank", "129", "bytes", "nul", "accent", "slash"],
)
def test_a_record_whose_key_is_no_id_goes_to_the_dead_letters(shared, r, key):
    request = r.create(a_description())
    producer, places = Producer(shared.kafka), []
    producer.produce(
        r.requests,
        value=request.body,
        key=key,
        partition=1,
        headers=[*request.headers, ("x-own", b"kept"), ("x-own", b"twice")],
        on_delivery=lambda e, m: places.append(m.offset()),
    )
    assert producer.flush(30) == 0
    dead = dead_letters(shared, b"invalid_key", request.body)
    assert (dead.key() or b"") == (key or b"")
    assert dead.headers() == [
        *request.headers,
        ("x-own", b"kept"),
        ("x-own", b"twice"),
        ("tokend-dead-letter-reason", b"invalid_key"),
        ("tokend-dead-letter-topic", r.requests.encode()),
        ("tokend-dead-letter-partition", b"1"),
        ("tokend-dead-letter-offset", b"%d" % places[0]),
    ]
    assert shared.sandbox.posts(request.message.description) == []


def test_a_dead_letter_too_large_to_keep_is_told_by_its_place(shared, r):
    producer, places, value = Producer(shared.kafka), [], b"x" * 800 * 1024
    producer.produce(
        r.requests, value=value, key=b"no id", partition=0, on_delivery=lambda e, m: places.append(m.offset())
    )
    assert producer.flush(30) == 0
    at = b"%d" % places[0]
    dead = until(
        "its dead letter",
        lambda: [
            h
            for m in read_topic(shared.kafka, f"{shared.service_id}.deadletters")
            if (h := dict(m.headers()))["tokend-dead-letter-offset"] == at
            and h["tokend-dead-letter-partition"] == b"0"
            and (m.value() or b"") == b""
        ],
        every_s=0.2,
    )
    assert len(dead) == 1 and dead[0]["tokend-dead-letter-omitted-bytes"] == b"%d" % (len(value) + len(b"no id"))
