# SPDX-License-Identifier: Apache-2.0
"""The whole road, coarsely: two processes, two requests and a repeat, rebalances to and fro, kills, doubtful commits,
the sweep, and a record under the repeated request's ID that is not verified.

One log of four records: X, R, a record that claims R's ID (forged, or other bytes), R's bytes again. Both requests go
all the way, side by side; whoever loses the partition goes on until it is fenced, and may get it back meanwhile. A POST
is one step here, with four ends: answered, or not, and then created at once, later, or never.
"""
from collections import namedtuple

from explore import Holds, Model, Variant, less, more, put

# offset: the committed one. journal: the last record under X's key and under R's. places: offsets answered under their
# place. net: attempts that will still create.
World = namedtuple("World", "generation owner kills offset journal places processes net tokens replies attempts")
Record = namedtuple("Record", "kind attempt outcome offset closed")
# requests: what it makes of X and R. waiting: offsets that wait for an answer. late: strings of lost assignments.
Process = namedtuple("Process", "generation position answered requests waiting late")
# at: new, open (an earlier life began it), ready, posting, string, over. closed: committed. opened: to be closed.
Request = namedtuple("Request", "at offset attempt token closed opened mine")

NEW = Request("new", None, None, None, (), (), ())
LOG = ("X", "R", "claims R", "R")
X, R, CLAIM = 0, 1, 2
NOBODY = Process(None, 0, (), None, (), ())
ERROR, REFUSAL = -1, -2
WHO = "AB"


class Road(Model):
    holds = {
        **Model.holds,
        "deadline": Holds("each request may end by its deadline, at any wait", dict(kills=0, attempts=2), True),
    }
    broken = {
        "unfenced": Variant("R1", "I3", "a stale generation's transaction is accepted"),
        "begins_anew": Variant("R2", "I2", "a successor does not read the journal"),
        "deletes_unknown": Variant("R4", "I3", "a token of an attempt nothing is known of is deleted"),
        "doubt_deletes": Variant("R5", "I3", "a commit of unknown fate is taken for an abort: the token is deleted"),
        "not_joined": Variant("R8", "I2", "a repeat of one in flight runs by itself"),
        "replay_without_place": Variant("R8", "I1", "a replay leaves no #p:offset"),
        "replay_under_request": Variant("R8", "I1", "a replay is written under the request's key"),
        "skips_by_request": Variant("R8", "I7", "a repeat of a finished request is skipped"),
        "refusal_under_request": Variant("R8", "I10", "a refusal is written under the request's key"),
        "highest_watermark": Variant("I7", "I7", "the highest answered offset is committed"),
        "no_sweep": Variant("R9", "I5", "nobody sweeps", dict(attempts=3, rebalances=0, kills=0)),
    }
    bounded = dict(rebalances=1, kills=1, attempts=2)
    exhaustive = dict(rebalances=2, kills=1, attempts=3)

    def start(self):
        return World(0, 0, self.most.kills, 0, (None, None), (), (NOBODY, NOBODY), (), (), (), 0)

    def steps(self, s):
        if s.generation < self.most.rebalances:
            yield "!rebalance", s._replace(generation=s.generation + 1, owner=1 - s.owner)
        for attempt in s.net:
            yield (f"API creates late for attempt {attempt}",
                   s._replace(net=less(s.net, attempt), tokens=s.tokens + ((attempt, True),)))
        for i in (0, 1):
            p = s.processes[i]
            for token in p.late:
                n = self.process(s, i, p._replace(late=less(p.late, token)))
                yield f"{WHO[i]}: deletes its own late string", self.delete(n, token)
            if p.generation is None:
                if s.owner == i:
                    yield f"{WHO[i]}: restored", self.process(s, i, self.restored(s, p.late))
                continue
            if s.kills:
                yield f"!kill {WHO[i]}", self.process(s, i, NOBODY, kills=s.kills - 1)
            if p.generation != s.generation:
                yield f"{WHO[i]}: notices the loss", self.process(s, i, self.lost(p))
            yield from self.take(s, i, p)
            for which in (X, R):
                yield from self.request(s, i, p, which, p.requests[which])
            yield from self.wait(s, i, p)
            yield from self.sweep(s, i, p)

    def process(self, s, i, p, **others):
        return s._replace(processes=put(s.processes, i, p), **others)

    def delete(self, s, token):
        return s._replace(tokens=put(s.tokens, token, (s.tokens[token][0], False)))

    # ---- assignments ----

    def restored(self, s, late):
        answered = {*range(s.offset), *s.places}
        requests = []
        for last in s.journal:
            if last is None or self.variant == "begins_anew":
                requests.append(NEW)
            elif last.kind == "INTENT":
                requests.append(NEW._replace(at="open", closed=last.closed, opened=(last.attempt,)))
            else:
                requests.append(NEW._replace(at="over", attempt=last.attempt, token=last.outcome, closed=last.closed))
                answered.add(last.offset)
        if self.variant == "skips_by_request" and requests[R].at == "over":
            answered |= {1, 3}
        return Process(s.generation, s.offset, tuple(sorted(answered)), tuple(requests), (), late)

    def lost(self, p):
        strings = [r.token for r in p.requests if r.at == "string"]
        return NOBODY._replace(late=more(p.late, *strings))

    # ---- reading ----

    def take(self, s, i, p):
        o = p.position
        if o == len(LOG):
            return
        n = p._replace(position=o + 1)
        which = X if LOG[o] == "X" else R
        r = p.requests[which]
        if o in p.answered:
            yield f"{WHO[i]}: skips {o}", self.process(s, i, n)
        elif o != CLAIM and r.at in ("new", "open"):
            taken = put(n.requests, which, r._replace(at="ready", offset=o))
            yield f"{WHO[i]}: takes {LOG[o]} at {o}", self.process(s, i, n._replace(requests=taken))
        else:
            yield f"{WHO[i]}: {LOG[o]} at {o} waits", self.process(s, i, n._replace(waiting=more(n.waiting, o)))

    def commit(self, s, i, p, label, answered=(), **changes):
        """The transaction {offsets, records}; p: what the process is when it is committed."""
        if p.generation != s.generation and self.variant != "unfenced":
            return
        p = p._replace(answered=more(p.answered, *answered))
        watermark = s.offset
        while watermark in p.answered:
            watermark += 1
        if self.variant == "highest_watermark" and p.answered:
            watermark = max(p.answered) + 1
        n = self.process(s, i, p, offset=watermark, **changes)
        yield f"{WHO[i]}: {label}", n
        if s.kills:
            doubt = self.process(n, i, NOBODY, kills=s.kills - 1)
            if self.variant == "doubt_deletes" and label.startswith("DONE"):
                doubt = self.delete(doubt, n.replies[-1][1])
            yield f"!{WHO[i]}: {label}, does not know, exits", doubt

    # ---- a request ----

    def request(self, s, i, p, which, r):
        def to(**fields):
            return p._replace(requests=put(p.requests, which, r._replace(**fields)))

        def journal(record):
            return put(s.journal, which, record)

        name = "XR"[which]
        closing = more(r.closed, *r.opened)
        if r.at == "ready" and s.attempts < self.most.attempts:
            a = s.attempts
            post = to(at="posting", attempt=a, closed=closing, opened=())
            yield from self.commit(s, i, post, f"INTENT {a} for {name}",
                                   journal=journal(Record("INTENT", a, None, None, closing)), attempts=a + 1)
        if r.at == "ready" and self.variant == "deadline":
            yield from self.commit(s, i, to(at="over", token=ERROR, closed=closing, opened=()), f"error for {name}",
                                   (r.offset,), journal=journal(Record("DONE", None, ERROR, r.offset, closing)),
                                   replies=s.replies + ((r.offset, ERROR),))
        if r.at == "posting":
            yield from self.post(s, i, r.attempt, to)
        if r.at == "string":
            yield from self.commit(s, i, to(at="over", closed=closing, opened=()), f"DONE of {name}", (r.offset,),
                                   journal=journal(Record("DONE", r.attempt, r.token, r.offset, closing)),
                                   replies=s.replies + ((r.offset, r.token),))

    def post(self, s, i, a, to):
        made = s._replace(tokens=s.tokens + ((a, True),))
        failed = to(at="ready", attempt=None, opened=(a,), mine=(a,))
        yield f"{WHO[i]}: POST {a} is answered", self.process(made, i, to(at="string", token=len(s.tokens)))
        yield f"{WHO[i]}: POST {a} creates, no answer", self.process(made, i, failed)
        yield f"{WHO[i]}: POST {a}, no answer, creates later", self.process(s, i, failed, net=more(s.net, a))
        yield f"{WHO[i]}: POST {a} does nothing", self.process(s, i, failed)

    # ---- what waits: the repeat, and the record that claims R's ID ----

    def wait(self, s, i, p):
        r = p.requests[R]
        for o in p.waiting:
            n = p._replace(waiting=less(p.waiting, o))
            if o == CLAIM:
                where = dict(places=more(s.places, o))
                if self.variant == "refusal_under_request":
                    where = dict(journal=put(s.journal, R, Record("DONE", None, REFUSAL, o, r.closed)))
                yield from self.commit(s, i, n, "refuses the claim", (o,), replies=s.replies + ((o, REFUSAL),), **where)
            elif r.at == "over":
                where = dict(places=more(s.places, o))
                if self.variant == "replay_without_place":
                    where = {}
                if self.variant == "replay_under_request":
                    where = dict(journal=put(s.journal, R, s.journal[R]._replace(offset=o)))
                yield from self.commit(s, i, n, f"replay at {o}", (o,), replies=s.replies + ((o, r.token),), **where)
            elif self.variant == "not_joined":
                made = s._replace(tokens=s.tokens + ((-o, True),))
                yield from self.commit(made, i, n, f"its own attempt at {o}", (o,), places=more(s.places, o),
                                       replies=s.replies + ((o, len(s.tokens)),))

    # ---- the sweep ----

    def sweep(self, s, i, p):
        if self.variant == "no_sweep":
            return
        for token, (attempt, lives) in enumerate(s.tokens):
            if lives and self.may_delete(p, attempt):
                yield f"{WHO[i]}: sweeps token {token}", self.delete(s, token)

    def may_delete(self, p, attempt):
        if self.variant == "deletes_unknown" and all(attempt != r.attempt for r in p.requests):
            return True
        return any(attempt in r.closed or attempt in r.mine for r in p.requests)

    # ---- what must be true ----

    def wrong(self, s, resting):
        offsets = [o for o, _ in s.replies]
        if len(offsets) != len(set(offsets)):
            yield "I1 a record answered twice"
        told = {outcome for o, outcome in s.replies if LOG[o] == "R"}
        if REFUSAL in told:
            yield "I10 a record that is not R's changed R's outcome"
        elif len(told) > 1:
            yield "I2 two outcomes of one request"
        live = {token for token, (_, lives) in enumerate(s.tokens) if lives}
        delivered = {outcome for _, outcome in s.replies if outcome >= 0}
        if delivered - live:
            yield "I3 a delivered token was deleted"
        if any(o not in offsets for o in range(s.offset)):
            yield "I7 the committed offset passed an unanswered record"
        if resting and len(offsets) == len(LOG) and live - delivered:
            yield "I5 an orphan"
        if resting and len(offsets) < len(LOG) and (s.attempts < self.most.attempts or self.variant == "deadline"):
            yield "I1 a record never answered"
