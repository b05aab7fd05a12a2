# SPDX-License-Identifier: Apache-2.0
"""Goal: `tokenctl token outcome` gets the token of an ID again, its bytes at hand or lost; believes no answer but the
one to its own question; and says what it means when there is none."""

import json
import shutil
import time
import uuid

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from conftest import until
from standin import OUTCOME, RECORD, Question
from test_tokenctl_token import asked, command, the_command_that_was_printed
from typed import TOKEN, desk, kafka, raw, secret_of, tokenctl  # noqa: F401

UNCOMPARED = "opened without comparing the request"


# ---- against a stand-in ---------------------------------------------------------------------------------------------


@pytest.fixture
def earlier(kafka, desk):
    """A request that was sent and not answered: where, the service, and the request as it came in."""
    here, service = desk
    heard = []
    kafka.answer = lambda r: heard.append(r) or []
    done = asked(here, "--write-database", "mem", "--request-id", "order-7", "--no-wait")
    assert done.returncode == 0, done.stderr
    until("the request was heard", lambda: heard)
    return here, service, heard[0]


def outcome(here, *arguments, seconds=20):
    return command(here, "token", "outcome", "--request-id", "order-7", *arguments, seconds=seconds)


def lose(here):
    shutil.rmtree(here / "state")


def told_again(service, request, question, **spoilt):
    return service.created(
        request, spoilt.pop("token", TOKEN), **{"replayed": True, "digest": question.digest(), **spoilt}
    )


def test_with_the_bytes_at_hand_all_of_it_is_compared(kafka, earlier):
    here, service, request = earlier
    before = {p.name: p.read_bytes() for p in (here / "state").iterdir()}
    kafka.answer = lambda q: [
        told_again(service, request, q, cluster="elsewhere", description="another", token="apiv1_false"),
        told_again(service, request, q, description="another", token="apiv1_false"),
        told_again(service, request, q),
    ]
    done = outcome(here, "--format", "token", "--debug")
    assert (done.returncode, done.stdout) == (0, TOKEN + "\n"), done.stderr
    assert "told again" in done.stderr and UNCOMPARED not in done.stderr
    assert "2 records under this ID did not verify" in done.stderr and TOKEN not in done.stderr
    assert {p.name: p.read_bytes() for p in (here / "state").iterdir()} == before


def test_the_question_is_signed_and_in_time(kafka, earlier):
    here, service, request = earlier
    kafka.answer = lambda q: [told_again(service, request, q)]
    for seconds, life_s in ((20, 16), (120, 110), (5, 4), (10800, 3600)):
        assert outcome(here, seconds=seconds).returncode == 0
        question = kafka.requests[-1]
        assert isinstance(question, Question) and question.deadline - question.issued_at == life_s
        assert abs(question.issued_at - time.time()) < 30
        assert (question.key, question.partition) == (request.key, request.partition)
        assert (question.request_id, question.principal, question.service_id) == ("order-7", "telemetry", "tokend")
        signing = Ed25519PrivateKey.from_private_bytes(secret_of(here / "telemetry.signing.key"))
        assert question.signature_verifies(raw(signing.public_key()))


def test_without_the_bytes_it_says_so_and_what_the_token_is_for(kafka, earlier):
    here, service, request = earlier
    lose(here)
    kafka.answer = lambda q: [told_again(service, request, q, cluster="elsewhere")]
    done = outcome(here, "--out", here / "token")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (here / "token").read_text() == TOKEN + "\n"
    assert UNCOMPARED in done.stderr and str(here / "state") in done.stderr
    assert "  description: for the agent [tokend/1:" in done.stderr
    assert "  may read cpu\n" in done.stderr and "  may write mem\n" in done.stderr
    assert TOKEN not in done.stderr and not (here / "state").exists()


@pytest.mark.parametrize("bytes_at_hand", [True, False])
@pytest.mark.parametrize(
    "spoilt, why",
    [
        ({"digest": b"\1" * 32}, "another record under this ID"),
        ({"digest": None}, "another record under this ID"),  # the CreateToken's own
        ({"principal": "billing"}, "for another principal"),
        ({"principal": ""}, "for another principal"),
        ({"request_id": "order-8"}, "answers another request"),
        ({"key": Ed25519PrivateKey.generate()}, "not signed by any service key"),
        ({"service_id": "other"}, "names another service"),
        ({"box_key_id": "telemetry-box-2"}, "sealed to another key"),
    ],
)
def test_no_answer_but_the_one_to_this_question(kafka, earlier, spoilt, why, bytes_at_hand):
    here, service, request = earlier
    if not bytes_at_hand:
        lose(here)
    spoilt = {k: request.digest() if v is None else v for k, v in spoilt.items()}
    service.service_id = spoilt.pop("service_id", service.service_id)
    request.box_key_id = spoilt.pop("box_key_id", request.box_key_id)
    kafka.answer = lambda q: [told_again(service, request, q, **spoilt)]
    done = outcome(here, seconds=2)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert "1 record under this ID did not verify" in done.stderr and why in done.stderr
    assert "to ask again what became of request order-7: tokenctl token outcome --request-id order-7" in done.stderr


def test_what_is_in_flight_is_asked_again_later(kafka, earlier):
    here, service, request = earlier
    kafka.answer = lambda q: [service.refused(q, 4, "IN_FLIGHT", RECORD, 4, "still in flight")]
    done = outcome(here, "--out", here / "token")
    assert (done.returncode, done.stdout) == (3, "")
    assert "not yet: still in flight" in done.stderr and "ask again later" in done.stderr
    kafka.answer = lambda q: [told_again(service, request, q)]
    again = the_command_that_was_printed(done.stderr)
    assert again.returncode == 0, again.stderr
    assert (here / "token").read_text() == TOKEN + "\n"


def test_what_is_not_known_is_explained(kafka, earlier):
    here, service, _ = earlier
    kafka.answer = lambda q: [service.refused(q, 5, "NO_OUTCOME", RECORD, 1, "nothing is known")]
    done = outcome(here)
    assert (done.returncode, done.stdout) == (1, "")
    assert "NO_OUTCOME: nothing is known" in done.stderr
    for means in ("order-7 was never asked", "more than 7 days ago", "another principal than telemetry"):
        assert means in done.stderr


@pytest.mark.parametrize(
    "code, reason, about, retry, said",
    [
        (7, "POLICY_DENIED", OUTCOME, 1, "this is the outcome of request order-7, for good"),
        (8, "QUOTA", OUTCOME, 4, "ask anew later, without --request-id"),
        (4, "IN_FLIGHT", OUTCOME, 4, "this is the outcome of request order-7, for good"),  # no answer to the question
        (3, "CLOCK_SKEW", RECORD, 4, "tokenctl token outcome --request-id order-7"),
        (16, "UNKNOWN_KEY", RECORD, 2, "tokenctl token outcome --request-id order-7"),
        (12, "UNKNOWN_METHOD", RECORD, 1, "nothing is said of what became of request order-7"),
    ],
)
@pytest.mark.parametrize("bytes_at_hand", [True, False])
def test_an_error_says_why_and_what_next(kafka, earlier, code, reason, about, retry, said, bytes_at_hand):
    here, service, _ = earlier
    if not bytes_at_hand:
        lose(here)
    kafka.answer = lambda q: [
        service.refused(q, code, reason, about, retry, "a sentence", principal="" if code == 16 else "telemetry")
    ]
    done = outcome(here)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"/{reason}: a sentence" in done.stderr and said in done.stderr


def test_what_is_wrong_here_is_told_before_anything_is_sent(kafka, earlier):
    here, _, _ = earlier
    stored = here / "state" / "order-7.request"
    for arguments, said in (
        ([], "--request-id ID is missing: which request is meant?"),
        (["--request-id", "a b"], '--request-id "a b"'),
        (["--request-id", "order-7", "x"], 'token outcome takes flags only, not "x"'),
        (["--request-id", "order-7", "--format", "xml"], "--format is table, json or token"),
        (["--request-id", "order-7", "--out", stored], "exists already"),
    ):
        done = command(here, "token", "outcome", *arguments)
        assert (done.returncode, done.stdout) == (2, "") and said in done.stderr
    profile, text = here / "tokenctl.yaml", (here / "tokenctl.yaml").read_text()
    profile.write_text(text.replace("telemetry-box-1", "telemetry-box-2", 1))
    done = outcome(here)
    assert done.returncode == 2 and "the profile's box key telemetry-box-2 does not open" in done.stderr
    profile.write_text(text)
    stored.write_text(stored.read_text()[:-9])
    done = outcome(here)
    assert done.returncode == 2 and "order-7.request is damaged" in done.stderr
    assert len(kafka.requests) == 1


# ---- against tokend -------------------------------------------------------------------------------------------------


class Pod:
    """tokenctl of the world's first principal, with a state directory of its own."""

    def __init__(self, world, name):
        self.world, self.state = world, world.conf / name
        profiles = yaml.safe_load((world.conf / "tokenctl.yaml").read_text())
        profiles["profiles"][0]["state_dir"] = str(self.state)
        self.profile = world.conf / f"{name}.yaml"
        self.profile.write_text(json.dumps(profiles))

    def __call__(self, *arguments, seconds=60):
        where = ["--config", self.profile, "--cluster", "prod", "--timeout", f"{seconds}s"]
        return self.world.tokenctl(*where, "token", *arguments, profile=False)


def test_a_pod_that_lost_its_state_gets_its_token_again(shared):
    first, reborn = Pod(shared, "first"), Pod(shared, f"reborn-{uuid.uuid4()}")
    identity = f"ctl-{uuid.uuid4()}"
    made = first("create", "--read-database", "mydb", "--request-id", identity, "--format", "token", identity)
    assert made.returncode == 0, made.stderr
    for pod, uncompared in ((first, False), (reborn, True)):
        again = pod("outcome", "--request-id", identity, "--format", "token")
        assert again.returncode == 0, again.stderr
        assert again.stdout == made.stdout and "told again" in again.stderr
        assert (UNCOMPARED in again.stderr, "may read mydb" in again.stderr) == (uncompared, uncompared)
    assert not reborn.state.exists()
    assert len(shared.sandbox.posts(identity)) == 1


def test_tokend_knows_nothing_of_it(shared):
    done = Pod(shared, "first")("outcome", "--request-id", f"never-{uuid.uuid4()}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "NO_OUTCOME: nothing is known of request_id" in done.stderr and "more than 7 days" in done.stderr


def test_tokend_says_that_it_is_in_flight(shared):
    """Before the time is over that one waits for it; once it is made, the command that was printed gets it."""
    pod, identity = Pod(shared, "first"), f"ctl-{uuid.uuid4()}"
    shared.sandbox.fault({"description": identity, "fault": "hold"})
    sent = pod("create", "--no-wait", "--read-database", "mydb", "--request-id", identity, identity)
    assert sent.returncode == 0, sent.stderr
    shared.sandbox.wait_in_flight(1)
    done = pod("outcome", "--request-id", identity, seconds=10)
    assert (done.returncode, done.stdout) == (3, "")
    assert "not yet: the deadline passed while request_id" in done.stderr
    shared.sandbox.release()
    again = the_command_that_was_printed(done.stderr)
    assert again.returncode == 0, again.stderr
    opened = pod("open", "--request-id", identity, "--format", "token")
    assert opened.stdout.strip() == again.stdout.split()[-1] != ""
