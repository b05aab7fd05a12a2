# SPDX-License-Identifier: Apache-2.0
"""GetOutcome: the stored reply once more, to whom it belongs, and only what is committed.

A log of four: GetOutcome (too early), CreateToken, GetOutcome, and a GetOutcome by another principal under the same ID.
It travels under the CreateToken's request ID and so reaches its partition; it waits for one in flight until its own
deadline, and its answer stands under its record's place.
"""
from collections import namedtuple

from explore import Model, Variant, less, more, put

World = namedtuple("World", "generation owner kills last places offset processes replies attempts")
Record = namedtuple("Record", "kind attempt outcome")
# at: of the CreateToken: new, found (an earlier life began it), ready, posting, string, over.
Process = namedtuple("Process", "generation position answered at attempt outcome waiting")

LOG = ("GetOutcome, early", "CreateToken", "GetOutcome", "GetOutcome by another")
EARLY, CREATE, ASK, OTHER = range(4)
NO_OUTCOME, IN_FLIGHT = "NO_OUTCOME", "IN_FLIGHT"
WHO = "AB"


class Outcome(Model):
    broken = {
        "does_not_wait": Variant("outcome", "C", "NO_OUTCOME while the CreateToken is in flight"),
        "not_committed": Variant("outcome", "I2", "the string in hand is told before its DONE is committed"),
        "any_principal": Variant("outcome", "C", "looked up by the ID alone"),
        "under_create": Variant("outcome", "C", "its answer is written under the CreateToken's key"),
        "no_place": Variant("outcome", "I1", "its answer leaves no #p:offset"),
        "early_counts": Variant("outcome", "I2", "NO_OUTCOME is kept as the outcome"),
    }
    bounded = dict(rebalances=2, kills=1, attempts=3)
    exhaustive = dict(rebalances=4, kills=3, attempts=4)

    def start(self):
        return World(0, 0, self.most.kills, None, (), 0, (None, None), (), 0)

    def steps(self, s):
        if s.generation < self.most.rebalances:
            yield "!rebalance", s._replace(generation=s.generation + 1, owner=1 - s.owner)
        for i in (0, 1):
            p = s.processes[i]
            if p is None:
                if s.owner == i:
                    yield f"{WHO[i]}: restored", self.process(s, i, self.restored(s))
                continue
            if s.kills:
                yield f"!kill {WHO[i]}", self.process(s, i, None, kills=s.kills - 1)
            if p.generation != s.generation:
                yield f"{WHO[i]}: notices the loss", self.process(s, i, None)
            yield from self.take(s, i, p)
            yield from self.create(s, i, p)
            for o in p.waiting:
                yield from self.answer(s, i, p, o)

    def process(self, s, i, p, **others):
        return s._replace(processes=put(s.processes, i, p), **others)

    def restored(self, s):
        answered = {*s.places, *range(s.offset)}
        at, attempt, outcome = "new", None, None
        if s.last and s.last.kind == "INTENT":
            at = "found"
        elif s.last:
            at, attempt, outcome = "over", s.last.attempt, s.last.outcome
            if attempt is not None:
                answered.add(CREATE)
        return Process(s.generation, s.offset, tuple(sorted(answered)), at, attempt, outcome, ())

    def take(self, s, i, p):
        o = p.position
        if o == len(LOG):
            return
        n = p._replace(position=o + 1)
        if o in p.answered:
            yield f"{WHO[i]}: skips {o}", self.process(s, i, n)
        elif o == CREATE and p.at in ("new", "found"):
            yield f"{WHO[i]}: takes the CreateToken", self.process(s, i, n._replace(at="ready"))
        else:
            yield f"{WHO[i]}: {LOG[o]} waits", self.process(s, i, n._replace(waiting=more(p.waiting, o)))

    def commit(self, s, i, p, label, answer=None, **changes):
        if p.generation != s.generation:
            return
        replies = s.replies
        if answer:
            p = p._replace(answered=more(p.answered, answer[0]))
            replies = tuple(sorted(replies + (answer,), key=str))
        offset = s.offset
        while offset in p.answered:
            offset += 1
        yield f"{WHO[i]}: {label}", self.process(s, i, p, offset=offset, replies=replies, **changes)

    def create(self, s, i, p):
        a = s.attempts
        if p.at == "ready" and a < self.most.attempts:
            yield from self.commit(s, i, p._replace(at="posting", attempt=a), f"INTENT {a}",
                                   last=Record("INTENT", a, None), attempts=a + 1)
        elif p.at == "posting":
            yield f"{WHO[i]}: POST {p.attempt}, token {p.attempt}", self.process(
                s, i, p._replace(at="string", outcome=p.attempt))
            yield f"{WHO[i]}: POST {p.attempt}, no answer", self.process(s, i, p._replace(at="ready", attempt=None))
        elif p.at == "string":
            yield from self.commit(s, i, p._replace(at="over"), "DONE", (CREATE, p.outcome),
                                   last=Record("DONE", p.attempt, p.outcome))

    def answer(self, s, i, p, o):
        rest = p._replace(waiting=less(p.waiting, o))
        where = dict(places=more(s.places, o))
        if self.variant == "no_place":
            where = {}
        asks = o != OTHER or self.variant == "any_principal"
        if o == CREATE:         # taken for a repeat
            if p.at == "over":
                yield from self.commit(s, i, rest, "replay of the CreateToken", (o, p.outcome), **where)
        elif asks and (p.at == "over" or self.variant == "not_committed" and p.at == "string"):
            if self.variant == "under_create":
                where = dict(last=Record("DONE", None, NO_OUTCOME))
            yield from self.commit(s, i, rest, f"outcome for {LOG[o]}", (o, p.outcome), **where)
        elif not asks or p.at == "new" or self.variant == "does_not_wait":
            if self.variant == "early_counts" and o == EARLY:
                where = dict(last=Record("DONE", None, NO_OUTCOME))
                rest = rest._replace(at="over", outcome=NO_OUTCOME)
            yield from self.commit(s, i, rest, f"NO_OUTCOME for {LOG[o]}", (o, NO_OUTCOME), **where)
        elif o == ASK:          # its deadline: at any time
            yield from self.commit(s, i, rest, f"IN_FLIGHT for {LOG[o]}", (o, IN_FLIGHT), **where)

    def wrong(self, s, resting):
        offsets = [o for o, _ in s.replies]
        if len(offsets) != len(set(offsets)):
            yield "I1 a record answered twice"
        told = dict(s.replies)
        outcomes = {told[o] for o in (EARLY, CREATE, ASK) if o in told} - {NO_OUTCOME, IN_FLIGHT}
        if len(outcomes) > 1 or told.get(CREATE) == NO_OUTCOME:
            yield "I2 two outcomes of one request"
        if told.get(OTHER, NO_OUTCOME) != NO_OUTCOME:
            yield "C somebody else was told the outcome"
        if told.get(ASK) == NO_OUTCOME:
            yield "C NO_OUTCOME, though the CreateToken stands before it"
        if resting and len(offsets) < len(LOG) and (s.attempts < self.most.attempts or CREATE in told):
            yield "I1 a record never answered"
