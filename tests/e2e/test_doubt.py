# SPDX-License-Identifier: Apache-2.0
"""Goal: a commit whose fate is unknown is not guessed at. It is asked for again, or left to the journal by ending; no
token is deleted for it, nothing is written twice, and the producer that was in doubt is replaced.

The line between tokend and the broker is a proxy's. Of an INTENT and of a DONE alike the commit is held, cut or
answered late; which of a request's two transactions it is, is told by what the API has seen.
"""

import signal
import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from conftest import a_world, until
from kafka import Kafka
from proxy import END_TXN, HEARTBEAT, TXN_OFFSET_COMMIT

pytestmark = pytest.mark.real

PUBLISHER = "/publish"
REPLACED = "replacing a doubtful producer"
SUSPECT_S = 6  # a commit that takes longer is doubtful, and its lease is over
INTENT, DONE = 0, 1  # which of a request's transactions; both are of one tokend that has committed before


@pytest.fixture
def doubted(world, proxy):
    """One tokend behind the proxy, warm: its claims and first answers lie behind it."""
    t = world.tokend(**world.through(proxy))
    world.requester().ask(world.requester().create("warm"))
    return t


def posts_of(world, request):
    return world.sandbox.posts(request.message.description)


def is_minted_once(world, request, attempts=1):
    """One reply with a token, from as many attempts, and one POST; and nothing was deleted."""
    reply = world.requester().wait(request)
    assert reply.status.code == 0 and reply.message.attempts == attempts
    assert len(posts_of(world, request)) == 1
    assert world.sandbox.calls("delete") == 0


def commits_again(world, t):
    """One more request goes through; R6 has had its chance."""
    world.requester().ask(world.requester().create("after"))
    assert t.process.poll() is None


@pytest.mark.parametrize("which", [INTENT, DONE])
@pytest.mark.parametrize("way", ["request", "answer"])
def test_a_line_that_breaks_in_a_commit(world, proxy, doubted, way, which):
    """Before the broker had it, or after it was done: asked again it is the same, and the producer is replaced."""
    request = world.requester().create("cut")
    rule = proxy.cut(way, END_TXN, client=PUBLISHER, after=which)
    world.requester().send(request)
    rule.wait()
    is_minted_once(world, request)
    commits_again(world, doubted)
    assert doubted.said(REPLACED)


def test_an_intent_committed_too_late_is_not_posted(world, proxy, doubted):
    """The broker has done it, and nobody is told for longer than the lease: another attempt, and the first is known
    as not sent."""
    request = world.requester().create("late")
    rule = proxy.hold("answer", END_TXN, client=PUBLISHER, after=INTENT)
    world.requester().send(request)
    rule.wait()
    time.sleep(SUSPECT_S)  # what the test is about
    assert posts_of(world, request) == []
    rule.release()
    is_minted_once(world, request, attempts=2)
    assert doubted.said(REPLACED)
    assert doubted.said("an attempt ended without a token; another follows", verdict="not_sent")


def test_an_outcome_committed_late_is_told_once(world, proxy, doubted):
    request = world.requester().create("late")
    rule = proxy.hold("answer", END_TXN, client=PUBLISHER, after=DONE)
    world.requester().send(request)
    rule.wait()
    time.sleep(SUSPECT_S)  # what the test is about
    rule.release()
    is_minted_once(world, request)
    commits_again(world, doubted)
    assert doubted.said(REPLACED)


def test_a_quick_commit_leaves_the_producer_alone(world, proxy, doubted):
    commits_again(world, doubted)
    commits_again(world, doubted)
    assert doubted.said(REPLACED) == []


@pytest.mark.parametrize("which", [INTENT, DONE])
@pytest.mark.parametrize("way", ["request", "answer"])
def test_fenced_in_doubt_it_ends_and_the_journal_decides(world, proxy, doubted, way, which):
    """Somebody takes its transactional.id while a commit is under way. Held before the broker had it, it is aborted;
    held after, it is committed: tokend cannot know which, and ends. Its next life goes by what was committed."""
    request = world.requester().create("fenced")
    rule = proxy.hold(way, END_TXN, client=PUBLISHER, after=which)
    world.requester().send(request)
    rule.wait()
    other = Producer({**world.kafka, "transactional.id": f"{world.service_id}/default/a"})
    other.init_transactions(30)
    rule.cut()  # so that it has to ask again
    assert doubted.process.wait(60) == 1
    assert doubted.said("tokend cannot go on")
    assert world.sandbox.calls("delete") == 0
    world.tokend()
    reply = world.requester().wait(request)
    committed = way == "answer"
    if which == DONE and committed:
        assert reply.message.attempts == 1 and len(posts_of(world, request)) == 1
    elif which == DONE:  # created, and told to nobody: that attempt is closed
        assert reply.message.attempts == 2 and len(posts_of(world, request)) == 2
        assert len(world.audit().done(request.id).closed) == 1
    else:
        assert reply.message.attempts == (2 if committed else 1) and len(posts_of(world, request)) == 1


@pytest.mark.parametrize("which", [INTENT, DONE])
def test_a_broker_that_stops_in_a_commit(world, proxy, doubted, real_kafka, which):
    """For longer than a session: no heartbeat gets through either."""
    request = world.requester().create("stopped")
    rule = proxy.hold("request", END_TXN, client=PUBLISHER, after=which)
    world.requester().send(request)
    rule.wait()
    real_kafka.process.send_signal(signal.SIGSTOP)
    try:
        rule.release()
        time.sleep(SUSPECT_S + 2)  # what the test is about
    finally:
        real_kafka.process.send_signal(signal.SIGCONT)
    reply = world.requester().wait(request)
    assert reply.status.code == 0
    commits_again(world, doubted)


def test_a_certain_abort_is_tried_again_with_what_is_in_hand(world, doubted, real_kafka):
    """The replies' topic takes no record of this size for a while. The token is there, and is asked for once."""
    replies = f"{world.service_id}.replies"
    real_kafka.alter_topic(replies, {"max.message.bytes": "100"})
    request = world.requester().create("abort")
    world.requester().send(request)
    until("some aborts", lambda: doubted.metric('tokend_transactions_total{result="aborted"') >= 3)
    assert len(posts_of(world, request)) == 1
    real_kafka.alter_topic(replies, {"max.message.bytes": "1000000"})
    is_minted_once(world, request)
    assert doubted.metric('tokend_rebalances_total') == 1  # in the same generation


def test_a_line_that_breaks_in_an_abort(world, proxy, doubted):
    """Its generation is over while its offsets are on their way, so it aborts, and the line breaks. What is still
    under way might end the next transaction: the producer is replaced here, too."""
    admin, group = AdminClient(world.kafka), f"tokend-{world.service_id}"
    members = lambda: admin.list_groups(group, 10)[0].members  # noqa: E731
    offsets = proxy.hold("request", TXN_OFFSET_COMMIT, client=PUBLISHER)
    request = world.requester().create("abort")
    heartbeats = proxy.hold("request", HEARTBEAT, times=None)
    world.requester().send(request)
    offsets.wait()
    until("the group has given it up", lambda: not members())
    broken = proxy.cut("answer", END_TXN, client=PUBLISHER)
    offsets.release()
    heartbeats.release()
    broken.wait()
    is_minted_once(world, request)
    assert doubted.said("a transaction was aborted", stale=True) and doubted.said(REPLACED)


# ---- a broker of its own, that dies --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mortal_kafka():
    with Kafka(controller_apart=True) as k:
        yield k


@pytest.fixture
def mortal_world(request, tmp_path, mortal_kafka):
    passed = lambda: getattr(request.node, "passed_call", False)  # noqa: E731
    with a_world(request, "real", tmp_path, passed, kafka=mortal_kafka) as w:
        yield w


@pytest.mark.parametrize("way", ["request", "answer"])
@pytest.mark.parametrize("which", [INTENT, DONE])
def test_a_broker_that_dies_in_a_commit(mortal_world, mortal_kafka, way, which):
    world = mortal_world
    with mortal_kafka.proxy() as proxy:
        t = world.tokend(**world.through(proxy))
        r = world.requester()
        r.ask(r.create("warm"))
        rule = proxy.hold(way, END_TXN, client=PUBLISHER, after=which)
        request = r.create("died")
        r.send(request)
        rule.wait()
        mortal_kafka.kill()
        rule.release()
        mortal_kafka.start()
        reply = r.wait(request)
        assert reply.status.code == 0
        commits_again(world, t)
