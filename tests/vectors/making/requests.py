# SPDX-License-Identifier: Apache-2.0
"""Good requests of every method."""

import hashlib

from google.protobuf.json_format import MessageToDict, ParseDict

from making.contract import ACCOUNT, CLUSTER, ISSUED_AT, SERVICE, b64, block, digest, home, media_type, number, pae, pb
from making.keys import BOX_KEYS, SIGNERS


def create_fields(request_id, **changed):
    """The least that a CreateTokenRequest says, in protobuf's JSON mapping; None takes a member out."""
    fields = {
        "request_id": request_id,
        "principal": "telemetry",
        "service_id": "tokend",
        "target": {"cluster": "prod"},
        "description": "orders writer",
        "permissions": [{"action": "WRITE", "database": "orders"}],
        "issued_at": ISSUED_AT,
        "recipient": {"key_id": "t-box1"},
    }
    return {k: v for k, v in {**fields, **changed}.items() if v is not None}


def short_fields(request_id, **changed):
    """The same for the two other requests."""
    fields = {"request_id": request_id, "principal": "telemetry", "service_id": "tokend", "issued_at": ISSUED_AT}
    return {k: v for k, v in {**fields, **changed}.items() if v is not None}


def message_of(method):
    return method + "Request"


def packed(method, fields):
    return ParseDict(fields, getattr(pb, message_of(method))()).SerializeToString(deterministic=True)


class Request:
    def __init__(self, name, note, method, body, key_id="t-1"):
        self.name, self.note, self.method, self.body, self.key_id = name, note, method, body, key_id
        self.message = getattr(pb, message_of(method)).FromString(body)
        self.kind = media_type(message_of(method))
        self.encoding = pae(self.kind, body)
        self.fingerprint = hashlib.sha256(self.encoding).digest()
        self.signature = b64(SIGNERS[key_id].sign(self.encoding).signature)
        self.digest = digest(self.kind, body, key_id.encode(), self.signature.encode())
        self.id = self.message.request_id

    def record(self, value=None):
        return {
            "partition": home(self.id),
            "key": self.id,
            "headers": [
                ["tokend-method", SERVICE + self.method],
                ["tokend-key-id", self.key_id],
                ["tokend-signature", self.signature],
            ],
            "value": (self.body if value is None else value).hex(),
        }

    def vector(self):
        return {
            "name": self.name,
            "note": self.note,
            "method": self.method,
            "message": message_of(self.method),
            "fields": MessageToDict(self.message, preserving_proto_field_name=True),
            "body": self.body.hex(),
            "media_type": self.kind,
            "pae": self.encoding.hex(),
            "fingerprint": self.fingerprint.hex(),
            "key_id": self.key_id,
            "signature": self.signature,
            "request_digest": self.digest.hex(),
            "record": self.record(),
        }


def good_requests():
    def create(name, note, key_id="t-1", **changed):
        return Request(name, note, "CreateToken", packed("CreateToken", create_fields(**changed)), key_id)

    least = create("create-least", "only what must be there", request_id="orders-7f3a")
    whole = create(
        "create-whole",
        "every member, both kinds of resource, a name with a slash, a description that is not ASCII",
        request_id="9f8d2a34-5c1b-4e7f-8a90-0123456789ab",
        target={"account_id": ACCOUNT, "cluster_id": CLUSTER},
        description="Waage 3, Straße „Süd“ 東京",
        permissions=[
            {"action": "WRITE", "database": "telemetry_b"},
            {"action": "READ", "database": "telemetry_a/week"},
            {"action": "READ", "all_databases": True},
        ],
        expires_at="2027-11-24T08:00:00Z",
        deadline="2026-11-24T08:30:00Z",
    )
    defaults = (
        block(1, "orders-7f3b")
        + block(2, "telemetry")
        + block(3, "tokend")
        + block(4, block(1, "prod") + block(2, "") + block(3, ""))
        + block(5, "orders writer")
        + block(6, number(1, 2) + block(2, "orders"))
        + block(8, number(1, 1795507200) + number(2, 0))
        + block(10, block(1, "t-box1"))
    )
    return [
        least,
        create(
            "create-rotated-key",
            "the bytes of create-least, signed with another key of the same principal: "
            "the fingerprint stays, the digest does not",
            "t-2",
            request_id="orders-7f3a",
        ),
        whole,
        create(
            "create-inline-key",
            "sealed to a key that came along; InfluxDB Clustered, which has no account",
            request_id="job:42",
            target={"cluster": "edge"},
            recipient={
                "inline_key": {"suite": "SEALEDBOX_X25519", "public_key": b64(bytes(BOX_KEYS["inline"].public_key))}
            },
        ),
        create("create-longest-id", "an ID of 128 bytes", request_id="A.b_c-d:" * 15 + "12345678"),
        create(
            "create-billing",
            "another principal's",
            "b-1",
            request_id="invoice-1",
            principal="billing",
            recipient={"key_id": "b-box1"},
        ),
        Request(
            "create-explicit-defaults",
            "empty strings and zeros written out, as protobuf.js writes them: as good as "
            "if they were absent, but other bytes",
            "CreateToken",
            defaults,
        ),
        Request(
            "create-any-order",
            "the fields of create-least in another order, which protobuf allows: as good, but other " "bytes",
            "CreateToken",
            block(10, block(1, "t-box1")) + block(1, "orders-7f3c") + least.body[13:-10],
        ),
        Request(
            "outcome-least",
            "asks for create-least's reply again",
            "GetOutcome",
            packed("GetOutcome", short_fields(least.id)),
        ),
        Request(
            "outcome-whole",
            "with a deadline",
            "GetOutcome",
            packed("GetOutcome", short_fields(whole.id, deadline="2026-11-24T09:00:00Z")),
        ),
        Request("revoke-least", "without a reason", "RevokeToken", packed("RevokeToken", short_fields(least.id))),
        Request(
            "revoke-whole",
            "every member",
            "RevokeToken",
            packed("RevokeToken", short_fields(whole.id, deadline="2026-11-24T08:10:00Z", reason="scale sold")),
        ),
    ]
