# SPDX-License-Identifier: Apache-2.0
"""A requester as a stranger writes it: from README.md (The contract), proto/tokend/v1/token.proto and tests/vectors/
alone. It waits as a job does: note the end of the reply topic's partition, send, read from there.

    me = Requester(kafka, topics, deployment, identity, store)
    token = me.ask(create(identity, deployment, "for the agent", [permission("READ", "metrics")])).secret.access_token
    token = me.repeat(request_id).secret.access_token           # the same bytes again: the same token
"""

import base64
import collections
import dataclasses
import enum
import hashlib
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from google.protobuf.message import DecodeError
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.public import PrivateKey, SealedBox
from nacl.signing import SigningKey

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def compiled():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["protoc", f"-I{PROTO}", f"--python_out={directory}", "tokend/v1/token.proto"], check=True, timeout=60
        )
        sys.path.insert(0, directory)
        try:
            from tokend.v1 import token_pb2
        finally:
            sys.path.remove(directory)
    return token_pb2


pb = compiled()
CREATE_TOKEN, REPLY_INDEX = "/tokend.v1.TokenService/CreateToken", [3]
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


# ---- encodings -----------------------------------------------------------------------------------------------------


def pae(message, body):
    """DSSE's pre-authentication encoding."""
    media_type = f"application/vnd.tokend.v1.{message}+protobuf".encode()
    return b"DSSEv1 %d %s %d %s" % (len(media_type), media_type, len(body), body)


def fingerprint(message, body):
    return hashlib.sha256(pae(message, body)).digest()


def request_digest(message, body, kid, sig):
    return hashlib.sha256(pae(message, body) + b" %d %s %d %s" % (len(kid), kid, len(sig), sig)).digest()


def murmur2(key):
    """As Java's client has it: seed 0x9747b28c, little-endian words."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h, whole = 0x9747B28C ^ len(key), len(key) // 4 * 4
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


def zigzag(value, at):
    """One varint of a frame's message index, and where it ends."""
    n = 0
    for shift in range(0, 35, 7):
        byte = value[at]  # IndexError: cut
        n, at = n | (byte & 0x7F) << shift, at + 1
        if byte < 0x80:
            return n >> 1 ^ -(n & 1), at
    raise ValueError("a number without an end")


def unframe(value):
    """Schema Registry's frame: the message's index (None without a frame) and the body. ValueError: broken."""
    if value[:1] != b"\0":
        return None, value
    try:
        count, at = zigzag(value, 5)
        if count < 0:
            raise ValueError("a negative number of numbers")
        index = []
        for _ in range(count):
            n, at = zigzag(value, at)
            if n < 0:
                raise ValueError("a negative number")
            index.append(n)
    except IndexError:
        raise ValueError("cut") from None
    return index or [0], value[at:]


def inline_id(public):
    return f"sha256:{hashlib.sha256(public).hexdigest()[:16]}"


def verify(key, message, body, signature):
    """Does that public key's signature, in padded base64, fit?"""
    try:
        raw = base64.b64decode(signature, validate=True)
        if len(raw) != 64:
            return False
        key.verify(pae(message, body), raw)
        return True
    except (ValueError, BadSignatureError):
        return False


# ---- what a requester knows ----------------------------------------------------------------------------------------


@dataclasses.dataclass
class Deployment:
    """What the operator tells: the service, its pinned keys by id, its clusters' ids by name ("", "" for Clustered)."""

    service_id: str
    partitions: int
    service_keys: dict
    clusters: dict


@dataclasses.dataclass
class Identity:
    principal: str
    key_id: str
    signing_key: SigningKey
    box_key_id: str  # registered in the policy; or inline_id() of a key that is brought along
    box_key: PrivateKey


@dataclasses.dataclass(frozen=True)
class Record:
    """What is stored before it is sent, and sent again to ask again."""

    key: bytes
    value: bytes
    key_id: bytes
    signature: bytes

    def headers(self):
        return [("tokend-method", CREATE_TOKEN.encode()), ("tokend-key-id", self.key_id),
                ("tokend-signature", self.signature)]

    def request(self):
        return pb.CreateTokenRequest.FromString(self.value)

    def fingerprint(self):
        return fingerprint("CreateTokenRequest", self.value)

    def digest(self):
        return request_digest("CreateTokenRequest", self.value, self.key_id, self.signature)


def permission(action, database=None):
    """On one database, or on all."""
    return pb.Permission(action=action, **({"database": database} if database else {"all_databases": True}))


def create(me, deployment, description, permissions, cluster=None, request_id=None, **more):
    """A CreateTokenRequest; `more` are fields of it, times in Unix seconds."""
    request = pb.CreateTokenRequest(
        request_id=request_id or str(uuid.uuid4()), principal=me.principal, service_id=deployment.service_id,
        description=description, permissions=permissions,
    )
    if cluster:
        request.target.cluster = cluster
    if me.box_key_id.startswith("sha256:"):
        request.recipient.inline_key.suite = pb.SEALEDBOX_X25519
        request.recipient.inline_key.public_key = bytes(me.box_key.public_key)
    else:
        request.recipient.key_id = me.box_key_id
    for name, seconds in {"issued_at": int(time.time()), **more}.items():
        getattr(request, name).seconds = seconds
    return request


def sign(me, request):
    """Encoded once; from here on only these bytes count."""
    value = request.SerializeToString()
    signature = base64.b64encode(me.signing_key.sign(pae("CreateTokenRequest", value)).signature)
    return Record(request.request_id.encode(), value, me.key_id.encode(), signature)


# ---- the reply -----------------------------------------------------------------------------------------------------


class Ignored(Exception):
    """A record that must not end the waiting. `because`: frame, signature, status, request, digest, principal, box or
    context."""

    def __init__(self, because, what):
        super().__init__(f"{because}: {what}")
        self.because = because


@dataclasses.dataclass
class Answer:
    reply: object
    secret: object  # the TokenSecret, where the code is OK


def judge(deployment, me, sent, headers, value):
    """The Answer that this record of the reply topic is to the one that was sent; or Ignored."""
    reply = signed_by_the_service(deployment, headers, unframed_reply(value))
    if not reply.HasField("status"):
        raise Ignored("status", "none, which would read as OK")
    if reply.request_id != sent.key.decode():
        raise Ignored("request", reply.request_id)
    if reply.request_digest != sent.digest():
        raise Ignored("digest", "it answers another record")
    about_record_alone = reply.status.code != 0 and reply.status.about == pb.RECORD
    if reply.principal != me.principal and not (reply.principal == "" and about_record_alone):
        raise Ignored("principal", reply.principal)
    if reply.status.code != 0:
        return Answer(reply, None)
    secret = opened(me, reply)
    for name, fits in context(deployment, me, sent, reply, secret):
        if not fits:
            raise Ignored("context", name)
    return Answer(reply, secret)


def unframed_reply(value):
    try:
        index, body = unframe(value or b"")
    except ValueError as e:
        raise Ignored("frame", f"broken: {e}") from None
    if index not in (None, REPLY_INDEX):
        raise Ignored("frame", f"of message {index}")
    return body


def signed_by_the_service(deployment, headers, body):
    found = collections.defaultdict(list)
    for name, content in headers or []:
        found[name].append(content or b"")
    ids, signatures = found["tokend-key-id"], found["tokend-signature"]
    if len(ids) != 1 or len(signatures) != 1:
        raise Ignored("signature", "not one key id and one signature")
    key = deployment.service_keys.get(ids[0].decode(errors="replace"))
    if key is None:
        raise Ignored("signature", f"{ids[0]} is not pinned")
    if not verify(key, "CreateTokenReply", body, signatures[0]):
        raise Ignored("signature", f"not {ids[0]}'s")
    try:
        return pb.CreateTokenReply.FromString(body)
    except DecodeError:
        raise Ignored("signature", "no CreateTokenReply") from None


def opened(me, reply):
    if reply.suite != pb.SEALEDBOX_X25519 or reply.recipient_key_id != me.box_key_id:
        raise Ignored("box", f"suite {reply.suite}, key {reply.recipient_key_id}")
    try:
        secret = pb.TokenSecret.FromString(SealedBox(me.box_key).decrypt(reply.sealed_token))
    except (CryptoError, DecodeError, ValueError) as e:
        raise Ignored("box", e) from None
    if secret == pb.TokenSecret():
        raise Ignored("box", "nothing in it")
    return secret


def context(deployment, me, sent, reply, secret):
    """Each member of the box, and whether it is as it was asked for."""
    asked = sent.request()
    cluster, ids = expected_target(deployment, asked.target)
    marker = re.escape(f"[tokend/1:{asked.service_id}:{asked.principal}:{home(sent.key, deployment.partitions)}:")
    yield "service_id", secret.service_id == asked.service_id
    yield "request_id", secret.request_id == asked.request_id
    yield "request_fingerprint", secret.request_fingerprint == sent.fingerprint()
    yield "recipient_key_id", secret.recipient_key_id == reply.recipient_key_id == me.box_key_id
    yield "cluster", secret.cluster == cluster
    yield "account_id, cluster_id", (secret.account_id, secret.cluster_id) == ids
    yield "description", re.fullmatch(f"{re.escape(asked.description)} {marker}{UUID}\\]", secret.description)
    yield "permissions", list(secret.permissions) == list(asked.permissions)
    yield "expires_at", same_expiry(asked, secret)
    yield "token_id", re.fullmatch(UUID, secret.token_id)
    yield "access_token", re.fullmatch("[!-~]{64,1024}", secret.access_token)


def expected_target(deployment, target):
    """The cluster's name and ids: by name, by ids, or the only one."""
    wanted = (target.account_id, target.cluster_id)
    for name, ids in deployment.clusters.items():
        if name == target.cluster or not target.cluster and wanted in (ids, ("", "")):
            return name, ids
    raise LookupError(f"the request's target is none that the requester knows: {target}")


def same_expiry(asked, secret):
    if asked.HasField("expires_at") != secret.HasField("expires_at"):
        return False
    return abs(secret.expires_at.ToNanoseconds() - asked.expires_at.ToNanoseconds()) <= 10**9


# ---- what an error asks for ----------------------------------------------------------------------------------------


class Next(enum.Enum):
    SAME_MENDED = "send the same bytes, once headers, key or partition are mended"
    SAME_LATER = "send the same record again, later"
    NEW_LATER = "later, under a new ID"
    NEW_MENDED = "mend the request, then take a new ID"
    PERSON = "the ID may hold a token: a person decides before a new one is taken"
    STOP = "tell a person: it will not help until somebody has changed something"


def next_step(status):
    """By about and retry alone; what this version does not know is no reason to go on."""
    outcome = status.about == pb.OUTCOME
    if status.about not in (pb.OUTCOME, pb.RECORD):
        return Next.STOP
    if status.retry == pb.SAME_RECORD:
        return Next.SAME_MENDED
    if status.retry == pb.LATER:
        return Next.NEW_LATER if outcome else Next.SAME_LATER
    if status.retry == pb.NEW_ID:
        return Next.NEW_MENDED if outcome else Next.PERSON
    return Next.STOP


class Refused(Exception):
    def __init__(self, reply):
        self.reply, self.status = reply, reply.status
        self.details = {d.key: d.value for d in self.status.details}
        self.next = next_step(self.status)
        super().__init__(f"{self.status.reason}: {self.status.message}; {self.next.value}")


# ---- Kafka ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Place:
    """Where in the reply topic to wait for the reply to one sending."""

    partition: int
    offset: int


class Requester:
    def __init__(self, kafka, topics, deployment, me, store):
        self.requests, self.replies = topics
        self.deployment, self.me, self.store = deployment, me, pathlib.Path(store)
        self.ignored = []  # (because, what), of records that bore the key of one of ours
        self.producer = Producer(kafka)
        # Assigned, never subscribed: the group's name is there because this client demands one.
        self.kafka = {**kafka, "group.id": "unused", "enable.auto.commit": False, "auto.offset.reset": "error",
                      "isolation.level": "read_committed"}

    def keep(self, record):
        """Rule 1: stored before it is sent, and never other bytes under an ID that was used."""
        parts = [base64.b64encode(getattr(record, f.name)).decode() for f in dataclasses.fields(record)]
        path = self.store / f"request-{record.key.decode()}"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
            f.write(json.dumps(parts))
            f.flush()
            os.fsync(f.fileno())
        directory = os.open(self.store, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        return record

    def kept(self, request_id):
        parts = json.loads((self.store / f"request-{request_id}").read_text())
        return Record(*(base64.b64decode(p) for p in parts))

    def note(self, key, partition=None):
        """The end of the reply topic's partition, before each sending."""
        if partition is None:
            partition = home(key, self.deployment.partitions)
        consumer = Consumer(self.kafka)
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(self.replies, partition), timeout=30)
        finally:
            consumer.close()
        return Place(partition, end)

    def send(self, record, place):
        failed = []
        self.producer.produce(self.requests, record.value, record.key, place.partition, headers=record.headers(),
                              on_delivery=lambda error, _: failed.append(error))
        if self.producer.flush(30) or failed[0] is not None:
            raise KafkaException(failed[0] if failed else KafkaError(KafkaError._TIMED_OUT))

    def wait(self, record, place, within_s):
        """The Answer, by the first record that is believed. TimeoutError: none was; the bytes may be sent again."""
        consumer, end = Consumer(self.kafka), time.monotonic() + within_s
        try:
            consumer.assign([TopicPartition(self.replies, place.partition, place.offset)])
            while time.monotonic() < end:
                message = consumer.poll(0.1)
                error = message and message.error()
                if error and (error.fatal() or error.code() == KafkaError._AUTO_OFFSET_RESET):
                    raise KafkaException(error)  # the noted offset is gone: the same bytes may be sent again
                if not message or error or message.key() != record.key:
                    continue
                try:
                    return judge(self.deployment, self.me, record, message.headers(), message.value())
                except Ignored as e:
                    self.ignored.append((e.because, str(e)))
            raise TimeoutError(f"no reply to {record.key.decode()} in {within_s} s")
        finally:
            consumer.close()

    def ask(self, request, within_s=60):
        return self.deliver(self.keep(sign(self.me, request)), within_s)

    def repeat(self, request_id, within_s=60):
        return self.deliver(self.kept(request_id), within_s)

    def deliver(self, record, within_s, partition=None):
        """Rule 3: what a program may do by itself is to send the same bytes; the rest is the caller's, as Refused."""
        end = time.monotonic() + within_s
        pause = 0.5
        while True:
            place = self.note(record.key, partition)
            self.send(record, place)
            answer = self.wait(record, place, end - time.monotonic())
            if answer.secret is not None:
                return answer
            refused = Refused(answer.reply)
            if refused.status.reason == "WRONG_PARTITION" and partition != int(refused.details["partition"]):
                partition = int(refused.details["partition"])
            elif refused.next is Next.SAME_LATER and time.monotonic() + pause < end:
                time.sleep(pause)
                pause = min(2 * pause, 30)
            else:
                raise refused


def wait_active(url, token, within_s=300, every_s=1):
    """Rule 4: a fresh token may answer 401; the status once it does not."""
    end = time.monotonic() + within_s
    while True:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as r:
                return r.status
        except urllib.error.HTTPError as e:
            if e.code != 401 or time.monotonic() >= end:
                return e.code
        time.sleep(every_s)
