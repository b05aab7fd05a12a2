# SPDX-License-Identifier: Apache-2.0
"""The faster takeover: the successor fences the dead owner's open transaction, and not a living one's.

While a transaction with the partition's offset in it is pending, the offset is unknown, and a successor waits: for the
transaction's timeout, or less if it ends the transaction itself. Whose it may be stands in the metadata of the last
committed offset: a transactional.id. Initialising that id raises its epoch, which aborts what is open, waits for what
is decided, and ends for good whoever goes on under the old epoch. So only a name that no member of the group bears is
fenced, and only while something is pending: after a clean hand-over the metadata still names the living owner. And so
that it names whose transaction is pending, an assignment begins with a claim: the same offset again, in one's own name.

Two processes, killed, restarted, stopped and going on; records one after the other, each a transaction {offset, reply}.
"""
from collections import namedtuple

from explore import Model, Variant, less, more, put

# named: whom the committed metadata names. fenced: a member was.
World = namedtuple("World", "owner members named pending offset replies processes kills stops moves fenced")
# runs: running, stopped, dead. initialised: its producer has the id's epoch. current: its assignment has the group's
# generation. target: whom it is about to fence. asked: who was a member at its assignment (for one broken variant).
Process = namedtuple("Process", "runs initialised at current record target asked")
# record: None in a claim.
Pending = namedtuple("Pending", "by decided record")
IDLE = Process("running", True, "out", False, None, None, ())
WHO = "AB"


class Takeover(Model):
    broken = {
        "fences_named": Variant("takeover", "N", "whom the metadata names is fenced, a member or not"),
        "asked_before": Variant("takeover", "N", "who was a member at the assignment is asked, not who is"),
        "moment_between": Variant("takeover", "N", "RESIDUAL: an owner comes back between question and fence"),
        "no_claim": Variant("takeover", "N", "the metadata names whom it was taken over from"),
        "does_not_wait": Variant("R2", "I1", "neither fences nor waits: the offset of before is believed"),
        "unfenced": Variant("R1", "I1", "a stale generation's transaction is accepted"),
    }
    bounded = dict(records=2, kills=1, stops=1, moves=1)
    exhaustive = dict(records=3, kills=2, stops=2, moves=2)

    def start(self):
        return World(0, (0, 1), None, None, 0, (), (IDLE, IDLE), self.most.kills, self.most.stops, self.most.moves,
                     False)

    def process(self, s, i, p, **others):
        return s._replace(processes=put(s.processes, i, p), **others)

    # ---- the world ----

    def steps(self, s):
        if s.pending:
            yield from self.coordinator(s)
        if s.moves and len(s.members) == 2:
            yield "!rebalance", self.regrouped(s, s.members, 1 - s.owner)._replace(moves=s.moves - 1)
        for i in (0, 1):
            p = s.processes[i]
            if p.runs == "running":
                if s.kills:
                    yield f"!kill {WHO[i]}", self.process(s, i, IDLE._replace(runs="dead"), kills=s.kills - 1)
                if s.stops:
                    yield f"!stop {WHO[i]}", self.process(s, i, p._replace(runs="stopped"), stops=s.stops - 1)
                if i in s.members:
                    yield from getattr(self, p.at)(s, i, p)
                else:
                    yield f"{WHO[i]}: joins", self.joined(s, i)
            elif i in s.members:
                yield f"{WHO[i]}'s session is over", self.left(s, i)
            if p.runs == "stopped":
                yield f"{WHO[i]} goes on", self.process(s, i, p._replace(runs="running"))
            if p.runs == "dead":
                yield from self.restart(s, i)

    def coordinator(self, s):
        by, decided, record = s.pending
        if decided and record is None:
            yield f"marker of {WHO[by]}'s claim", s._replace(pending=None, named=by)
        elif decided:
            yield f"marker of {WHO[by]}'s transaction", s._replace(
                pending=None, offset=record + 1, replies=s.replies + (record,), named=by)
        else:
            yield f"{WHO[by]}'s transaction times out", self.raised(s, by)

    def raised(self, s, i):
        """The id's epoch is raised: what it has open is aborted, and the producer of before is fenced."""
        pending = None if s.pending and s.pending.by == i else s.pending
        return self.process(s, i, s.processes[i]._replace(initialised=False), pending=pending)

    def decided_by(self, s, i):
        return s.pending and s.pending.by == i and s.pending.decided

    def regrouped(self, s, members, owner):
        """A new generation."""
        processes = tuple(p._replace(current=False) for p in s.processes)
        return s._replace(members=members, owner=owner, processes=processes)

    def joined(self, s, i):
        return self.regrouped(s, more(s.members, i), i if s.owner is None else s.owner)

    def left(self, s, i):
        members = less(s.members, i)
        return self.regrouped(s, members, (members[0] if members else None) if s.owner == i else s.owner)

    def restart(self, s, i):
        """With its own id, once what it had decided is finished; then it joins."""
        if i not in s.members and not self.decided_by(s, i):
            yield f"{WHO[i]} is restarted", self.process(self.raised(s, i), i, IDLE)

    # ---- the owner ----

    def out(self, s, i, p):
        if s.owner == i:
            asked = s.members if self.variant == "asked_before" else ()
            yield f"{WHO[i]}: assigned", self.process(s, i, p._replace(at="asks", current=True, asked=asked))

    def asks(self, s, i, p):
        if not p.current:
            yield f"{WHO[i]}: lost", self.process(s, i, p._replace(at="out", record=None, asked=()))
        if s.pending is None or self.variant == "does_not_wait":
            yield f"{WHO[i]}: offset is {s.offset}", self.process(s, i, p._replace(at="works", record=s.offset))
        elif s.named is not None and not self.is_member(s, p):
            if self.variant == "moment_between":
                n = p._replace(at="fences", target=s.named)
                yield f"{WHO[i]}: {WHO[s.named]} is no member", self.process(s, i, n)
            else:
                yield from self.fences(s, i, p._replace(target=s.named))

    def is_member(self, s, p):
        """May the named one be alive?"""
        if self.variant == "fences_named":
            return False
        return s.named in (p.asked if self.variant == "asked_before" else s.members)

    def fences(self, s, i, p):
        if self.decided_by(s, p.target):
            return
        n = self.raised(s, p.target)
        if p.target in s.members:
            n = n._replace(fenced=True)
        yield f"{WHO[i]}: fences {WHO[p.target]}", self.process(n, i, p._replace(at="asks", target=None))

    def works(self, s, i, p):
        if not p.current:
            yield f"{WHO[i]}: lost", self.process(s, i, p._replace(at="out", record=None, asked=()))
        if p.record == self.most.records:
            return
        if not p.initialised:
            yield f"{WHO[i]}: fenced, exits", self.process(s, i, IDLE._replace(runs="dead"))
        elif p.current or self.variant == "unfenced":
            if s.pending is None or self.variant == "does_not_wait":
                claims = s.named not in (None, i) and self.variant != "no_claim"
                record = None if claims else p.record
                yield f"{WHO[i]}: {'claim' if claims else f'record {record}'}, offsets sent", self.process(
                    s, i, p._replace(at="ends"), pending=Pending(i, False, record))

    def ends(self, s, i, p):
        if s.pending is None or s.pending.by != i or not p.initialised:
            yield f"{WHO[i]}: fenced, exits", self.process(s, i, IDLE._replace(runs="dead"))
        else:
            done = p.record if s.pending.record is None else p.record + 1
            yield f"{WHO[i]}: EndTxn", self.process(
                s, i, p._replace(at="waits", record=done), pending=s.pending._replace(decided=True))

    def waits(self, s, i, p):
        if not self.decided_by(s, i):
            yield f"{WHO[i]}: acknowledged", self.process(s, i, p._replace(at="works"))

    # ---- what must be true ----

    def wrong(self, s, resting):
        if len(s.replies) != len(set(s.replies)):
            yield "I1 a record answered twice"
        if s.fenced:
            yield "N a living member was fenced"
        if s.pending and s.pending.record is not None and s.named not in (None, s.pending.by):
            yield "N a transaction is pending that the metadata does not name: should its owner die, it is waited for"
        if resting and len(set(s.replies)) < self.most.records:
            yield "I1 a record never answered"
