# SPDX-License-Identifier: Apache-2.0
"""Goal: what a dead instance held is worked on again within seconds, whatever it was doing when it died; and an
instance that lives is never fenced for it.

A transaction is kept open by a proxy that lets the request to end it through no further; so a test decides in which
transaction an instance dies. Members are sorted by client.id, which is their transactional.id: with two partitions
and instances a, b, c, partition 0 is a's, 1 is b's, and c has none.
"""

import signal
import time
import uuid

import pytest

from conftest import a_world, until
from kafka import Kafka
from proxy import END_TXN

pytestmark = pytest.mark.real

FENCED_WITHIN_S = 10  # an open transaction alone takes longer: the broker ends it after 10 s at the earliest
WAITED_WITHIN_S = 35


def ask(world, n, description="warm"):
    """n requests over all partitions, and their replies."""
    r = world.requester()
    requests = [r.create(f"{description}-{uuid.uuid4()}") for _ in range(n)]
    r.send(*requests)
    return requests, r.wait_all(requests)


def holds(*held):
    """Wait until each instance holds just those partitions: holds((a, {0}), (b, {1}))."""
    until(lambda: f"{[sorted(t.open()) for t, _ in held]}", lambda: all(t.open() == want for t, want in held))


def fenced(*tokends):
    return [line for t in tokends for line in t.said("fenced")]


def stuck_in_a_transaction(world, proxy, t, after):
    """t's transaction, one behind the next `after` ones, is open at the broker and stays so."""
    rule = proxy.hold("request", END_TXN, client="/a/publish", after=after)
    r = world.requester()

    def caught():
        r.send(r.create(f"stuck-{uuid.uuid4()}"))
        r.poll(0.1)
        return rule.caught > 0

    until("a transaction is kept open", caught)
    return rule


def test_a_dead_owners_transaction_is_ended_at_once(world, proxy):
    """Its first one since it had the partition from another: the claim before it has told whose it is."""
    b = world.tokend("b")
    ask(world, 8)
    a = world.tokend("a", wait=1, **world.through(proxy))
    holds((a, {0}), (b, {1}))
    stuck_in_a_transaction(world, proxy, a, after=1)
    assert a.metric("tokend_transactions_total") == 0  # the first is still under way
    a.kill()
    died = time.monotonic()
    b.wait_open(2)
    assert time.monotonic() - died < FENCED_WITHIN_S
    (line,) = fenced(b)
    assert line["transactional_id"] == f"{world.service_id}/default/a" and line["partition"] == 0
    assert b.metric("tokend_fenced_total") == 1


def test_nothing_is_fenced_where_nothing_is_pending(world):
    a = world.tokend("a")
    b = world.tokend("b", wait=1)
    holds((a, {0}), (b, {1}))
    ask(world, 8)
    a.kill()
    died = time.monotonic()
    b.wait_open(2)
    assert time.monotonic() - died < FENCED_WITHIN_S
    assert fenced(b) == []
    ask(world, 4)


def test_a_living_owner_is_not_fenced_for_a_dead_one(world, proxy):
    """a has the partition from c, and dies in its claim: the metadata still names c, who lives. b has to wait."""
    c = world.tokend("c")
    ask(world, 8)
    a = world.tokend("a", wait=1, **world.through(proxy))
    holds((a, {0}), (c, {1}))
    b = world.tokend("b", wait=1)
    holds((a, {0}), (b, {1}), (c, set()))
    stuck_in_a_transaction(world, proxy, a, after=0)
    a.kill()
    died = time.monotonic()
    holds((b, {0}), (c, {1}))
    assert time.monotonic() - died < WAITED_WITHIN_S
    assert fenced(b, c) == []
    ask(world, 8)  # and c has not lost its voice
    assert c.process.poll() is None


def test_an_owner_that_slept_finds_itself_fenced(world, proxy):
    """Stopped in a transaction, for longer than its session: what it could not end is not there when it wakes."""
    b = world.tokend("b")
    ask(world, 8)
    a = world.tokend("a", wait=1, **world.through(proxy))
    holds((a, {0}), (b, {1}))
    rule = stuck_in_a_transaction(world, proxy, a, after=1)
    a.signal(signal.SIGSTOP)
    holds((b, {0, 1}))
    assert [line["partition"] for line in fenced(b)] == [0]
    world.requester().settle()
    rule.release()
    a.signal(signal.SIGCONT)
    assert a.process.wait(60) == 1
    assert a.said("tokend cannot go on")
    a = world.tokend("a", wait=1)
    holds((a, {0}), (b, {1}))
    ask(world, 8)


def test_who_was_cut_off_fences_nobody_that_may_come_back(world, proxy):
    """As after a broker that was away: both sessions end. b is back first, finds a gone and its transaction pending,
    and waits: a lives, and is only not back yet."""
    b = world.tokend("b")
    ask(world, 8)
    a = world.tokend("a", wait=1, **world.through(proxy))
    holds((a, {0}), (b, {1}))
    stuck_in_a_transaction(world, proxy, a, after=1)
    b.signal(signal.SIGSTOP)
    proxy.refuse()
    a.wait_said("the partitions are lost")
    b.signal(signal.SIGCONT)
    b.wait_said("the partitions are lost")
    known = len(b.lines())

    def asked():
        said = [line["msg"] for line in b.lines()[known:] if line.get("partition") == 0]
        return "restored" in said or "cannot restore yet" in said

    until("b has asked for the offset that a's transaction holds back", asked)
    assert fenced(b) == [] and a.process.poll() is None
    proxy.admit()
    until("both partitions are open", lambda: a.open() | b.open() == {0, 1})
    ask(world, 8)


def test_the_same_name_started_again_needs_no_help(world, proxy):
    """Its own initialising ends what its earlier life left open."""
    a = world.tokend("a", **world.through(proxy))
    ask(world, 8)
    stuck_in_a_transaction(world, proxy, a, after=0)
    a.kill()
    proxy.clear()
    died = time.monotonic()
    a = world.tokend("a")
    assert time.monotonic() - died < FENCED_WITHIN_S
    assert fenced(a) == []
    world.requester().settle()


def test_a_storm_of_rebalances_fences_nobody(world):
    """Instances come and go in good order under load: nobody is fenced, nobody ends but whom we end."""
    r = world.requester()
    a = world.tokend("a")
    everyone, coming = [a], {name: world.tokend(name, wait=0) for name in "bc"}
    everyone += coming.values()

    def load():
        r.send(*(r.create(f"storm-{uuid.uuid4()}") for _ in range(3)))
        r.poll(0.05)
        return True

    for name in "bcbcb":
        until("the group has settled", lambda: load() and a.open() and
              sum(len(t.open()) for t in (a, *coming.values())) == 2)
        leaving = coming.pop(name)
        leaving.signal(signal.SIGTERM)
        until("one has gone", lambda: load() and leaving.process.poll() is not None)
        assert leaving.process.returncode == 0
        coming[name] = world.tokend(name, wait=0)
        everyone.append(coming[name])
    r.settle()
    assert fenced(*everyone) == []
    assert all(t.process.poll() is None for t in (a, *coming.values()))


# ---- a right is missing --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded_kafka():
    with Kafka(authorizer=True) as k:
        yield k


@pytest.fixture
def guarded_world(request, tmp_path, guarded_kafka):
    passed = lambda: getattr(request.node, "passed_call", False)  # noqa: E731
    with a_world(request, "real", tmp_path, passed, kafka=guarded_kafka) as w:
        yield w


def test_without_the_right_to_fence_it_waits(guarded_world, guarded_kafka):
    world = guarded_world
    with guarded_kafka.proxy() as proxy:
        b = world.tokend("b")
        ask(world, 8)
        a = world.tokend("a", wait=1, **world.through(proxy))
        holds((a, {0}), (b, {1}))
        stuck_in_a_transaction(world, proxy, a, after=1)
        guarded_kafka.forbid_transactions(f"{world.service_id}/default/a")
        a.kill()
        died = time.monotonic()
        holds((b, {0, 1}))
        assert time.monotonic() - died < WAITED_WITHIN_S
        (said,) = b.said("cannot end a dead owner's transaction: it is waited for")
        assert said["missing"] == "Write on every instance's transactional ID"
        assert fenced(b) == []
    ask(world, 8)


NAMESAKE = "another process runs as this instance: each will end the other. Give every process an `instance` of its own"


def test_two_processes_of_one_name_are_told(world):
    """Before either of them has ended the other. One that was killed and started again is no two."""
    a = world.tokend("a")
    a.kill()
    again = world.tokend("a")
    assert not a.said(NAMESAKE) and not again.said(NAMESAKE)
    other = world.tokend("a", wait=1)
    until("one of them is told", lambda: again.said(NAMESAKE) or other.said(NAMESAKE))
    for t in (again, other):
        t.kill()
    last = world.tokend("a")
    ask(world, 4)
    assert not last.said(NAMESAKE)
