# SPDX-License-Identifier: Apache-2.0
"""Boxes with tokens in them, and good replies of every kind."""

import hashlib

from google.protobuf.json_format import MessageToDict, ParseDict
from nacl.public import Box, PrivateKey

from making.contract import ACCOUNT, CLUSTER, PARTITIONS, SERVICE, b64, fixed, home, media_type, pae, pb
from making.keys import BOX_KEYS, SIGNERS, box_key_id, inline_id


def seal(plaintext, recipient, label):
    """libsodium's sealed box, with an ephemeral key that is not random."""
    ephemeral = PrivateKey(fixed("ephemeral for " + label))
    nonce = hashlib.blake2b(bytes(ephemeral.public_key) + bytes(recipient), digest_size=24).digest()
    return (
        ephemeral,
        nonce,
        bytes(ephemeral.public_key) + Box(ephemeral, recipient).encrypt(plaintext, nonce).ciphertext,
    )


def secret_fields(request, **changed):
    """The honest TokenSecret for a request."""
    asked = request.message
    by_name = {"prod": (ACCOUNT, CLUSTER), "edge": ("", "")}
    cluster = asked.target.cluster or "prod"
    account_id, cluster_id = by_name[cluster]
    inline = asked.recipient.inline_key.public_key
    fields = {
        "service_id": asked.service_id,
        "request_id": asked.request_id,
        "request_fingerprint": b64(request.fingerprint),
        "recipient_key_id": inline_id(inline) if inline else asked.recipient.key_id,
        "cluster": cluster,
        "account_id": account_id,
        "cluster_id": cluster_id,
        "description": f"{asked.description} [tokend/1:tokend:{asked.principal}:{home(request.id)}:"
        "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0]",
        "permissions": [MessageToDict(p, preserving_proto_field_name=True) for p in asked.permissions],
        "token_id": "c0ffee00-1234-4567-89ab-cdef01234567",
        "access_token": f"apiv1_{hashlib.sha256(request.id.encode()).hexdigest()}",
        "created_at": "2026-11-24T08:00:01.250Z",
    }
    if asked.HasField("expires_at"):
        fields["expires_at"] = asked.expires_at.ToJsonString()
    return {k: v for k, v in {**fields, **changed}.items() if v not in (None, "")}


class Secret:
    def __init__(self, name, note, request, key="t-box1", **changed):
        self.name, self.note, self.request, self.key = name, note, request, key
        self.message = ParseDict(secret_fields(request, **changed), pb.TokenSecret())
        self.plaintext = self.message.SerializeToString(deterministic=True)
        self.ephemeral, self.nonce, self.box = seal(self.plaintext, BOX_KEYS[key].public_key, name)

    def vector(self):
        return {
            "name": self.name,
            "note": self.note,
            "request": self.request.name,
            "recipient_key_id": box_key_id(self.key),
            "recipient_secret": bytes(BOX_KEYS[self.key]).hex(),
            "recipient_public": bytes(BOX_KEYS[self.key].public_key).hex(),
            "ephemeral_secret": bytes(self.ephemeral).hex(),
            "ephemeral_public": bytes(self.ephemeral.public_key).hex(),
            "nonce": self.nonce.hex(),
            "fields": MessageToDict(self.message, preserving_proto_field_name=True),
            "plaintext": self.plaintext.hex(),
            "box": self.box.hex(),
        }


def good_boxes(requests):
    return [
        Secret("box-least", "never expires", requests["create-least"]),
        Secret("box-whole", "every member", requests["create-whole"]),
        Secret(
            "box-expiry-rounded",
            "expires a second earlier than was asked for, as InfluxDB may round: it is to be taken",
            requests["create-whole"],
            expires_at="2027-11-24T07:59:59Z",
        ),
        Secret(
            "box-inline-key",
            "to the inline key; without account and cluster ids",
            requests["create-inline-key"],
            "inline",
        ),
        Secret("box-billing", "another principal's", requests["create-billing"], "b-box1"),
    ]


STATUSES = {  # reason -> code, about, retry
    "POLICY_DENIED": (7, "OUTCOME", "NEVER"),
    "BAD_SIGNATURE": (16, "RECORD", "SAME_RECORD"),
    "WRONG_PARTITION": (3, "RECORD", "SAME_RECORD"),
    "REQUEST_ID_REUSED": (6, "RECORD", "NEW_ID"),
    "NO_OUTCOME": (5, "RECORD", "NEVER"),
}


def status(reason, message, **details):
    code, about, retry = STATUSES[reason]
    return {
        "code": code,
        "message": message,
        "reason": reason,
        "about": about,
        "retry": retry,
        "details": [{"key": k, "value": v} for k, v in details.items()],
    }


class Reply:
    """stored is what a reply keeps for good, fields or a message; each publication adds the others behind it."""

    def __init__(
        self,
        name,
        note,
        request,
        stored,
        key_id="tokend-1",
        method=None,
        kind=None,
        signature=None,
        frame=b"",
        key=None,
        **stamp,
    ):
        self.name, self.note, self.request = name, note, request
        self.method = method or request.method
        self.type = "RevokeTokenReply" if self.method == "RevokeToken" else "CreateTokenReply"
        make = getattr(pb, self.type)
        stored = ParseDict(stored, make()) if isinstance(stored, dict) else stored
        self.stored = stored.SerializeToString(deterministic=True)
        stamp = {"request_digest": b64(request.digest), "issued_at": "2026-11-24T08:00:02Z", **stamp}
        self.body = self.stored + ParseDict(stamp, make()).SerializeToString(deterministic=True)
        self.message = make.FromString(self.body)
        self.kind = media_type(self.type)
        self.key_id = key_id
        self.encoding = pae(self.kind, self.body)
        self.signature = signature or b64(SIGNERS[key_id].sign(pae(kind or self.kind, self.body)).signature)
        self.frame, self.key = frame, request.id if key is None else key

    def record(self, value=None, signature=None):
        s = self.message.status
        message = "".join(
            c if 0x20 <= b <= 0x7E and c != "%" else f"%{b:02X}" for b, c in ((b, chr(b)) for b in s.message.encode())
        )
        return {
            "partition": home(self.key),
            "key": self.key,
            "headers": [
                ["tokend-method", SERVICE + self.method],
                ["tokend-key-id", self.key_id],
                ["tokend-signature", self.signature if signature is None else signature],
                ["content-type", "application/protobuf"],
                ["grpc-status", str(s.code)],
                *([["grpc-message", message]] if message else []),
            ],
            "value": (self.frame + (self.body if value is None else value)).hex(),
        }

    def vector(self, box=None):
        return {
            "name": self.name,
            "note": self.note,
            "request": self.request.name,
            "message": self.type,
            "fields": MessageToDict(self.message, preserving_proto_field_name=True),
            "body": self.body.hex(),
            "stored_bytes": len(self.stored),
            "media_type": self.kind,
            "pae": self.encoding.hex(),
            "key_id": self.key_id,
            "signature": self.signature,
            "box": box,
            "record": self.record(),
        }


def granted(request, secret, **changed):
    """What a reply with a token keeps for good."""
    fields = {
        "request_id": request.id,
        "principal": request.message.principal,
        "status": {"message": "the token was created", "about": "OUTCOME"},
        "suite": "SEALEDBOX_X25519",
        "recipient_key_id": box_key_id(secret.key),
        "sealed_token": b64(secret.box),
        "attempts": 1,
        "service_version": "0.1.0",
    }
    return {**fields, **changed}


def refused(request, s, principal="telemetry"):
    return {"request_id": request.id, "principal": principal, "status": s, "service_version": "0.1.0"}


def good_replies(requests, boxes):
    """(reply, the box inside)"""
    least, whole = requests["create-least"], requests["create-whole"]
    answer = granted(whole, boxes["box-whole"])
    revoked = {
        "request_id": whole.id,
        "principal": "telemetry",
        "status": {"message": "the token was deleted", "about": "OUTCOME"},
        "token_id": "c0ffee00-1234-4567-89ab-cdef01234567",
        "attempts": 1,
        "service_version": "0.1.0",
    }
    return [
        (Reply("granted", "a token", whole, answer), "box-whole"),
        (Reply("granted-least", "a token that never expires", least, granted(least, boxes["box-least"])), "box-least"),
        (
            Reply(
                "granted-expiry-rounded",
                "the box's expires_at is a second off",
                whole,
                granted(whole, boxes["box-expiry-rounded"]),
            ),
            "box-expiry-rounded",
        ),
        (
            Reply(
                "granted-inline-key",
                "the recipient's id is made of the key's hash",
                requests["create-inline-key"],
                granted(requests["create-inline-key"], boxes["box-inline-key"]),
            ),
            "box-inline-key",
        ),
        (
            Reply(
                "granted-again",
                "the same outcome to the bytes signed with another key: its own digest, the same box, "
                "replayed; the service's next key",
                requests["create-rotated-key"],
                granted(least, boxes["box-least"]),
                "tokend-2",
                replayed=True,
                issued_at="2026-11-24T08:05:00Z",
            ),
            "box-least",
        ),
        (
            Reply(
                "granted-framed",
                "behind Schema Registry's frame, as reply_schema_id makes it: schema 7, the file's fourth "
                "message. The signature is over what follows the frame",
                whole,
                answer,
                frame=bytes.fromhex("00000000070206"),
            ),
            "box-whole",
        ),
        (
            Reply(
                "denied",
                "an outcome: no token, for good",
                least,
                refused(least, status("POLICY_DENIED", 'no grant of principal "telemetry" allows WRITE on "orders"')),
            ),
            None,
        ),
        (
            Reply(
                "refused-unverified",
                "an unverified record's: the principal is empty, and still the digest is ours",
                least,
                refused(least, status("BAD_SIGNATURE", "the signature does not verify"), ""),
            ),
            None,
        ),
        (
            Reply(
                "refused-partition",
                "a detail for programs; the message holds bytes that a header has to escape",
                least,
                refused(
                    least,
                    status(
                        "WRONG_PARTITION",
                        "partition 0 ≠ 100 % home",
                        partition=str(home(least.id)),
                        partitions=str(PARTITIONS),
                    ),
                    "",
                ),
            ),
            None,
        ),
        (
            Reply(
                "refused-reused",
                "the ID is taken by other bytes",
                least,
                refused(
                    least,
                    status(
                        "REQUEST_ID_REUSED",
                        'request_id "orders-7f3a" was used before, with other bytes',
                        fingerprint=fixed("another request").hex(),
                        state="DONE",
                    ),
                ),
            ),
            None,
        ),
        (
            Reply(
                "outcome-granted",
                "GetOutcome's answer: CreateToken's reply with the digest of the GetOutcome record; the "
                "box names the fingerprint of the CreateToken",
                requests["outcome-whole"],
                answer,
                replayed=True,
            ),
            "box-whole",
        ),
        (
            Reply(
                "outcome-revoked",
                "the token was given, and has been deleted since",
                requests["outcome-whole"],
                answer,
                replayed=True,
                revoked_at="2026-11-24T08:07:00Z",
            ),
            "box-whole",
        ),
        (
            Reply(
                "outcome-none",
                "nothing is known of that ID",
                requests["outcome-least"],
                refused(least, status("NO_OUTCOME", 'nothing is known of request_id "orders-7f3a"')),
            ),
            None,
        ),
        (
            Reply(
                "revoked",
                "RevokeToken's own message, which has no box",
                requests["revoke-whole"],
                revoked,
                revoked_at="2026-11-24T08:07:00Z",
            ),
            None,
        ),
    ]
