# SPDX-License-Identifier: Apache-2.0
"""One request, two processes, and transactions whose end is not one moment.

A transaction's decision is the coordinator's; its markers reach the offset, the journal and the reply later and
one by one, while others go on. What a successor may believe meanwhile is R2; what keeps the one before it from
writing is R1; what may be deleted, with knowledge that may be old, is R4. Processes are killed at any point,
partitions move at any point, a POST arrives late, its answer is lost, a transaction times out.

Batches of several requests are road.py's, and so is whatever needs a third record.
"""
from collections import namedtuple

from explore import Holds, Model, Variant, bag, less, more, put

World = namedtuple("World", "generation owner kills journal transactions processes net answers tokens replies attempts")
# INTENT: token None. DONE: the token delivered, NO_TOKEN for an error.
Record = namedtuple("Record", "kind attempt token closed")
# at: begun, offsets (they are in it: the fence was passed), written (so is the record), decided. todo: markers to come.
Transaction = namedtuple("Transaction", "record at todo")
# opened: attempts that the next record closes. high: whose records lie below the high watermark that was taken.
Process = namedtuple("Process", "at generation attempt token closed opened delivered high")

OUT = Process("out", -1, None, None, (), (), None, ())
NO_TOKEN = -1
WHO = "AB"


class Core(Model):
    holds = {
        **Model.holds,
        "deadline": Holds("a deadline may end it with an error, at any wait", dict(rebalances=1)),
        "offsets_last": Holds("the record is written before the offsets are sent"),
        "twice": Holds("a gateway that sends each POST twice", dict(rebalances=1, kills=0), True),
    }
    broken = {
        "metadata_anew": Variant("R1", "I3", "metadata fetched at commit: a living member is never refused"),
        "metadata_of_owner": Variant("R1", "I3", "metadata fetched at commit; who does not own it is refused: A-B-A",
                                     dict(rebalances=2, kills=0)),
        "unfenced_intent": Variant("R1", "I3", "an INTENT is committed without offsets"),
        "stable_end": Variant("R2", "I3", "restore stops at the last stable offset"),
        "local_closure": Variant("R4", "I3", "a closure that is not committed counts as evidence"),
        "deletes_unknown": Variant("R4", "I3", "an attempt of which nothing is known is deleted"),
        "twins_kept": Variant("R4", "I5", "the delivered attempt's other token is kept", dict(kills=0)),
        "doubt_deletes": Variant("R5", "I3", "a commit of unknown fate is taken for an abort: the token is deleted"),
        "deadline_leaves_open": Variant("R4", "I5", "the error at the deadline does not close the open attempt"),
    }
    bounded = dict(rebalances=1, kills=1, attempts=2)
    exhaustive = dict(rebalances=2, kills=1, attempts=2)

    def start(self):
        return World(0, 0, self.most.kills, (), (None, None), (OUT, OUT), (), (), (), (), 0)

    # ---- the world ----

    def steps(self, s):
        if s.generation < self.most.rebalances:
            yield "!rebalance", s._replace(generation=s.generation + 1, owner=1 - s.owner)
        for a in set(s.net):
            made = dict(net=less(s.net, a), tokens=s.tokens + ((a, True),), answers=bag(s.answers, (a, len(s.tokens))))
            yield f"API creates for attempt {a}", s._replace(**made)
        for answer in set(s.answers):
            yield f"answer to {answer[0]} is lost", s._replace(answers=less(s.answers, answer))
        for i in (0, 1):
            if s.transactions[i]:
                yield from self.coordinator(s, i, s.transactions[i])
            p = s.processes[i]
            if p.at != "out" and s.kills:
                yield f"!kill {WHO[i]}", self.process(s, i, OUT)._replace(kills=s.kills - 1)
            yield from getattr(self, p.at.replace(" ", "_"))(s, i, p)
            yield from self.sweep(s, i, p)

    def coordinator(self, s, i, t):
        if t.at != "decided":
            yield f"{WHO[i]}'s transaction times out", s._replace(transactions=put(s.transactions, i, None))
            return
        for topic in t.todo:
            todo = less(t.todo, topic)
            n = s._replace(transactions=put(s.transactions, i, t._replace(todo=todo) if todo else None))
            if topic == "journal":
                n = n._replace(journal=s.journal + (t.record,))
            if topic == "replies":
                n = n._replace(replies=s.replies + (t.record.token,))
            yield f"marker of {WHO[i]}'s {t.record.kind} in {topic}", n

    def process(self, s, i, p, **others):
        return s._replace(processes=put(s.processes, i, p), **others)

    # ---- restore ----

    def out(self, s, i, p):
        pending = any(t and "offsets" in t.todo and (t.at == "decided" or "offsets" in self.passed(t))
                      for t in s.transactions)
        if s.owner == i and s.transactions[i] is None and not pending:
            n = OUT._replace(at="assigned", generation=s.generation)
            yield f"{WHO[i]}: assigned, offset known", self.process(s, i, n)

    def passed(self, t):
        order = ("begun", "written", "offsets") if self.variant == "offsets_last" else ("begun", "offsets", "written")
        return order[:order.index(t.at) + 1]

    def assigned(self, s, i, p):
        high = tuple(j for j in (0, 1) if self.unmarked(s.transactions[j]))
        yield f"{WHO[i]}: takes the high watermark", self.process(s, i, p._replace(at="reading", high=high))

    def unmarked(self, t):
        """Its record lies in the journal, without a marker."""
        return t and "journal" in t.todo and (t.at == "decided" or "written" in self.passed(t))

    def reading(self, s, i, p):
        if self.variant != "stable_end" and any(self.unmarked(s.transactions[j]) for j in p.high):
            return
        p = p._replace(high=())
        if not s.journal:
            yield f"{WHO[i]}: restored, nothing", self.process(s, i, p._replace(at="ready"))
            return
        last = s.journal[-1]
        if last.kind == "DONE":
            p = p._replace(at="over", attempt=last.attempt, closed=last.closed, delivered=last.token)
        elif self.variant == "local_closure":
            p = p._replace(at="ready", closed=more(last.closed, last.attempt))
        else:
            p = p._replace(at="ready", closed=last.closed, opened=(last.attempt,))
        yield f"{WHO[i]}: restored, {last.kind}", self.process(s, i, p)

    # ---- the way of the request ----

    def begin(self, s, i, p, record):
        todo = ("journal", "offsets") if record.kind == "INTENT" else ("journal", "offsets", "replies")
        return self.process(s, i, p, transactions=put(s.transactions, i, Transaction(record, "begun", todo)))

    def ready(self, s, i, p):
        if p.generation != s.generation:
            yield f"{WHO[i]}: leaves", self.process(s, i, OUT)
        if s.transactions[i]:
            return
        closing = more(p.closed, *p.opened)
        if s.attempts < self.most.attempts:
            record = Record("INTENT", s.attempts, None, closing)
            yield f"{WHO[i]}: begins INTENT {s.attempts}", self.begin(
                s._replace(attempts=s.attempts + 1), i, p._replace(at="intent", attempt=s.attempts), record)
        if self.variant.startswith("deadline"):
            record = Record("DONE", None, NO_TOKEN, () if self.variant == "deadline_leaves_open" else closing)
            yield f"{WHO[i]}: deadline, begins DONE", self.begin(s, i, p._replace(at="done", token=None), record)

    def transaction(self, s, i, p):
        """The transaction that p waits for: one step of it, or its abort."""
        t, stale = s.transactions[i], p.generation != s.generation
        if t is None:
            n = self.fenced(p) if stale else self.again(p)
            yield f"{WHO[i]}: {p.at} aborted", self.process(s, i, n)
            return
        order = ("begun", "written", "offsets") if self.variant == "offsets_last" else ("begun", "offsets", "written")
        if t.at == order[-1]:
            n = p._replace(at=p.at + " sent")
            yield f"{WHO[i]}: EndTxn of {t.record.kind}", self.step(s, i, n, t._replace(at="decided"))
            return
        to = order[order.index(t.at) + 1]
        if to == "offsets" and self.variant == "unfenced_intent" and p.at == "intent":
            yield f"{WHO[i]}: sends no offsets", self.step(s, i, p, t._replace(at=to, todo=("journal",)))
        elif to == "offsets" and self.refused(s, i, stale):
            yield f"{WHO[i]}: {t.record.kind} is fenced", self.step(s, i, self.fenced(p), None)
        else:
            yield f"{WHO[i]}: {t.record.kind}, {to}", self.step(s, i, p, t._replace(at=to))

    def refused(self, s, i, stale):
        if self.variant == "metadata_anew":
            return False
        return s.owner != i if self.variant == "metadata_of_owner" else stale

    def step(self, s, i, p, t):
        return self.process(s, i, p, transactions=put(s.transactions, i, t))

    def fenced(self, p):
        """A certain abort in a stale generation: a string in hand is mine to delete."""
        return OUT if p.token is None else p._replace(at="string fenced", opened=())

    def again(self, p):
        """A certain abort in the same one: the same once more."""
        if p.at == "intent":
            return p._replace(at="ready", attempt=None, closed=more(p.closed, p.attempt))
        return p._replace(at="ready" if p.token is None else "string")

    intent = done = transaction

    def intent_sent(self, s, i, p):
        yield f"{WHO[i]}: INTENT acknowledged", self.process(
            s, i, p._replace(at="posting", closed=more(p.closed, *p.opened), opened=()))

    def posting(self, s, i, p):
        twice = self.variant in ("twice", "twins_kept")
        yield f"{WHO[i]}: POST {p.attempt}", self.process(
            s, i, p._replace(at="waiting"), net=bag(s.net, *[p.attempt] * (2 if twice else 1)))

    def waiting(self, s, i, p):
        for answer in set(s.answers):
            if answer[0] == p.attempt:
                yield f"{WHO[i]}: has the string", self.process(
                    s, i, p._replace(at="string", token=answer[1]), answers=less(s.answers, answer))
        ended = p._replace(at="ready", attempt=None, closed=more(p.closed, p.attempt))
        yield f"{WHO[i]}: call times out", self.process(s, i, OUT if p.generation != s.generation else ended)

    def string(self, s, i, p):
        if s.transactions[i] is None:
            record = Record("DONE", p.attempt, p.token, more(p.closed, *p.opened))
            yield f"{WHO[i]}: begins DONE", self.begin(s, i, p._replace(at="done"), record)

    def done_sent(self, s, i, p):
        closed = more(p.closed, *p.opened)
        yield f"{WHO[i]}: DONE acknowledged", self.process(
            s, i, p._replace(at="over", token=None, closed=closed, opened=(), delivered=p.token))
        doubt = self.process(s, i, OUT)
        if self.variant == "doubt_deletes" and p.token is not None:
            doubt = doubt._replace(tokens=put(s.tokens, p.token, (p.attempt, False)))
        yield f"{WHO[i]}: the commit's fate is unknown, exits", doubt

    def string_fenced(self, s, i, p):
        yield f"{WHO[i]}: deletes its own string", self.process(
            s, i, OUT, tokens=put(s.tokens, p.token, (p.attempt, False)))

    def over(self, s, i, p):
        if p.generation != s.generation:
            yield f"{WHO[i]}: leaves", self.process(s, i, OUT)

    # ---- the sweep ----

    def sweep(self, s, i, p):
        """By what this process knows, which may be old."""
        if p.at in ("out", "assigned", "reading"):
            return
        for token, (attempt, lives) in enumerate(s.tokens):
            if lives and token != p.delivered and self.may_delete(p, token, attempt):
                yield f"{WHO[i]}: sweeps token {token}", s._replace(tokens=put(s.tokens, token, (attempt, False)))

    def may_delete(self, p, token, attempt):
        if self.variant == "deletes_unknown":
            return p.delivered is not None or attempt != p.attempt
        twin = p.delivered is not None and attempt == p.attempt and token != p.delivered
        return attempt in p.closed or (twin and self.variant != "twins_kept")

    # ---- what must be true ----

    def wrong(self, s, resting):
        live = {token for token, (_, lives) in enumerate(s.tokens) if lives}
        if len(s.replies) > 1:
            yield "I2 two replies"
        if any(token not in live for token in s.replies if token not in (NO_TOKEN, None)):
            yield "I3 a delivered token was deleted"
        if resting and not s.replies and s.attempts < self.most.attempts:
            yield "I1 never answered"
        if resting and s.replies and s.processes[s.owner].at == "over" and live - set(s.replies):
            yield "I5 an orphan"
