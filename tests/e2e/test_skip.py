# SPDX-License-Identifier: Apache-2.0
"""Goal: a record that an operator names under `skip` is passed by: it stands among the dead letters as it came, nothing
else happens to it, and whatever an earlier life had begun for it ends. What is behind it goes on."""

import base64
import pathlib
import re
import signal
import uuid

import pytest

from audit import read_topic
from conftest import until
from contract import check
from requester import home, journal_pb

AGAIN = "an attempt ended without a token; another follows"


def in_partition(r, partition, n, description):
    found, i = [], 0
    while len(found) < n:
        q = r.create(f"{description}-{i:02}")
        i += 1
        if home(q.key, r.partitions) == partition:
            found.append(q)
    return found


def dead_letters(world):
    return read_topic(world.kafka, f"{world.service_id}.deadletters")


def forget(r, request):
    """Nothing is to come for that sending."""
    r.counts[request.digest] -= 1


def test_a_skipped_record_is_a_dead_letter_and_nothing_else(world):
    """One is named by the topic's name, one by its role."""
    r = world.requester()
    skipped, well = [], []
    for partition in (0, 1):
        before, passed_by, behind = in_partition(r, partition, 3, f"in-{partition}")
        skipped.append(passed_by.changed(more=[("x-own", b"kept")]))
        well += [before, behind]
        r.send(before)
        world.skipped.update(r.send(skipped[-1]))
        r.send(behind)
        forget(r, passed_by)
    places = sorted(world.skipped)
    names = zip((r.requests, "requests"), places)
    t = world.tokend(skip=[f"{topic}/{partition}@{offset}" for topic, (partition, offset) in names])
    for q in well:
        check(r.wait(q), "CREATED")
    dead = sorted(dead_letters(world), key=lambda m: m.headers()[-2])
    assert [(m.key(), m.value()) for m in dead] == [(q.key, q.body) for q in skipped]
    for m, q, (partition, offset) in zip(dead, skipped, places):
        assert m.headers() == [
            *q.headers,
            ("tokend-dead-letter-reason", b"skipped"),
            ("tokend-dead-letter-topic", r.requests.encode()),
            ("tokend-dead-letter-partition", b"%d" % partition),
            ("tokend-dead-letter-offset", b"%d" % offset),
        ]
        assert world.sandbox.posts(q.message.description) == [] and q.digest not in r.replies
    assert t.metric('tokend_dead_letters_total{reason="skipped"') == 2

    # Named no more, in another life: they were answered, in their way, and stay so. (The sandbox's broker takes long to
    # give partitions again, and what its journal keeps is the same.)
    if world.flavour == "real":
        assert t.terminate() == 0
        world.tokend()
    for partition in (0, 1):
        check(r.ask(in_partition(r, partition, 1, "later")[0]), "CREATED")
    assert len(dead_letters(world)) == 2
    assert all(world.sandbox.posts(q.message.description) == [] and q.digest not in r.replies for q in skipped)

    # Their IDs are free: the same bytes, sent again, are a record like any other.
    for q in skipped:
        check(r.ask(q), "CREATED")


@pytest.mark.real
@pytest.mark.row("INTERNAL")
def test_what_was_begun_for_a_record_that_is_skipped_then_ends(world):
    """Its POST was made, and made a token, and the process ended before the next one. The record is skipped: nobody
    will bring it again, so the request is decided, the token's attempt is closed, and who asks again is told."""
    t, r = world.tokend(), world.requester()
    request = r.create("begun")
    world.sandbox.fault(
        {"description": "begun", "fault": "error", "status": 503, "commit": True, "retry_after": "120", "times": -1}
    )
    ((partition, offset),) = r.send(request)
    forget(r, request)
    t.wait_said(AGAIN, request_id=request.id)
    assert t.terminate() == 0
    world.skipped.add((partition, offset))
    t = world.tokend(skip=[f"requests/{partition}@{offset}"])
    reply = check(r.ask(request), "INTERNAL", "can no longer be worked on", replayed=True, details={})
    assert reply.message.attempts == 1 and reply.message.principal == "telemetry"
    done = world.audit().done(request.id)
    assert [a.fate for a in done.closed.values()] == [journal_pb.UNKNOWN]
    assert len(world.sandbox.posts("begun")) == len(world.audit().orphans("begun")) == 1
    assert len(dead_letters(world)) == 1
    other = r.create("other", request_id=request.id)
    check(r.ask(other), "REQUEST_ID_REUSED")


def main_threads_ticks(t):
    """How long its loop has computed, in hundredths of a second."""
    fields = pathlib.Path(f"/proc/{t.process.pid}/task/{t.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def crash_while_it_reads(world, r, t):
    """Kill it as a bad pointer would, while its loop does nothing but read records; its last words, or None."""
    t.signal(signal.SIGSTOP)
    unsigned = r.create("large").changed(signature=base64.b64encode(bytes(64)))
    ids = [f"{uuid.uuid4()}" for _ in range(600)]
    r.send(*(unsigned.changed(key=i.encode(), body=unsigned.body + i.encode() * 3400) for i in ids))
    before = main_threads_ticks(t)
    t.signal(signal.SIGCONT)
    until("its loop computes", lambda: main_threads_ticks(t) >= before + 3, every_s=0.0005)
    t.signal(signal.SIGSEGV)
    assert t.process.wait(60) != 0
    t.crashed = True
    lines = t.said("crashed while decoding a record; to pass it by, put it under skip in the configuration")
    return lines[0] if lines else None


@pytest.mark.real
def test_a_crash_names_the_record_and_skip_takes_the_name(world):
    """What an operator does at night: copy the last line's `skip` into the configuration, and start again."""
    r = world.requester()
    for _ in range(4):  # it may be met between two records
        t = world.tokend()
        if words := crash_while_it_reads(world, r, t):
            break
    assert words["level"] == "error" and words["signal"] == signal.SIGSEGV
    topic, partition, offset = re.fullmatch(r"(.+)/(\d+)@(\d+)", words["skip"]).groups()
    place = int(partition), int(offset)
    record = next(m for m in read_topic(world.kafka, r.requests) if (m.partition(), m.offset()) == place)
    assert topic == r.requests and len(record.value()) > 120_000
    (request,) = [q for q in r.sent.values() if q.key == record.key()]
    forget(r, request)
    world.skipped.add(place)
    world.tokend(skip=[words["skip"]])
    check(r.ask(r.create("after")), "CREATED")
    r.settle()
    assert [m.key() for m in dead_letters(world)] == [record.key()]
