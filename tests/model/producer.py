# SPDX-License-Identifier: Apache-2.0
"""A producer in doubt (R6), and the word of its that is still on its way.

A commit that was asked for twice, took long, or during which the link dropped may leave a copy of its EndTxn in some
buffer. The coordinator knows a producer by its id and epoch, not by transaction: a late EndTxn ends whatever
transaction is open then, in the middle: the offsets are committed, and the reply is not written yet. A producer that
initialises anew has another epoch, and the copy is refused. (A late produce request is the same, the other way round.)

One process, records one after the other, each a transaction {offset, reply}.
"""
from collections import namedtuple

from explore import Model, Variant, less, more

# offset, replies: committed. open: None, or what is in the open transaction. late: (epoch, what went wrong) of copies.
World = namedtuple("World", "epoch at record open doubtful offset replies late faults kills")
Open = namedtuple("Open", "offset reply")
NOTHING = Open(None, None)
FAULTS = ("the link drops", "it takes over 5 s", "an error, the same call again")


class Producer(Model):
    broken = {
        "kept": Variant("R6", "I7", "the producer is kept"),
        "link_forgiven": Variant("R6", "I7", "a link that dropped during the commit does not count"),
        "slow_forgiven": Variant("R6", "I7", "a commit that took over 5 s does not count"),
        "error_forgiven": Variant("R6", "I7", "an error that was mended by asking again does not count"),
        "one_more": Variant("R6", "I7", "it is replaced after the next transaction"),
        "kept_and_killed": Variant("R6", "I1", "the producer is kept; nobody comes back for what was passed"),
    }
    bounded = dict(records=3, faults=2, kills=1)
    exhaustive = dict(records=5, faults=4, kills=3)

    def start(self):
        return World(0, "idle", 0, None, False, 0, (), (), self.most.faults, self.most.kills)

    def steps(self, s):
        yield from getattr(self, s.at)(s)
        for copy in s.late:
            rest = s._replace(late=less(s.late, copy))
            if copy[0] != s.epoch or s.open is None:
                yield f"late EndTxn of epoch {copy[0]}: refused", rest
            else:
                yield f"late EndTxn of epoch {copy[0]}: the open transaction is committed", self.committed(rest)
        if s.kills:
            restarted = s._replace(epoch=s.epoch + 1, at="idle", record=s.offset, open=None, doubtful=False)
            yield "!killed, restarted", restarted._replace(kills=s.kills - 1)

    def committed(self, s):
        return s._replace(open=None, offset=s.offset if s.open.offset is None else s.open.offset,
                          replies=s.replies if s.open.reply is None else s.replies + (s.open.reply,))

    def idle(self, s):
        if s.doubtful and self.variant not in ("kept", "one_more", "kept_and_killed"):
            yield "producer made anew", s._replace(epoch=s.epoch + 1, open=None, doubtful=False)
        elif s.record < self.most.records:
            yield "begin, offsets", s._replace(at="offsets", open=Open(s.record + 1, None))

    def offsets(self, s):
        yield "reply written", s._replace(at="written", open=(s.open or NOTHING)._replace(reply=s.record))

    def written(self, s):
        done = self.committed(s) if s.open else s
        done = done._replace(at="idle", record=s.record + 1)
        if self.variant == "one_more" and s.doubtful:
            done = done._replace(epoch=s.epoch + 1, doubtful=False)
        yield "EndTxn, acknowledged", done
        if s.faults:
            for fault in FAULTS:
                yield (f"!EndTxn, {fault}; acknowledged, a copy is on its way", done._replace(
                    doubtful=done.doubtful or self.is_doubt(fault), late=more(s.late, (s.epoch, fault)),
                    faults=s.faults - 1))

    def is_doubt(self, fault):
        forgiven = {"link_forgiven": FAULTS[0], "slow_forgiven": FAULTS[1], "error_forgiven": FAULTS[2]}
        return fault != forgiven.get(self.variant)

    def wrong(self, s, resting):
        if any(record not in s.replies for record in range(s.offset)):
            yield "I7 the committed offset passed an unanswered record"
        if len(s.replies) != len(set(s.replies)):
            yield "I1 a record answered twice"
        if resting and len(set(s.replies)) < self.most.records:
            yield "I1 a record never answered"
