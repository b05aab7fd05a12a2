# SPDX-License-Identifier: Apache-2.0
"""Where Kafka puts a key, and what a serializer puts around a value."""

from making.contract import murmur2


def partitions():
    keys = [
        "orders-7f3a",
        "orders-7f3b",
        "9f8d2a34-5c1b-4e7f-8a90-0123456789ab",
        "job:42",
        "invoice-1",
        "a",
        "ab",
        "abc",
        "abcd",
        "21",
        "foobar",
        "a-little-bit-long-string",
        "a-little-bit-longer-string",
        "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
        "A.b_c-d:" * 15 + "12345678",
    ]
    foreign = ["", "größe", "東京", "x" * 300]
    return [
        {
            "key": key,
            "is_request_id": key in keys,
            "murmur2": murmur2(key.encode()),
            "partitions": {str(n): (murmur2(key.encode()) & 0x7FFFFFFF) % n for n in (1, 6, 12)},
        }
        for key in keys + foreign
    ]


def frames(requests):
    body = requests["create-least"].body
    whole = [
        ("bare", "no frame", "", None, None),
        ("first-message", "index [0] in its short form: one zero byte", "000000000700", 7, [0]),
        ("first-message-at-length", "index [0] at length", "00000000070200", 7, [0]),
        ("second-message", "GetOutcomeRequest's index", "00000000070202", 7, [1]),
        ("third-message", "RevokeTokenRequest's index", "00000000070204", 7, [2]),
        ("fourth-message", "CreateTokenReply's index", "00000000070206", 7, [3]),
        ("large-schema-id", "four bytes, big-endian", "00deadbeef00", 0xDEADBEEF, [0]),
        (
            "message-in-a-message",
            "an index of two numbers: a nested message, none of ours",
            "0000000007040204",
            7,
            [1, 2],
        ),
    ]
    broken = [
        ("zero-byte", "nothing behind the first byte", "00"),
        ("cut-schema-id", "three bytes of it", "00000000"),
        ("no-index", "ends behind the schema id", "0000000007"),
        ("cut-index", "two numbers are told, one is there", "00000000070402"),
        ("negative-length", "-1 numbers", "000000000701"),
        ("negative-index", "the message before the first", "00000000070201"),
        ("endless-varint", "a number without an end", "0000000007ffffffffffff"),
    ]
    return {
        "good": [
            {
                "name": n,
                "note": note,
                "value": frame + body.hex(),
                "schema_id": schema,
                "message_index": index,
                "body": body.hex(),
            }
            for n, note, frame, schema, index in whole
        ],
        "bad": [{"name": n, "note": note, "value": value} for n, note, value in broken],
    }
