# SPDX-License-Identifier: Apache-2.0
"""One POST that is executed twice: by libcurl (R7), or by a gateway (the TWIN clause of R4).

libcurl sends a POST again, without a word, when a reused connection dies before the first byte of the answer: the
pre-request callback spends the attempt at its first call and aborts at a second. A gateway may do the same where nobody
sees it, soon or long after. And a person may copy a description, marker and all, into a token of their own; they can do
that once they see a token, and that is after the attempt's window, which ends at not_after, give or take the skew. The
requester may have the token revoked, which takes it out of the list.
"""
from collections import namedtuple

from explore import Model, Variant, put

# sent: how often this attempt left. net: those that the API has still to execute. tokens: Token. string: the one in
# hand. decided: what is committed of the attempt: None, CLOSED or the token delivered.
World = namedtuple("World", "inside at sent net tokens string decided repeats copied broken revoked")
Token = namedtuple("Token", "maker inside lives")
CLOSED = -1


class Twice(Model):
    broken = {
        "resends": Variant("R7", "I4", "no pre-request callback: libcurl sends again on a new connection"),
        "follows": Variant("R7", "I4", "a redirect is followed"),
        "dead_is_unsent": Variant("R7", "I5", "a connection that died without an answer counts as not sent"),
        "twins_kept": Variant("R4", "I5", "no TWIN clause"),
        "any_time": Variant("R4", "I3", "TWIN whenever it was created: a person's copy is deleted"),
        "alone_is_delivered": Variant("R4", "I5", "a token that is alone in the list is the delivered one, unasked"),
        "oldest_kept": Variant("R4", "I3", "TWIN keeps the oldest, not the one that the DONE names"),
    }

    def start(self):
        return World(True, "posting", 0, 0, (), None, None, 1, False, 1, False)

    def steps(self, s):
        yield from getattr(self, s.at)(s)
        if s.inside and s.at not in ("posting", "waiting"):
            yield "!the window is over", s._replace(inside=False)
        if s.net:
            made = s.tokens + (Token("POST", s.inside, True),)
            yield "API creates", s._replace(net=s.net - 1, tokens=made)
        if s.sent and s.repeats:
            yield "!the gateway sends it once more", s._replace(repeats=0, net=s.net + 1)
        if s.decided not in (None, CLOSED) and not s.inside and not s.copied:
            yield ("!a person copies the description",
                   s._replace(copied=True, tokens=s.tokens + (Token("person", False, True),)))
        if s.decided not in (None, CLOSED) and not s.revoked:
            yield "!the delivered token is revoked", self.delete(s, s.decided)._replace(revoked=True)
        for i, token in enumerate(s.tokens):
            if token.lives and self.may_delete(s, i, token):
                yield f"sweep deletes token {i}", self.delete(s, i)

    def delete(self, s, i):
        return s._replace(tokens=put(s.tokens, i, s.tokens[i]._replace(lives=False)))

    def posting(self, s):
        yield "POST", s._replace(at="waiting", sent=1, net=1)

    def waiting(self, s):
        for i, token in enumerate(s.tokens):
            if token.maker == "POST":
                yield f"answer: token {i}", s._replace(at="string", string=i)
        yield "no answer", s._replace(at="ended")
        if s.broken:
            yield from self.connection_dies(s._replace(broken=0))

    def connection_dies(self, s):
        """Before a byte of the answer; or the answer is a redirect. The request may have been read, or not."""
        unread = s._replace(net=s.net - 1) if s.net else None
        for n, read in ((s, "read"), (unread, "not read")):
            if n is None:
                continue
            if self.variant in ("resends", "follows"):
                yield f"connection dies, request {read}; sent again", n._replace(sent=n.sent + 1, net=n.net + 1)
            elif self.variant == "dead_is_unsent":
                yield f"connection dies, request {read}; taken for not sent", n._replace(at="unsent")
            else:
                yield f"connection dies, request {read}; unknown", n._replace(at="ended")

    def string(self, s):
        yield "DONE committed", s._replace(at="over", decided=s.string)
        yield "assignment lost, the successor closes it", s._replace(at="over", decided=CLOSED)

    def ended(self, s):
        yield "closure committed", s._replace(at="over", decided=CLOSED)

    def unsent(self, s):
        yield "over, and not in closed[]", s._replace(at="over")

    def over(self, s):
        return ()

    def may_delete(self, s, i, token):
        if s.decided in (None, CLOSED):
            return s.decided == CLOSED
        if self.variant == "alone_is_delivered" and sum(t.lives for t in s.tokens) == 1:
            return False
        named = 0 if self.variant == "oldest_kept" else s.decided
        if i == named or self.variant == "twins_kept":
            return False
        return token.inside or self.variant == "any_time"

    def wrong(self, s, resting):
        if s.sent > 1:
            yield "I4 one uuid was sent twice"
        for i, token in enumerate(s.tokens):
            if not token.lives and i == s.decided and not s.revoked:
                yield "I3 the delivered token was deleted"
            if not token.lives and token.maker == "person":
                yield "I3 a person's token was deleted"
            # What a gateway makes after the window of a delivered attempt stays, and is counted: a residual.
            residual = not token.inside and s.decided not in (None, CLOSED)
            if resting and s.at == "over" and token.lives and i != s.decided and not residual:
                yield "I5 an orphan"
