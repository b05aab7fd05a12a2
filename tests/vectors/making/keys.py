# SPDX-License-Identifier: Apache-2.0
"""Everybody's keys, each from a fixed seed, and who knows whose."""

import hashlib

from nacl.public import PrivateKey
from nacl.signing import SigningKey

from making.contract import ACCOUNT, CLUSTER, ISSUED_AT, PARTITIONS, b64, fixed

SIGNERS = {k: SigningKey(fixed("signs as " + k)) for k in ("tokend-1", "tokend-2", "t-1", "t-2", "b-1", "stranger")}
BOX_KEYS = {k: PrivateKey(fixed("opens as " + k)) for k in ("t-box1", "b-box1", "inline", "stranger")}
PINNED = ("tokend-1", "tokend-2")
OWNERS = {"t-1": "telemetry", "t-2": "telemetry", "b-1": "billing"}


def inline_id(public):
    return "sha256:" + hashlib.sha256(public).hexdigest()[:16]


def box_key_id(name):
    return inline_id(bytes(BOX_KEYS["inline"].public_key)) if name == "inline" else name


def world():
    def public(key):
        return b64(bytes(key.verify_key if isinstance(key, SigningKey) else key.public_key))

    def principal(name, box):
        return {
            "name": name,
            "signing_keys": [{"id": k, "ed25519": public(SIGNERS[k])} for k, owner in OWNERS.items() if owner == name],
            "recipient_keys": [{"id": box, "suite": "sealedbox-x25519", "key": public(BOX_KEYS[box])}],
            "allow_inline_key": name == "telemetry",
            "grants": [
                {"clusters": ["*"], "databases": ["*"], "all_databases": True, "actions": ["read", "write"]},
            ],
        }

    return {
        "now": ISSUED_AT,
        "service_id": "tokend",
        "partitions": PARTITIONS,
        "topics": {"requests": "tokend.requests", "replies": "tokend.replies"},
        "clusters": [
            {"name": "prod", "account_id": ACCOUNT, "cluster_id": CLUSTER},
            {"name": "edge", "account_id": "", "cluster_id": ""},
        ],
        "policy": {"version": 1, "principals": [principal("telemetry", "t-box1"), principal("billing", "b-box1")]},
        "signing_keys": [
            {
                "id": name,
                "owner": "the service" if name in PINNED else OWNERS.get(name, "nobody that tokend knows"),
                "seed": bytes(key).hex(),
                "public": bytes(key.verify_key).hex(),
            }
            for name, key in SIGNERS.items()
        ],
        "box_keys": [
            {"id": box_key_id(name), "secret": bytes(key).hex(), "public": bytes(key.public_key).hex()}
            for name, key in BOX_KEYS.items()
        ],
    }
