# SPDX-License-Identifier: Apache-2.0
"""What the tests of tokenctl type, and what they find in the files that it writes."""

import base64
import os
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from standin import Service, StandIn

BUILD = os.environ.get("TOKEND_BUILD", os.path.join(os.path.dirname(__file__), "../../build/release"))
TOKENCTL = os.path.abspath(os.path.join(BUILD, "tokenctl"))
TOKEN = "apiv1_the-only-genuine-token-0123456789" + 25 * "-"  # 64 characters: none is shorter
ACCOUNT, CLUSTER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def tokenctl(*arguments, home=None, **more):
    environment = {"PATH": os.environ["PATH"], "HOME": str(home or "/nonexistent"), "USER": "Some.Body+1"}
    return subprocess.run(
        [TOKENCTL, *map(str, arguments)], capture_output=True, text=True, timeout=60, env=environment, **more
    )


def init(directory, *more):
    return tokenctl(
        "init", directory, "--principal", "telemetry", "--product", "clustered", "--url", "http://127.0.0.1:1", *more
    )


def raw(public):
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def secret_of(path):
    text = path.read_text()
    assert text.count("\n") == 1 and text.endswith("\n")
    return base64.b64decode(text.strip(), validate=True)


def create(here, *arguments, seconds=1):
    return tokenctl("--config", here / "tokenctl.yaml", "--timeout", f"{seconds}s", "token", "create", *arguments)


@pytest.fixture
def here(tmp_path):
    assert init(tmp_path / "ctl").returncode == 0
    return tmp_path / "ctl"


@pytest.fixture(scope="module")
def kafka():
    k = StandIn(partitions=4)
    yield k
    k.stop()


@pytest.fixture
def desk(kafka, tmp_path):
    """A requester's directory for that Kafka, and the service that its profile believes."""
    done = init(
        tmp_path, "--bootstrap", kafka.bootstrap, "--kafka", "fetch.wait.max.ms=10", "--partitions", kafka.partitions
    )
    assert done.returncode == 0, done.stderr
    box = raw(X25519PrivateKey.from_private_bytes(secret_of(tmp_path / "telemetry.box.key")).public_key())
    kafka.requests.clear()
    return tmp_path, Service(secret_of(tmp_path / "signing.key"), box)
