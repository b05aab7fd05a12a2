# SPDX-License-Identifier: Apache-2.0
"""Replies that this version never sends, and that end the waiting all the same."""

from google.protobuf.json_format import MessageToDict, ParseDict

from making.contract import b64, block, number, pb
from making.keys import BOX_KEYS
from making.replies import Reply, granted, refused, seal, status

UNKNOWN = number(99, 7) + block(100, "what is this?")


def newer(stored):
    """The same, with fields that nobody knows yet, in the status too."""
    message = ParseDict(stored, pb.CreateTokenReply())
    message.status.MergeFromString(UNKNOWN)
    message.MergeFromString(UNKNOWN)
    return message


def odd_replies(requests, boxes):
    """Genuine answers to `request`. `secret`: of the box that is to be opened, or None where nothing is."""
    least, whole = requests["create-least"], requests["create-whole"]
    box = boxes["box-whole"]
    grown = seal(box.plaintext + UNKNOWN, BOX_KEYS["t-box1"].public_key, "a newer service's")[2]
    a_refusal = {**status("POLICY_DENIED", "something new is wrong"), "code": 11, "reason": "NEWER_REASON", "retry": 9}

    def odd(name, note, request, stored, secret=None):
        reply = Reply(name, note, request, stored)
        return {
            "name": name,
            "note": note,
            "request": request.name,
            "fields": MessageToDict(reply.message, preserving_proto_field_name=True),
            "secret": secret and MessageToDict(secret, preserving_proto_field_name=True),
            "record": reply.record(),
        }

    return [
        odd(
            "newer-fields",
            "a newer service's token: fields of unknown numbers in the reply, in its status and in the box",
            whole,
            newer(granted(whole, box, sealed_token=b64(grown))),
            box.message,
        ),
        odd(
            "newer-refusal",
            "a code, a reason and a retry that nobody knows yet, and fields of unknown numbers: as NEVER",
            least,
            newer(refused(least, a_refusal)),
        ),
        odd(
            "newer-about",
            "an about that nobody knows yet: as NEVER, whatever retry says",
            least,
            refused(least, {**status("REQUEST_ID_REUSED", "used before"), "about": 9}),
        ),
        odd(
            "error-with-box",
            "an error is an error: the box beside it would open, and is not opened",
            whole,
            granted(whole, box, status=status("POLICY_DENIED", "no")),
        ),
    ]
