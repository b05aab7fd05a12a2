# SPDX-License-Identifier: Apache-2.0
"""Records that must not be taken for requests."""

import base64

from making.contract import ACCOUNT, CLUSTER, PARTITIONS, SERVICE, b64, block, flipped, home, media_type, number, pae
from making.curves import LOW_ORDER, malleable
from making.keys import BOX_KEYS, SIGNERS
from making.requests import create_fields, message_of, packed, short_fields


def bad_requests(requests):
    """Each a record that tokend answers with this status."""
    least, outcome = requests["create-least"], requests["outcome-least"]
    rows = []

    def says(code, reason, about, retry, field=None, field_number=None):
        s = {"code": code, "reason": reason, "about": about, "retry": retry}
        s.update({k: v for k, v in (("field", field), ("field_number", field_number)) if v is not None})
        return s

    def add(name, note, record, said):
        rows.append({"name": name, "note": note, "record": record, "status": said})

    def with_header(record, name, value):
        """That header with another value; None takes it out."""
        headers = [[k, value if k == name else v] for k, v in record["headers"]]
        return {**record, "headers": [[k, v] for k, v in headers if v is not None]}

    def signed(body, kind=None, key_id="t-1", request_id=least.id, method="CreateToken", signature=None):
        kind = kind or media_type(message_of(method))
        signature = signature or SIGNERS[key_id].sign(pae(kind, body)).signature
        return {
            "partition": home(request_id),
            "key": request_id,
            "headers": [
                ["tokend-method", SERVICE + method],
                ["tokend-key-id", key_id],
                ["tokend-signature", b64(signature)],
            ],
            "value": body.hex(),
        }

    # Who signed what.
    unverified = says(16, "BAD_SIGNATURE", "RECORD", "SAME_RECORD")
    raw = base64.b64decode(least.signature)
    for at in (0, 2, len(least.body) // 2, len(least.body) - 1):
        add(f"flipped-body-byte-{at}", "one bit of the body", least.record(flipped(least.body, at)), unverified)
    for at in (0, 31, 32, 63):
        add(
            f"flipped-signature-byte-{at}",
            "one bit of the signature",
            with_header(least.record(), "tokend-signature", b64(flipped(raw, at))),
            unverified,
        )
    add("cut-body", "without its last byte", least.record(least.body[:-1]), unverified)
    add("longer-body", "with a byte more", least.record(least.body + b"\0"), unverified)
    add(
        "signed-for-another-method",
        "signed as GetOutcomeRequest, sent as CreateToken",
        signed(least.body, media_type("GetOutcomeRequest")),
        unverified,
    )
    add(
        "sent-as-another-method",
        "a good GetOutcome under CreateToken's method",
        with_header(outcome.record(), "tokend-method", SERVICE + "CreateToken"),
        unverified,
    )
    add(
        "method-left-out",
        "a good GetOutcome without its method, which then is CreateToken",
        with_header(outcome.record(), "tokend-method", None),
        unverified,
    )
    add(
        "signed-as-a-reply",
        "a reply's signature is worth nothing for a request",
        signed(least.body, media_type("CreateTokenReply")),
        unverified,
    )
    add(
        "signed-the-bare-bytes",
        "Ed25519 over the body instead of its encoding",
        signed(least.body, signature=SIGNERS["t-1"].sign(least.body).signature),
        unverified,
    )
    add(
        "signed-the-fingerprint",
        "Ed25519 over the SHA-256 of the encoding",
        signed(least.body, signature=SIGNERS["t-1"].sign(least.fingerprint).signature),
        unverified,
    )
    add(
        "signed-the-framed-value",
        "the frame is no part of what is signed",
        {**signed(b"\0\0\0\0\7\0" + least.body), "value": (b"\0\0\0\0\7\0" + least.body).hex()},
        unverified,
    )
    add(
        "signed-by-another",
        "the key id is telemetry's, the signature billing's",
        with_header(signed(least.body, key_id="b-1"), "tokend-key-id", "t-1"),
        unverified,
    )
    add(
        "not-canonical-s",
        "S + L instead of S: one request would have two signatures",
        signed(least.body, signature=malleable(raw)),
        unverified,
    )
    add("no-signature", "without the header", with_header(least.record(), "tokend-signature", None), unverified)

    unknown = says(16, "UNKNOWN_KEY", "RECORD", "SAME_RECORD")
    add(
        "unknown-key",
        "signed by somebody whom the policy does not know",
        signed(least.body, key_id="stranger"),
        unknown,
    )
    add("no-key-id", "without the header", with_header(least.record(), "tokend-key-id", None), unknown)
    add("nothing-signed", "neither key id nor signature", {**least.record(), "headers": []}, unknown)

    # The record's outside.
    outside = says(3, "INVALID_RECORD", "RECORD", "SAME_RECORD")
    malformed = {
        "unpadded-signature": ("base64 without its padding", least.signature.rstrip("=")),
        "urlsafe-signature": ("base64 of the other alphabet", base64.urlsafe_b64encode(b"\xff" * 64).decode()),
        "hex-signature": ("hex", raw.hex()),
        "short-signature": ("63 bytes", b64(raw[:63])),
        "long-signature": ("65 bytes", b64(raw + b"\0")),
        "blank-behind-signature": ("a line's end behind the base64", least.signature + "\n"),
        "bits-behind-signature": ("bits set that its base64 does not use", least.signature[:-3] + "B=="),
    }
    for name, (note, value) in malformed.items():
        add(name, note, with_header(least.record(), "tokend-signature", value), outside)
    add(
        "doubled-header",
        "a header of ours stands twice",
        {**least.record(), "headers": least.record()["headers"] + [["tokend-key-id", "t-1"]]},
        outside,
    )
    add(
        "header-in-capitals",
        "our headers are in lower case",
        {**least.record(), "headers": [["Tokend-Key-Id", "t-1"], *least.record()["headers"][::2]]},
        outside,
    )
    add(
        "key-is-not-the-id",
        "the record's key names another request",
        {**least.record(), "key": "orders-0001", "partition": home("orders-0001")},
        {**outside, "field": "request_id"},
    )
    add(
        "wrong-partition",
        "not where the default partitioner puts the ID",
        {**least.record(), "partition": (home(least.id) + 1) % PARTITIONS},
        says(3, "WRONG_PARTITION", "RECORD", "SAME_RECORD"),
    )
    add(
        "wrong-reply-topic",
        "unsigned routing is neither obeyed nor ignored",
        {**least.record(), "headers": least.record()["headers"] + [["kafka_replyTopic", "elsewhere"]]},
        says(3, "WRONG_REPLY_TOPIC", "RECORD", "SAME_RECORD"),
    )
    add(
        "unknown-method",
        "a method that the service does not have",
        with_header(least.record(), "tokend-method", SERVICE + "DropToken"),
        says(12, "UNKNOWN_METHOD", "RECORD", "NEVER"),
    )

    # Signed well, and no message that all libraries read alike. Numbers are those of the field in its message.
    def strict(name, note, body, field, number_, method="CreateToken"):
        add(
            name,
            note,
            signed(body, method=method),
            says(3, "INVALID_REQUEST", "RECORD", "NEW_ID", field, None if number_ is None else str(number_)),
        )

    head, tail = least.body[:13], least.body[13:]  # request_id, the rest
    assert head == block(1, least.id)
    strict("unknown-field", "a field that this version does not have", least.body + block(99, "x"), None, 99)
    strict(
        "unknown-field-inside",
        "the same, inside target",
        head + tail.replace(block(4, block(1, "prod")), block(4, block(1, "prod") + number(4, 1))),
        "target",
        4,
    )
    strict("duplicate-field", "twice the same value", head + head + tail, "request_id", 1)
    strict("duplicate-message", "libraries would merge the two", least.body + block(4, block(2, ACCOUNT)), "target", 4)
    strict(
        "both-of-a-oneof",
        "one permission, two resources",
        head
        + tail.replace(
            block(6, number(1, 2) + block(2, "orders")), block(6, number(1, 2) + block(2, "orders") + number(3, 1))
        ),
        "permissions[0].all_databases",
        3,
    )
    strict(
        "nul-in-string",
        "C would end the string there",
        head + tail.replace(b"orders writer", b"orders\0writer"),
        "description",
        5,
    )
    strict(
        "invalid-utf8",
        "a lone continuation byte",
        head + tail.replace(b"orders writer", b"orders\x80writer"),
        "description",
        5,
    )
    strict(
        "overlong-utf8",
        "a slash in two bytes",
        head + tail.replace(b"orders writer", b"orders\xc0\xafrite"),
        "description",
        5,
    )
    strict(
        "surrogate-utf8",
        "half of a UTF-16 pair",
        head + tail.replace(b"orders writer", b"orders\xed\xa0\x80iter"),
        "description",
        5,
    )
    strict(
        "wrong-wire-type",
        "issued_at as a number",
        head + tail.replace(block(8, number(1, 1795507200)), number(8, 1795507200)),
        "issued_at",
        8,
    )
    strict("overlong-varint", "a length in two bytes that fits one", b"\x0a\x8b\x00" + head[2:] + tail, "request_id", 1)
    strict("cut-message", "the last field says more bytes than follow", least.body[:-1], "recipient", 10)
    strict("group", "a wire type that proto3 does not have", least.body + b"\x0b\x0c", "request_id", 1)
    strict("field-number-zero", "which none can have", head + tail + b"\x02\x00", None, None)
    strict("no-issued-at", "absent", packed("CreateToken", create_fields(least.id, issued_at=None)), "issued_at", None)
    strict(
        "issued-at-with-nanos",
        "times are whole seconds",
        packed("CreateToken", create_fields(least.id, issued_at="2026-11-24T08:00:00.000000001Z")),
        "issued_at",
        None,
    )
    strict(
        "another-service",
        "a request for another tokend",
        packed("CreateToken", create_fields(least.id, service_id="elsewhere")),
        "service_id",
        None,
    )
    strict(
        "outcome-without-issued-at",
        "the other methods are as strict",
        packed("GetOutcome", short_fields(least.id, issued_at=None)),
        "issued_at",
        None,
        "GetOutcome",
    )
    strict(
        "revoke-duplicate-field",
        "and so is the third",
        packed("RevokeToken", short_fields(least.id)) + block(2, "telemetry"),
        "principal",
        2,
        "RevokeToken",
    )
    broken = says(3, "INVALID_REQUEST", "RECORD", "NEW_ID")
    add("broken-frame", "begins as Schema Registry's frame and ends in it", least.record(b"\0\0\0"), broken)
    add(
        "frame-of-another-message",
        "the index is GetOutcomeRequest's",
        least.record(b"\0\0\0\0\7\2\2" + least.body),
        broken,
    )
    add(
        "another-principal",
        "billing's name over telemetry's signature",
        signed(packed("CreateToken", create_fields(least.id, principal="billing"))),
        says(7, "WRONG_PRINCIPAL", "RECORD", "NEW_ID", "principal"),
    )

    # A request, and what it asks for cannot be: an outcome, for good.
    def value(name, note, field, **changed):
        add(
            name,
            note,
            signed(packed("CreateToken", create_fields(least.id, **changed))),
            says(3, "INVALID_REQUEST", "OUTCOME", "NEW_ID", field),
        )

    def inline(public, suite="SEALEDBOX_X25519"):
        return {"inline_key": {"suite": suite, "public_key": b64(public)}}

    read, honest = {"action": "READ", "database": "a"}, bytes(BOX_KEYS["inline"].public_key)
    value("no-permission", "a token that may do nothing", "permissions", permissions=[])
    value("permission-twice", "none twice", "permissions[1]", permissions=[read, read])
    value("no-action", "ACTION_UNSPECIFIED", "permissions[0].action", permissions=[{"database": "a"}])
    value("no-resource", "neither a database nor all", "permissions[0]", permissions=[{"action": "READ"}])
    value(
        "all-databases-false",
        "it must be true",
        "permissions[0].all_databases",
        permissions=[{"action": "READ", "all_databases": False}],
    )
    value(
        "database-star",
        "every database is all_databases, not a name",
        "permissions[0].database",
        permissions=[{"action": "READ", "database": "*"}],
    )
    value(
        "database-too-long",
        "65 bytes",
        "permissions[0].database",
        permissions=[{"action": "READ", "database": "a" * 65}],
    )
    value("no-description", "1 to 200 bytes", "description", description=None)
    value("description-too-long", "201 bytes", "description", description="d" * 201)
    value("description-with-a-marker", "the service appends its own", "description", description="x [tokend/1:a]")
    value("description-with-a-blank-end", "no blank at either end", "description", description="orders ")
    value("no-recipient", "to whom shall it be sealed?", "recipient", recipient=None)
    value("unregistered-recipient", "the policy knows no such key", "recipient.key_id", recipient={"key_id": "t-box9"})
    value("anothers-recipient", "billing's key is not telemetry's", "recipient.key_id", recipient={"key_id": "b-box1"})
    value("no-suite", "SUITE_UNSPECIFIED", "recipient.inline_key.suite", recipient=inline(honest, "SUITE_UNSPECIFIED"))
    value("reserved-suite", "kept for HPKE", "recipient.inline_key.suite", recipient=inline(honest, "HPKE_RESERVED"))
    value("short-inline-key", "31 bytes", "recipient.inline_key.public_key", recipient=inline(honest[:31]))
    for i, key in enumerate(LOW_ORDER):
        value(
            f"low-order-inline-key-{i}",
            "anybody could open what is sealed to it",
            "recipient.inline_key.public_key",
            recipient=inline(key),
        )
    value("unknown-cluster", "not in the configuration", "target.cluster", target={"cluster": "staging"})
    value(
        "cluster-by-name-and-ids",
        "one of the two",
        "target",
        target={"cluster": "prod", "account_id": ACCOUNT, "cluster_id": CLUSTER},
    )
    value("one-id-alone", "the two ids go together", "target", target={"account_id": ACCOUNT})
    value(
        "account-in-capitals",
        "a UUID in lower case",
        "target.account_id",
        target={"account_id": ACCOUNT[:-1] + "A", "cluster_id": CLUSTER},
    )
    value("expires-at-with-nanos", "times are whole seconds", "expires_at", expires_at="2027-01-01T00:00:00.5Z")
    value("deadline-before-issued-at", "by a second", "deadline", deadline="2026-11-24T07:59:59Z")
    value("deadline-too-late", "issued_at + 1 hour is the most", "deadline", deadline="2026-11-24T09:00:01Z")
    return rows
