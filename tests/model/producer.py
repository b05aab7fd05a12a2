# SPDX-License-Identifier: Apache-2.0
"""A producer in doubt (R6), and the word of its that is still on its way.

A transaction's end that was asked for twice, took long, or during which the link dropped may leave a copy of its EndTxn
in some buffer. The coordinator knows a producer by its id and epoch, not by transaction: a late EndTxn ends whatever
transaction is open then, in the middle. A late commit commits the offsets before the reply is written; a late abort
takes the DONE away and leaves the reply. A producer that initialises anew has another epoch, and the copy is refused.

One process, records one after the other, each a transaction {offset, DONE, reply}; an aborted one is tried again.
"""
from collections import namedtuple

from explore import Model, Variant, less, more

# offset, done, replies: committed. open: what is in the open transaction; None: there is none, and `ended` says how the
# last one ended. late: (epoch, verdict, what went wrong) of copies.
World = namedtuple("World", "epoch at record open ended doubtful offset done replies late faults aborts kills")
Open = namedtuple("Open", "offset done reply")
NOTHING = Open(None, None, None)
FAULTS = ("the link drops", "it takes over 5 s", "an error, the same call again")


class Producer(Model):
    broken = {
        "kept": Variant("R6", "I7", "the producer is kept"),
        "kept_and_killed": Variant("R6", "I1", "the producer is kept; nobody comes back for what was passed"),
        "link_forgiven": Variant("R6", "I7", "a link that dropped during the commit does not count"),
        "slow_forgiven": Variant("R6", "I7", "a commit that took over 5 s does not count"),
        "error_forgiven": Variant("R6", "I7", "an error that was mended by asking again does not count"),
        "abort_forgiven": Variant("R6", "I1", "an abort leaves no doubt, whatever happened during it"),
        "one_more": Variant("R6", "I7", "it is replaced after the next transaction"),
    }
    bounded = dict(records=2, faults=1, aborts=1, kills=1)
    exhaustive = dict(records=3, faults=2, aborts=2, kills=2)

    def start(self):
        return World(0, "idle", 0, None, "committed", False, 0, (), (), (), self.most.faults, self.most.aborts,
                     self.most.kills)

    def steps(self, s):
        yield from getattr(self, s.at)(s)
        for copy in s.late:
            epoch, verdict, _ = copy
            rest = s._replace(late=less(s.late, copy))
            if epoch != s.epoch or s.open is None:
                yield f"late EndTxn, epoch {epoch}: refused", rest
            else:
                yield f"late EndTxn, epoch {epoch}: what is open is {verdict}", self.end(rest, verdict)
        if s.kills:
            yield "!killed, restarted", self.restarted(s)._replace(kills=s.kills - 1)

    def restarted(self, s):
        return s._replace(epoch=s.epoch + 1, at="idle", record=s.offset, open=None, doubtful=False)

    def end(self, s, verdict):
        """At the coordinator."""
        if verdict == "committed":
            if s.open.offset is not None:
                s = s._replace(offset=s.open.offset)
            if s.open.done is not None:
                s = s._replace(done=s.done + (s.open.done,))
            if s.open.reply is not None:
                s = s._replace(replies=s.replies + (s.open.reply,))
        return s._replace(open=None, ended=verdict)

    # ---- the publisher ----

    def idle(self, s):
        if s.doubtful and not self.variant.startswith("kept") and self.variant != "one_more":
            yield "producer made anew", s._replace(epoch=s.epoch + 1, open=None, doubtful=False)
        elif s.record in s.done:
            yield "skips what is answered", s._replace(record=s.record + 1)
        elif s.record < self.most.records:
            yield "begin, offsets", s._replace(at="offsets", open=Open(s.record + 1, None, None))

    def offsets(self, s):
        yield "DONE written", s._replace(at="half", open=(s.open or NOTHING)._replace(done=s.record))

    def half(self, s):
        yield "reply written", s._replace(at="written", open=(s.open or NOTHING)._replace(reply=s.record))
        if s.aborts:
            yield from self.asks(s._replace(aborts=s.aborts - 1), "aborted", s.record)

    def written(self, s):
        yield from self.asks(s, "committed", s.record + 1)

    def asks(self, s, verdict, then):
        """EndTxn, which is acknowledged."""
        if s.open is None and s.ended != verdict:
            yield f"EndTxn, to be {verdict}: there is nothing to end; exits", self.restarted(s)
            return
        n = self.end(s, verdict) if s.open else s
        if self.variant == "one_more" and s.doubtful:
            n = n._replace(epoch=s.epoch + 1, doubtful=False)
        n = n._replace(at="idle", record=then)
        yield f"EndTxn, {verdict}", n
        if s.faults:
            for fault in FAULTS:
                yield f"!EndTxn, {fault}; {verdict}, a copy is on its way", n._replace(
                    doubtful=n.doubtful or self.is_doubt(verdict, fault), late=more(s.late, (s.epoch, verdict, fault)),
                    faults=s.faults - 1)

    def is_doubt(self, verdict, fault):
        if self.variant == "abort_forgiven":
            return verdict != "aborted"
        forgiven = {"link_forgiven": FAULTS[0], "slow_forgiven": FAULTS[1], "error_forgiven": FAULTS[2]}
        return fault != forgiven.get(self.variant)

    # ---- what must be true ----

    def wrong(self, s, resting):
        if any(record not in s.replies for record in range(s.offset)):
            yield "I7 the committed offset passed an unanswered record"
        if len(s.replies) != len(set(s.replies)):
            yield "I1 a record answered twice"
        if resting and len(set(s.replies)) < self.most.records:
            yield "I1 a record never answered"
