# SPDX-License-Identifier: Apache-2.0
"""Goal: a partition whose journal cannot be trusted is left alone, readiness says so, and an operator's #loss record
opens it while tokend runs; then nothing is done twice that may have been done in what was lost (R11).

Where it can be, the #loss is written here by hand, from the contract (journal.proto); its moment lies in the past, so
that a test need not wait until the clocks' skew is over."""

import json
import os
import time

import pytest
from confluent_kafka import Producer

from audit import read_topic
from conftest import a_world, until
from contract import check
from offsets import Offsets
from requester import home, journal_pb

CLOSED = "the partition stays closed: its journal cannot be trusted"
AGO_S, MOMENT_AGO_S = 400, 200  # a request of then was issued before the loss, its skew of 120 s included
PARTITION = 0
CLOSED_RETRY_S = 5


@pytest.fixture
def world(request, flavour, tmp_path):
    """What is told of a lost past contradicts what was told then, so the audit is left out."""
    with a_world(request, flavour, tmp_path, lambda: False) as w:
        yield w


def made(r, description, ago_s=0, **how):
    """A request of that partition, issued so long ago."""
    i = 0
    while True:
        q = r.create(f"{description}-{i}", **how)
        i += 1
        if home(q.key, r.partitions) == PARTITION:
            q.message.issued_at.seconds -= ago_s
            return r.sign("CreateToken", q.message)


def offsets(world):
    return Offsets(world.bootstrap, f"tokend-{world.service_id}")


def committed(world):
    """(offset, metadata)"""
    return offsets(world).read(f"{world.service_id}.requests", PARTITION)


def commit(world, offset, metadata=""):
    """As an operator's tool does."""
    offsets(world).commit(f"{world.service_id}.requests", PARTITION, offset, metadata)


def journal(world):
    """The partition's records, as they are: (key, record)."""
    return [(m.key(), journal_pb.JournalRecord.FromString(m.value()))
            for m in read_topic(world.kafka, f"{world.service_id}.journal") if m.partition() == PARTITION]


def accept_loss(world, replaced, seq):
    """What `tokenctl journal accept-loss` writes, but a while ago."""
    record = journal_pb.JournalRecord(
        format=1, lowest_reader=1, state=journal_pb.LOSS, journal_id=os.urandom(16), replaced_journal_id=replaced,
        seq=seq, loss_moment=int(time.time()) - MOMENT_AGO_S)
    producer = Producer({**world.kafka, "acks": "all"})
    producer.produce(f"{world.service_id}.journal", record.SerializeToString(), b"#loss", partition=PARTITION)
    assert producer.flush(30) == 0
    return record.journal_id


def accept_as_an_operator(world, *more):
    """With tokenctl itself."""
    config = world.conf / "operator.yaml"
    config.write_text(json.dumps({**world.config, "instance": "operator"}))
    where = ["--tokend-config", config, "--partition", PARTITION]
    return world.tokenctl("journal", "accept-loss", *where, *more, "--force", profile=False)


def made_after(r, moment, description):
    """A request issued as early as a loss of that moment allows, on a clock that is as far ahead as one may be."""
    until("it is not from the future", lambda: time.time() > moment + 2)
    return made(r, description, int(time.time()) - (moment + 121))


def last_loss(world):
    return [e for k, e in journal(world) if k == b"#loss"][-1]


def closed(world, words):
    """A start that finds the partition as it must not be: the other one works, this one is left alone."""
    t = world.tokend(wait=0)
    (line,) = t.wait_said(CLOSED, partition=PARTITION)
    assert words in line["error"], line
    until("the metric says so", lambda: t.metric("tokend_journal_closed_partitions") >= 1)
    status, why = t.http("/readyz")
    assert status == 503 and "journal" in why, why
    return t


def opened(t):
    """While it runs, and before long."""
    began = time.monotonic()
    t.wait_said("restored", partition=PARTITION)
    assert time.monotonic() - began < 30
    until("it is ready again", lambda: t.http("/readyz")[0] == 200)
    assert t.metric("tokend_journal_closed_partitions") == 0


@pytest.mark.real
def test_a_journal_that_lost_its_end(world):
    t, r = world.tokend(), world.requester()
    known = made(r, "answered, and lost", AGO_S)
    check(r.ask(known), "CREATED")
    assert t.terminate() == 0
    offset, metadata = committed(world)
    seq = int(metadata.split()[2])
    commit(world, offset, metadata.replace(f" {seq} ", f" {seq + 7} "))  # the journal's witness, seven records on
    t = closed(world, f"the journal ends with record {seq}, but {seq + 7} was committed")
    late, fresh = made(r, "issued before the loss", AGO_S), made(r, "issued after it")
    r.send(late, fresh)
    lost = bytes.fromhex(metadata.split()[1])
    assert {bytes(e.journal_id) for _, e in journal(world)} == {lost}
    new = accept_loss(world, lost, seq + 8)
    opened(t)
    check(r.wait(late), "PAST_WINDOW", "a loss in the journal", "an earlier reply may exist")
    check(r.wait(fresh), "CREATED")
    # What is known is told again, whatever was accepted.
    check(r.ask(known), "CREATED", replayed=True)
    until("the new id is committed", lambda: committed(world)[1].split()[1] == new.hex())
    assert world.sandbox.posts("before the loss") == []
    assert [e.seq for _, e in journal(world)] == sorted({e.seq for _, e in journal(world)})
    t.kill()
    world.tokend()
    check(r.ask(made(r, "in the next life")), "CREATED")


@pytest.mark.real
def test_a_journal_made_anew(world, real_kafka):
    """All of it is gone, and with it that a request was answered: it is not answered anew."""
    t, r = world.tokend(), world.requester()
    known = made(r, "answered, and lost", AGO_S)
    check(r.ask(known), "CREATED")
    assert t.terminate() == 0
    real_kafka.make_topic_anew(world.service_id, "journal", world.partitions)
    t = closed(world, "the journal is empty, but offset 1 was committed with its record")
    r.send(known)
    accept_loss(world, bytes.fromhex(committed(world)[1].split()[1]), 1000)
    opened(t)
    check(r.wait(known, 2), "PAST_WINDOW", "a loss in the journal")
    check(r.ask(made(r, "issued after it")), "CREATED")
    assert len(world.sandbox.posts("answered, and lost")) == 1
    assert min(e.seq for _, e in journal(world)) == 1000


@pytest.mark.real
def test_an_intent_before_the_loss_is_neither_continued_nor_closed(world):
    """Somebody set the group's offset with a tool, which leaves no metadata; an intent is open."""
    t, r = world.tokend(), world.requester()
    world.sandbox.fault({"description": "in flight", "fault": "hold", "commit": True, "times": -1})
    caught = made(r, "in flight", AGO_S, life_s=900)
    r.send(caught)
    world.sandbox.wait_posts("in flight", 1)
    t.kill()
    world.sandbox.no_more_faults()
    world.sandbox.release()
    commit(world, 0)
    t = closed(world, "committed offset 0 carries no metadata of ours")
    (_, intent), = [e for e in journal(world) if e[0].startswith(b"C")]
    accept_loss(world, bytes(16), 1000)
    opened(t)
    check(r.wait(caught), "PAST_WINDOW", "a loss in the journal")
    check(r.ask(made(r, "issued after it")), "CREATED")
    assert len(world.sandbox.posts("in flight")) == 1
    assert not any(e.closed for _, e in journal(world)) and intent.attempt.uuid
    until("its token is counted as one that nobody knows",
          lambda: t.metric('tokend_tokens_kept{cluster="prod",reason="unknown"') == 1)
    assert [x["revokedAt"] for x in world.sandbox.truth()["tokens"] if "in flight" in x["description"]] == [None]


@pytest.mark.real
def test_a_request_topic_made_anew(world, real_kafka):
    """Its records stand where others were answered. The group's offsets went with it."""
    t, r = world.tokend(), world.requester()
    first = made(r, "of the topic before")
    check(r.ask(first), "CREATED")
    assert t.terminate() == 0
    real_kafka.make_topic_anew(world.service_id, "requests", world.partitions)
    until("the offset is forgotten", lambda: committed(world)[0] < 0)
    fresh = made(r, "of the topic now")
    r.send(fresh)
    t = world.tokend(wait=0)
    (line,) = t.wait_said(CLOSED, partition=PARTITION)
    assert "the record at offset 0 is another one than the journal knows" in line["error"]
    # Its journal alone is in order, but that is not enough: an operator's word is wanted.
    time.sleep(2.5 * CLOSED_RETRY_S)
    assert len(t.said("restored", partition=PARTITION)) == 1 and t.metric("tokend_journal_closed_partitions") == 1
    assert line["opens"] == "by tokenctl journal accept-loss --although-trusted"
    (known,) = {bytes(e.journal_id) for _, e in journal(world)}
    seen = max(e.seq for _, e in journal(world))
    done = accept_as_an_operator(world)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing is wrong with the journal" in done.stderr and "--although-trusted" in done.stderr
    assert b"#loss" not in [k for k, _ in journal(world)]
    restored = len(t.said("restored", partition=PARTITION))
    done = accept_as_an_operator(world, "--although-trusted")
    assert done.returncode == 0, done.stderr
    assert "only if tokend's log says" in done.stderr and "is answered PAST_WINDOW" in done.stderr
    t.wait_said("restored", n=restored + 1, partition=PARTITION)
    loss = last_loss(world)
    assert loss.replaced_journal_id == known != loss.journal_id and loss.seq > seen
    check(r.wait(fresh), "PAST_WINDOW", "a loss in the journal")
    check(r.ask(made_after(r, loss.loss_moment, "issued after it")), "CREATED")
    # An answer that came before the loss and is about this very record still counts.
    assert len(t.said(CLOSED, partition=PARTITION)) == 1
    check(r.ask(first), "CREATED", replayed=True)


@pytest.mark.real
def test_a_journal_made_anew_under_a_running_instance(world, real_kafka):
    """It had a #loss before, and that one stood higher than any record that the new journal has."""
    t, r = world.tokend(), world.requester()
    for i in range(3):
        check(r.ask(made(r, f"long ago {i}", AGO_S)), "CREATED")
    assert t.terminate() == 0
    (known,) = {bytes(e.journal_id) for _, e in journal(world)}
    accept_loss(world, known, 1000)
    t = world.tokend()
    check(r.ask(made(r, "after the first loss")), "CREATED")
    real_kafka.make_topic_anew(world.service_id, "journal", world.partitions)
    r.send(made(r, "while it is gone"))
    (line,) = t.wait_said(CLOSED, partition=PARTITION)
    assert "went backwards" in line["error"], line
    restored = len(t.said("restored", partition=PARTITION))
    done = accept_as_an_operator(world)
    assert done.returncode == 0, done.stderr
    t.wait_said("restored", n=restored + 1, partition=PARTITION)
    loss = last_loss(world)
    check(r.ask(made_after(r, loss.loss_moment, "after the second")), "CREATED")


@pytest.mark.real
def test_offsets_that_expired(world):
    """The journal is whole: reading begins at the log's start, and what is answered is passed by."""
    t, r = world.tokend(), world.requester()
    requests = [made(r, f"answered-{i}") for i in range(3)]
    for q in requests:
        check(r.ask(q), "CREATED")
    assert t.terminate() == 0
    offsets(world).forget()
    assert committed(world)[0] < 0
    before = len(journal(world))
    t = world.tokend()
    check(r.ask(made(r, "afterwards")), "CREATED")
    assert t.said("restored", partition=PARTITION, start=0)
    assert len(journal(world)) == before + 2 and all(len(r.replies[q.digest]) == 1 for q in requests)
    assert len({bytes(e.journal_id) for _, e in journal(world)}) == 1
