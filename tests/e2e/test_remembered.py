# SPDX-License-Identifier: Apache-2.0
"""Goal: what a partition remembers is bounded, and the bound costs nobody a second token: what was forgotten is said to
be too old, what safety needs stays; and the clusters at which tokens may still come to light stay configured."""

import time

import pytest

from conftest import until
from contract import check
from requester import home

BOUND, PARTITION = 100, 0
FULL = "left unread: all that the partition remembers is still needed"
NEARLY = ("the memory of the partition is nearly full: the oldest requests will be forgotten before their time, and "
          "repeats of them refused")


def made(r, n, description, over_s=None, **how):
    """n requests of one partition; over_s: their deadlines passed so long ago, a second between two of them."""
    found, i = [], 0
    while len(found) < n:
        q = r.create(f"{description}-{i:03}", **how)
        i += 1
        if home(q.key, r.partitions) != PARTITION:
            continue
        if over_s is not None:
            q.message.deadline.seconds = int(time.time()) - over_s + len(found)
            q.message.issued_at.seconds = q.message.deadline.seconds - 60
            q = r.sign("CreateToken", q.message)
        found.append(q)
    return found


def fill(t, partition=PARTITION):
    return t.metric(f'tokend_journal_fill_percent{{partition="{partition}"')


def test_the_oldest_are_forgotten_and_never_answered_anew(world):
    t, r = world.tokend(max_remembered=BOUND, max_pending=20), world.requester()
    old = made(r, BOUND + 20, "long over", over_s=1000)
    for q in old:
        r.send(q)       # one by one: which of them is the oldest must be the order in which they came
    for reply in r.wait_all(old):
        check(reply, "NOT_STARTED")
    t.wait_said(NEARLY, partition=PARTITION)
    assert 80 <= fill(t) <= 100 and fill(t, 1) == 0 and t.metric("tokend_journal_full_partitions") == 0
    check(r.ask(old[0]), "PAST_WINDOW", "an earlier reply may exist")
    check(r.ask(old[-1]), "NOT_STARTED", replayed=True)
    assert world.sandbox.truth()["posts"] == []
    # Whoever is above the floor is served as ever.
    check(r.ask(made(r, 1, "now")[0]), "CREATED")
    assert not t.said(FULL)


@pytest.mark.real
def test_a_partition_full_of_what_is_needed_is_left_unread(world):
    """Tokens may come to light for a day: until then nothing of it goes. With more room it goes on."""
    t, r = world.tokend(max_remembered=BOUND, max_pending=20), world.requester()
    requests = made(r, BOUND + 30, "needed")
    r.send(*requests)
    t.wait_said(FULL, partition=PARTITION)
    first = requests[:BOUND]
    assert [x.status.code for x in r.wait_all(first)] == [0] * BOUND
    until("the metrics say so", lambda: t.metric("tokend_journal_full_partitions") == 1 and fill(t) == 100)
    assert t.http("/readyz")[0] == 200
    others = [q for q in (r.create(f"of the other-{i}") for i in range(8)) if home(q.key, r.partitions) != PARTITION]
    r.send(*others)
    assert {x.status.code for x in r.wait_all(others)} == {0}
    assert not any(q.digest in r.replies for q in requests[BOUND:])
    # The same bound finds it as full, and as unread.
    assert t.terminate() == 0
    t = world.tokend(max_remembered=BOUND, max_pending=20)
    t.wait_said(FULL, partition=PARTITION)
    assert t.terminate() == 0
    world.tokend(max_remembered=1000)
    assert [x.status.code for x in r.wait_all(requests)] == [0] * len(requests)
    assert len(world.sandbox.posts("needed")) == len(requests)


@pytest.mark.real
def test_a_cluster_where_tokens_may_come_to_light_stays_configured(world):
    t, r = world.tokend(), world.requester()
    (request,) = made(r, 1, "at the edge", cluster="edge")
    check(r.ask(request), "CREATED")
    assert t.terminate() == 0

    def start(clusters):
        world.tokend(wait=0, clusters=clusters)
        t = world.tokends.pop()
        status = t.process.wait(60)
        return status, t.lines()[-1]

    clusters, grants = world.config["clusters"], world.policy["principals"][0]["grants"]
    granted = [dict(g) for g in grants]
    for g in grants:        # nobody may have anything there any more: that alone is in order
        g["clusters"] = ["prod"]
    world.write_policy()
    gone = [c for c in clusters if c["name"] != "edge"]
    another = [{**c, "url": "https://127.0.0.1:1"} if c["name"] == "edge" else c for c in clusters]
    for changed, words in ((gone, 'cluster "edge", which is not in the configuration any more'),
                           (another, 'cluster "edge", which the configuration now gives another')):
        status, line = start(changed)
        assert status == 1 and line["level"] == "error", line
        assert words in line["error"] and "retiring: true" in line["error"] and "partition 0: until 2" in line["error"]
    world.policy["principals"][0]["grants"] = granted
    world.write_policy()
    t = world.tokend(clusters=[{**c, "retiring": True} if c["name"] == "edge" else c for c in clusters])
    check(r.ask(made(r, 1, "no more there", cluster="edge")[0]), "TARGET_RETIRED")
    check(r.ask(request), "CREATED", replayed=True)
