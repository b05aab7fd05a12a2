# SPDX-License-Identifier: Apache-2.0
"""Goal: what InfluxDB's documentation tells people to type works with tokenctl word for word, each printed token is
the one that the API made, and the files that `tokenctl init` writes are all that tokend and tokenctl need.
"""

import json
import subprocess
import time

import pytest
from nacl.public import PrivateKey

from conftest import ACCOUNT, BUILD, CLUSTER, Tokend, free_port
from requester import MARKER, Principal, read_secret

READ, WRITE = ("read", "write")

# What is typed after `token create`, and the rights that it asks for: the page's five, and the reference's sixth.
EXAMPLES = [
    (
        ["--read-database", "DATABASE_NAME", "--write-database", "DATABASE_NAME", "Read/write token for DATABASE_NAME"],
        {(READ, "DATABASE_NAME"), (WRITE, "DATABASE_NAME")},
    ),
    (
        ["--read-database", "*", "--write-database", "*", "Read/write token for all databases"],
        {(READ, "*"), (WRITE, "*")},
    ),
    (["--read-database", "DATABASE_NAME", "Read-only token for DATABASE_NAME"], {(READ, "DATABASE_NAME")}),
    (
        [
            "--read-database",
            "DATABASE_NAME",
            "--read-database",
            "DATABASE2_NAME",
            "Read-only token for DATABASE_NAME and DATABASE2_NAME",
        ],
        {(READ, "DATABASE_NAME"), (READ, "DATABASE2_NAME")},
    ),
    (
        [
            "--read-database",
            "DATABASE_NAME",
            "--read-database",
            "DATABASE2_NAME",
            "--write-database",
            "DATABASE2_NAME",
            "Read-only on DATABASE_NAME, Read/write on DATABASE2_NAME",
        ],
        {(READ, "DATABASE_NAME"), (READ, "DATABASE2_NAME"), (WRITE, "DATABASE2_NAME")},
    ),
    (
        [
            "--read-database",
            "DATABASE_NAME",
            "--write-database",
            "DATABASE_NAME",
            "--expires-at",
            "+7 days",
            "Read/write token for DATABASE_NAME",
        ],
        {(READ, "DATABASE_NAME"), (WRITE, "DATABASE_NAME")},
    ),
]
NAMES = ["read-write", "all", "read-only", "read-only-two", "mixed", "expiring"]


class Desk:
    """A directory that `tokenctl init` has written, as a newcomer has it, and a tokend that runs on it as it is."""

    def __init__(self, world):
        self.world, self.directory = world, world.directory / "desk"
        ops_port = free_port()
        done = self.tokenctl(
            "--account",
            ACCOUNT,
            "--cluster-uuid",
            CLUSTER,
            "init",
            self.directory,
            "--service-id",
            world.service_id,
            "--topics",
            world.service_id,
            "--partitions",
            world.partitions,
            "--bootstrap",
            world.bootstrap,
            "--kafka",
            "fetch.wait.max.ms=10",
            "--topic-checks",
            world.config["topic_checks"],
            "--url",
            world.sandbox.api,
            "--management-token-file",
            world.directory / "management-token",
            "--grant-databases",
            "DATABASE*",
            "--all-databases",
            "--ops-port",
            ops_port,
            profile=False,
        )
        assert done.returncode == 0, done.stderr
        world.principals["newcomer"] = Principal(
            "newcomer", "", None, "", PrivateKey(read_secret(self.directory / "newcomer.box.key"))
        )
        self.tokend = Tokend(self.directory / "tokend.yaml", world.directory / "desk.log", ops_port)
        world.tokends.append(self.tokend)
        self.tokend.wait_open(world.partitions)

    def tokenctl(self, *arguments, profile=True):
        where = ["--config", self.directory / "tokenctl.yaml"] if profile else []
        return subprocess.run(
            [str(a) for a in (BUILD / "tokenctl", *where, *arguments)],
            capture_output=True,
            text=True,
            timeout=180,
            env={"HOME": str(self.world.directory), "USER": "newcomer"},
        )

    def create(self, *arguments):
        return self.tokenctl("token", "create", *arguments)


@pytest.fixture(scope="module")
def desk(common):
    return Desk(common)


def in_seven_days():
    """As the page has it: $(date -d "+7 days" +"%Y-%m-%dT%H:%M:%S%z"), without a colon in the zone."""
    return subprocess.run(
        ["date", "-d", "+7 days", "+%Y-%m-%dT%H:%M:%S%z"], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("typed, rights", EXAMPLES, ids=NAMES)
def test_the_pages_examples(desk, typed, rights):
    done = desk.create(*[in_seven_days() if word == "+7 days" else word for word in typed])
    assert done.returncode == 0, done.stderr
    header, row = done.stdout.splitlines()
    token_id, token = row.split()
    assert header.split() == ["TOKEN", "ID", "TOKEN"] and token not in done.stderr
    (made,) = [t for t in desk.world.sandbox.truth()["tokens"] if t["id"] == token_id]
    assert made["accessToken"] == token and made["revokedAt"] is None
    assert {(p["action"], p["resource"]) for p in made["permissions"]} == rights and len(made["permissions"]) == len(
        rights
    )
    assert (
        made["description"].startswith(typed[-1] + " [tokend/1:")
        and MARKER.search(made["description"])[2] == "newcomer"
    )
    if "+7 days" in typed:
        expires = time.mktime(time.strptime(made["expiresAt"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        assert abs(expires - time.time() - 7 * 86400) < 120
    else:
        assert made["expiresAt"] is None
    for action, path, method in ((READ, "/query?db={}", "GET"), (WRITE, "/write?db={}", "POST")):
        for database in ("DATABASE_NAME", "DATABASE2_NAME"):
            allowed = (action, database) in rights or (action, "*") in rights
            assert (desk.world.sandbox.data_status(path.format(database), token, method) < 300) == allowed


def test_the_same_request_id_again_is_the_same_token(desk):
    first = desk.create("--read-database", "DATABASE_NAME", "--request-id", "again", "--format", "json", "x")
    second = desk.create("--request-id", "again", "--format", "json")
    assert first.returncode == second.returncode == 0, second.stderr
    one, two = json.loads(first.stdout), json.loads(second.stdout)
    assert one["accessToken"] == two["accessToken"] and (one["replayed"], two["replayed"]) == (False, True)


def test_a_refusal_says_why_and_exits_1(desk):
    done = desk.tokenctl("--cluster", "mars", "token", "create", "--read-database", "DATABASE_NAME", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert "INVALID_ARGUMENT/INVALID_REQUEST" in done.stderr and "mars" in done.stderr
