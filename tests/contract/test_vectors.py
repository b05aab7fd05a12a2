# SPDX-License-Identifier: Apache-2.0
"""Goal: the published vectors can be made again byte for byte, and a requester that knows nothing but the JSON and the
.proto files, with other libraries than those that made it, takes every good one and believes no bad one.
"""

import base64
import ctypes
import ctypes.util
import hashlib
import json
import os
import pathlib
import re
import subprocess

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.signing import VerifyKey

from protos import token_pb2 as pb

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "vectors"
FILES = sorted(p.name for p in FOLDER.glob("*.json"))
SEALED = 48  # what a sealed box adds
REPLY_INDEX = [3]  # CreateTokenReply in its file
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


WORLD, REQUESTS, BOXES, REPLIES = load("world"), load("requests"), load("boxes"), load("replies")
BY_NAME = {r["name"]: r for r in REQUESTS}
BOX_BY_NAME = {b["name"]: b for b in BOXES}
KEYS = {k["id"]: bytes.fromhex(k["public"]) for k in WORLD["signing_keys"]}
PINNED = [bytes.fromhex(k["public"]) for k in WORLD["signing_keys"] if k["owner"] == "the service"]
BOX_SECRETS = {k["id"]: bytes.fromhex(k["secret"]) for k in WORLD["box_keys"]}


def each(vectors):
    """One test a vector, with its name."""
    assert vectors
    return pytest.mark.parametrize("v", vectors, ids=[v.get("name", v.get("key", v.get("public"))) for v in vectors])


# ---- made again ----------------------------------------------------------------------------------------------------


def test_two_runs_write_the_same_bytes(tmp_path):
    subprocess.run(
        [str(FOLDER / "make.py"), str(tmp_path)], check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), f"{name}: run tests/vectors/make.py"


def test_the_readme_explains_every_file_and_member():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")

    def members(value):
        if isinstance(value, dict):
            for k, v in value.items():
                yield k
                if k not in ("fields", "secret", "policy", "partitions", "headers", "clusters", "topics"):
                    yield from members(v)
        elif isinstance(value, list):
            for v in value:
                yield from members(v)

    for name in FILES:
        assert f"[{name}]({name})" in text
        unexplained = {m for m in members(load(name.removesuffix(".json"))) if f"`{m}`" not in text}
        assert not unexplained, f"{name}: {unexplained}"


# ---- a requester's arithmetic, written a second time ---------------------------------------------------------------


def length_prefixed(data):
    return str(len(data)).encode() + b" " + data


def encoding(media_type, body):
    return b" ".join([b"DSSEv1", length_prefixed(media_type.encode()), length_prefixed(body)])


def sha256(data):
    return hashlib.sha256(data).digest()


def signed_by(public, media_type, body, signature):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, encoding(media_type, body))
        return True
    except (InvalidSignature, ValueError):
        return False


def header(record, name):
    found = [v for k, v in record["headers"] if k == name]
    return found[0] if len(found) == 1 else None


def decoded_signature(text):
    """Padded base64 of 64 bytes and nothing else, or None."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return raw if len(raw) == 64 and base64.b64encode(raw).decode() == text else None


def frame(value):
    """Which message the frame says it is, None without a frame, and what follows it; or None where it is broken."""
    if value[:1] != b"\0":
        return None, value
    at = 5

    def number():
        nonlocal at
        n = shift = 0
        while shift < 35:
            byte = value[at]
            at, n, shift = at + 1, n | (byte & 127) << shift, shift + 7
            if byte < 128:
                return (n >> 1) ^ -(n & 1)
        raise IndexError

    try:
        length = number()
        index = [number() for _ in range(length)]
    except IndexError:
        return None
    return None if length < 0 or any(n < 0 for n in index) else (index or [0], value[at:])


def unframed(value):
    opened = frame(value)
    return opened and opened[1]


def mapping(message):
    return MessageToDict(message, preserving_proto_field_name=True)


class NotBelieved(Exception):
    pass


def insist(condition, because):
    if not condition:
        raise NotBelieved(because)


def believe(request, record):
    """What a reply to a CreateToken says, and the TokenSecret or None; NotBelieved(because)."""
    opened, signature = frame(bytes.fromhex(record["value"])), header(record, "tokend-signature")
    insist(opened and opened[0] in (None, REPLY_INDEX), "frame")
    value = opened[1]
    raw = None if signature is None else decoded_signature(signature)
    media_type = "application/vnd.tokend.v1.CreateTokenReply+protobuf"
    insist(raw and any(signed_by(key, media_type, value, raw) for key in PINNED), "signature")
    reply, asked = pb.CreateTokenReply.FromString(value), pb.CreateTokenRequest.FromString(
        bytes.fromhex(request["body"])
    )
    insist(reply.HasField("status"), "status")
    insist(record["key"] == reply.request_id == asked.request_id, "request")
    insist(reply.request_digest == bytes.fromhex(request["request_digest"]), "digest")
    nobody = reply.principal == "" and reply.status.code != 0 and reply.status.about == pb.RECORD
    insist(reply.principal == asked.principal or nobody, "principal")
    return reply, open_box(request, asked, reply) if reply.status.code == 0 else None


def open_box(request, asked, reply):
    inline = asked.recipient.inline_key.public_key
    key_id = "sha256:" + sha256(inline).hex()[:16] if inline else asked.recipient.key_id
    insist(reply.suite == pb.SEALEDBOX_X25519 and reply.recipient_key_id == key_id, "box")
    insist(len(reply.sealed_token) > SEALED, "box")
    try:
        plain = SealedBox(PrivateKey(BOX_SECRETS[key_id])).decrypt(reply.sealed_token)
        secret = pb.TokenSecret.FromString(plain)
    except (CryptoError, DecodeError, ValueError) as e:
        raise NotBelieved("box") from e
    insist(in_context(request, asked, secret, key_id), "context")
    return secret


def in_context(request, asked, secret, key_id):
    cluster = next(
        c
        for c in WORLD["clusters"]
        if c["name"] == asked.target.cluster
        or (
            asked.target.account_id
            and (c["account_id"], c["cluster_id"]) == (asked.target.account_id, asked.target.cluster_id)
        )
    )
    home = next(r["record"]["partition"] for r in REQUESTS if r["record"]["key"] == asked.request_id)
    known = f"{asked.description} [tokend/1:{asked.service_id}:{asked.principal}:{home}:"
    return (
        secret.service_id == asked.service_id
        and secret.request_id == asked.request_id
        and secret.request_fingerprint == bytes.fromhex(request["fingerprint"])
        and secret.recipient_key_id == key_id
        and {k: getattr(secret, k) for k in ("account_id", "cluster_id")}
        == {k: cluster[k] for k in ("account_id", "cluster_id")}
        and secret.cluster == cluster["name"]
        and re.fullmatch(re.escape(known) + UUID + r"\]", secret.description)
        and list(secret.permissions) == list(asked.permissions)
        and secret.HasField("expires_at") == asked.HasField("expires_at")
        and abs(secret.expires_at.ToNanoseconds() - asked.expires_at.ToNanoseconds()) <= 10**9
        and re.fullmatch(UUID, secret.token_id)
        and re.fullmatch("[!-~]{64,1024}", secret.access_token)
    )


# ---- good ----------------------------------------------------------------------------------------------------------


def test_keys_come_from_their_seeds():
    for k in WORLD["signing_keys"]:
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(k["seed"]))
        assert key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex() == k["public"]
    for k in WORLD["box_keys"]:
        key = X25519PrivateKey.from_private_bytes(bytes.fromhex(k["secret"]))
        assert key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex() == k["public"]


@each(REQUESTS)
def test_request(v):
    body, kind = bytes.fromhex(v["body"]), v["media_type"]
    message = getattr(pb, v["message"]).FromString(body)
    assert kind == f"application/vnd.{message.DESCRIPTOR.full_name}+protobuf"
    assert mapping(message) == v["fields"]
    assert encoding(kind, body).hex() == v["pae"]
    assert sha256(encoding(kind, body)).hex() == v["fingerprint"]
    seed = next(k["seed"] for k in WORLD["signing_keys"] if k["id"] == v["key_id"])
    signature = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)).sign(encoding(kind, body))
    assert base64.b64encode(signature).decode() == v["signature"]
    assert signed_by(KEYS[v["key_id"]], kind, body, signature)
    whole = b" ".join(
        [encoding(kind, body), length_prefixed(v["key_id"].encode()), length_prefixed(v["signature"].encode())]
    )
    assert sha256(whole).hex() == v["request_digest"]
    record = v["record"]
    assert (record["key"], record["value"]) == (message.request_id, v["body"])
    assert header(record, "tokend-method") == "/tokend.v1.TokenService/" + v["method"]
    assert (header(record, "tokend-key-id"), header(record, "tokend-signature")) == (v["key_id"], v["signature"])


def test_who_signs_makes_another_digest_and_the_same_fingerprint():
    one, other = BY_NAME["create-least"], BY_NAME["create-rotated-key"]
    assert one["body"] == other["body"] and one["fingerprint"] == other["fingerprint"]
    assert one["request_digest"] != other["request_digest"]


@each(BOXES)
def test_box(v):
    plain = SealedBox(PrivateKey(bytes.fromhex(v["recipient_secret"]))).decrypt(bytes.fromhex(v["box"]))
    assert plain.hex() == v["plaintext"]
    secret = pb.TokenSecret.FromString(plain)
    assert mapping(secret) == v["fields"]
    assert secret.request_fingerprint.hex() == BY_NAME[v["request"]]["fingerprint"]
    assert v["box"].startswith(v["ephemeral_public"])
    public = bytes.fromhex(v["ephemeral_public"]) + bytes.fromhex(v["recipient_public"])
    assert hashlib.blake2b(public, digest_size=24).hexdigest() == v["nonce"]


@each(REPLIES)
def test_reply(v):
    body, kind = bytes.fromhex(v["body"]), v["media_type"]
    message = getattr(pb, v["message"]).FromString(body)
    assert kind == f"application/vnd.{message.DESCRIPTOR.full_name}+protobuf"
    assert mapping(message) == v["fields"]
    assert encoding(kind, body).hex() == v["pae"]
    assert signed_by(KEYS[v["key_id"]], kind, body, base64.b64decode(v["signature"]))
    assert unframed(bytes.fromhex(v["record"]["value"])) == body
    assert message.request_digest.hex() == BY_NAME[v["request"]]["request_digest"]
    stored = getattr(pb, v["message"]).FromString(body[: v["stored_bytes"]])
    assert not stored.request_digest and not stored.replayed and not stored.HasField("issued_at")
    if v["box"]:
        assert message.sealed_token.hex() == BOX_BY_NAME[v["box"]]["box"]


def test_every_reply_to_a_create_is_believed():
    opened = refused = 0
    for v in REPLIES:
        if BY_NAME[v["request"]]["method"] == "CreateToken":
            reply, secret = believe(BY_NAME[v["request"]], v["record"])
            assert (secret is not None) == (v["box"] is not None)
            assert secret is None or mapping(secret) == BOX_BY_NAME[v["box"]]["fields"]
            opened, refused = opened + (secret is not None), refused + (reply.status.code != 0)
    assert opened and refused


@each(load("odd_replies"))
def test_odd_reply_is_believed(v):
    reply, secret = believe(BY_NAME[v["request"]], v["record"])
    assert mapping(reply) == v["fields"]
    assert (secret and mapping(secret)) == v["secret"]
    assert (reply.status.code == 0) == (secret is not None)


def test_odd_replies_are_odd():
    """A vector that had lost what it is about would prove nothing."""
    odd = {v["name"]: pb.CreateTokenReply.FromString(bytes.fromhex(v["record"]["value"])) for v in load("odd_replies")}
    box = SealedBox(PrivateKey(BOX_SECRETS["t-box1"]))
    grown, refusal = odd["newer-fields"], odd["newer-refusal"]
    secret = pb.TokenSecret.FromString(box.decrypt(grown.sealed_token))
    for m in (grown, grown.status, secret, refusal, refusal.status):
        assert {f.field_number for f in UnknownFieldSet(m)} == {99, 100}
    assert odd["newer-refusal"].status.retry not in pb.Retry.values()
    assert odd["newer-about"].status.about not in pb.About.values()
    assert box.decrypt(odd["error-with-box"].sealed_token).hex() == BOX_BY_NAME["box-whole"]["plaintext"]


def test_no_reply_answers_another_request():
    creates = [r for r in REQUESTS if r["method"] == "CreateToken"]
    for v in REPLIES:
        for r in creates:
            if r["name"] != v["request"]:
                with pytest.raises(NotBelieved):
                    believe(r, {**v["record"], "key": r["record"]["key"]})


# ---- bad -----------------------------------------------------------------------------------------------------------


@each(load("bad_replies"))
def test_bad_reply_is_ignored(v):
    with pytest.raises(NotBelieved) as e:
        believe(BY_NAME[v["request"]], v["record"])
    assert str(e.value) == v["because"]


METHODS = {"CreateToken", "GetOutcome", "RevokeToken"}


def request_signature_holds(record):
    raw = decoded_signature(header(record, "tokend-signature") or "")
    method = (header(record, "tokend-method") or "CreateToken").rsplit("/", 1)[-1]
    key, body = KEYS.get(header(record, "tokend-key-id")), unframed(bytes.fromhex(record["value"]))
    kind = f"application/vnd.tokend.v1.{method}Request+protobuf"
    return (
        raw is not None
        and key is not None
        and body is not None
        and method in METHODS
        and signed_by(key, kind, body, raw)
    )


@each(load("bad_requests"))
def test_bad_request_is_signed_as_its_reason_says(v):
    """What is refused for its content is signed well, or its vector would prove nothing; and the other way round."""
    reason = v["status"]["reason"]
    if reason == "BAD_SIGNATURE":
        assert not request_signature_holds(v["record"])
    elif reason in ("INVALID_REQUEST", "WRONG_PRINCIPAL", "WRONG_PARTITION", "WRONG_REPLY_TOPIC"):
        assert request_signature_holds(v["record"]) or v["name"] == "broken-frame"
    else:
        assert reason in ("UNKNOWN_KEY", "INVALID_RECORD", "UNKNOWN_METHOD")
    numbers = {"UNKNOWN_METHOD": 12, "BAD_SIGNATURE": 16, "UNKNOWN_KEY": 16, "WRONG_PRINCIPAL": 7}
    assert v["status"]["code"] == numbers.get(reason, 3)
    assert pb.About.Value(v["status"]["about"]) and pb.Retry.Value(v["status"]["retry"])


@each(load("signatures"))
def test_signature(v):
    public, body, raw = bytes.fromhex(v["public"]), bytes.fromhex(v["body"]), base64.b64decode(v["signature"])
    if not v.get("libraries_differ"):
        assert signed_by(public, v["media_type"], body, raw) == v["valid"]
    try:  # libsodium refuses what is of small order, too
        VerifyKey(public).verify(encoding(v["media_type"], body), raw)
        assert v["valid"]
    except BadSignatureError:
        assert not v["valid"]


@each(load("recipient_keys"))
def test_recipient_key(v):
    public, mine = bytes.fromhex(v["public"]), X25519PrivateKey.generate()
    try:
        mine.exchange(X25519PublicKey.from_public_bytes(public))
        assert v["usable"]
    except ValueError:
        assert not v["usable"]
    if v["usable"]:
        assert SealedBox(PublicKey(public)).encrypt(b"x")
    else:
        with pytest.raises(CryptoError):
            SealedBox(PublicKey(public)).encrypt(b"x")


# ---- partitions and frames -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def librdkafka():
    """Kafka's own client decides."""
    library = ctypes.CDLL(ctypes.util.find_library("rdkafka"))
    library.rd_kafka_msg_partitioner_murmur2.restype = ctypes.c_int32
    library.rd_kafka_msg_partitioner_murmur2.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    return library


@each(load("partitions"))
def test_partition(v, librdkafka):
    key = v["key"].encode()
    for n, partition in v["partitions"].items():
        assert librdkafka.rd_kafka_msg_partitioner_murmur2(None, key, len(key), int(n), None, None) == partition
        assert (v["murmur2"] & 0x7FFFFFFF) % int(n) == partition
    whole = 0x7FFFFFFF
    assert (
        librdkafka.rd_kafka_msg_partitioner_murmur2(None, key, len(key), whole, None, None)
        == (v["murmur2"] & 0x7FFFFFFF) % whole
    )


@each(load("frames")["good"])
def test_frame(v):
    value = bytes.fromhex(v["value"])
    index, body = frame(value)
    assert (index, body.hex()) == (v["message_index"], v["body"])
    assert v["schema_id"] is None or int.from_bytes(value[1:5], "big") == v["schema_id"]


@each(load("frames")["bad"])
def test_broken_frame(v):
    assert unframed(bytes.fromhex(v["value"])) is None
