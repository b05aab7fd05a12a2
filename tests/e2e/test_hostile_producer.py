# SPDX-License-Identifier: Apache-2.0
"""Goal: whoever can write to the request topic, and has no key, gets little for it: memory stays bounded, the log stays
readable, nothing of it is remembered, and what others ask for goes on, in other partitions and behind it in the same.

Each kind of flood comes in one partition. Before it another principal's requests have been answered, and during it and
behind it they are. (The audit at the end of the world finds a reply or a dead letter for each record of the flood.)
"""

import os
import time

import pytest
from confluent_kafka import Producer

from conftest import until
from contract import check
from requester import SERVICE, home

pytestmark = pytest.mark.real

FLOOD, LARGE = 10_000, 150
ASIDE_MOST_S, BEHIND_MOST_S = 15, 90  # two cores carry the broker, tokend, the flood, and this
BURST = 50  # lines of one kind that are written at once; then one a second
MEMORY_MOST = 80 * 2**20  # 64 MiB of records in work, and what is unread; the large ones weigh 130
SANITIZED = "asan" in os.environ.get("TOKEND_BUILD", "")
CREATE = ("tokend-method", f"{SERVICE}CreateToken".encode())
REFUSED, DEAD = ("refused", "audit"), ("a record goes to the dead letters", "intake")


def ids_at_home(n, partitions):
    """Request IDs that belong into partition 0."""
    found, i = [], 0
    while len(found) < n:
        i += 1
        if home(key := b"junk-%d" % i, partitions) == 0:
            found.append(key)
    return found


# kind -> its records, by IDs; and what is logged of each, and by whom
FLOODS = {
    "unsigned": (lambda ids: [(key, b"x" * 200, [CREATE]) for key in ids], REFUSED),
    "without-an-id": (lambda ids: [(None, b"x" * 200, [CREATE]) for _ in ids], DEAD),
    "oversized": (lambda ids: [(key, b"x" * 900_000, [CREATE]) for key in ids[:LARGE]], REFUSED),
    "headers": (
        lambda ids: [(key, b"x", [CREATE, *((f"h{i}", b"y" * 60_000) for i in range(15))]) for key in ids[:LARGE]],
        REFUSED,
    ),
}


def of_partition(r, partition):
    while True:
        q = r.create("somebody else's")
        if home(q.key, r.partitions) == partition:
            return q


def send(world, records):
    producer = Producer({**world.kafka, "linger.ms": 5, "queue.buffering.max.kbytes": 1 << 20})
    for key, value, headers in records:
        producer.produce(f"{world.service_id}.requests", key=key, value=value, headers=headers, partition=0)
        producer.poll(0)
    assert producer.flush(60) == 0


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_is_survived_beside_it_and_behind_it(shared, kind):
    t, r = shared.tokends[0], shared.requester()
    make, (msg, logger) = FLOODS[kind]
    flood = make(ids_at_home(FLOOD, shared.partitions))
    left_out = f'tokend_log_lines_left_out_total{{logger="{logger}"'
    check(r.ask(of_partition(r, 0)), "CREATED")
    told, untold = len(t.said(msg)), t.metric(left_out)
    entries, before = t.metric("tokend_journal_entries"), t.metric("process_resident_memory_bytes")
    begun = time.monotonic()
    send(shared, flood)
    behind, asked = of_partition(r, 0), []
    r.send(behind)
    memory = slowest = 0
    while behind.digest not in r.replies:
        sent = time.monotonic()
        asked.append(of_partition(r, 1))
        check(r.ask(asked[-1]), "CREATED")
        slowest = max(slowest, time.monotonic() - sent)
        memory = max(memory, t.metric("process_resident_memory_bytes"))
    took = time.monotonic() - begun
    check(r.wait(behind), "CREATED")
    print(f"{len(flood)} in {took:.1f} s; beside them {slowest:.1f} s; {(memory - before) / 2**20:+.0f} MiB")
    assert slowest < ASIDE_MOST_S and took < BEHIND_MOST_S
    assert SANITIZED or memory - before < MEMORY_MOST

    # Nothing of it is remembered once the watermark has passed it, and what was not told of it was counted.
    until("the flood is forgotten", lambda: t.metric("tokend_journal_entries") == entries + len(asked) + 1)
    told, untold = len(t.said(msg)) - told, t.metric(left_out) - untold
    assert told + untold == len(flood) and 1 <= told <= BURST + took + 1
    for q in (behind, *asked):
        assert len(t.said("outcome", request_id=q.id)) == 1


def test_a_line_tells_how_many_were_left_out_before_it(shared):
    t = shared.tokends[0]
    send(shared, FLOODS["unsigned"][0](ids_at_home(3 * BURST, shared.partitions)))
    until("the limit is reached", lambda: t.metric("tokend_log_lines_left_out_total") > 0)
    send(shared, FLOODS["unsigned"][0](ids_at_home(1, shared.partitions)))

    def all_told():
        """Each second one more may be written; whichever is sends the sum."""
        send(shared, FLOODS["unsigned"][0](ids_at_home(1, shared.partitions)))
        return t.said("refused")[-1].get("left_out", 0) > 0

    until("a line with a number", all_told, every_s=0.3)
    audit = t.metric('tokend_log_lines_left_out_total{logger="audit"')
    assert 0 < sum(line.get("left_out", 0) for line in t.said("refused")) <= audit


def test_what_somebody_signed_is_always_told(shared):
    """More refusals of a known principal's than a flood would be granted."""
    t, r = shared.tokends[0], shared.requester()
    requests = [r.create("not granted", read=["secret"]) for _ in range(2 * BURST)]
    r.send(*requests)
    for q, reply in zip(requests, r.wait_all(requests)):
        check(reply, "POLICY_DENIED")
        assert len(t.said("outcome", request_id=q.id)) == 1
