# SPDX-License-Identifier: Apache-2.0
"""Goal: more than may be in work at once stays in Kafka: nothing is lost, memory does not grow with the backlog, the
consumer stays in its group, and what lies in other partitions goes on.

A cluster that asks to be left alone for a while makes the backlog; every second record of it is too large to be a
request, which nobody knows before it is read. (On the real broker: the sandbox's keeps 5 MB of a topic.)
"""

import os
import time

import pytest

from conftest import until
from contract import check
from requester import home

MAX_PENDING, BACKLOG, PADDING = 20, 1000, b"x" * 128 * 1024
LEFT_ALONE_S = 12  # longer than a session of the group
# The backlog weighs 64 MiB. Of it may be held: 16 MiB unread (32 for all partitions) and not more than 32 records, and
# what 20 in work need.
MEMORY_MOST = 32 * 2**20
IN_NO_TIME_S = 3


def in_partition(r, partition, n, **how):
    found, i = [], 0
    while len(found) < n:
        q = r.create(f"{how['cluster']}-{i:04}", **how)
        i += 1
        if home(q.key, r.partitions) == partition:
            found.append(q)
    return found


LARGE = {  # what -> it, made large; and how it is answered
    "values": (lambda q: q.changed(body=q.body + PADDING), "UNDECODABLE"),
    "headers": (lambda q: q.changed(more=[("padding", PADDING)]), "CREATED"),  # which librdkafka does not count
}


@pytest.mark.real
@pytest.mark.parametrize("what", LARGE)
def test_a_backlog_stays_in_kafka(world, what):
    t, r = world.tokend(max_pending=MAX_PENDING), world.requester()
    check(r.ask(in_partition(r, 0, 1, cluster="prod")[0]), "CREATED")
    backlog = in_partition(r, 0, BACKLOG, cluster="prod", life_s=600)
    make, cause = LARGE[what]
    small, backlog[1::2] = backlog[::2], [make(q) for q in backlog[1::2]]
    world.sandbox.fault({"description": "prod-", "fault": "throttle", "retry_after": str(LEFT_ALONE_S)})
    before = t.metric("process_resident_memory_bytes")
    r.send(backlog[0])
    t.wait_said("an attempt ended without a token; another follows", request_id=backlog[0].id)
    begun = time.monotonic()
    r.send(*backlog[1:])
    until("it takes no more", lambda: t.metric("tokend_pending") == MAX_PENDING)

    # Another partition's go on, of another cluster, meanwhile.
    slowest = 0
    while time.monotonic() - begun < LEFT_ALONE_S - 1:
        for q in in_partition(r, 1, 5, cluster="edge", read=["*"]):
            sent = time.monotonic()
            check(r.ask(q), "CREATED")
            slowest = max(slowest, time.monotonic() - sent)
        assert t.metric("tokend_pending") <= MAX_PENDING + 1  # the last one of the other partition's
    assert slowest < IN_NO_TIME_S
    assert not any(q.digest in r.replies for q in backlog[2 * MAX_PENDING :])
    grown = t.metric("process_resident_memory_bytes") - before
    for q, reply in zip(backlog, r.wait_all(backlog)):
        check(reply, "CREATED" if q in small else cause)
    assert "asan" in os.environ.get("TOKEND_BUILD", "") or grown < MEMORY_MOST, f"{grown / 2**20:.0f} MiB"
    assert t.metric("tokend_rebalances_total") == 1 and len(t.said("assigned")) == 1
    assert len(world.sandbox.posts("prod-")) == (len(small) if cause != "CREATED" else BACKLOG) + 2
    assert t.metric("tokend_pending") == 0
