# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the service, for tests of a requester alone: an embedded Kafka (librdkafka's mock cluster) and just
enough of the contract to answer a request or a question, honestly or not. Written from the contract, without any of the
service's code, so that it also tells when both programs agree on something that the contract does not say.

The mock cluster shows uncommitted records and writes no markers: this is for the requester's logic, not for its
guarantees.
"""

import base64
import ctypes
import ctypes.util
import hashlib
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SODIUM = ctypes.CDLL(ctypes.util.find_library("sodium"))
REQUEST_TYPE = b"application/vnd.tokend.v1.CreateTokenRequest+protobuf"
QUESTION_TYPE = b"application/vnd.tokend.v1.GetOutcomeRequest+protobuf"
REVOCATION_TYPE = b"application/vnd.tokend.v1.RevokeTokenRequest+protobuf"
REPLY_TYPE = b"application/vnd.tokend.v1.CreateTokenReply+protobuf"
REVOKED_TYPE = b"application/vnd.tokend.v1.RevokeTokenReply+protobuf"
OUTCOME, RECORD = 1, 2
TOKEN_ID = "6a3d2b1c-0000-4000-8000-000000000001"
ATTEMPT = "6a3d2b1c-0000-4000-8000-000000000002"


def pae(kind, body):
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def fingerprint(body):
    return hashlib.sha256(pae(REQUEST_TYPE, body)).digest()


def digest(body, key_id, signature, kind=REQUEST_TYPE):
    return hashlib.sha256(
        pae(kind, body) + b" %d %s %d %s" % (len(key_id), key_id, len(signature), signature)
    ).digest()


def seal(plain, public):
    box = ctypes.create_string_buffer(len(plain) + 48)
    assert SODIUM.crypto_box_seal(box, plain, ctypes.c_ulonglong(len(plain)), public) == 0
    return box.raw


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    """One field; what is empty or zero is left out, as proto3 does."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    return varint(number << 3 | 2) + varint(len(value)) + value if value else b""


def fields(body):
    """[(number, value)] of a message without fixed-width fields."""
    at, found = 0, []

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = body[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return n

    while at < len(body):
        key = number()
        value = number()
        if key & 7 == 2:
            at += value
            value = body[at - value : at]
        found.append((key >> 3, value))
    return found


class Signed:
    """What any record of ours has, as it came in."""

    def __init__(self, message):
        self.body, self.partition, self.key = message.value(), message.partition(), message.key()
        self.headers = dict(message.headers())
        one = dict(fields(self.body))
        self.request_id, self.principal, self.service_id = (one[n].decode() for n in (1, 2, 3))

    def digest(self):
        return digest(self.body, self.headers["tokend-key-id"], self.headers["tokend-signature"], self.kind)

    def signature_verifies(self, public):
        Ed25519PublicKey.from_public_bytes(public).verify(
            base64.b64decode(self.headers["tokend-signature"]), pae(self.kind, self.body)
        )
        return True


class Question(Signed):
    """A GetOutcomeRequest."""

    kind = QUESTION_TYPE

    def __init__(self, message):
        super().__init__(message)
        one = dict(fields(self.body))
        self.issued_at, self.deadline = (dict(fields(one[n]))[1] for n in (4, 5))


class Revocation(Question):
    """A RevokeTokenRequest: a GetOutcomeRequest with a reason."""

    kind = REVOCATION_TYPE

    def __init__(self, message):
        super().__init__(message)
        self.reason = dict(fields(self.body)).get(6, b"").decode()


class Request(Signed):
    """A CreateTokenRequest."""

    kind = REQUEST_TYPE

    def __init__(self, message):
        super().__init__(message)
        f = fields(self.body)
        one = dict(f)
        self.cluster = dict(fields(one[4]))[1].decode() if 4 in one else ""
        self.description = one[5].decode()
        self.permissions = [value for number, value in f if number == 6]
        self.expires_at = one.get(7, b"")
        self.deadline, self.issued_at = one.get(9), one[8]
        self.box_key_id = dict(fields(one[10]))[1].decode()


class StandIn:
    """One mock cluster. answer(request) says what is published, a list of (headers, value); answered counts them."""

    def __init__(self, partitions=6):
        self.producer = Producer(
            {
                "test.mock.num.brokers": 1,
                "bootstrap.servers": "ignored",
                "log_level": 0,
                "linger.ms": 0,
                "allow.auto.create.topics": True,
            }
        )
        broker = next(iter(self.producer.list_topics(timeout=10).brokers.values()))
        self.bootstrap = f"{broker.host}:{broker.port}"
        self.partitions = partitions
        self.requests, self.answer, self.answered, self.stopped = [], lambda request: [], 0, False
        for topic in ("tokend.requests", "tokend.replies"):  # a first look creates a topic of four partitions
            self.producer.list_topics(topic, timeout=10)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "stand-in",
                "fetch.wait.max.ms": 10,
                "log_level": 0,
                "auto.offset.reset": "earliest",
            }
        )
        consumer.assign([TopicPartition("tokend.requests", p, 0) for p in range(self.partitions)])
        while not self.stopped:
            message = consumer.poll(0.05)
            if message is None or message.error():
                continue
            method = dict(message.headers())["tokend-method"].rpartition(b"/")[2]
            request = {b"CreateToken": Request, b"GetOutcome": Question, b"RevokeToken": Revocation}[method](message)
            self.requests.append(request)
            for headers, value in self.answer(request):
                self.producer.produce(
                    "tokend.replies", key=message.key(), value=value, partition=message.partition(), headers=headers
                )
            self.producer.flush(5)
            self.answered += 1
        consumer.close()

    def stop(self):
        self.stopped = True
        self.thread.join(10)


class Service:
    """Makes replies. Keywords spoil one thing at a time."""

    def __init__(self, seed, box_public, service_id="tokend"):
        self.key, self.box_public, self.service_id = Ed25519PrivateKey.from_private_bytes(seed), box_public, service_id

    def sign(self, value, key=None, kind=REPLY_TYPE):
        signature = base64.b64encode((key or self.key).sign(pae(kind, value)))
        return [("tokend-key-id", b"tokend-1"), ("tokend-signature", signature)], value

    def beginning(self, request, status, spoilt):
        """What every reply begins with."""
        value = field(1, spoilt.get("request_id", request.request_id))
        value += field(2, spoilt.get("principal", request.principal))
        value += field(3, spoilt.get("digest", request.digest()))
        return value + varint(4 << 3 | 2) + varint(len(status)) + status

    def reply(self, request, status=b"", box=b"", **spoilt):
        value = self.beginning(request, status, spoilt)
        if box:
            value += field(5, 1) + field(6, request.box_key_id) + field(7, box)
        value += field(9, int(spoilt.get("replayed", False))) + field(10, field(1, spoilt.get("revoked_at", 0)))
        return value + field(11, field(1, int(time.time())))

    def created(self, request, token, key=None, **spoilt):
        secret = field(1, self.service_id) + field(2, request.request_id) + field(3, fingerprint(request.body))
        secret += field(4, request.box_key_id) + field(5, spoilt.get("cluster", "main"))
        marker = f"[tokend/1:tokend:telemetry:{request.partition}:{ATTEMPT}]"
        secret += field(8, f"{spoilt.get('description', request.description)} {marker}")
        secret += b"".join(field(9, p) for p in request.permissions)
        secret += field(10, TOKEN_ID) + field(11, token.ljust(64, "-"))  # none is shorter
        secret += field(12, field(1, int(time.time()))) + field(13, request.expires_at)
        return self.sign(self.reply(request, box=seal(secret, self.box_public), **spoilt), key)

    def refused(self, request, code, reason, about, retry, message, **spoilt):
        status = field(1, code) + field(2, message) + field(3, reason) + field(4, about) + field(5, retry)
        if isinstance(request, Revocation):
            return self.sign(self.beginning(request, status, spoilt), kind=REVOKED_TYPE)
        return self.sign(self.reply(request, status=status, **spoilt))

    def revoked(self, request, at, key=None, kind=REVOKED_TYPE, **spoilt):
        """A RevokeTokenReply: done, at that moment (Unix seconds)."""
        value = self.beginning(request, field(4, OUTCOME), spoilt) + field(5, spoilt.get("token_id", TOKEN_ID))
        value += field(6, 1) + field(7, int(spoilt.get("replayed", False)))
        value += field(8, field(1, at)) + field(9, field(1, int(time.time())))
        return self.sign(value, key, kind)
