# SPDX-License-Identifier: Apache-2.0
"""Goal: what one life of tokend began, the next one ends: after SIGTERM, kill -9, a rebalance, a stopped process;
one outcome each, and no token that nobody knows of.

Barriers are the sandbox's calls in flight and tokend's own log lines. The fault "hold" keeps a call unanswered, with
its token created or not, until it is released; so a test decides what is in flight when the process ends.
"""

import signal
import time
import uuid

import pytest

from conftest import until
from requester import MARKER, journal_pb, pb

TAKEOVER_WITHIN_S = 35


def hold(world, description, commit, times=-1):
    world.sandbox.fault({"description": description, "fault": "hold", "commit": commit, "times": times})


def crowd(r, n, description, **how):
    """n requests over all partitions."""
    return [r.create(f"{description}-{i:02}", **how) for i in range(n)]


def let_the_gate_open(world, t, n):
    """A cluster is allowed few calls at once until it has answered many: ask until n may be in flight."""
    r = world.requester()
    for _ in range(20):
        if t.metric('tokend_concurrency_limit{cluster="prod"}') >= n:
            return
        requests = crowd(r, 150, f"warm-{uuid.uuid4()}")
        r.send(*requests)
        r.wait_all(requests)
    raise AssertionError(f"the gate does not open to {n} calls")


def all_held(world, t, r, n):
    """n calls in flight, of which every second one has created its token."""
    let_the_gate_open(world, t, n)
    hold(world, "made", True)
    hold(world, "lost", False)
    requests = [q for pair in zip(crowd(r, n // 2, "made"), crowd(r, n // 2, "lost")) for q in pair]
    r.send(*requests)
    world.sandbox.wait_in_flight(n)
    return requests


def no_more_holds(world):
    world.sandbox.no_more_faults()
    world.sandbox.release()


# ---- the same on both ----------------------------------------------------------------------------------------------


def test_a_repeat_after_a_restart_is_read_back(world):
    t, r = world.tokend(), world.requester()
    requests = crowd(r, 4, "before") + [r.create("refused", read=["secret"])]
    r.send(*requests)
    before = r.wait_all(requests)
    assert t.terminate() == 0
    t = world.tokend()
    for request, first in zip(requests, before):
        again = r.ask(request)
        assert again.message.replayed and (again.secret, again.status) == (first.secret, first.status)
    conflict = r.ask(r.create("other", request_id=requests[0].id))
    assert conflict.said[1] == "REQUEST_ID_REUSED" and conflict.details["fingerprint"] == requests[0].fingerprint.hex()
    assert len(world.sandbox.truth()["posts"]) == 4


def test_killed_and_started_again_it_goes_on_where_it_was(world):
    """On the mock, which keeps no committed offsets, the journal alone says what was answered (R11)."""
    t, r = world.tokend(), world.requester()
    answered = crowd(r, 4, "answered")
    r.send(*answered)
    r.wait_all(answered)
    hold(world, "in-flight", True)
    caught = r.create("in-flight")
    r.send(caught)
    world.sandbox.wait_posts("in-flight", 1)
    t.kill()
    no_more_holds(world)
    waiting = crowd(r, 4, "sent-meanwhile")
    r.send(*waiting, answered[0])
    world.tokend()
    replies = r.wait_all([caught, *waiting])
    assert all(x.status.code == 0 for x in replies) and replies[0].message.attempts == 2
    assert r.wait(answered[0], 2).message.replayed
    found = world.audit()
    assert len(found.orphans("in-flight")) == 1 and len(world.sandbox.posts("answered")) == 4


def test_sigterm_while_nothing_happens(world):
    t = world.tokend()
    begun = time.monotonic()
    assert t.terminate() == 0 and time.monotonic() - begun < 15
    assert t.said("tokend ends")


# ---- on a real Kafka only ------------------------------------------------------------------------------------------


@pytest.mark.real
def test_the_cap_on_unknown_attempts_outlives_the_process(world):
    t, r = world.tokend(), world.requester()
    request = r.create("never", cluster="edge")
    world.sandbox.fault({"description": "never", "fault": "error", "status": 503, "commit": True, "times": -1})
    r.send(request)
    t.wait_said("an attempt ended without a token; another follows", n=2)
    t.kill()
    world.tokend()
    reply = r.wait(request)
    assert reply.said == (14, "UPSTREAM_AMBIGUOUS", pb.OUTCOME, pb.LATER)
    done = world.audit().done(request.id)
    assert sum(a.fate == journal_pb.UNKNOWN for a in done.closed.values()) == 5
    assert set(done.closed) >= {MARKER.search(p["description"])[4] for p in world.sandbox.posts("never")}


@pytest.mark.real
def test_kill_with_twenty_calls_in_flight(world):
    """Half of them have created their token, and nobody was told."""
    t, r = world.tokend(), world.requester()
    requests = all_held(world, t, r, 20)
    t.kill()
    no_more_holds(world)
    world.tokend()
    replies = r.wait_all(requests)
    assert [x.status.code for x in replies] == [0] * 20 and all(x.message.attempts == 2 for x in replies)
    found = world.audit()
    lost = {
        MARKER.search(p["description"])[4]
        for kind in ("made", "lost")
        for p in world.sandbox.posts(kind)
        if p["fault"] == "hold"
    }
    assert len(lost) == 20
    for request in requests:
        closed = found.done(request.id).closed
        assert len(closed) == 1 and set(closed) <= lost and [a.fate for a in closed.values()] == [journal_pb.UNKNOWN]
    assert len(found.orphans("made")) == 10 and found.orphans("lost") == []


@pytest.mark.real
def test_a_second_instance_takes_over_after_a_kill(world):
    a, r = world.tokend("a"), world.requester()
    b = world.tokend("b", wait=0)
    until("both hold a partition", lambda: len(a.open()) == 1 and len(b.open()) == 1)
    hold(world, "in-flight", True, times=4)
    requests = crowd(r, 8, "in-flight")
    r.send(*requests)
    world.sandbox.wait_in_flight(4)
    a.kill()
    died = time.monotonic()
    no_more_holds(world)
    b.wait_open(world.partitions)
    assert time.monotonic() - died < TAKEOVER_WITHIN_S
    r.wait_all(requests)


@pytest.mark.real
def test_a_rebalance_under_load(world):
    """A second instance comes, and the first one goes, while requests keep arriving."""
    a, r = world.tokend("a"), world.requester()
    world.sandbox.fault({"fault": "delay", "delay_ms": 150, "times": -1})
    sent = []

    def load(n):
        batch = crowd(r, n, f"load-{len(sent)}")
        r.send(*batch)
        sent.extend(batch)

    load(30)
    b = world.tokend("b", wait=0)

    def shared_out():
        load(2)
        r.poll(0.05)
        return len(a.open()) == 1 and len(b.open()) == 1

    until("both hold a partition", shared_out)
    load(20)
    a.signal(signal.SIGTERM)

    def ended():
        load(2)
        r.poll(0.05)
        return a.process.poll() is not None and len(b.open()) == world.partitions

    until("the first has gone, the second has all", ended)
    assert a.process.returncode == 0
    load(10)
    replies = r.wait_all(sent)
    assert all(x.status.code == 0 for x in replies)
    # Nobody was killed and nothing was lost: no attempt may be of unknown fate.
    found = world.audit()
    assert {f.fate for f in found.closed.values()} <= {journal_pb.NOT_SENT} and len(
        world.sandbox.truth()["tokens"]
    ) == len(sent)


@pytest.mark.real
def test_sigterm_with_calls_in_flight_hands_over(world):
    """Calls end and are answered; what waits in backoff or in line goes on in the next life, with its cap unspent."""
    t, r = world.tokend(), world.requester()
    waits, throttled, slow = (
        r.create("waits", cluster="edge"),
        r.create("throttled", cluster="edge"),
        crowd(r, 12, "slow"),
    )
    world.sandbox.fault(
        {"description": "waits", "fault": "error", "status": 503, "times": 3},
        {"description": "throttled", "fault": "throttle", "retry_after": "15"},
        {"description": "slow", "fault": "delay", "delay_ms": 4000, "times": 4},
    )
    r.send(waits)
    t.wait_said("an attempt ended without a token; another follows", n=3, request_id=waits.id)
    r.send(throttled)  # from its answer on the whole cluster waits
    t.wait_said("an attempt ended without a token; another follows", request_id=throttled.id)
    r.send(*slow)
    world.sandbox.wait_in_flight(2)
    t.signal(signal.SIGTERM)
    t.wait_said("draining")
    assert t.process.wait(60) == 0
    assert not t.said("ending with requests under way: the next instance goes on with them")
    assert world.sandbox.in_flight() == 0
    world.tokend()
    assert [x.status.code for x in r.wait_all([throttled, waits, *slow])] == [0] * 14
    found = world.audit()
    assert [a.fate for a in found.done(waits.id).closed.values()] == [
        journal_pb.UNKNOWN
    ] * 3  # and none by the hand-over
    assert [a.fate for a in found.done(throttled.id).closed.values()] == [journal_pb.REFUSED]
    assert len(world.sandbox.truth()["tokens"]) == 14


@pytest.mark.real
def test_a_process_that_was_stopped_too_long_writes_nothing(world):
    """SIGSTOP past the session's end: the partitions are another's by then; what it still holds stays unwritten."""
    a, r = world.tokend("a"), world.requester()
    hold(world, "stopped", True, times=2)
    requests = crowd(r, 4, "stopped")
    r.send(*requests)
    world.sandbox.wait_in_flight(2)
    a.signal(signal.SIGSTOP)
    b = world.tokend("b", wait=world.partitions)
    no_more_holds(world)
    r.wait_all(requests)
    a.signal(signal.SIGCONT)
    until(
        "the first is back in the group",
        lambda: len(a.open()) + len(b.open()) == world.partitions and len(a.open()) > 0 or a.process.poll() is not None,
    )
    more = crowd(r, 6, "after")
    r.send(*more)
    r.wait_all(more)
    assert all(x.status.code == 0 for x in r.wait_all(requests))
