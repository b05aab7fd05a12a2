# SPDX-License-Identifier: Apache-2.0
"""Goal: a partition whose journal lost records is told as such, with what is wrong in plain words; it goes on when an
operator has accepted the loss, and not before; what may have been answered in what is lost never gets a second token;
and a journal that nothing is wrong with is not touched."""

import json
import os
import pty
import time

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from conftest import a_world, free_port, until
from contract import check
from requester import home, journal_pb
from typed import here, tokenctl  # noqa: F401

PARTITIONS = 5
CUT, EMPTY, GARBAGE, RESET, WHOLE = range(PARTITIONS)
CLOSED = "the partition stays closed: its journal cannot be trusted"


def committed_records(world, partition):
    """The journal's, as they stand: (key, value)."""
    reader = Consumer({**world.kafka, "group.id": "nobody", "isolation.level": "read_committed",
                       "enable.partition.eof": True, "fetch.wait.max.ms": 10})
    reader.assign([TopicPartition(f"{world.service_id}.journal", partition, 0)])
    found = []
    while True:
        m = reader.poll(30)
        assert m is not None, "the journal does not come to its end"
        if m.error():
            assert m.error().code() == KafkaError._PARTITION_EOF, m.error()
            reader.close()
            return found
        found.append((m.key(), m.value()))


def ends(world):
    """Where each partition of the journal ends."""
    asker = Consumer({**world.kafka, "group.id": "nobody"})
    found = [
        asker.get_watermark_offsets(TopicPartition(f"{world.service_id}.journal", p), timeout=30)[1]
        for p in range(PARTITIONS)
    ]
    asker.close()
    return found


def id_at(partition, name):
    """An ID whose home is that partition."""
    return next(i for n in range(1000) if home((i := f"{name}-{n}").encode(), PARTITIONS) == partition)


class Loss:
    """A world in which tokend was killed, and its journal damaged in several ways, a partition each."""

    def __init__(self, world, kafka):
        self.world, self.r = world, world.requester()
        self.config = world.conf / "operator.yaml"
        self.config.write_text(json.dumps({**world.config, "instance": "operator"}))
        first = world.tokend()
        self.requests = {p: self.r.create(f"before-{p}", request_id=id_at(p, "before")) for p in range(PARTITIONS)}
        for request in self.requests.values():
            check(self.r.ask(request), "CREATED")
        before = {p: committed_records(world, p) for p in range(PARTITIONS)}
        first.kill()
        self.group_is_empty()
        kafka.make_topic_anew(world.service_id, "journal", PARTITIONS)
        self.write(CUT, before[CUT][:-1])
        self.write(GARBAGE, [*before[GARBAGE], (b"C9:telemetry,3:bad", b"\xff")])
        self.write(RESET, before[RESET])
        self.write(WHOLE, before[WHOLE])
        self.reset_offset(RESET)
        self.tokend = world.tokend(wait=0)
        self.tokend.wait_said(CLOSED, n=PARTITIONS - 1)

    def write(self, partition, records):
        producer = Producer({**self.world.kafka, "linger.ms": 0})
        for key, value in records:
            producer.produce(f"{self.world.service_id}.journal", key=key, value=value, partition=partition)
        assert producer.flush(30) == 0

    def group(self):
        return Consumer({**self.world.kafka, "group.id": f"tokend-{self.world.service_id}",
                         "enable.auto.commit": False})

    def group_is_empty(self):
        """The dead member's session is over: until then nobody else may commit."""
        group = self.group()
        at = group.committed([TopicPartition(f"{self.world.service_id}.requests", WHOLE)], timeout=30)
        assert at[0].offset > 0
        self.offsets = {p: t.offset for p, t in enumerate(group.committed(
            [TopicPartition(f"{self.world.service_id}.requests", p) for p in range(PARTITIONS)], timeout=30))}
        group.close()

    def reset_offset(self, partition):
        """As an operator's tool does, which knows nothing of our metadata."""
        group = self.group()
        place = TopicPartition(f"{self.world.service_id}.requests", partition, self.offsets[partition])

        def taken():
            try:
                return group.commit(offsets=[place], asynchronous=False)
            except Exception as e:
                assert e.args[0].code() == KafkaError.UNKNOWN_MEMBER_ID, e
                return None

        until("the group has no member any more", taken, every_s=0.5)
        group.close()

    def why_closed(self, partition):
        return self.tokend.said(CLOSED, partition=partition)[0]["error"]

    def accept(self, partition, *more, force=("--force",), timeout=60, **how):
        where = ["--tokend-config", self.config, "--partition", partition]
        return self.world.tokenctl("--timeout", f"{timeout}s", "journal", "accept-loss", *where, *force, *more,
                                   profile=False, **how)


@pytest.fixture(scope="module")
def loss(request, real_kafka, tmp_path_factory):
    """Not audited as a whole: of this world's past the audit's journal is gone."""
    with a_world(request, "real", tmp_path_factory.mktemp("loss"), lambda: False, partitions=PARTITIONS) as w:
        yield Loss(w, real_kafka)


WRONG = {
    CUT: "the journal ends with record",
    EMPTY: "the journal is empty, but offset",
    GARBAGE: "cannot be decoded",
    RESET: "carries no metadata of ours",
}


@pytest.mark.parametrize("partition", WRONG)
def test_what_is_wrong_is_said_as_tokend_says_it_and_nobody_is_rushed(loss, partition):
    before = ends(loss.world)
    ours, its = pty.openpty()
    os.write(ours, b"no\n")
    done = loss.accept(partition, force=(), stdin=its)
    os.close(ours)
    os.close(its)
    assert (done.returncode, done.stdout) == (2, "") and "not confirmed; nothing was done" in done.stderr
    assert WRONG[partition] in done.stderr and loss.why_closed(partition) in done.stderr
    assert "is answered PAST_WINDOW" in done.stderr and "yours to delete" in done.stderr
    assert ends(loss.world) == before


def test_without_a_terminal_somebody_must_say_force(loss):
    done = loss.accept(CUT, force=(), input="yes\n")
    assert done.returncode == 2 and "nobody can be asked" in done.stderr


def test_a_journal_that_nothing_is_wrong_with_is_not_touched(loss):
    before = ends(loss.world)
    done = loss.accept(WHOLE)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"nothing is wrong with the journal of partition {WHOLE}" in done.stderr
    assert ends(loss.world) == before


@pytest.mark.parametrize("partition", WRONG)
def test_an_accepted_loss_opens_the_partition(loss, partition):
    """Without a restart; and what may have been answered before is not begun again."""
    r, request, began = loss.r, loss.requests[partition], int(time.time())
    done = loss.accept(partition)
    assert done.returncode == 0, done.stderr
    loss.tokend.wait_said("restored", partition=partition)
    key, value = [k for k in committed_records(loss.world, partition) if k[0] == b"#loss"][-1]
    record = journal_pb.JournalRecord.FromString(value)
    assert record.state == journal_pb.LOSS and began <= record.loss_moment <= time.time()
    assert record.journal_id.hex() in done.stderr and record.journal_id != record.replaced_journal_id

    again = r.ask(request)
    if partition in (CUT, EMPTY):  # where the outcome is gone; the others still have it
        check(again, "PAST_WINDOW")
    else:
        check(again, "CREATED", replayed=True)
    check(r.ask(r.create("at once", request_id=id_at(partition, "at-once"))), "PAST_WINDOW")
    ahead = r.create(f"after-{partition}", request_id=id_at(partition, "after"))
    ahead.message.issued_at.seconds = record.loss_moment + 121
    check(r.ask(r.sign("CreateToken", ahead.message)), "CREATED")
    assert len(loss.world.sandbox.posts(f"before-{partition}")) == 1
    assert len(loss.world.sandbox.posts(f"after-{partition}")) == 1
    # And it is the next life's journal, too: nothing is wrong with it any more.
    assert loss.accept(partition).returncode == 1


def test_all_are_open_and_so_they_are_in_the_next_life(loss):
    until("ready", lambda: loss.tokend.http("/readyz")[0] == 200)
    assert loss.tokend.terminate() == 0
    again = loss.world.tokend()
    assert not again.said(CLOSED)
    for partition in WRONG:
        after = loss.r.create(f"after-{partition}", request_id=id_at(partition, "after"))
        assert len(loss.world.sandbox.posts(f"after-{partition}")) == 1
        check(loss.r.ask(loss.r.create("life", request_id=id_at(partition, f"life-{after.id}"))), "PAST_WINDOW")


def test_an_onlooker_ends_nobodys_transaction(loss):
    """A successor would end what a dead owner left pending; who only looks waits, and leaves it as it is."""
    world = loss.world
    for t in world.tokends:
        t.close()
    loss.reset_offset(WHOLE)  # as soon as nobody is a member
    owner = Producer({**world.kafka, "transactional.id": f"{world.service_id}/default/a"})
    owner.init_transactions(30)
    owner.begin_transaction()
    group = loss.group()
    place = TopicPartition(f"{world.service_id}.requests", CUT, loss.offsets[CUT])
    owner.send_offsets_to_transaction([place], group.consumer_group_metadata(), 30)
    group.close()
    done = loss.accept(CUT, timeout=2)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert f"committed offset of partition {CUT}" in done.stderr and "nothing was written" in done.stderr
    owner.commit_transaction(30)  # it is not fenced


# ---- what is wrong here, is told here -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--force"], "--partition N is missing"),
        (["--partition", "6", "--force"], '--partition "6" is not from 0 to 5'),
        (["--partition", "-1", "--force"], '--partition "-1" is not from 0 to 5'),
        (["--partition", "x", "--force"], '--partition "x" is not'),
        (["--partition", "0", "more", "--force"], 'takes flags only, not "more"'),
        (["--partition", "0"], "standard input is no terminal"),
    ],
)
def test_a_command_line_that_is_wrong(here, arguments, said):
    done = tokenctl("--config", here / "tokenctl.yaml", "journal", "accept-loss", *arguments, input="")
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr


def test_brokers_that_do_not_answer(here):
    config = here / "tokend.yaml"
    config.write_text(config.read_text().replace("localhost:9092", f"127.0.0.1:{free_port()}"))
    where = ("--tokend-config", config, "--partition", "0")
    done = tokenctl("--timeout", "2s", "journal", "accept-loss", *where, "--force")
    assert (done.returncode, done.stdout) == (3, "") and "nothing was written" in done.stderr
