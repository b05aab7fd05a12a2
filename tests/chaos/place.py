# SPDX-License-Identifier: Apache-2.0
"""The folder of a run and what stands in it: a real Kafka, the sandbox's API, keys, policy and configurations.

All keys come from the seed, so a run that was interrupted knows them again, and the checker can open every box.
"""

import base64
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests" / folder) for folder in ("e2e", "kafka", "chaos")]
os.environ.setdefault("TOKEND_BUILD", "build/chaos")

from confluent_kafka import Consumer, KafkaException, TopicPartition  # noqa: E402
from nacl.public import PrivateKey  # noqa: E402
from nacl.signing import SigningKey  # noqa: E402

from audit import read_topic  # noqa: E402
from conftest import ACCOUNT, BUILD, CLUSTER, MANAGEMENT_TOKEN, Sandbox, free_port, public_entry, until  # noqa: E402
from kafka import Kafka  # noqa: E402
from plan import CLUSTERS, PRINCIPALS  # noqa: E402
from requester import Principal  # noqa: E402

SERVICE = "chaos"  # the service_id, and the topics' prefix: a run has a broker of its own
PARTITIONS = 6
SWEEP_INTERVAL_S = 45  # 15 min at that scale
ANSWER_S = 60  # a broker that was just started, or is stopped
TIME_SCALE = 1 / 20  # of the durations that wait for the API alone; the broker's are real


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


class LastingSandbox(Sandbox):
    """It holds the truth in its memory, so it outlives a run that is interrupted, and is found again by the next; but
    it does not wait for that for ever."""

    before_exec, own_session = None, True
    before_it = ("timeout", "2h")

    def __init__(self, directory, *options):
        self.ready = directory / "sandbox.json"
        if not self.find():
            super().__init__(directory, *options)
            self.find()

    @classmethod
    def runs_in(cls, directory):
        there = cls.__new__(cls)
        there.ready = directory / "sandbox.json"
        return there.find()

    def find(self):
        """Whether one runs there."""
        try:
            found = json.loads(self.ready.read_text())
            self.pid, self.api, self.control = found["pid"], found["api"], found["control"]
            self.ask("GET", "/health")
            return True
        except (OSError, ValueError):
            return False

    def close(self):
        """It is looked for until it is gone, by whoever started it or not."""
        os.kill(self.pid, signal.SIGTERM)
        until("the sandbox ends", lambda: not self.find())


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
        self.ends(), self.committed()  # answers once it leads its partitions, and coordinates
        return self

    def open_api(self, lasting):
        self.sandbox = (LastingSandbox if lasting else Sandbox)(
            self.folder,
            "--no-kafka",
            "--seed",
            str(self.seed),
            *(("--deleted-tokens", "revoked") if self.seed % 2 == 0 else ()),  # in lists for good, or gone
            *(o for name in ("rough", "blind") for o in ("--cluster", f"{ACCOUNT}/{self.cluster_ids[name]}")),
        )
        self.write_keys()

    def close(self, lasting=False):
        """lasting: the API goes on, so that another run may."""
        if self.sandbox is not None and not lasting:
            self.sandbox.close()
        if self.broker is not None:
            self.broker.close()

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

    def all_answered(self):
        committed = self.committed()
        return all(committed.get(p, 0) == end for p, end in self.ends().items())

    @staticmethod
    def partitions():
        return [TopicPartition(f"{SERVICE}.requests", p) for p in range(PARTITIONS)]

    # -- a journal that is lost --------------------------------------------------------------------------------------

    def lose_journal(self):
        """The journal's topic is made anew; what it held is kept for the checker."""
        held = read_topic(self.kafka, f"{SERVICE}.journal")
        kept = [
            [m.partition(), m.offset(), base64.b64encode(m.key()).decode(), base64.b64encode(m.value()).decode(),
             m.timestamp()[1]]
            for m in held
        ]
        (self.folder / "lost-journal.json").write_text(json.dumps(kept))
        self.broker.make_topic_anew(SERVICE, "journal", PARTITIONS)

    def lost_journal(self):
        """[(partition, offset, key, value, timestamp)], in order; mostly nothing."""
        path = self.folder / "lost-journal.json"
        found = json.loads(path.read_text()) if path.exists() else []
        return [(p, o, base64.b64decode(k), base64.b64decode(v), at) for p, o, k, v, at in found]

    def accept_loss(self, partition, instance):
        """An operator's word."""
        config = self.folder / "conf" / f"tokend-{instance}.yaml"
        done = subprocess.run(
            [BUILD / "tokenctl", "journal", "accept-loss", "--tokend-config", config, "--partition", str(partition),
             "--force"],
            capture_output=True, text=True, timeout=60, check=False,
        )
        assert done.returncode == 0, done.stderr

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
        """A port on which nothing listens, the same for all instances and as long as the run lasts."""
        path = self.folder / "nobody"
        if not path.exists():
            path.write_text(str(free_port()))
        return path.read_text()

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
                    "sweep_interval": f"{SWEEP_INTERVAL_S}s",
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
