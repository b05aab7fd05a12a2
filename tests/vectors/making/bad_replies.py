# SPDX-License-Identifier: Apache-2.0
"""Records that must not be taken for replies."""

import base64

from making.contract import PARTITIONS, b64, flipped, home, media_type
from making.curves import malleable
from making.keys import BOX_KEYS, SIGNERS
from making.replies import Reply, Secret, granted, refused, seal, secret_fields, status


def bad_replies(requests, boxes):
    """Records on the reply topic under our ID, which whoever waits for the answer to `request` ignores."""
    least, whole = requests["create-least"], requests["create-whole"]
    rows = []
    honest = Reply("", "", whole, granted(whole, boxes["box-whole"]))
    raw = base64.b64decode(honest.signature)

    def add(name, because, note, record, request=whole):
        rows.append({"name": name, "because": because, "note": note, "request": request.name, "record": record})

    def reply(stored=None, request=whole, **more):
        return Reply("", "", request, stored or granted(whole, boxes["box-whole"]), **more)

    # The signature.
    for at in (0, 2, len(honest.body) // 2, len(honest.body) - 1):
        add(f"flipped-body-byte-{at}", "signature", "one bit of the value", honest.record(flipped(honest.body, at)))
    for at in (0, 31, 32, 63):
        add(
            f"flipped-signature-byte-{at}",
            "signature",
            "one bit of the signature",
            honest.record(signature=b64(flipped(raw, at))),
        )
    add("cut-body", "signature", "without its last byte", honest.record(honest.body[:-1]))
    add("empty-value", "signature", "nothing at all", honest.record(b""))
    add("not-canonical-s", "signature", "S + L instead of S", honest.record(signature=b64(malleable(raw))))
    add(
        "unpadded-signature",
        "signature",
        "base64 without its padding",
        honest.record(signature=honest.signature.rstrip("=")),
    )
    add(
        "no-signature",
        "signature",
        "without the header",
        {**honest.record(), "headers": [h for h in honest.record()["headers"] if h[0] != "tokend-signature"]},
    )
    add("signed-by-a-stranger", "signature", "a key that is not pinned", reply(key_id="stranger").record())
    add(
        "signed-by-the-requester",
        "signature",
        "the requester's own key is not the service's",
        reply(key_id="t-1").record(),
    )
    add(
        "strangers-signature-under-a-pinned-id",
        "signature",
        "the key id in the header is only a hint",
        {
            **reply(key_id="stranger").record(),
            "headers": [
                [k, "tokend-1" if k == "tokend-key-id" else v] for k, v in reply(key_id="stranger").record()["headers"]
            ],
        },
    )
    add(
        "signed-as-a-revocation",
        "signature",
        "RevokeTokenReply's type",
        reply(kind=media_type("RevokeTokenReply")).record(),
    )
    add(
        "signed-as-a-request",
        "signature",
        "the service's key over a request's type",
        reply(kind=media_type("CreateTokenRequest")).record(),
    )
    add(
        "a-requests-signature",
        "signature",
        "the request's own record, thrown back",
        {**whole.record(), "partition": home(whole.id)},
    )
    add(
        "signed-the-bare-bytes",
        "signature",
        "without the encoding",
        reply(signature=b64(SIGNERS["tokend-1"].sign(honest.body).signature)).record(),
    )

    # The frame, which nobody signs.
    for name, note, frame in (
        ("first-message", "a good reply as CreateTokenRequest", "000000000700"),
        ("revoke-reply", "a good reply as RevokeTokenReply", "00000000070208"),
        ("message-in-a-message", "a good reply as a message within CreateTokenReply", "0000000007040600"),
        ("broken", "an index of -1 numbers", "000000000701"),
    ):
        add("frame-" + name, "frame", note, reply(frame=bytes.fromhex(frame)).record())

    # Whose answer it is.
    add(
        "no-status",
        "status",
        "without a status, whose code would read as OK",
        reply(granted(whole, boxes["box-whole"], status=None)).record(),
    )
    other = Reply("", "", least, granted(least, boxes["box-least"]))
    add(
        "another-requests-reply",
        "request",
        "a genuine reply to another request, under our key",
        {**other.record(), "key": whole.id, "partition": home(whole.id)},
    )
    add(
        "another-requests-id",
        "request",
        "our digest over another ID",
        reply(granted(whole, boxes["box-whole"], request_id=least.id), key=whole.id).record(),
    )
    add(
        "another-records-digest",
        "digest",
        "the answer to the same bytes signed with another key",
        Reply("", "", requests["create-rotated-key"], granted(least, boxes["box-least"])).record(),
        least,
    )
    add(
        "the-outcomes-digest",
        "digest",
        "a genuine answer to our GetOutcome is none to our CreateToken",
        Reply("", "", requests["outcome-whole"], granted(whole, boxes["box-whole"]), method="GetOutcome").record(),
    )
    add("no-digest", "digest", "empty", reply(request_digest="").record())
    add(
        "the-fingerprint-for-a-digest",
        "digest",
        "the two are not the same hash",
        reply(request_digest=b64(whole.fingerprint)).record(),
    )
    add(
        "another-principal",
        "principal",
        "billing's",
        reply(granted(whole, boxes["box-whole"], principal="billing")).record(),
    )
    add(
        "a-token-for-nobody",
        "principal",
        "an empty principal never has a token",
        reply(granted(whole, boxes["box-whole"], principal="")).record(),
    )
    add(
        "an-outcome-for-nobody",
        "principal",
        "nor an outcome: only what refuses the record may be nobody's",
        Reply("", "", whole, refused(whole, status("POLICY_DENIED", "no"), "")).record(),
    )

    # The box, behind a good signature.
    def boxed(name, because, note, **changed):
        add(name, because, note, reply(granted(whole, boxes["box-whole"], **changed)).record())

    box = boxes["box-whole"].box
    boxed("no-box", "box", "OK without a box", sealed_token="")
    boxed("cut-box", "box", "without its last byte", sealed_token=b64(box[:-1]))
    boxed("box-of-a-seal-alone", "box", "48 bytes: nothing inside", sealed_token=b64(box[:48]))
    for at in (0, 31, 32, 47, 48, len(box) - 1):
        boxed(f"flipped-box-byte-{at}", "box", "one bit", sealed_token=b64(flipped(box, at)))
    boxed(
        "box-to-a-stranger",
        "box",
        "sealed to another key under our key's id",
        sealed_token=b64(seal(boxes["box-whole"].plaintext, BOX_KEYS["stranger"].public_key, "a stranger")[2]),
    )
    boxed(
        "box-that-is-no-message",
        "box",
        "opens, and cannot be decoded",
        sealed_token=b64(seal(b"\x0a\x05cut", BOX_KEYS["t-box1"].public_key, "no message")[2]),
    )
    boxed("another-recipient", "box", "the reply names another key", recipient_key_id="t-box2")
    boxed("no-suite", "box", "SUITE_UNSPECIFIED", suite="SUITE_UNSPECIFIED")
    boxed("reserved-suite", "box", "kept for HPKE: nothing can be downgraded", suite="HPKE_RESERVED")

    # What the box says of itself.
    add(
        "another-requests-box",
        "context",
        "a genuine box of another request, to the same key",
        reply(granted(whole, boxes["box-least"])).record(),
    )

    def context(name, note, request=whole, **changed):
        secret = Secret("bad context: " + name, "", request, **changed)
        add("context-" + name, "context", note, reply(granted(request, secret), request).record(), request)

    honest_fields = secret_fields(whole)
    context("service-id", "another service's", service_id="elsewhere")
    context("request-id", "another ID", request_id=least.id)
    context("request-fingerprint", "other bytes under our ID", request_fingerprint=b64(least.fingerprint))
    context("no-fingerprint", "empty", request_fingerprint=None)
    context("cut-fingerprint", "16 bytes of it", request_fingerprint=b64(whole.fingerprint[:16]))
    context("recipient-key-id", "another key's id", recipient_key_id="t-box2")
    context("account-id", "another account", account_id="99999999-2222-4333-8444-555555555555")
    context("cluster-id", "another cluster", cluster_id="99999999-7777-4888-9999-aaaaaaaaaaaa")
    context("cluster", "another name than was asked for, with the ids of the right one", least, cluster="edge")
    context(
        "name-and-ids",
        "another cluster in every word, for a request by name",
        least,
        cluster="edge",
        account_id=None,
        cluster_id=None,
    )
    context(
        "description", "another description", description=honest_fields["description"].replace("Waage 3", "Waage 4")
    )
    context("no-marker", "a description without the service's marker", description=whole.message.description)
    marked, place = honest_fields["description"], f":{home(whole.id)}:"
    for name, note, old, new in (
        ("service", "another service's marker", ":tokend:", ":elsewhere:"),
        ("principal", "another principal's", ":telemetry:", ":billing:"),
        ("partition", "another partition's", place, f":{(home(whole.id) + 1) % PARTITIONS}:"),
        ("version", "of a form that this contract does not know", "tokend/1:", "tokend/2:"),
        ("attempt", "no UUID in lower case", "0f1e2d3c", "0F1E2D3C"),
        ("end", "a blank behind it", "]", "] "),
        ("twice", "a second one behind it", "]", "]" + marked[marked.rindex(" [") :]),
        ("gap", "two blanks before it", " [", "  ["),
    ):
        assert marked.count(old) == 1
        context("marker-" + name, note, description=marked.replace(old, new))
    context(
        "permission-more",
        "one right more",
        permissions=honest_fields["permissions"] + [{"action": "WRITE", "database": "telemetry_c"}],
    )
    context("permission-less", "one right less", permissions=honest_fields["permissions"][:-1])
    context("permission-order", "the same rights in another order", permissions=honest_fields["permissions"][::-1])
    context(
        "permission-action",
        "READ became WRITE",
        permissions=[*honest_fields["permissions"][:2], {"action": "WRITE", "all_databases": True}],
    )
    context("expires-at", "two seconds later than was asked for", expires_at="2027-11-24T08:00:02Z")
    context("expires-at-nanos", "a second and a half later", expires_at="2027-11-24T08:00:01.500Z")
    context("no-expiry", "never expires, though an expiry was asked for", expires_at=None)
    context("no-token", "a box without a token", access_token=None)
    context("short-token", "63 characters", access_token=honest_fields["access_token"][:63])
    context("long-token", "1,025 characters", access_token="x" * 1025)
    context("token-of-two-words", "a blank in it", access_token=honest_fields["access_token"].replace("_", " "))
    context("no-token-id", "nor without its id", token_id=None)
    context("token-id-in-capitals", "a UUID, and not in lower case", token_id=honest_fields["token_id"].upper())
    return rows
