# SPDX-License-Identifier: Apache-2.0
"""A requester in Python, written from the contract (proto/tokend/v1/token.proto and the README) and from nothing of
the service's code.

    r = Requester(kafka={"bootstrap.servers": "broker:9092"}, topics=("tokend.requests", "tokend.replies"),
                  partitions=6, service_id="tokend", service_keys={"svc-1": verify_key},
                  principal=Principal("telemetry", "t-1", signing_key, "t-box1", box_key))
    request = r.create("for the agent", read=["cpu"])
    r.send(request)
    reply = r.wait(request)
    reply.secret.access_token

It waits as a service does: one consumer, assigned to all reply partitions from before the first send, read_committed.
What does not verify is ignored, and kept aside for tests to look at.
"""

import atexit
import base64
import dataclasses
import hashlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.public import PrivateKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

PROTO = Path(__file__).resolve().parents[2] / "proto"


def generated():
    """The messages, made from proto/ now, so that they are never older than it."""
    directory = tempfile.mkdtemp(prefix="tokend-e2e-proto.")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    subprocess.run(
        ["protoc", f"-I{PROTO}", f"--python_out={directory}", "tokend/v1/token.proto", "tokend/v1/journal.proto"],
        check=True,
    )
    sys.path.insert(0, directory)
    from tokend.v1 import journal_pb2, token_pb2

    return token_pb2, journal_pb2


pb, journal_pb = generated()

SERVICE = "/tokend.v1.TokenService/"
REPLIES = {"CreateToken": pb.CreateTokenReply, "GetOutcome": pb.CreateTokenReply, "RevokeToken": pb.RevokeTokenReply}
ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
MARKER = re.compile(r" \[tokend/1:([a-z0-9-]+):([a-z0-9._-]+):([0-9]+):([0-9a-f-]{36})\]$")
OUTCOME, RECORD = pb.OUTCOME, pb.RECORD


# ---- the arithmetic of the contract --------------------------------------------------------------------------------


def media_type(message):
    return f"application/vnd.tokend.v1.{message}+protobuf".encode()


def pae(kind, body):
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)


def fingerprint_of(kind, body):
    return hashlib.sha256(pae(kind, body)).digest()


def digest_of(kind, body, key_id, signature):
    return hashlib.sha256(pae(kind, body) + b" %d %s %d %s" % (len(key_id), key_id, len(signature), signature)).digest()


def murmur2(key):
    """Kafka's own, as its Java client has it."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for (k,) in struct.iter_unpack("<I", key[:whole]):
        k = k * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if len(key) > whole:
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def home(key, partitions):
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def frame_bytes(value):
    """How many bytes of Schema Registry's frame stand before the protobuf: 0, schema id, which message. None: it is
    broken."""
    if not value or value[0] != 0:
        return 0
    at = 5

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = value[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return n >> 1 ^ -(n & 1)

    try:
        for _ in range(number()):
            number()
    except IndexError:
        return None
    return at if len(value) >= 5 else None


def unframed(value):
    """What is signed and digested: all of a value whose frame is broken."""
    return (value or b"")[frame_bytes(value) or 0 :]


def first(headers, name):
    return next((value or b"" for key, value in headers or () if key == name), b"")


def method_of_record(message):
    """What it is answered as: a CreateToken, where the method is doubled or unknown, or the frame is broken."""
    methods = [v or b"" for k, v in message.headers() or () if k == "tokend-method"]
    method = methods[0].decode(errors="replace") if len(methods) == 1 else ""
    known = method.startswith(SERVICE) and method.removeprefix(SERVICE) in REPLIES
    return method.removeprefix(SERVICE) if known and frame_bytes(message.value()) is not None else "CreateToken"


def digest_of_record(message):
    """The digest of any record of the request topic, a broken one's too."""
    kind = media_type(method_of_record(message) + "Request")
    return digest_of(
        kind,
        unframed(message.value()),
        first(message.headers(), "tokend-key-id"),
        first(message.headers(), "tokend-signature"),
    )


def fingerprint_of_record(message):
    return fingerprint_of(media_type("CreateTokenRequest"), unframed(message.value()))


# ---- nouns ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Principal:
    name: str
    key_id: str
    signing_key: SigningKey
    box_key_id: str
    box_key: PrivateKey


@dataclasses.dataclass
class Request:
    """One signed message, ready to be stored and sent: its bytes never change again."""

    method: str
    message: object
    body: bytes
    key: bytes
    key_id: bytes
    signature: bytes
    more: list = dataclasses.field(default_factory=list)  # further headers

    @property
    def id(self):
        return self.key.decode(errors="replace")

    @property
    def kind(self):
        return media_type(self.method + "Request" if self.method in REPLIES else "CreateTokenRequest")

    @property
    def fingerprint(self):
        return fingerprint_of(self.kind, self.body)

    @property
    def digest(self):
        return digest_of(self.kind, self.body, self.key_id, self.signature)

    @property
    def headers(self):
        named = [
            ("tokend-method", (SERVICE + self.method).encode() if self.method else b""),
            ("tokend-key-id", self.key_id),
            ("tokend-signature", self.signature),
        ]
        return [(k, v) for k, v in named if v] + self.more

    def changed(self, **fields):
        return dataclasses.replace(self, **fields)


@dataclasses.dataclass
class Reply:
    message: object  # CreateTokenReply or RevokeTokenReply
    headers: list
    partition: int
    offset: int
    value: bytes  # as it stood in the record, a frame and all
    secret: object = None  # TokenSecret, opened and compared

    @property
    def status(self):
        return self.message.status

    @property
    def said(self):
        """What tests compare: (code, reason, about, retry)."""
        s = self.status
        return s.code, s.reason, s.about, s.retry

    @property
    def details(self):
        return {d.key: d.value for d in self.status.details}


class Ignored(Exception):
    """Why a record on the reply topic is not believed."""


# ---- the requester -------------------------------------------------------------------------------------------------


class Requester:
    def __init__(self, kafka, topics, partitions, service_id, principal, service_keys, clusters=None):
        self.requests, self.replies_topic = topics
        self.partitions, self.service_id, self.me = partitions, service_id, principal
        self.service_keys = {k.encode(): v for k, v in service_keys.items()}
        self.clusters = clusters or {}  # name -> (account_id, cluster_id), where the box shall say so
        self.sent = {}  # digest -> Request
        self.counts = {}  # digest -> how many records were sent
        self.sent_to = {}  # digest -> {partition}
        self.replies = {}  # digest -> [Reply]
        self.ignored = []  # (why, message)
        self.producer = Producer({**kafka, "linger.ms": 1})
        self.consumer = Consumer(
            {
                **kafka,
                "group.id": f"nobody-{uuid.uuid4()}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
            }
        )
        self.consumer.assign([TopicPartition(self.replies_topic, p, OFFSET_BEGINNING) for p in range(partitions)])

    def close(self):
        self.consumer.close()

    # -- making ------------------------------------------------------------------------------------------------------

    def create(
        self,
        description="made by a test",
        read=(),
        write=(),
        request_id=None,
        cluster="prod",
        expires_at=None,
        life_s=None,
        inline=False,
        **fields,
    ):
        """A CreateToken. "*" is every database; life_s is the deadline, from now."""
        now = int(time.time())
        m = pb.CreateTokenRequest(
            request_id=request_id or f"r-{uuid.uuid4()}",
            principal=self.me.name,
            service_id=self.service_id,
            description=description,
        )
        m.target.cluster = cluster
        for action, databases in ((pb.READ, read), (pb.WRITE, write)):
            for name in databases:
                m.permissions.add(action=action, **({"all_databases": True} if name == "*" else {"database": name}))
        if not m.permissions:
            m.permissions.add(action=pb.READ, database="mydb")
        m.issued_at.seconds = now
        if expires_at is not None:
            m.expires_at.seconds = expires_at
        if life_s is not None:
            m.deadline.seconds = now + life_s
        if inline:
            m.recipient.inline_key.suite = pb.SEALEDBOX_X25519
            m.recipient.inline_key.public_key = bytes(self.me.box_key.public_key)
        else:
            m.recipient.key_id = self.me.box_key_id
        for name, value in fields.items():
            setattr(m, name, value)
        return self.sign("CreateToken", m)

    def other(self, method, request_id, life_s=None, **fields):
        """A GetOutcome or a RevokeToken; fields are the message's own."""
        m = {"GetOutcome": pb.GetOutcomeRequest, "RevokeToken": pb.RevokeTokenRequest}[method](
            request_id=request_id, principal=self.me.name, service_id=self.service_id, **fields
        )
        m.issued_at.seconds = int(time.time())
        if life_s is not None:
            m.deadline.seconds = m.issued_at.seconds + life_s
        return self.sign(method, m)

    def sign(self, method, message, signing_key=None, key_id=None):
        body = message.SerializeToString(deterministic=True)
        signature = (signing_key or self.me.signing_key).sign(pae(media_type(method + "Request"), body)).signature
        return Request(
            method,
            message,
            body,
            message.request_id.encode(),
            (key_id or self.me.key_id).encode(),
            base64.b64encode(signature),
        )

    # -- sending -----------------------------------------------------------------------------------------------------

    def send(self, *requests, partition=None):
        """Returns when the broker has them all: [(partition, offset)]."""
        places = []

        def delivered(error, message):
            assert error is None, error
            places.append((message.partition(), message.offset()))

        for r in requests:
            where = home(r.key or b"", self.partitions) if partition is None else partition
            self.sent[r.digest] = r
            self.counts[r.digest] = self.counts.get(r.digest, 0) + 1
            self.sent_to.setdefault(r.digest, set()).add(where)
            self.producer.produce(
                self.requests, value=r.body, key=r.key, partition=where, headers=r.headers, on_delivery=delivered
            )
        assert self.producer.flush(30) == 0, "the broker does not take the requests"
        return places

    # -- waiting -----------------------------------------------------------------------------------------------------

    def judge(self, message):
        """A reply that may be believed, opened; raises Ignored."""
        key_id, method = first(message.headers(), "tokend-key-id"), first(message.headers(), "tokend-method").decode(
            errors="replace"
        )
        kind = REPLIES.get(method.removeprefix(SERVICE), pb.CreateTokenReply)
        service_key = self.service_keys.get(key_id)
        value = unframed(message.value())
        if service_key is None:
            raise Ignored(f"signed by {key_id}, which is not pinned")
        try:
            service_key.verify(
                pae(media_type(kind.DESCRIPTOR.name), value),
                base64.b64decode(first(message.headers(), "tokend-signature"), validate=True),
            )
        except (BadSignatureError, ValueError) as e:
            raise Ignored("the signature does not verify") from e
        m = kind.FromString(value)
        request = self.sent.get(m.request_digest)
        if request is None:
            raise Ignored("answers no record of ours")
        if m.principal != self.me.name and not (m.principal == "" and m.status.about == RECORD):
            raise Ignored(f"is for principal {m.principal!r}")
        # A reply lies in the partition of its record, wherever that was sent to.
        partitions = self.sent_to.get(request.digest) or {home(request.key, self.partitions)}
        if message.key() != request.key or m.request_id != request.id or message.partition() not in partitions:
            raise Ignored("another request's key or partition")
        reply = Reply(m, message.headers(), message.partition(), message.offset(), message.value())
        if m.status.code == 0 and kind is pb.CreateTokenReply:
            reply.secret = self.open(request, m)
        elif kind is pb.CreateTokenReply and m.sealed_token:
            raise Ignored("an error with a box")
        return reply

    def open(self, request, m):
        """The box, its context compared with what was asked: all of it. A GetOutcome asks what a CreateToken did."""
        if request.method == "GetOutcome":
            request = next(q for q in self.sent.values() if q.method == "CreateToken" and q.key == request.key)
        asked = request.message
        try:
            secret = pb.TokenSecret.FromString(SealedBox(self.me.box_key).decrypt(m.sealed_token))
        except CryptoError as e:
            raise Ignored("the box does not open") from e
        marker = MARKER.search(secret.description)
        key_id = (
            asked.recipient.key_id or "sha256:" + hashlib.sha256(asked.recipient.inline_key.public_key).hexdigest()[:16]
        )
        account_id, cluster_id = self.clusters.get(asked.target.cluster, (secret.account_id, secret.cluster_id))
        same = {
            "service_id": secret.service_id == asked.service_id,
            "request_id": secret.request_id == asked.request_id,
            "request_fingerprint": secret.request_fingerprint == request.fingerprint,
            "recipient_key_id": secret.recipient_key_id == key_id == m.recipient_key_id,
            "suite": m.suite == pb.SEALEDBOX_X25519,
            "cluster": secret.cluster == asked.target.cluster,
            "account_id": secret.account_id == account_id,
            "cluster_id": secret.cluster_id == cluster_id,
            "description": secret.description.startswith(asked.description)
            and marker is not None
            and marker.start() == len(asked.description),
            "marker": marker is not None
            and marker.groups()[:3] == (self.service_id, self.me.name, str(home(request.key, self.partitions))),
            "permissions": list(secret.permissions) == list(asked.permissions),
            "expires_at": secret.HasField("expires_at") == asked.HasField("expires_at")
            and abs(secret.expires_at.seconds - asked.expires_at.seconds) <= 1,
        }
        different = [name for name, equal in same.items() if not equal]
        if different:
            raise Ignored(f"the box tells another {', '.join(different)}")
        return secret

    def poll(self, timeout_s):
        for message in self.consumer.consume(500, timeout_s):
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise AssertionError(message.error())
                continue
            try:
                reply = self.judge(message)
            except Ignored as why:
                self.ignored.append((str(why), message))
                continue
            self.replies.setdefault(reply.message.request_digest, []).append(reply)

    def wait(self, request, n=1, within_s=90):
        """The n-th believed reply to that record's bytes."""
        until = time.monotonic() + within_s
        while len(self.replies.get(request.digest, ())) < n:
            assert time.monotonic() < until, (
                f"{request.id}: {len(self.replies.get(request.digest, ()))} replies of {n} "
                f"in {within_s} s; ignored: {[why for why, _ in self.ignored]}"
            )
            self.poll(0.05)
        return self.replies[request.digest][n - 1]

    def wait_all(self, requests, within_s=90):
        return [self.wait(r, within_s=within_s) for r in requests]

    def ask(self, request, within_s=90, **how):
        """Send it, and wait for the reply to this very sending."""
        n = self.counts.get(request.digest, 0) + 1
        self.send(request, **how)
        return self.wait(request, n, within_s)

    def settle(self, within_s=90):
        """Wait until all that was sent is answered."""
        for digest, request in list(self.sent.items()):
            if request.key is not None and ID.fullmatch(request.key) and self.counts[digest] > 0:
                self.wait(request, self.counts[digest], within_s)


def read_secret(path):
    """The base64 of 32 bytes, as tokenctl init writes its key files."""
    return base64.b64decode(Path(path).read_text().strip(), validate=True)


def verify_key(text):
    return VerifyKey(base64.b64decode(text, validate=True))
