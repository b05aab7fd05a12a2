# SPDX-License-Identifier: Apache-2.0
"""Goal: `tokenctl token revoke` has the token of an ID deleted by whoever asked for it, and by nobody who did not mean
to; believes no answer but the one to its own request; and says what to do when there is none."""

import json
import os
import pty
import subprocess
import time
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from standin import OUTCOME, RECORD, REPLY_TYPE, TOKEN_ID, Revocation
from test_tokenctl_outcome import Pod, earlier, lose, told_again  # noqa: F401
from test_tokenctl_token import command, the_command_that_was_printed
from typed import TOKEN, desk, kafka, raw, secret_of  # noqa: F401

NOW = 1_900_000_000
THEN = "2030-03-17T17:46:40Z"


def revoke(here, *arguments, seconds=20, force=("--force",), **more):
    return command(here, "token", "revoke", "order-7", *force, *arguments, seconds=seconds, **more)


# ---- against a stand-in ---------------------------------------------------------------------------------------------


def test_it_is_asked_for_as_the_contract_says(kafka, earlier):
    here, service, request = earlier
    lose(here)
    (here / "telemetry.box.key").unlink()  # nothing comes back that is sealed
    kafka.answer = lambda r: [service.revoked(r, NOW)]
    for arguments, reason in (((), ""), (("--reason", "its pod is gone, für immer"), "its pod is gone, für immer")):
        done = revoke(here, *arguments)
        assert done.returncode == 0, done.stderr
        revocation = kafka.requests[-1]
        assert isinstance(revocation, Revocation) and revocation.reason == reason
        assert (revocation.key, revocation.partition) == (request.key, request.partition)
        assert (revocation.request_id, revocation.principal) == ("order-7", "telemetry")
        assert revocation.service_id == "tokend"
        assert revocation.deadline - revocation.issued_at == 16 and abs(revocation.issued_at - time.time()) < 30
        signing = Ed25519PrivateKey.from_private_bytes(secret_of(here / "telemetry.signing.key"))
        assert revocation.signature_verifies(raw(signing.public_key()))
    assert not (here / "state").exists()


@pytest.mark.parametrize("replayed", [False, True])
def test_what_was_revoked_is_printed(kafka, earlier, replayed):
    here, service, _ = earlier
    kafka.answer = lambda r: [service.revoked(r, NOW, replayed=replayed)]
    table = revoke(here)
    assert (table.returncode, table.stdout) == (0, f"{'TOKEN ID':36}  REVOKED AT\n{TOKEN_ID}  {THEN}\n"), table.stderr
    assert "request order-7: its token is revoked; reply tokend.replies[" in table.stderr
    assert ("told again" in table.stderr) == replayed
    printed = json.loads(revoke(here, "--format", "json").stdout)
    assert printed.pop("partition") == kafka.requests[-1].partition and printed.pop("offset") >= 0
    assert printed == {"request_id": "order-7", "id": TOKEN_ID, "revokedAt": THEN, "replayed": replayed}


@pytest.mark.parametrize(
    "spoilt, why",
    [
        ({"digest": b"\1" * 32}, "another record under this ID"),
        ({"principal": "billing"}, "for another principal"),
        ({"principal": ""}, "for another principal"),
        ({"request_id": "order-8"}, "answers another request"),
        ({"key": Ed25519PrivateKey.generate()}, "not signed by any service key"),
        ({"kind": REPLY_TYPE}, "not signed by any service key"),
        ({"token_id": ""}, "does not say which token was revoked"),
        ({"token_id": TOKEN_ID + "\n"}, "does not say which token was revoked"),
        ({"at": 0}, "does not say which token was revoked, and when"),
    ],
)
def test_no_answer_but_the_one_to_this_request(kafka, earlier, spoilt, why):
    here, service, _ = earlier
    spoilt = dict(spoilt)
    at = spoilt.pop("at", NOW)
    kafka.answer = lambda r: [service.revoked(r, at, **spoilt)]
    done = revoke(here, seconds=2)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert "1 record under this ID did not verify" in done.stderr and why in done.stderr
    assert "may be revoked yet, or be so already; to make sure: tokenctl token revoke order-7" in done.stderr


def test_answers_to_other_questions_are_passed_over(kafka, earlier):
    here, service, request = earlier
    kafka.answer = lambda r: [told_again(service, request, r), service.revoked(r, NOW)]
    done = revoke(here, "--debug")
    assert done.returncode == 0 and TOKEN_ID in done.stdout
    assert "1 record under this ID did not verify" in done.stderr and TOKEN not in done.stdout + done.stderr


def test_what_is_in_flight_goes_on_with_the_command_that_is_printed(kafka, earlier):
    here, service, _ = earlier
    kafka.answer = lambda r: [service.refused(r, 4, "IN_FLIGHT", RECORD, 4, "still in flight")]
    done = revoke(here, "--format", "json", "--reason", "it's gone")
    assert (done.returncode, done.stdout) == (3, "")
    assert "not yet: still in flight" in done.stderr
    kafka.answer = lambda r: [service.revoked(r, NOW)]
    again = the_command_that_was_printed(done.stderr)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["id"] == TOKEN_ID and kafka.requests[-1].reason == "it's gone"


@pytest.mark.parametrize(
    "code, reason, about, retry, said",
    [
        (5, "NO_OUTCOME", RECORD, 1, "telemetry was given no token under order-7 in the last 7 days"),
        (12, "UNKNOWN_METHOD", RECORD, 1, "nothing is said of what became of request order-7"),
        (3, "CLOCK_SKEW", RECORD, 4, "tokenctl token revoke order-7"),
        (16, "UNKNOWN_KEY", RECORD, 2, "tokenctl token revoke order-7"),
        (13, "INTERNAL", OUTCOME, 1, "the service's operator can change it"),
    ],
)
def test_an_error_says_why_and_what_next(kafka, earlier, code, reason, about, retry, said):
    here, service, _ = earlier
    principal = "" if code == 16 else "telemetry"
    kafka.answer = lambda r: [service.refused(r, code, reason, about, retry, "a sentence", principal=principal)]
    done = revoke(here)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{reason}: a sentence" in done.stderr and said in done.stderr


def test_a_broker_that_is_gone_is_told_with_the_way_on(kafka, earlier):
    here, _, _ = earlier
    profile = here / "tokenctl.yaml"
    profile.write_text(profile.read_text().replace(kafka.bootstrap, "127.0.0.1:1"))
    done = revoke(here, seconds=1)
    assert (done.returncode, done.stdout) == (3, "")
    assert "nothing was sent; to revoke it: tokenctl token revoke order-7" in done.stderr


# ---- is it meant? ---------------------------------------------------------------------------------------------------


def at_a_terminal(here, answer, *arguments):
    """The command, with a terminal for its standard input on which that is typed."""
    ours, its = pty.openpty()
    try:
        os.write(ours, answer)
        return revoke(here, *arguments, force=(), stdin=its)
    finally:
        os.close(ours)
        os.close(its)


@pytest.mark.parametrize("answer", [b"y\n", b"YES\n"])
@pytest.mark.parametrize("bytes_at_hand", [True, False])
def test_somebody_at_a_terminal_is_asked(kafka, earlier, answer, bytes_at_hand):
    here, service, _ = earlier
    if not bytes_at_hand:
        lose(here)
    kafka.answer = lambda r: [service.revoked(r, NOW)]
    done = at_a_terminal(here, answer)
    assert done.returncode == 0 and TOKEN_ID in done.stdout, done.stderr
    assert done.stderr.startswith("Revoke the token that request order-7 made for telemetry")
    assert ('"for the agent"' in done.stderr) == bytes_at_hand


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\4", b"yesterday\n", b"y" * 200 + b"\n"])
def test_anything_but_yes_is_no(kafka, earlier, answer):
    here, _, _ = earlier
    done = at_a_terminal(here, answer)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not confirmed; nothing was done" in done.stderr and len(kafka.requests) == 1


def test_nobody_is_asked_who_said_force(kafka, earlier):
    here, service, _ = earlier
    kafka.answer = lambda r: [service.revoked(r, NOW)]
    done = at_a_terminal(here, b"", "--force")
    assert done.returncode == 0 and "[y/N]" not in done.stderr


def test_what_is_wrong_here_is_told_before_anything_is_sent(kafka, earlier):
    here, _, _ = earlier
    for arguments, said in (
        ([], "which token? give the ID of the request that made it"),
        (["order-7"], "standard input is no terminal, so nobody can be asked whether this is meant: --force"),
        (["order-7", "order-8", "--force"], 'takes one request ID, not "order-8" too'),
        (["a b", "--force"], 'the request ID "a b" is not 1 to 128'),
        (["order-7", "--force", "--format", "token"], '--format is table or json, not "token"'),
        (["order-7", "--force", "--reason", "x" * 201], "is not up to 200 bytes"),
        (["order-7", "--force", "--reason", "a\nb"], "without control characters"),
    ):
        done = command(here, "token", "revoke", *arguments, stdin=subprocess.DEVNULL)
        assert (done.returncode, done.stdout) == (2, "") and said in done.stderr, done.stderr
    profile, text = here / "tokenctl.yaml", (here / "tokenctl.yaml").read_text()
    profile.write_text(text.replace('principal: "telemetry"', 'principal: "billing"', 1))
    done = revoke(here)
    assert done.returncode == 2 and "request order-7 is principal telemetry's" in done.stderr
    assert len(kafka.requests) == 1


def test_a_rotated_box_key_is_no_hindrance(kafka, earlier):
    here, service, _ = earlier
    profile = here / "tokenctl.yaml"
    profile.write_text(profile.read_text().replace("telemetry-box-1", "telemetry-box-2", 1))
    kafka.answer = lambda r: [service.revoked(r, NOW)]
    assert revoke(here).returncode == 0


# ---- what is seen of it afterwards ----------------------------------------------------------------------------------


def test_a_revoked_token_is_told_as_such(kafka, earlier):
    here, service, request = earlier
    kafka.answer = lambda q: [told_again(service, request, q, revoked_at=NOW)]
    table = command(here, "token", "outcome", "--request-id", "order-7")
    assert table.returncode == 0 and f"warning: this token was revoked at {THEN}" in table.stderr
    printed = command(here, "token", "outcome", "--request-id", "order-7", "--format", "json")
    assert json.loads(printed.stdout)["revokedAt"] == THEN
    waited = command(here, "token", "outcome", "--request-id", "order-7", "--wait-active", "http://127.0.0.1:1/")
    assert (waited.returncode, waited.stdout) == (1, "") and "will never be active" in waited.stderr


# ---- against tokend -------------------------------------------------------------------------------------------------


def made(pod, identity):
    done = pod("create", "--read-database", "mydb", "--request-id", identity, "--format", "json", identity)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def revoked_at(world, token_id):
    (found,) = [t for t in world.sandbox.truth()["tokens"] if t["id"] == token_id]
    return found["revokedAt"]


def test_a_token_is_revoked_once_and_told_ever_after(shared):
    """By a pod that knows nothing but the ID; and whoever asks for the token again hears of it."""
    first, reborn = Pod(shared, "first"), Pod(shared, f"reborn-{uuid.uuid4()}")
    identity, other = f"ctl-{uuid.uuid4()}", f"ctl-{uuid.uuid4()}"
    token, kept = made(first, identity), made(first, other)
    done = reborn("revoke", identity, "--force", "--format", "json", "--reason", "its pod is gone")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["request_id"], told["id"], told["replayed"]) == (identity, token["id"], False)
    assert revoked_at(shared, token["id"]) is not None and revoked_at(shared, kept["id"]) is None
    again = json.loads(first("revoke", identity, "--force", "--format", "json").stdout)
    assert (again["id"], again["revokedAt"], again["replayed"]) == (told["id"], told["revokedAt"], True)
    seen = first("outcome", "--request-id", identity, "--format", "json")
    assert seen.returncode == 0 and f"warning: this token was revoked at {told['revokedAt']}" in seen.stderr
    assert json.loads(seen.stdout)["revokedAt"] == told["revokedAt"]


def test_tokend_has_nothing_to_revoke(shared):
    done = Pod(shared, "first")("revoke", f"never-{uuid.uuid4()}", "--force")
    assert (done.returncode, done.stdout) == (1, "")
    assert "NO_OUTCOME: nothing is known of request_id" in done.stderr and "influxctl token revoke" in done.stderr


def test_what_is_in_flight_is_waited_for(shared):
    pod, identity = Pod(shared, "first"), f"ctl-{uuid.uuid4()}"
    shared.sandbox.fault({"description": identity, "fault": "hold"})
    sent = pod("create", "--no-wait", "--read-database", "mydb", "--request-id", identity, identity)
    assert sent.returncode == 0, sent.stderr
    shared.sandbox.wait_in_flight(1)
    done = pod("revoke", identity, "--force", seconds=10)
    assert (done.returncode, done.stdout) == (3, "") and "not yet: " in done.stderr
    shared.sandbox.release()
    again = the_command_that_was_printed(done.stderr)
    assert again.returncode == 0, again.stderr
    assert revoked_at(shared, again.stdout.split()[-2]) is not None
