# SPDX-License-Identifier: Apache-2.0
"""A real Apache Kafka: one broker in KRaft mode on loopback, in a folder of its own, from Maven Central's jars.

    with Kafka() as kafka:
        kafka.create_topics("tokend", partitions=6)
        ... kafka.bootstrap ...

or, to try with:  /usr/bin/python3 tests/kafka/kafka.py

The jars come once, into the user's cache, and so does an archive of the loaded classes, which makes every later start
three times as quick. The broker ends with the process that started it, however that ends.
"""
import contextlib
import ctypes
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from proxy import Proxy

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tokend" / "kafka-4.4.0"
JVM = ["java", "-Xmx256m", "-Xms256m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
       "-Dorg.slf4j.simpleLogger.logFile=System.out", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
READY_WITHIN_S = 90
WEEK_MS = 7 * 24 * 3600 * 1000

# Small and quick: one copy of everything, and no wait that only a large cluster needs.
COMMON = """\
process.roles={roles}
node.id={node}
controller.quorum.voters={voter}@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
log.dirs={directory}
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
share.coordinator.state.topic.replication.factor=1
"""
CONTROLLER = "listeners=CONTROLLER://127.0.0.1:{controller}\n"
BROKER = """\
listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{behind}{and_controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{proxied}
inter.broker.listener.name=PLAINTEXT
num.network.threads=2
num.io.threads=4
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
controlled.shutdown.enable=true
"""
BROKER_SESSION_S = 3

# Rights are looked at; what no ACL speaks of is everybody's.
AUTHORIZER = """\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
"""


@contextlib.contextmanager
def once_at_a_time(name):
    """Two test runs that begin together must not fill the cache together."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch():
    """The jars, in a fixed order; Maven is asked once for all time. Returns the class path."""
    jars = CACHE / "jars"
    with once_at_a_time("jars"):
        if not jars.is_dir():
            partial = CACHE / "jars.partial"
            for attempt in (1, 2):
                shutil.rmtree(partial, ignore_errors=True)
                done = subprocess.run(["mvn", "-q", "-B", "-f", HERE / "pom.xml", "dependency:copy-dependencies",
                                       f"-DoutputDirectory={partial}"], capture_output=True, text=True)
                if done.returncode == 0:
                    break
                if attempt == 2:
                    raise RuntimeError("Maven could not fetch Apache Kafka:\n" + (done.stdout + done.stderr)[-2000:])
                time.sleep(3)
            partial.rename(jars)
    return ":".join(str(jar) for jar in sorted(jars.glob("*.jar")))


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)      # PR_SET_PDEATHSIG


class Kafka:
    """One broker. It keeps its ports and its data from one start to the next; stop() is clean, kill() is not. A folder
    in which another one left its data is gone on with, on other ports.

    controller_apart: who is killed and started again needs it. A broker that is its own controller comes back as the
    leader of all, is then found dead by itself, and takes the partitions of transactions that it has still to end for
    deleted ones: these hang for ever. With a controller that lives on it comes back when its death is known."""

    def __init__(self, directory=None, archive=True, authorizer=False, controller_apart=False):
        self.own = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="tokend-kafka."))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port, self.controller, self.behind, self.proxied = free_ports(4)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.log = self.directory / "kafka.log"
        self.apart, self.controller_process, self.killed = controller_apart, None, None
        self.rights = AUTHORIZER if authorizer else ""
        self.archive, self.more = CACHE / "classes.jsa", []
        self.process = None
        self.class_path = fetch()
        if archive:
            self.make_archive()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def make_archive(self):
        """A throw-away broker writes the archive of its classes as it ends. Another Java, or other jars: once more."""
        java = os.path.realpath(shutil.which("java") or "java")
        made_for = CACHE / "classes.made-for"
        with once_at_a_time("classes"):
            if not (self.archive.exists() and made_for.exists() and made_for.read_text() == java + self.class_path):
                self.archive.unlink(missing_ok=True)
                first = Kafka(archive=False)
                partial = self.archive.with_suffix(".partial")
                first.more = [f"-XX:ArchiveClassesAtExit={partial}"]
                with first:
                    first.create_topics()
                    first.stop(within_s=60)
                if partial.exists():       # without it all works, only slower
                    partial.rename(self.archive)
                    made_for.write_text(java + self.class_path)
        if self.archive.exists():
            self.more = [f"-XX:SharedArchiveFile={self.archive}", "-Xshare:auto"]

    def java(self, main, *arguments):
        return [*JVM, *self.more, "-cp", self.class_path, main, *map(str, arguments)]

    def configure(self, role, text, **more):
        """Its properties, in a file, and its folder, formatted. Returns the file."""
        properties, data = self.directory / f"{role}.properties", self.directory / role
        properties.write_text((COMMON + text).format(
            port=self.port, controller=self.controller, behind=self.behind, proxied=self.proxied, directory=data,
            voter=2 if self.apart else 1, **more))
        if not (data / "meta.properties").exists():
            with open(self.log, "a") as log:
                done = subprocess.run([*JVM, *[m for m in self.more if "AtExit" not in m], "-cp", self.class_path,
                                       "kafka.tools.StorageTool", "format", "-t", "dG9rZW5kLXRlc3RzLTEyMw", "-c",
                                       str(properties)], stdout=log, stderr=log)
            if done.returncode != 0:
                raise RuntimeError(f"Kafka's storage could not be formatted:\n{self.last_words()}")
        return properties

    def run(self, properties):
        with open(self.log, "a") as log:
            return subprocess.Popen(self.java("kafka.Kafka", properties), stdout=log, stderr=log,
                                    stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)

    def start(self):
        """Start, or start again, and wait until it answers."""
        assert self.process is None, "it runs already"
        if self.apart and self.controller_process is None:
            self.controller_process = self.run(
                self.configure("controller", CONTROLLER + self.rights, roles="controller", node=2))
        broker = self.configure("data", BROKER + self.rights, node=1,
                                roles="broker" if self.apart else "broker,controller",
                                and_controller="" if self.apart else f",CONTROLLER://127.0.0.1:{self.controller}")
        if self.apart and self.killed is not None:
            time.sleep(max(0, self.killed + BROKER_SESSION_S + 1 - time.monotonic()))
        self.killed = None
        self.process = self.run(broker)
        until = time.monotonic() + READY_WITHIN_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise RuntimeError(f"Kafka did not start:\n{self.last_words()}")
        return self

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                pass
            return bool(self.admin().list_topics(timeout=2).brokers)
        except (OSError, KafkaException):
            time.sleep(0.1)
            return False

    def proxy(self):
        """Clients that use its bootstrap go through it alone: the broker tells them no other address."""
        return Proxy(self.proxied, self.behind)

    def admin(self):
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def last_words(self):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "".join(text.splitlines(keepends=True)[-20:])

    def stop(self, within_s=30):
        """End it in good order."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(within_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def kill(self):
        """End it as a power cut would, its disk aside."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process, self.killed = None, time.monotonic()

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        """The end, for good: nothing is kept when the folder was ours."""
        self.kill()
        if self.controller_process is not None:
            self.controller_process.kill()
            self.controller_process.wait()
        if self.own:
            shutil.rmtree(self.directory, ignore_errors=True)

    def alter_topic(self, topic, settings):
        admin = self.admin()            # has to outlive its futures
        (future,) = admin.alter_configs([ConfigResource("topic", topic, set_config=settings)]).values()
        future.result()

    def forbid_transactions(self, transactional_id):
        """Nobody may write as that id any more, on a broker with an authorizer. A CreateAcls request by hand: the
        client library at hand has none."""
        def text(s):
            return struct.pack(">h", len(s)) + s.encode()

        transactional, literal, write, deny = 5, 3, 4, 2
        body = struct.pack(">hhi", 30, 1, 1) + text("test") + struct.pack(">ib", 1, transactional)
        body += text(transactional_id) + struct.pack(">b", literal) + text("User:*") + text("*")
        body += struct.pack(">bb", write, deny)
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s, s.makefile("rb") as answers:
            s.sendall(struct.pack(">i", len(body)) + body)
            answer = answers.read(struct.unpack(">i", answers.read(4))[0])
        (error,) = struct.unpack_from(">h", answer, 12)     # behind the request's number, a throttle and a count
        assert error == 0, answer

    @staticmethod
    def topics(prefix, partitions):
        """The four topics, with the protocol's policies. Named here once more, and not by tokenctl, so that a mistake
        of either is seen."""
        kept = {"retention.ms": str(WEEK_MS), "min.insync.replicas": "1", "unclean.leader.election.enable": "false"}
        journal = {**kept, "cleanup.policy": "compact,delete", "message.timestamp.type": "LogAppendTime"}
        return [NewTopic(f"{prefix}.requests", partitions, 1, config=kept),
                NewTopic(f"{prefix}.replies", partitions, 1, config=kept),
                NewTopic(f"{prefix}.journal", partitions, 1, config=journal),
                NewTopic(f"{prefix}.deadletters", 1, 1, config=kept)]

    def create_topics(self, prefix="tokend", partitions=6):
        admin = self.admin()            # has to outlive its futures
        for future in admin.create_topics(self.topics(prefix, partitions), operation_timeout=30).values():
            future.result()

    def make_topic_anew(self, prefix, name, partitions):
        """That topic as it was at first, empty: what it held is gone."""
        (topic,) = [t for t in self.topics(prefix, partitions) if t.topic == f"{prefix}.{name}"]
        admin = self.admin()
        admin.delete_topics([topic.topic], operation_timeout=30)[topic.topic].result()
        until = time.monotonic() + 30
        while True:
            try:
                admin.create_topics([topic], operation_timeout=30)[topic.topic].result()
                break
            except KafkaException as e:         # deleted, and not gone from the broker's memory yet
                if e.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS or time.monotonic() > until:
                    raise
                time.sleep(0.1)
        while len(admin.list_topics(topic.topic, timeout=10).topics[topic.topic].partitions) != partitions:
            assert time.monotonic() < until, "the broker does not tell of the new topic"
            time.sleep(0.1)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("Starting Apache Kafka (the first time, its jars are fetched) ...", flush=True)
    with Kafka() as kafka:
        print(f"bootstrap.servers={kafka.bootstrap}\nlog: {kafka.log}\nCtrl-C ends it; nothing is kept.", flush=True)
        try:
            kafka.process.wait()
        except (KeyboardInterrupt, SystemExit):
            return 0
        print(f"Kafka ended by itself:\n{kafka.last_words()}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
