# SPDX-License-Identifier: Apache-2.0
"""The floor: what the absence of an entry proves.

A request is answered at time 0, or never begun. Its bytes come again at any time, to the process that answered or to
one that has restored since: the journal's record may have expired, be lost, or have left the index. The clocks of the
two processes and of the broker at append and at deletion are ahead of true time by up to one skew, each by its own;
the requester's is what its deadline says. R11's question is here, too: from when on is an empty journal believed?
"""
import itertools
from collections import namedtuple

from explore import Holds, Model, Variant

# ahead: what each clock shows more than true time. expires: when the broker may delete the record; None: none was
# written. stored, indexed: the journal has the record, the first process its entry. floor: of the first process.
World = namedtuple(
    "World", "time first_ahead second_ahead deleter_ahead deadline expires stored indexed floor lost bad")
WINDOW, LONGEST, SKEW, UNTIL = 10, 2, 1, 17
NEVER = -99


class Floor(Model):
    holds = {**Model.holds, "leaves_early": Holds("an entry leaves the index early, and raises the floor")}
    broken = {
        "two_skews": Variant("floor", "I2", "floor = now - W + longest deadline + 2 x skew"),
        "three_skews": Variant("floor", "I2", "floor = now - W + longest deadline + 3 x skew"),
        "no_window": Variant("floor", "I2", "no floor follows from W"),
        "leaves_silently": Variant("floor", "I2", "an entry leaves the index and does not raise the floor"),
        "deadline_first": Variant("floor", "I2", "NOT_STARTED is asked before PAST_WINDOW"),
        "floor_is_now": Variant("floor", "N", "whatever is over gets PAST_WINDOW"),
        "empty_after_w_1": Variant("R11", "N", "an empty journal is believed from W - 1 x skew on"),
        "empty_after_w_3": Variant("R11", "I2", "an empty journal is believed from W - 3 x skew on"),
    }

    def start(self):
        return None

    def steps(self, s):
        if s is None:
            yield from self.beginnings()
            return
        if s.bad:
            return
        if s.time < UNTIL:
            yield "time goes on", s._replace(time=s.time + 1)
        if s.stored and s.time + s.deleter_ahead >= s.expires:
            yield "the record expires", s._replace(stored=False)
        if s.stored:
            yield "!the journal is lost", s._replace(stored=False, lost=True)
        now = s.time + s.first_ahead
        if s.indexed and (now >= s.deadline + SKEW or self.variant == "leaves_early"):
            raised = s.floor if self.variant == "leaves_silently" else max(s.floor, s.deadline + SKEW)
            yield "its entry leaves the index", s._replace(indexed=False, floor=raised)
        if not s.indexed:
            yield from self.asked(s, "the first process", now, s.floor)
        now = s.time + s.second_ahead
        if not s.stored:
            if s.expires is not None and not self.believes_empty(now, s.first_ahead):
                if not s.lost:
                    yield "restore: closed", s._replace(bad="N closed, and nothing was lost")
            else:
                yield from self.asked(s, "a restored process", now, NEVER)

    def beginnings(self):
        """Whatever clocks there are, and deadlines that a requester may choose whose clock is up to a skew ahead."""
        for first, second, append, deleter in itertools.product(range(SKEW + 1), repeat=4):
            for deadline in range(first, first + SKEW + LONGEST + 1):
                for began in (True, False):
                    expires = append + WINDOW if began else None
                    yield (f"{'answered' if began else 'never begun'}, clocks {first}{second}{append}{deleter},"
                           f" deadline {deadline}",
                           World(0, first, second, deleter, deadline, expires, began, began, NEVER, False, None))

    def believes_empty(self, now, committed):
        skews = {"empty_after_w_1": 1, "empty_after_w_3": 3}.get(self.variant, 2)
        return now >= committed + WINDOW - skews * SKEW

    def asked(self, s, who, now, raised):
        """Its bytes come, and there is no entry."""
        skews = {"two_skews": 2, "three_skews": 3}.get(self.variant, 4)
        floor = max(raised, now - WINDOW + LONGEST + skews * SKEW)
        if self.variant == "no_window":
            floor = raised
        if self.variant == "floor_is_now":
            floor = now + SKEW
        past, over = s.deadline + SKEW <= floor, now > s.deadline
        if self.variant == "deadline_first" and over:
            past = False
        answer = "PAST_WINDOW" if past else "NOT_STARTED" if over else "a new token"
        if s.expires is not None and not past:
            yield f"again to {who}: {answer}", s._replace(bad=f"I2 it was answered, and gets {answer}")
        if s.expires is None and past and now - s.deadline <= WINDOW - LONGEST - 6 * SKEW + 1:
            yield f"backlog to {who}: {answer}", s._replace(bad="N PAST_WINDOW for what certainly was never begun")

    def wrong(self, s, resting):
        if s and s.bad:
            yield s.bad
