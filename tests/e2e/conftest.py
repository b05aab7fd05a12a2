# SPDX-License-Identifier: Apache-2.0
"""The world of an end-to-end test: a Kafka (the sandbox's mock, or a real broker), the sandbox's API, tokend
instances, a requester, and the auditor that looks at all of it afterwards.

    def test_x(world):              # twice: on the mock, and on a real Kafka
        world.tokend()
        reply = world.requester().ask(world.requester().create(...))

    def test_y(shared): ...         # one world with one tokend for all such tests of a file: nothing is restarted there
    CLUSTERS = ["slow", "gone"]     # in a file: its worlds have these, too, each a Dedicated one with tokens of its own
    @pytest.mark.real / .mock       # one of the two flavours only
    @pytest.mark.row("QUOTA")       # which rows of the contract's tables it is a test of: see rows.py
    @pytest.mark.verdict("throttled", "429")

Each world has topics and a service_id of its own, ends all that it started by its process id, and is audited when its
test passed. Waits end when what they wait for is there; their limits are generous because sanitizers are slow.
"""

import base64
import contextlib
import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition
from nacl.public import PrivateKey
from nacl.signing import SigningKey

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "kafka"))

from audit import Audit  # noqa: E402
from requester import Principal, Requester, read_secret, verify_key  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TOKEND_BUILD", "build/release"))
BUILD = BUILD if BUILD.is_absolute() else ROOT / BUILD
MANAGEMENT_TOKEN = "management-canary-5f0c2a9d71"
ACCOUNT, CLUSTER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
WITHIN_S = 90


def pytest_configure(config):
    config.addinivalue_line("markers", "real: on a real Kafka only")
    config.addinivalue_line("markers", "mock: on the sandbox's Kafka only")
    config.addinivalue_line("markers", "row(cause): a test of that row of the table of replies (service/status.h)")
    config.addinivalue_line("markers", "verdict(label, signal): a test of that signal in the table of results")


def pytest_generate_tests(metafunc):
    if "flavour" in metafunc.fixturenames:
        only = [name for name in ("mock", "real") if metafunc.definition.get_closest_marker(name)]
        metafunc.parametrize("flavour", only or ["mock", "real"], scope="module", indirect=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    setattr(item, f"passed_{report.when}", report.passed)
    if report.when == "call" and report.failed:
        for world in {w for w in item.funcargs.values() if isinstance(w, World)}:
            for t in world.tokends:
                report.sections.append(
                    (f"the last lines of {t.log}", "\n".join(t.log.read_text(errors="replace").splitlines()[-30:]))
                )


def until(what, condition, within_s=WITHIN_S, every_s=0.02):
    """Wait for a condition to hold; returns its value."""
    end = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not in {within_s} s: {what() if callable(what) else what}"
        time.sleep(every_s)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nothing outlives a pytest that was killed


def public_entry(principal):
    """Its signing key, as the policy has it."""
    return {"id": principal.key_id, "ed25519": base64.b64encode(bytes(principal.signing_key.verify_key)).decode()}


class Process:
    """A program of ours, with its standard error in a file."""

    before_exec, own_session = staticmethod(end_with_parent), False

    def __init__(self, log, arguments, environment=None):
        self.log = log
        with open(log, "ab") as f:
            self.process = subprocess.Popen(
                [str(a) for a in arguments],
                stdin=subprocess.DEVNULL,
                stdout=f,
                stderr=f,
                preexec_fn=self.before_exec,
                start_new_session=self.own_session,
                env={**os.environ, **(environment or {})},
            )

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """As kill -9 does."""
        self.process.kill()
        self.process.wait()

    def terminate(self, within_s=60):
        """SIGTERM; its exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def close(self):
        if self.process.poll() is None:
            self.kill()


# ---- the sandbox ---------------------------------------------------------------------------------------------------


class Sandbox(Process):
    before_it = ()  # a program that starts it

    def __init__(self, directory, *options):
        ready = directory / "sandbox.json"
        super().__init__(
            directory / "sandbox.log",
            [
                *self.before_it,
                BUILD / "tokend-sandbox",
                "--api-port",
                0,
                "--data-port",
                0,
                "--control-port",
                0,
                "--quiet",
                "--management-token",
                MANAGEMENT_TOKEN,
                "--account-id",
                ACCOUNT,
                "--cluster-id",
                CLUSTER,
                "--ready-file",
                ready,
                *options,
            ],
        )
        until(
            lambda: f"the sandbox is ready: {self.log.read_text()}",
            lambda: ready.exists() or self.process.poll() is not None,
        )
        assert self.process.poll() is None, self.log.read_text()
        self.__dict__.update(
            {k: v for k, v in json.loads(ready.read_text()).items() if k in ("bootstrap", "api", "data", "control")}
        )

    def ask(self, method, path, body=None):
        request = urllib.request.Request(
            self.control + path, data=None if body is None else json.dumps(body).encode(), method=method
        )
        with urllib.request.urlopen(request, timeout=30) as r:
            text = r.read()
        return json.loads(text) if text else None

    def truth(self):
        return self.ask("GET", "/truth")

    def fault(self, *rules):
        self.ask("POST", "/faults", list(rules))

    def no_more_faults(self):
        self.ask("DELETE", "/faults")

    def release(self):
        return self.ask("POST", "/control/release", {})["released"]

    def settle(self):
        self.ask("POST", "/control/settle", {})

    def expect_token(self, token):
        """From now on calls must carry this management token."""
        self.ask("POST", "/control/management-token", {"token": token})

    def calls(self, operation, cluster_id=None):
        """How many there were so far, at one cluster or at all."""
        found = self.ask("GET", "/truth/summary")
        if cluster_id is not None:
            (found,) = [c for c in found["clusters"] if c["cluster_id"] == cluster_id]
        return found["requests"][operation]

    def in_flight(self):
        return self.ask("GET", "/truth/summary")["in_flight"]

    def posts(self, description):
        """Those whose description holds that text, as they came."""
        return [p for p in self.truth()["posts"] if description in p["description"]]

    def wait_posts(self, description, n):
        return until(f"{n} POSTs of {description!r}", lambda: len(found := self.posts(description)) >= n and found)

    def wait_in_flight(self, n):
        until(lambda: f"{n} calls in flight; there are {self.in_flight()}", lambda: self.in_flight() >= n)

    def data_status(self, path, token, method="GET"):
        request = urllib.request.Request(self.data + path, data=b"m v=1" if method == "POST" else None, method=method)
        request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as r:
                return r.status
        except urllib.error.HTTPError as e:
            return e.code


# ---- tokend --------------------------------------------------------------------------------------------------------


class Tokend(Process):
    program = "tokend"

    def __init__(self, config, log, ops_port, *more, environment=None):
        self.ops = f"http://127.0.0.1:{ops_port}"
        self.read, self.whole, self.started = 0, [], time.monotonic()
        self.crashed = False  # a test made it: whatever a sanitizer says of that is no line of ours
        super().__init__(log, [BUILD / self.program, "--config", config, *more], environment)

    def lines(self):
        """All that it has logged, parsed."""
        with open(self.log, "rb") as f:
            f.seek(self.read)
            for line in f.read().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                self.read += len(line)
                try:
                    self.whole.append(json.loads(line))
                except ValueError:
                    self.whole.append({"msg": "not JSON", "line": line.decode(errors="replace")})
        return self.whole

    def said(self, msg, **fields):
        return [
            line for line in self.lines() if line["msg"] == msg and all(line.get(k) == v for k, v in fields.items())
        ]

    def wait_said(self, msg, n=1, within_s=WITHIN_S, **fields):
        def enough():
            assert (
                self.process.poll() is None or len(self.said(msg, **fields)) >= n
            ), f"tokend ended: {self.lines()[-3:]}"
            return len(self.said(msg, **fields)) >= n

        until(f"{n} lines {msg!r} {fields}", enough, within_s)
        return self.said(msg, **fields)

    def open(self):
        """The partitions that it holds and has restored."""
        held = set()
        for line in self.lines():
            if line["msg"] in ("gave the partitions up", "the partitions are lost"):
                held = set()
            elif line["msg"] == "restored":
                held.add(line["partition"])
        return held

    def wait_open(self, n, within_s=WITHIN_S):
        def enough():
            assert self.process.poll() is None, f"tokend ended: {self.lines()[-3:]}"
            return len(self.open()) >= n

        until(lambda: f"{n} partitions open; they are {self.open()}", enough, within_s)
        return self

    def http(self, path):
        try:
            with urllib.request.urlopen(self.ops + path, timeout=10) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def metric(self, name):
        """The sum over its labels, or over those that name begins: 'tokend_x{cluster="a"'."""
        begins = (name,) if "{" in name else (name + " ", name + "{")
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in self.http("/metrics")[1].splitlines() if line.startswith(begins)
        )


# ---- the world -----------------------------------------------------------------------------------------------------


class World:
    count = 0

    def __init__(self, flavour, directory, kafka, partitions=2, clusters=()):
        World.count += 1
        self.flavour, self.directory, self.partitions = flavour, directory, partitions
        self.service_id = f"t{os.getpid()}-{World.count}"
        self.tokends, self.requesters, self.sandbox = [], {}, None
        self.secrets, self.skipped = [MANAGEMENT_TOKEN], set()
        self.more_clusters = {name: (ACCOUNT, f"c{n:07}-0000-4000-8000-000000000000")
                              for n, name in enumerate(clusters)}
        topics = [
            o for t in ("requests", "replies", "journal") for o in ("--topic", f"{self.service_id}.{t}:{partitions}")
        ]
        self.sandbox = Sandbox(
            directory,
            *(("--no-kafka",) if kafka else (*topics, "--topic", f"{self.service_id}.deadletters:1")),
            *(o for account, cluster in self.more_clusters.values() for o in ("--cluster", f"{account}/{cluster}")),
        )
        self.bootstrap = kafka.bootstrap if kafka else self.sandbox.bootstrap
        self.kafka = {"bootstrap.servers": self.bootstrap, "log_level": 0}
        if kafka:
            kafka.create_topics(self.service_id, partitions)

    def initialise(self):
        """Keys and configurations: tokenctl makes them, and the tests add what they need beyond a first principal."""
        token = self.directory / "management-token"
        token.write_text(MANAGEMENT_TOKEN + "\n")
        token.chmod(0o600)
        self.conf = self.directory / "conf"
        done = self.tokenctl(
            "--account",
            ACCOUNT,
            "--cluster-uuid",
            CLUSTER,
            "--cluster",
            "prod",
            "init",
            self.conf,
            "--service-id",
            self.service_id,
            "--principal",
            "telemetry",
            "--instance",
            "a",
            "--bootstrap",
            self.bootstrap,
            "--kafka",
            "fetch.wait.max.ms=10",
            "--topics",
            self.service_id,
            "--partitions",
            self.partitions,
            "--topic-checks",
            "strict" if self.flavour == "real" else "partitions",
            "--product",
            "dedicated",
            "--url",
            self.sandbox.api,
            "--management-token-file",
            token,
            "--grant-databases",
            "mydb*",
            "--grant-databases",
            "DATABASE*",
            "--all-databases",
            "--ops-port",
            free_port(),
            profile=False,
        )
        assert done.returncode == 0, done.stderr
        self.config, policy, profile = (
            yaml.safe_load((self.conf / f"{n}.yaml").read_text()) for n in ("tokend", "policy", "tokenctl")
        )
        self.policy, ctl = policy, profile["profiles"][0]
        first = policy["principals"][0]
        self.principals = {
            "telemetry": Principal(
                "telemetry",
                first["signing_keys"][0]["id"],
                SigningKey(read_secret(self.conf / "telemetry.signing.key")),
                first["recipient_keys"][0]["id"],
                PrivateKey(read_secret(self.conf / "telemetry.box.key")),
            )
        }
        self.service_keys = {k["id"]: verify_key(k["ed25519"]) for k in ctl["service_keys"]}
        first["allow_inline_key"] = True
        grant = first["grants"][0]
        first["grants"] = [
            {**grant, "clusters": ["prod", "edge", "dark", *self.more_clusters], "all_databases": False},
            {**grant, "clusters": ["edge"]},
        ]
        self.add_principal(
            "billing", "b",
            grants=[{"clusters": ["prod"], "databases": ["billing_*"], "actions": ["read"], "max_ttl": "1d"}]
        )
        self.add_clusters()

    def add_principal(self, name, short, **fields):
        """One more in the policy, with keys SHORT-1 to sign and SHORT-box1 to seal to; fields are the policy's own. A
        tokend that runs does not know of it."""
        p = Principal(name, f"{short}-1", SigningKey.generate(), f"{short}-box1", PrivateKey.generate())
        box = base64.b64encode(bytes(p.box_key.public_key)).decode()
        entry = {
            "name": name,
            "signing_keys": [public_entry(p)],
            "recipient_keys": [{"id": p.box_key_id, "suite": "sealedbox-x25519", "key": box}],
            **fields,
        }
        self.principals[name] = p
        self.policy["principals"].append(entry)
        self.write_policy()
        return p

    def write_policy(self):
        (self.conf / "policy.yaml").write_text(json.dumps(self.policy))  # JSON is YAML

    def add_clusters(self):
        """Beside prod: edge, the same API as InfluxDB Clustered has it, dark, where nobody listens, and the file's."""
        token = {"management_token_file": self.config["clusters"][0]["management_token_file"]}
        like = {"product": "clustered", **token}
        self.config["clusters"] += [
            {"name": "edge", "url": self.sandbox.api, **like},
            {"name": "dark", "url": f"http://127.0.0.1:{free_port()}", **like},
        ]
        for name, (account, cluster) in self.more_clusters.items():
            self.config["clusters"].append(
                {"name": name, "product": "dedicated", "url": self.sandbox.api, **token}
                | {"account_id": account, "cluster_id": cluster}
            )

    def cluster_id(self, name):
        """As the sandbox's faults and counts name it."""
        return {"prod": CLUSTER, "edge": "clustered"}.get(name) or self.more_clusters[name][1]

    def tokenctl(self, *arguments, profile=True, **more):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "USER": "somebody"}
        where = ["--config", self.conf / "tokenctl.yaml"] if profile else []
        return subprocess.run(
            [str(a) for a in (BUILD / "tokenctl", *where, *arguments)],
            capture_output=True,
            text=True,
            timeout=180,
            env=environment,
            **more,
        )

    def tokend(self, instance="a", wait=None, kind=None, **more):
        """Start an instance, and wait until it holds as many partitions, restored (default: all). kind: a class of
        Tokend's, if it is to be another one."""
        ops_port = free_port()
        config = {**self.config, "instance": instance, "ops": {"address": "127.0.0.1", "port": ops_port}, **more}
        path = self.conf / f"tokend-{instance}.yaml"
        path.write_text(json.dumps(config))
        t = (kind or Tokend)(path, self.directory / f"tokend-{len(self.tokends)}-{instance}.log", ops_port)
        self.tokends.append(t)
        t.wait_open(self.partitions if wait is None else wait)
        if wait != 0:
            until("/readyz", lambda: t.http("/readyz")[0] == 200)
        return t

    def through(self, proxy):
        """For tokend(): an instance that reaches its broker through it."""
        others = [p for p in self.config["kafka"] if not p.startswith("bootstrap.servers=")]
        return {"kafka": [f"bootstrap.servers={proxy.bootstrap}", *others]}

    def requester(self, principal="telemetry"):
        if principal not in self.requesters:
            self.requesters[principal] = Requester(
                self.kafka,
                (f"{self.service_id}.requests", f"{self.service_id}.replies"),
                self.partitions,
                self.service_id,
                self.principals[principal],
                self.service_keys,
                {"prod": (ACCOUNT, CLUSTER), "edge": ("", ""), "dark": ("", ""), **self.more_clusters},
            )
        return self.requesters[principal]

    def committed(self):
        """Partition -> offset, where a broker keeps them."""
        if self.flavour == "mock":
            return None
        group = Consumer({**self.kafka, "group.id": f"tokend-{self.service_id}"})
        found = group.committed(
            [TopicPartition(f"{self.service_id}.requests", p) for p in range(self.partitions)], timeout=30
        )
        group.close()
        return {t.partition: t.offset for t in found if t.offset >= 0}

    def audit(self):
        for r in self.requesters.values():
            r.settle()
        return Audit(
            self.kafka,
            self.service_id,
            self.service_id,
            self.sandbox.truth(),
            self.principals,
            self.committed(),
            [t.log for t in self.tokends],
            self.secrets,
            self.skipped,
        ).check()

    def finish(self):
        """All went well so far: the end has to be good, too."""
        self.sandbox.no_more_faults()
        self.sandbox.release()
        self.audit()
        for t in self.tokends:
            if t.process.poll() is None:
                assert t.terminate() == 0, t.lines()[-3:]
            strange = [] if t.crashed else t.said("not JSON")
            assert not strange, strange
        for r in self.requesters.values():
            strange = {why for why, _ in r.ignored} - {"answers no record of ours"}  # but another requester's
            assert not strange, strange

    def close(self):
        for t in self.tokends:
            t.close()
        for r in self.requesters.values():
            r.close()
        if self.sandbox is not None:
            self.sandbox.close()


# ---- fixtures ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flavour(request):
    return request.param


@pytest.fixture(scope="session")
def real_kafka():
    from kafka import Kafka

    with Kafka() as k:
        yield k


@pytest.fixture
def proxy(real_kafka):
    """Between the real broker and the instances that through(proxy) leads through it."""
    with real_kafka.proxy() as p:
        yield p


@contextlib.contextmanager
def a_world(request, flavour, directory, went_well, kafka=None, **more):
    """It is audited if all went well, and ends in each case."""
    if kafka is None and flavour == "real":
        kafka = request.getfixturevalue("real_kafka")
    w = World(flavour, directory, kafka, clusters=getattr(request.module, "CLUSTERS", ()), **more)
    try:
        w.initialise()
        yield w
        if went_well():
            w.finish()
    finally:
        w.close()


@pytest.fixture
def world(request, flavour, tmp_path):
    with a_world(request, flavour, tmp_path, lambda: getattr(request.node, "passed_call", False)) as w:
        yield w


@pytest.fixture(scope="module")
def common(request, flavour, tmp_path_factory):
    failed = request.session.testsfailed
    with a_world(
        request, flavour, tmp_path_factory.mktemp("common"), lambda: request.session.testsfailed == failed
    ) as w:
        yield w


@pytest.fixture(scope="module")
def running(common):
    common.tokend()
    return common


@pytest.fixture
def shared(running):
    """A world with one tokend that the tests of a file have in common: unlike descriptions keep their faults apart."""
    yield running
    running.sandbox.no_more_faults()
    running.sandbox.release()
