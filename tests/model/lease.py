# SPDX-License-Identifier: Apache-2.0
"""The lease (R3): a process that was stopped does not send what it was about to send.

A has its INTENT queued; it may be stopped at any point, which is nothing but time going by between two of its steps. B
takes over whenever it likes, closes the attempt, and sweeps until the last sweep. Time is coarse: inside the lease;
after it; after B's last sweep. A POST that has left arrives before time goes on (what a gateway delays is sweep.py's).
"""
from collections import namedtuple

from explore import Model, Variant

INSIDE, AFTER, SWEPT = range(3)
# time: since the moment before the commit. age: what A's clock makes of it.
World = namedtuple("World", "time age a taken sent_late net token closed")


class Lease(Model):
    broken = {
        "none": Variant("R3", "I6", "there is no lease"),
        "none_orphan": Variant("R3", "I5", "there is no lease: the token comes after the last sweep"),
        "from_acknowledgement": Variant("R3", "I6", "counted from the acknowledgement, which may have lain unread"),
        "clock_sleeps": Variant("R3", "I6", "counted by a clock that stops while the machine sleeps"),
        "stopped_after_check": Variant("R3", "I6", "RESIDUAL: stopped between the check and the send"),
    }

    def start(self):
        return World(INSIDE, 0, "queued", False, False, False, False, False)

    def steps(self, s):
        if s.time < SWEPT and not s.net:
            yield "time goes on", s._replace(time=s.time + 1, age=s.age + (s.a != "queued"))
            if self.variant == "clock_sleeps":
                yield "time goes on while the machine sleeps", s._replace(time=s.time + 1)
        if not s.taken:
            yield "B takes over", s._replace(taken=True)
        if s.taken and not s.closed and s.a != "queued":
            yield "B commits the closure", s._replace(closed=True)
        yield from getattr(self, s.a)(s)
        if s.net:
            yield "API creates", s._replace(net=False, token=True)
        if s.token and s.closed and s.time < SWEPT:
            yield "B sweeps the token", s._replace(token=False)

    def queued(self, s):
        if not s.taken:
            yield "A: commits INTENT", s._replace(a="committed", time=INSIDE, age=0)

    def committed(self, s):
        age = 0 if self.variant == "from_acknowledgement" else s.age
        yield "A: INTENT acknowledged", s._replace(a="acknowledged", age=age)

    def acknowledged(self, s):
        if s.age == 0 or self.variant.startswith("none"):
            if self.variant == "stopped_after_check":
                yield "A: lease is good", s._replace(a="checked")
            else:
                yield from self.checked(s)
        else:
            yield "A: lease is over, not sent", s._replace(a="ended")

    def checked(self, s):
        yield "A: POST", s._replace(a="sent", net=True, sent_late=s.time > INSIDE)

    def sent(self, s):
        if s.token and not s.taken:
            yield "A: delivers", s._replace(token=False, a="ended")
        if not s.net:
            yield "A: ends without delivering", s._replace(a="ended")

    def ended(self, s):
        return ()

    def wrong(self, s, resting):
        if s.sent_late:
            yield "I6 a POST after the lease"
        if s.time == SWEPT and s.token and s.sent_late and s.closed:
            yield "I5 an orphan after the last sweep"
