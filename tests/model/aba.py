# SPDX-License-Identifier: Apache-2.0
"""A partition that leaves a process and comes back to it, and what may become of a string in hand.

A call of the lost assignment may still be out while the same process holds a new one (R2: nothing is adopted). A
commit ends in three ways: known to be committed, known to be aborted, unknown (R5). The API may refuse an attempt
(429) and create the token all the same, later: so closed[] holds refused attempts, too (R4).

Transactions are atomic here, as in all models but core.py: it has their markers.
"""
from collections import namedtuple

from explore import Model, Variant, bag, less, more, put

# unasked: a POST left without a committed INTENT.
World = namedtuple(
    "World", "generation owner kills aborts journal processes net answers tokens replies attempts unasked")
# held: what it does for its assignment. late: (at, attempt, token), a call or a string of an assignment that was lost.
# memory: what it knew when it lost one (only a broken variant looks at it).
Process = namedtuple("Process", "held late memory")
# closed: committed closures. opened: to be closed by the next record. mine: own calls that ended without a string.
Held = namedtuple("Held", "generation at attempt token closed opened mine refused delivered")
Record = namedtuple("Record", "kind attempt token closed")

NOBODY = Process(None, None, None)
NO_TOKEN, REFUSED = -1, -2
WHO = "AB"


class Aba(Model):
    broken = {
        "adopts_memory": Variant("R2", "I2", "an assignment that comes back goes on from memory"),
        "adopts_call": Variant("R2", "I3", "the string of a lost assignment's call is adopted by the new one"),
        "stale_again": Variant("R5", "I2", "aborted in a stale generation, queued again in the new one"),
        "doubt_again": Variant("R5", "I2", "a commit of unknown fate is taken for an abort and queued again"),
        "abort_forgets": Variant("R5", "I5", "a certain abort drops the string"),
        "abort_posts": Variant("R5", "I4", "the INTENT was aborted, the POST goes out all the same"),
        "refused_left_out": Variant("R4", "I5", "closed[] has no refused attempts"),
        "local_closure": Variant("R4", "I3", "the sweep believes a closure that is not committed"),
        "queued_is_lost": Variant("R4", "I3", "a string in hand is deleted while its DONE may be queued again"),
    }
    bounded = dict(rebalances=2, kills=1, aborts=1, attempts=2)
    exhaustive = dict(rebalances=2, kills=2, aborts=1, attempts=2)

    def start(self):
        return World(0, 0, self.most.kills, self.most.aborts, (), (NOBODY, NOBODY), (), (), (), (), 0, False)

    # ---- the world ----

    def steps(self, s):
        if s.generation < self.most.rebalances:
            yield "!rebalance", s._replace(generation=s.generation + 1, owner=1 - s.owner)
        yield from self.api(s)
        for i in (0, 1):
            p = s.processes[i]
            if s.kills and (p.held or p.late):
                yield f"!kill {WHO[i]}", self.process(s, i, NOBODY, kills=s.kills - 1)
            if p.late:
                yield from self.late(s, i, p)
            if p.held:
                yield from self.holder(s, i, p, p.held)
            elif s.owner == i:
                yield from self.assigned(s, i, p)

    def api(self, s):
        for request in set(s.net):
            attempt, refused = request
            made = s._replace(net=less(s.net, request), tokens=s.tokens + ((attempt, True),))
            if refused:
                yield f"API creates late for attempt {attempt}", made
                continue
            yield (f"API creates for attempt {attempt}",
                   made._replace(answers=more(s.answers, (attempt, len(s.tokens)))))
            no = s._replace(net=less(s.net, request), answers=more(s.answers, (attempt, REFUSED)))
            yield f"API refuses attempt {attempt}", no
            yield f"API refuses attempt {attempt}, and will create", no._replace(net=bag(no.net, (attempt, True)))

    def process(self, s, i, p, **others):
        return s._replace(processes=put(s.processes, i, p), **others)

    def delete(self, s, token):
        return s._replace(tokens=put(s.tokens, token, (s.tokens[token][0], False)))

    # ---- what is left of a lost assignment ----

    def late(self, s, i, p):
        at, attempt, token = p.late
        gone = p._replace(late=None)
        if at == "waiting":
            for answer in s.answers:
                if answer[0] == attempt:
                    late = None if answer[1] == REFUSED else ("string", *answer)
                    yield (f"{WHO[i]}: late answer to {attempt}",
                           self.process(s, i, p._replace(late=late), answers=less(s.answers, answer)))
            yield f"{WHO[i]}: late call times out", self.process(s, i, gone, answers=self.unread(s, attempt))
            return
        yield f"{WHO[i]}: deletes its own late string", self.delete(self.process(s, i, gone), token)
        h = p.held
        if self.variant == "adopts_call" and h and h.at == "ready" and h.generation == s.generation:
            yield (f"{WHO[i]}: adopts the late string",
                   self.process(s, i, gone._replace(held=h._replace(at="string", attempt=attempt, token=token))))

    def unread(self, s, attempt):
        return tuple(a for a in s.answers if a[0] != attempt)

    def loss(self, p):
        """The assignment is lost; a call that is out and a string in hand stay."""
        h = p.held
        late = (h.at, h.attempt, h.token) if h.at in ("waiting", "string") else p.late
        memory = None
        if self.variant == "adopts_memory":
            spent = (h.attempt,) if h.at in ("posting", "waiting", "string") else ()
            memory = h._replace(at="over" if h.at == "over" else "ready", attempt=None, token=None,
                                opened=more(h.opened, *spent))
        return Process(None, late, memory)

    # ---- the way of the request ----

    def assigned(self, s, i, p):
        if self.variant == "adopts_memory" and p.memory:
            yield (f"{WHO[i]}: comes back to what it knew",
                   self.process(s, i, p._replace(held=p.memory._replace(generation=s.generation), memory=None)))
            return
        held = Held(s.generation, "assigned", None, None, (), (), (), (), None)
        yield f"{WHO[i]}: assigned", self.process(s, i, p._replace(held=held, memory=None))

    def restored(self, s, h):
        if not s.journal:
            return h._replace(at="ready")
        last = s.journal[-1]
        if last.kind == "DONE":
            return h._replace(at="over", closed=last.closed, delivered=(last.attempt, last.token))
        if self.variant == "local_closure":
            return h._replace(at="ready", closed=more(last.closed, last.attempt))
        return h._replace(at="ready", closed=last.closed, opened=(last.attempt,))

    def holder(self, s, i, p, h):
        def to(held, **others):
            return self.process(s, i, p._replace(held=held), **others)

        if h.at == "assigned":
            yield f"{WHO[i]}: restored", to(self.restored(s, h))
        can_leave = p.late is None or h.at not in ("waiting", "string")
        if h.generation != s.generation and can_leave:
            yield f"{WHO[i]}: notices the loss", self.process(s, i, self.loss(p))
        closed = more(h.closed, *h.opened)
        if self.variant == "refused_left_out":
            closed = tuple(a for a in closed if a not in h.refused)
        if h.at == "ready":
            if s.attempts < self.most.attempts:
                yield (f"{WHO[i]}: queues INTENT {s.attempts}",
                       to(h._replace(at="intent", attempt=s.attempts), attempts=s.attempts + 1))
            over = h._replace(at="over", closed=closed, opened=(), delivered=(None, NO_TOKEN))
            yield from self.commit(s, i, p, Record("DONE", None, NO_TOKEN, closed), over, h)
        elif h.at == "intent":
            post = h._replace(at="posting", closed=closed, opened=())
            again = h._replace(at="posting") if self.variant == "abort_posts" else h
            yield from self.commit(s, i, p, Record("INTENT", h.attempt, None, closed), post, again)
        elif h.at == "posting":
            known = any(r.kind == "INTENT" and r.attempt == h.attempt for r in s.journal)
            yield (f"{WHO[i]}: POST {h.attempt}",
                   to(h._replace(at="waiting"), net=bag(s.net, (h.attempt, False)), unasked=s.unasked or not known))
        elif h.at == "waiting":
            yield from self.answer(s, h, WHO[i], to)
        elif h.at == "string":
            over = h._replace(at="over", closed=closed, opened=(), delivered=(h.attempt, h.token), attempt=None,
                              token=None)
            again = h._replace(at="ready", attempt=None, token=None) if self.variant == "abort_forgets" else h
            yield from self.commit(s, i, p, Record("DONE", h.attempt, h.token, closed), over, again)
        yield from self.sweep(s, WHO[i], h)

    def answer(self, s, h, who, to):
        ended = h._replace(at="ready", attempt=None, opened=more(h.opened, h.attempt), mine=more(h.mine, h.attempt))
        for answer in s.answers:
            if answer[0] != h.attempt:
                continue
            rest = less(s.answers, answer)
            if answer[1] == REFUSED:
                refused = ended._replace(refused=more(h.refused, h.attempt))
                yield f"{who}: attempt {h.attempt} was refused", to(refused, answers=rest)
            else:
                yield f"{who}: has the string", to(h._replace(at="string", token=answer[1]), answers=rest)
        yield f"{who}: call times out", to(ended, answers=self.unread(s, h.attempt))

    def commit(self, s, i, p, record, then, again):
        """then: what it is when the record is committed; again: after a certain abort in the same generation."""
        h = p.held
        if h.generation != s.generation:
            if self.variant == "stale_again" and s.owner == i:
                yield (f"{WHO[i]}: queued again in the new generation",
                       self.process(s, i, p._replace(held=h._replace(generation=s.generation))))
            elif h.at != "string" or p.late is None:
                yield f"{WHO[i]}: {record.kind} is fenced", self.process(s, i, self.loss(p)._replace(memory=None))
            return
        n = s._replace(journal=s.journal + (record,))
        if record.kind == "DONE":
            n = n._replace(replies=s.replies + (record.token,))
        yield f"{WHO[i]}: {record.kind} committed", self.process(n, i, p._replace(held=then))
        if s.kills and self.variant == "doubt_again":
            yield (f"!{record.kind} committed, {WHO[i]} does not know and queues it again",
                   n._replace(kills=s.kills - 1))
        elif s.kills:
            yield (f"!{record.kind} committed, {WHO[i]} does not know and exits",
                   self.process(n, i, NOBODY, kills=s.kills - 1))
        if s.aborts:
            yield (f"{WHO[i]}: {record.kind} aborted for certain",
                   self.process(s, i, p._replace(held=again), aborts=s.aborts - 1))

    # ---- the sweep ----

    def sweep(self, s, who, h):
        for token, (attempt, lives) in enumerate(s.tokens):
            if lives and self.may_delete(h, token, attempt):
                yield f"{who}: sweeps token {token}", self.delete(s, token)

    def may_delete(self, h, token, attempt):
        if attempt in h.closed or attempt in h.mine:
            return True
        if h.delivered and h.delivered[0] == attempt and h.delivered[1] != token:
            return True
        return self.variant == "queued_is_lost" and h.at == "string" and h.token == token

    # ---- what must be true ----

    def wrong(self, s, resting):
        live = {token for token, (_, lives) in enumerate(s.tokens) if lives}
        if len(s.replies) > 1:
            yield "I2 two replies"
        if s.unasked:
            yield "I4 a POST without a committed INTENT"
        if any(token != NO_TOKEN and token not in live for token in s.replies):
            yield "I3 a delivered token was deleted"
        if resting and not s.replies:
            yield "I1 never answered"
        elif resting and live - set(s.replies):
            yield "I5 an orphan"
