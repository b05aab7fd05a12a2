# SPDX-License-Identifier: Apache-2.0
"""Keys and signatures on which libraries for Ed25519 and X25519 are known to disagree."""

import base64
import hashlib

from nacl.bindings import (
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_sign_ed25519ph_final_create,
    crypto_sign_ed25519ph_state,
    crypto_sign_ed25519ph_update,
)

from making.contract import b64
from making.keys import BOX_KEYS, SIGNERS

ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519's base point
P = 2**255 - 19


def little(n):
    return n.to_bytes(32, "little")


def malleable(signature):
    """R, S + L: the same equation holds."""
    return signature[:32] + little(int.from_bytes(signature[32:], "little") + ORDER)


# Every encoding of the eight points of small order, those that no honest encoder writes too.
Y8 = [  # y of the four points of order 8: two values, each with both signs of x
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
]
SMALL_ORDER = [
    y[:31] + bytes([y[31] | top])
    for y in (little(0), little(1), *Y8, little(P - 1), little(P), little(P + 1))
    for top in (0, 0x80)
]


def hash_scalar(r, public, message):
    return crypto_core_ed25519_scalar_reduce(hashlib.sha512(r + public + message).digest())


def signatures(requests):
    least = requests["create-least"]
    honest = base64.b64decode(least.signature)
    public = bytes(SIGNERS["t-1"].verify_key)
    rows = []

    def add(name, note, signature, key=public, valid=False, **more):
        rows.append(
            {
                "name": name,
                "note": note,
                "public": key.hex(),
                "media_type": least.kind,
                "body": least.body.hex(),
                "signature": b64(signature),
                "valid": valid,
                **more,
            }
        )

    def forged(key):
        """Fits any message: h·A vanishes as soon as 8 divides h."""
        for i in range(1000):
            s = crypto_core_ed25519_scalar_reduce(hashlib.sha512(key + bytes([i & 255, i >> 8])).digest())
            r = crypto_scalarmult_ed25519_base_noclamp(s)
            if hash_scalar(r, key, least.encoding)[0] % 8 == 0:
                return r + s
        raise AssertionError("one in eight is such a one")

    add("honest", "create-least's own", honest, valid=True)
    add("s-plus-l", "S + L: the equation holds, the encoding is not canonical", malleable(honest))
    add("s-top-bits", "S with its three top bits set", honest[:63] + bytes([honest[63] | 0xE0]))
    add("s-zero", "S = 0", honest[:32] + bytes(32))
    add("zeros", "64 zero bytes", bytes(64))
    add("another-key", "billing's public key", honest, bytes(SIGNERS["b-1"].verify_key))
    state = crypto_sign_ed25519ph_state()
    crypto_sign_ed25519ph_update(state, least.encoding)
    add(
        "prehashed",
        "Ed25519ph over the same bytes",
        crypto_sign_ed25519ph_final_create(state, SIGNERS["t-1"]._signing_key),
    )
    key_not_a_point = little(2)
    add("key-not-on-the-curve", "a public key that is no point", honest, key_not_a_point)

    # R is the neutral element, S = h·a: the equation holds, and whoever checks no orders takes it.
    wide = hashlib.sha512(bytes(SIGNERS["t-1"])).digest()
    clamped = bytes([wide[0] & 248]) + wide[1:31] + bytes([wide[31] & 127 | 64])
    a = crypto_core_ed25519_scalar_reduce(clamped + bytes(32))
    for name, r, differ in (
        ("small-order-r", little(1), True),
        ("small-order-r-sign", little(1)[:31] + b"\x80", False),
        ("not-canonical-r", little(P + 1), False),
    ):
        s = crypto_core_ed25519_scalar_mul(hash_scalar(r, public, least.encoding), a)
        add(
            name,
            "R is an encoding of the neutral element, and S = h·a",
            r + s,
            **({"libraries_differ": True} if differ else {}),
        )
    for i, key in enumerate(SMALL_ORDER):
        add(
            f"small-order-key-{i}",
            "a public key of small order: this signature would fit, and one for any message is " "found at once",
            forged(key),
            key,
            libraries_differ=True,
        )
    return rows


LOW_ORDER = [
    little(0),
    little(1),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    little(P - 1),
    little(P),
    little(P + 1),
]


def recipient_keys():
    def top(key):
        return key[:31] + bytes([key[31] | 0x80])

    rows = [{"public": k.hex(), "usable": False} for key in LOW_ORDER for k in (key, top(key))]
    rows += [{"public": bytes(k.public_key).hex(), "usable": True} for k in BOX_KEYS.values()]
    rows += [
        {"public": k.hex(), "usable": True}
        for k in (little(2), little(9), little(P + 9), little(P - 2), top(little(9)))
    ]
    return rows
