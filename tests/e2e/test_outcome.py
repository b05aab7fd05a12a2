# SPDX-License-Identifier: Apache-2.0
"""Goal: GetOutcome tells again what became of an ID, to the principal that asked under it and to nobody else, and never
changes what it tells of."""
import time
import uuid

import pytest
from contract import check, told
from nacl.signing import SigningKey

from conftest import public_entry, until
from requester import Principal


@pytest.fixture(scope="module")
def running(common):
    """With a key that is not valid any more."""
    common.old = Principal("telemetry", "t-old", SigningKey.generate(), "", None)
    expired = {**public_entry(common.old), "not_after": "2020-01-01T00:00:00Z"}
    common.policy["principals"][0]["signing_keys"].append(expired)
    common.write_policy()
    common.tokend()
    return common


@pytest.fixture
def r(shared):
    return shared.requester()


def a_description():
    return f"outcome {uuid.uuid4()}"


def test_the_token_is_told_again(shared, r):
    """A requester that lost its bytes gets the same box: under its own digest, as often as it asks."""
    create = r.create(a_description())
    first = told(shared, r, create, "CREATED", posts=1, made=1)
    for _ in range(2):
        outcome = r.other("GetOutcome", create.id)
        again = told(shared, r, outcome, "CREATED", replayed=True)
        assert again.secret == first.secret and again.message.sealed_token == first.message.sealed_token
        assert again.message.request_digest == outcome.digest != first.message.request_digest
        assert again.message.attempts == first.message.attempts == 1
    same_bytes = told(shared, r, outcome, "CREATED", replayed=True)
    assert same_bytes.secret == first.secret


def test_an_error_is_an_outcome_too(shared, r):
    create = r.create(a_description(), cluster="nowhere")
    first = told(shared, r, create, "INVALID_FIELD", '"nowhere"')
    again = told(shared, r, r.other("GetOutcome", create.id), "INVALID_FIELD", '"nowhere"', replayed=True)
    assert again.status == first.status


@pytest.mark.row("NO_OUTCOME")
def test_nothing_is_known(shared, r):
    """Not after a refused record either: that one said nothing of its ID."""
    never = f"r-{uuid.uuid4()}"
    told(shared, r, r.other("GetOutcome", never), "NO_OUTCOME", f'"{never}"', "telemetry", details={})
    forged = r.create(a_description()).changed(signature=b"A" * 86 + b"==")
    told(shared, r, forged, "BAD_SIGNATURE")
    told(shared, r, r.other("GetOutcome", forged.id), "NO_OUTCOME", f'"{forged.id}"')
    create = r.create(a_description(), request_id=never)
    first = told(shared, r, create, "CREATED", posts=1, made=1)     # the question has used nothing up
    assert told(shared, r, r.other("GetOutcome", never), "CREATED", replayed=True).secret == first.secret


@pytest.mark.row("NO_OUTCOME")
def test_somebody_elses_is_as_if_it_did_not_exist(shared, r):
    create = r.create(a_description())
    told(shared, r, create, "CREATED", posts=1, made=1)
    billing = shared.requester("billing")
    unknown = told(shared, billing, billing.other("GetOutcome", never := f"r-{uuid.uuid4()}"), "NO_OUTCOME")
    theirs = told(shared, billing, billing.other("GetOutcome", create.id), "NO_OUTCOME")
    assert theirs.status.message == unknown.status.message.replace(never, create.id)


def test_one_id_of_two_principals_is_two_requests(shared, r):
    """Each is told its own."""
    billing = shared.requester("billing")
    ours = r.create(a_description())
    soon = int(time.time()) + 600
    theirs = billing.create(a_description(), read=["billing_x"], expires_at=soon, request_id=ours.id)
    first = {who: told(shared, who, q, "CREATED", posts=1, made=1) for who, q in ((r, ours), (billing, theirs))}
    for who in (billing, r):
        reply = told(shared, who, who.other("GetOutcome", ours.id), "CREATED", replayed=True)
        assert reply.secret == first[who].secret


def test_it_waits_for_one_in_flight(shared, r):
    description = a_description()
    shared.sandbox.fault({"description": description, "fault": "hold"})
    create = r.create(description)
    r.send(create)
    shared.sandbox.wait_in_flight(1)
    outcome = r.other("GetOutcome", create.id)
    r.send(outcome)
    r.poll(1)
    assert outcome.digest not in r.replies
    shared.sandbox.release()
    first, again = check(r.wait(create), "CREATED"), check(r.wait(outcome), "CREATED", replayed=True)
    assert again.secret == first.secret


@pytest.mark.row("STILL_IN_FLIGHT")
def test_it_waits_until_its_own_deadline(shared, r):
    """LATER: the same question, in new bytes; what was asked about goes on."""
    description = a_description()
    shared.sandbox.fault({"description": description, "fault": "hold"})
    create = r.create(description)
    r.send(create)
    shared.sandbox.wait_in_flight(1)
    asked = time.monotonic()
    check(r.ask(r.other("GetOutcome", create.id, life_s=2)), "STILL_IN_FLIGHT", f'"{create.id}"', details={})
    assert 1 <= time.monotonic() - asked < 20
    shared.sandbox.release()
    first = check(r.wait(create), "CREATED")
    assert told(shared, r, r.other("GetOutcome", create.id), "CREATED", replayed=True).secret == first.secret


def test_what_is_there_is_told_however_late_the_question(shared, r):
    """Its deadline is for waiting: one that lay in the topic for longer needs none."""
    create = r.create(a_description())
    first = told(shared, r, create, "CREATED", posts=1, made=1)
    shared.tokends[0].wait_said("outcome", request_id=create.id)    # it knows by now that its commit succeeded
    message = r.other("GetOutcome", create.id, life_s=0).message
    message.issued_at.seconds -= 60
    message.deadline.seconds -= 60
    assert told(shared, r, r.sign("GetOutcome", message), "CREATED", replayed=True).secret == first.secret
    message.request_id = f"r-{uuid.uuid4()}"
    told(shared, r, r.sign("GetOutcome", message), "NO_OUTCOME")


def test_who_asks_must_be_who_he_says(shared, r):
    create = r.create(a_description())
    told(shared, r, create, "CREATED", posts=1, made=1)
    billing = shared.requester("billing")
    outcome = r.other("GetOutcome", create.id)
    told(shared, r, billing.sign("GetOutcome", outcome.message), "WRONG_PRINCIPAL", '"telemetry"', "billing")
    told(shared, r, r.sign("CreateToken", outcome.message).changed(method="GetOutcome"), "BAD_SIGNATURE")
    early = r.other("GetOutcome", create.id)
    early.message.issued_at.seconds += 3600
    told(shared, r, r.sign("GetOutcome", early.message), "CLOCK_SKEW")
    expired = r.sign("GetOutcome", outcome.message, shared.old.signing_key, shared.old.key_id)
    told(shared, r, expired, "KEY_EXPIRED", '"t-old"')
    told(shared, r, outcome, "CREATED", replayed=True)


def test_after_a_restart_and_a_kill_it_is_read_back(world):
    """One that waits when the process dies is answered by the next life; and whoever has no grants any more is told
    what became of his ID all the same."""
    t, r = world.tokend(), world.requester()
    created = r.create(a_description())
    first = check(r.ask(created), "CREATED")
    held = r.create(held_description := a_description())
    world.sandbox.fault({"description": held_description, "fault": "hold"})
    r.send(held)
    world.sandbox.wait_in_flight(1)
    waiting = r.other("GetOutcome", held.id)
    r.send(waiting)
    until("both were read", lambda: t.metric("tokend_pending") >= 2)
    t.kill()
    world.sandbox.release()
    for grant in world.policy["principals"][0]["grants"]:
        grant["clusters"] = ["edge"]
    world.write_policy()
    world.tokend()
    assert check(r.ask(r.other("GetOutcome", created.id)), "CREATED", replayed=True).secret == first.secret
    last = check(r.wait(held), "POLICY_DENIED")
    assert check(r.wait(waiting), "POLICY_DENIED", replayed=True).status == last.status
