# SPDX-License-Identifier: Apache-2.0
"""The sweep (R9): who lists when, and what a list that lags, fails or is old does to it.

Time goes by in intervals of the sweep. The API may create a token long after its attempt, up to the day for which it
is looked for, and shows it in its list an interval late; one list fails. The partition moves once, at any time; whoever
lost it goes on listing by what it knew (two sweepers). I5: whatever is in the list, and nobody received, is gone two
intervals later, a failing list apart.
"""
from collections import namedtuple

from explore import Model, Variant, more, put

# calls: the state of each attempt: out, unknown, delivered. net: (attempt, until) that may still create. closed and
# delivered: what is committed. over: the request is decided.
World = namedtuple("World", "time owner moves failures lags twins calls net tokens closed delivered over processes")
Token = namedtuple("Token", "attempt created listed lives")
# knows: the attempts in its index. began: those that it made. mine: own calls that ended without a string. closed and
# delivered: what it knows to be committed. listed: what became of its list in this interval, "" if there was none.
# given_up: attempts that it no longer looks for.
Process = namedtuple("Process", "knows began mine closed delivered listed given_up")

IDLE = Process((), (), (), (), None, "", ())
ERROR = (None, None)
DEADLINE = 2            # intervals: the request must be over
WHO = "AB"


class Sweep(Model):
    broken = {
        "never": Variant("R9", "I5", "nobody sweeps"),
        "only_at_first": Variant("R9", "I5", "after not_after, and then no more"),
        "only_unknown": Variant("R9", "I5", "a delivered attempt is not swept: its twin stays"),
        "forgets": Variant("R9", "I5", "a successor sweeps the attempts of its own life only"),
        "failure_is_empty": Variant("R9", "I5", "a list that failed is taken for an empty one"),
        "absence_ends": Variant("R9", "I5", "what is not in the list was never created"),
        "waits_for_list": Variant("R9", "I9", "the next attempt waits for a list that works", dict(failures=2)),
        "unknown_deleted": Variant("R9", "I3", "a token of an attempt that the sweeper does not know is deleted"),
        "call_is_out": Variant("R4", "I3", "an attempt of mine counts as ended while its call is out"),
    }
    bounded = dict(day=3, moves=1, failures=1, attempts=2)
    exhaustive = dict(day=4, moves=2, failures=2, attempts=3)

    def start(self):
        first = IDLE._replace(knows=(0,), began=(0,))
        return World(0, 0, self.most.moves, self.most.failures, 1, 1, ("out",), ((0, self.most.day),), (), (), None,
                     False, (first, IDLE))

    def steps(self, s):
        for request in s.net:
            yield from self.api(s, request)
        own = list(self.request(s, s.owner, s.processes[s.owner]))
        yield from own
        due = False
        for i in (0, 1):
            p = s.processes[i]
            if self.duty(s, i, p):
                due |= i == s.owner
                yield from self.list(s, i, p)
        if s.moves:
            yield f"!{WHO[1 - s.owner]} takes over", self.moved(s)
        if not own and not due and s.time < self.most.day + 3:
            yield "an interval goes by", s._replace(
                time=s.time + 1, processes=tuple(p._replace(listed="") for p in s.processes),
                net=tuple(r for r in s.net if r[1] > s.time))

    def process(self, s, i, p, **others):
        return s._replace(processes=put(s.processes, i, p), **others)

    def moved(self, s):
        p = IDLE._replace(knows=tuple(range(len(s.calls))), closed=s.closed, delivered=s.delivered)
        calls = tuple("unknown" if c == "out" else c for c in s.calls)
        return self.process(s._replace(owner=1 - s.owner, moves=s.moves - 1, calls=calls), 1 - s.owner, p)

    # ---- the API, for requests that nobody waits for ----

    def api(self, s, request):
        attempt, until = request
        rest = tuple(r for r in s.net if r != request)
        for lag in range(2 if s.lags else 1):
            made = Token(attempt, s.time, s.time + lag, True)
            yield (f"API creates for attempt {attempt}, in the list {'later' if lag else 'now'}",
                   s._replace(net=rest, tokens=s.tokens + (made,), lags=s.lags - lag))
        yield f"API never creates for attempt {attempt}", s._replace(net=rest)

    # ---- the request: its owner's part ----

    def request(self, s, i, p):
        if s.over:
            return
        last = len(s.calls) - 1
        if s.calls[last] == "out":
            yield from self.call(s, i, p, last)
            return
        closed = more(s.closed, *range(len(s.calls)))
        if self.variant == "waits_for_list" and p.listed != "worked":
            return
        known = p._replace(closed=closed)
        if len(s.calls) < self.most.attempts:
            a = len(s.calls)
            known = known._replace(knows=more(p.knows, a), began=more(p.began, a))
            yield f"{WHO[i]}: INTENT {a}, POST", self.process(
                s, i, known, calls=s.calls + ("out",), closed=closed, net=more(s.net, (a, s.time + self.most.day)))
        else:
            yield f"{WHO[i]}: error", self.process(s, i, known._replace(delivered=ERROR), closed=closed, over=True,
                                                   delivered=ERROR)

    def call(self, s, i, p, a):
        for token, made in enumerate(s.tokens):
            if made.attempt == a:
                n = self.process(s, i, p._replace(delivered=(a, token)), delivered=(a, token), over=True,
                                 calls=put(s.calls, a, "delivered"))
                yield f"{WHO[i]}: DONE names token {token}", n
                if s.twins:     # inside its window, which this interval is
                    for lag in (0, 1):
                        twin = Token(a, s.time, s.time + lag, True)
                        yield (f"{WHO[i]}: DONE names token {token}, the gateway made another",
                               n._replace(twins=0, tokens=s.tokens + (twin,)))
        yield f"{WHO[i]}: no answer", self.process(s, i, p._replace(mine=more(p.mine, a)),
                                                   calls=put(s.calls, a, "unknown"))

    # ---- the list ----

    def duty(self, s, i, p):
        """Does it list in this interval?"""
        attempts = {*p.knows} - {*p.given_up}
        if self.variant == "forgets":
            attempts &= {*p.began}
        if self.variant == "only_unknown" and p.delivered:
            attempts.discard(p.delivered[0])
        if self.variant == "never" or self.variant == "only_at_first" and s.time > 1:
            return False
        return bool(attempts) and not p.listed

    def list(self, s, i, p):
        listed = p._replace(listed="worked")
        seen = [(n, t) for n, t in enumerate(s.tokens) if t.listed <= s.time]
        if self.variant == "absence_ends":
            there = {t.attempt for _, t in seen}
            listed = listed._replace(given_up=more(p.given_up, *(a for a in (*p.closed, *p.mine) if a not in there)))
        n = self.process(s, i, listed)
        gone = []
        for token, t in seen:
            if t.lives and self.may_delete(s, p, token, t):
                gone.append(str(token))
                n = n._replace(tokens=put(n.tokens, token, t._replace(lives=False)))
        yield f"{WHO[i]}: lists, deletes {' and '.join(gone) or 'nothing'}", n
        if s.failures:      # the next one is an interval later; the request goes on without it
            failed = p._replace(listed="failed")
            if self.variant == "failure_is_empty":
                failed = failed._replace(given_up=p.knows)
            yield f"!{WHO[i]}: the list fails", self.process(s, i, failed, failures=s.failures - 1)

    def may_delete(self, s, p, token, t):
        if t.attempt in p.closed or t.attempt in p.mine:
            return True
        if p.delivered and p.delivered[0] == t.attempt:
            return p.delivered[1] != token
        if self.variant == "call_is_out" and t.attempt in p.began:
            return True
        return self.variant == "unknown_deleted" and t.attempt not in p.began

    # ---- what must be true ----

    def wrong(self, s, resting):
        failed = self.most.failures - s.failures
        for token, t in enumerate(s.tokens):
            if s.delivered == (t.attempt, token):
                if not t.lives:
                    yield "I3 the delivered token was deleted"
            elif t.lives and s.time - t.listed > 2 + failed:
                yield "I5 an orphan"
        if not s.over and s.time >= DEADLINE:
            yield "I9 the request is not over at its deadline"
