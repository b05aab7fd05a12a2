# SPDX-License-Identifier: Apache-2.0
"""The folder of a run and what stands in it: a real Kafka, the sandbox's API, keys, policy and configurations.

All keys come from the seed, so a run that was interrupted knows them again, and the checker can open every box.
"""

import base64
import hashlib
import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests" / folder) for folder in ("e2e", "kafka", "chaos")]
os.environ.setdefault("TOKEND_BUILD", "build/chaos")

from confluent_kafka import Consumer, KafkaException, TopicPartition  # noqa: E402
from nacl.public import PrivateKey  # noqa: E402
from nacl.signing import SigningKey  # noqa: E402

from conftest import ACCOUNT, BUILD, CLUSTER, MANAGEMENT_TOKEN, Sandbox, free_port, public_entry  # noqa: E402
from kafka import Kafka  # noqa: E402
from plan import CLUSTERS, PRINCIPALS  # noqa: E402
from requester import Principal  # noqa: E402

SERVICE = "chaos"  # the service_id, and the topics' prefix: a run has a broker of its own
PARTITIONS = 6
ANSWER_S = 60  # a broker that was just started, or is stopped
TIME_SCALE = 0.05  # of the durations that wait for the API alone; the broker's are real


def secret(seed, name):
    return hashlib.sha256(f"tokend chaos {seed} {name}".encode()).digest()


def principals(seed):
    return {
        name: Principal(
            name,
            f"{name}-1",
            SigningKey(secret(seed, name + " signs")),
            f"{name}-box1",
            PrivateKey(secret(seed, name + " opens")),
        )
        for name in PRINCIPALS
    }


class Place:
    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        self.folder.mkdir(parents=True, exist_ok=True)
        self.principals = principals(seed)
        self.cluster_ids = {"prod": CLUSTER, "edge": "clustered"} | {
            name: f"c{n:07}-0000-4000-8000-000000000000" for n, name in enumerate(("rough", "blind"))
        }
        self.broker = self.sandbox = None

    # -- the world ---------------------------------------------------------------------------------------------------

    def open(self):
        new = not (self.folder / "kafka" / "data").exists()
        self.broker = Kafka(self.folder / "kafka", controller_apart=True)
        self.broker.start()
        if new:
            self.broker.create_topics(SERVICE, PARTITIONS)
        return self

    def open_api(self):
        self.sandbox = Sandbox(
            self.folder,
            "--no-kafka",
            "--seed",
            str(self.seed),
            *(o for name in ("rough", "blind") for o in ("--cluster", f"{ACCOUNT}/{self.cluster_ids[name]}")),
        )
        self.write_keys()

    def close(self):
        for thing in (self.sandbox, self.broker):
            if thing is not None:
                thing.close()

    @property
    def kafka(self):
        return {"bootstrap.servers": self.broker.bootstrap, "log_level": 0}

    def asked(self, group, question):
        """A broker that was killed a moment ago may not know yet what it coordinates: ask again."""
        consumer = Consumer({**self.kafka, "group.id": group})
        end = time.monotonic() + ANSWER_S
        try:
            while True:
                try:
                    return question(consumer)
                except KafkaException:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.2)
        finally:
            consumer.close()

    def committed(self):
        """Partition -> offset."""
        found = self.asked(f"tokend-{SERVICE}", lambda c: c.committed(self.partitions(), timeout=10))
        return {t.partition: t.offset for t in found if t.offset >= 0}

    def ends(self):
        return self.asked(
            "nobody", lambda c: {t.partition: c.get_watermark_offsets(t, timeout=10)[1] for t in self.partitions()}
        )

    @staticmethod
    def partitions():
        return [TopicPartition(f"{SERVICE}.requests", p) for p in range(PARTITIONS)]

    # -- configuration -----------------------------------------------------------------------------------------------

    def write_keys(self):
        conf = self.folder / "conf"
        conf.mkdir(exist_ok=True)
        for name, text in (
            ("management-token", MANAGEMENT_TOKEN),
            ("signing.key", base64.b64encode(secret(self.seed, "the service signs")).decode()),
        ):
            (conf / name).write_text(text + "\n")
            (conf / name).chmod(0o600)
        entries = [
            {
                "name": p.name,
                "signing_keys": [public_entry(p)],
                "recipient_keys": [
                    {
                        "id": p.box_key_id,
                        "suite": "sealedbox-x25519",
                        "key": base64.b64encode(bytes(p.box_key.public_key)).decode(),
                    }
                ],
                "grants": [{"clusters": list(CLUSTERS), "databases": ["mydb*"], "actions": ["read", "write"]}],
            }
            for p in self.principals.values()
        ]
        (conf / "policy.yaml").write_text(json.dumps({"version": 1, "principals": entries}))

    def clusters(self):
        found = []
        for name in CLUSTERS:
            where = {"name": name, "url": self.sandbox.api, "management_token_file": "management-token"}
            if name in ("prod", "rough", "blind"):
                ids = {"account_id": ACCOUNT, "cluster_id": self.cluster_ids[name]}
                found.append({**where, "product": "dedicated", **ids})
            elif name == "edge":
                found.append({**where, "product": "clustered"})
            else:  # nobody listens there
                found.append({**where, "product": "clustered", "url": f"http://127.0.0.1:{self.nobody()}"})
        return found

    def nobody(self):
        """A port on which nothing listens, the same for all instances."""
        self.__dict__.setdefault("_nobody", free_port())
        return self._nobody

    def configure(self, instance, ops_port):
        """Its configuration's path."""
        path = self.folder / "conf" / f"tokend-{instance}.yaml"
        path.write_text(
            json.dumps(
                {
                    "service_id": SERVICE,
                    "instance": instance,
                    "kafka": [f"bootstrap.servers={self.broker.bootstrap}", "fetch.wait.max.ms=10"],
                    "topics": {
                        **{t: f"{SERVICE}.{t}" for t in ("requests", "replies", "journal", "deadletters")},
                        "partitions": PARTITIONS,
                    },
                    "topic_checks": "strict",
                    "signing_key": {"id": f"{SERVICE}-1", "file": "signing.key"},
                    "policy_file": "policy.yaml",
                    "clusters": self.clusters(),
                    "ops": {"address": "127.0.0.1", "port": ops_port},
                }
            )
        )
        return path


def program(name):
    return BUILD / name
