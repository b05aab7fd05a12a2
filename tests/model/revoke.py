# SPDX-License-Identifier: Apache-2.0
"""RevokeToken, before, during and after the CreateToken whose token it names.

A log of four: CreateToken, RevokeToken, RevokeToken in other bytes, CreateToken's bytes again. DELETE is idempotent, so
it needs no intent: a kill between DELETE and DONE costs a second DELETE. The revocation's outcome has a key of its own
(kind REVOKE); every other answer to it stands under its record's place. The CreateToken may end with an error as well.
"""
from collections import namedtuple

from explore import Model, Variant, less, more, put

# created: the last record under the CreateToken's key. revoked: the offset of the DONE under the revocation's.
World = namedtuple("World", "generation owner kills created revoked places offset processes tokens replies attempts")
Record = namedtuple("Record", "kind attempt outcome closed")
# create: new, ready, posting, string, over. waiting: offsets that wait. deleted: those of them whose DELETE came back.
Process = namedtuple(
    "Process", "generation position answered create attempt token closed opened waiting deleted revoked")

LOG = ("CreateToken", "RevokeToken", "RevokeToken again", "CreateToken again")
ERROR, OK, NOT_FOUND, IN_FLIGHT = -1, "OK", "NOT_FOUND", "IN_FLIGHT"
WHO = "AB"


class Revoke(Model):
    broken = {
        "does_not_wait": Variant("revoke", "C", "NOT_FOUND while the CreateToken is in flight"),
        "before_done": Variant("revoke", "C", "DELETE and OK by the string in hand, before its DONE is committed"),
        "ok_before_delete": Variant("revoke", "C", "OK before the DELETE came back"),
        "under_create": Variant("revoke", "C", "the revocation's outcome under the CreateToken's key"),
        "create_told_anew": Variant("revoke", "I2", "the CreateToken's repeat is told that there is no token"),
        "again_is_not_found": Variant("revoke", "I2", "a second revocation gets NOT_FOUND"),
    }
    bounded = dict(rebalances=1, kills=1, attempts=2)
    exhaustive = dict(rebalances=2, kills=1, attempts=2)

    def start(self):
        return World(0, 0, self.most.kills, None, None, (), 0, (None, None), (), (), 0)

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
            yield from getattr(self, p.create)(s, i, p)
            for o in p.waiting:
                rest = p._replace(waiting=less(p.waiting, o), deleted=tuple(d for d in p.deleted if d != o))
                yield from (self.again if o == 3 else self.revocation)(s, i, p, o, rest)
            for token, (attempt, lives) in enumerate(s.tokens):
                if lives and attempt in p.closed:
                    yield f"{WHO[i]}: sweeps token {token}", self.delete(s, token)

    def process(self, s, i, p, **others):
        return s._replace(processes=put(s.processes, i, p), **others)

    def delete(self, s, token):
        return s._replace(tokens=put(s.tokens, token, (s.tokens[token][0], False)))

    def restored(self, s):
        answered = {*s.places, *range(s.offset)}
        p = Process(s.generation, s.offset, (), "new", None, None, (), (), (), (), s.revoked)
        if s.created and s.created.kind == "INTENT":
            p = p._replace(closed=s.created.closed, opened=(s.created.attempt,))
        elif s.created:
            p = p._replace(create="over", attempt=s.created.attempt, token=s.created.outcome, closed=s.created.closed)
            answered.add(0)
        if s.revoked is not None:
            answered.add(s.revoked)
        return p._replace(answered=tuple(sorted(answered)))

    def take(self, s, i, p):
        o = p.position
        if o == len(LOG):
            return
        n = p._replace(position=o + 1)
        if o in p.answered:
            yield f"{WHO[i]}: skips {o}", self.process(s, i, n)
        elif o == 0:
            yield f"{WHO[i]}: takes the CreateToken", self.process(s, i, n._replace(create="ready"))
        else:
            yield f"{WHO[i]}: {LOG[o]} waits", self.process(s, i, n._replace(waiting=more(p.waiting, o)))

    def commit(self, s, i, p, label, answer=None, **changes):
        """answer: (offset, what it is told)."""
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

    # ---- the CreateToken ----

    def new(self, s, i, p):
        return ()

    def ready(self, s, i, p):
        closing = more(p.closed, *p.opened)
        a = s.attempts
        if a < self.most.attempts:
            n = p._replace(create="posting", attempt=a, closed=closing, opened=())
            yield from self.commit(s, i, n, f"INTENT {a}", created=Record("INTENT", a, None, closing), attempts=a + 1)
        n = p._replace(create="over", attempt=None, token=ERROR, closed=closing, opened=())
        yield from self.commit(s, i, n, "error", (0, ERROR), created=Record("DONE", None, ERROR, closing))

    def posting(self, s, i, p):
        made = s.tokens + ((p.attempt, True),)
        n = p._replace(create="string", token=len(s.tokens))
        yield f"{WHO[i]}: POST {p.attempt}", self.process(s, i, n, tokens=made)

    def string(self, s, i, p):
        yield from self.commit(s, i, p._replace(create="over"), "DONE", (0, p.token),
                               created=Record("DONE", p.attempt, p.token, p.closed))

    def over(self, s, i, p):
        return ()

    def again(self, s, i, p, o, rest):
        if p.create == "over":
            told = p.token
            if self.variant == "create_told_anew" and p.revoked is not None:
                told = ERROR
            yield from self.commit(s, i, rest, "replay", (o, told), places=more(s.places, o))

    # ---- the RevokeToken ----

    def revocation(self, s, i, p, o, rest):
        place = more(s.places, o)
        known = p.create == "over" or self.variant == "before_done" and p.create == "string"
        if known and p.token >= 0 and p.revoked is not None:
            told = NOT_FOUND if self.variant == "again_is_not_found" else OK
            yield from self.commit(s, i, rest, f"{told} for {LOG[o]}, deleted already", (o, told), places=place)
        elif known and p.token >= 0 and (o in p.deleted or self.variant == "ok_before_delete"):
            where = dict(revoked=o)
            if self.variant == "under_create":
                where = dict(created=Record("DONE", p.attempt, ERROR, p.closed), places=place)
            yield from self.commit(s, i, rest._replace(revoked=o), f"DONE of {LOG[o]}", (o, OK), **where)
        elif known and p.token >= 0:
            yield f"{WHO[i]}: DELETE for {LOG[o]}", self.delete(
                self.process(s, i, p._replace(deleted=more(p.deleted, o))), p.token)
        elif known or self.variant == "does_not_wait":
            yield from self.commit(s, i, rest, f"NOT_FOUND for {LOG[o]}", (o, NOT_FOUND), places=place)
        if o == 1 and p.revoked is None:        # its deadline: at any time
            yield from self.commit(s, i, rest, f"IN_FLIGHT for {LOG[o]}", (o, IN_FLIGHT), places=place)

    # ---- what must be true ----

    def wrong(self, s, resting):
        offsets = [o for o, _ in s.replies]
        if len(offsets) != len(set(offsets)):
            yield "I1 a record answered twice"
        created = {told for o, told in s.replies if o in (0, 3)}
        revoked = {told for o, told in s.replies if o in (1, 2)}
        if len(created) > 1:
            yield "I2 two outcomes of the CreateToken"
        if {OK, NOT_FOUND} <= revoked:
            yield "I2 two outcomes of the RevokeToken"
        if NOT_FOUND in revoked and created - {ERROR}:
            yield "C NOT_FOUND, though the CreateToken before it delivered"
        live = {token for token, (_, lives) in enumerate(s.tokens) if lives}
        if OK in revoked and (created & live or resting and live):
            yield "C OK, and the token lives"
        if resting and s.created and s.created.kind == "DONE":
            if len(offsets) < len(LOG):
                yield "I1 a record never answered"
            elif live - created:
                yield "I5 an orphan"
