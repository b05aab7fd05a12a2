# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the contract, and its messages, made from proto/ now."""

import base64
import hashlib
import pathlib
import struct
import subprocess
import sys
import tempfile


def generated():
    """The messages, made from proto/ now, so that they are never older than it."""
    proto = pathlib.Path(__file__).resolve().parents[3] / "proto"
    with tempfile.TemporaryDirectory(prefix="tokend-vectors.") as directory:
        subprocess.run(["protoc", f"-I{proto}", f"--python_out={directory}", "tokend/v1/token.proto"], check=True)
        sys.path.insert(0, directory)
        try:
            from tokend.v1 import token_pb2
        finally:
            sys.path.remove(directory)
    return token_pb2


pb = generated()

SERVICE = "/tokend.v1.TokenService/"
PARTITIONS = 6
ISSUED_AT = "2026-11-24T08:00:00Z"
ACCOUNT, CLUSTER = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa"


def fixed(label):
    return hashlib.sha256(b"tokend test vectors: " + label.encode()).digest()


def media_type(message):
    return f"application/vnd.tokend.v1.{message}+protobuf"


def pae(kind, body):
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(body), body)


def digest(kind, body, key_id, signature):
    return hashlib.sha256(pae(kind, body) + b" %d %s %d %s" % (len(key_id), key_id, len(signature), signature)).digest()


def murmur2(key):
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(key)
    whole = len(key) & ~3
    for (k,) in struct.iter_unpack("<I", key[:whole]):
        k = k * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if len(key) > whole:
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def home(key):
    return (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS


def b64(data):
    return base64.b64encode(data).decode()


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# Protobuf's wire by hand, for what no library writes.


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def block(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data
