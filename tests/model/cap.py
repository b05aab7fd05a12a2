# SPDX-License-Identifier: Apache-2.0
"""The cap (R10) is counted from the journal, of which compaction leaves the last record only.

One process, killed, or handing over cleanly, and started anew. What it knows of earlier attempts is what the last
record says: their fates in closed[], and whether it leaves one open. Two attempts of unknown fate are the cap here.
"""
from collections import namedtuple

from explore import Model, Variant

# last: fates in the last record's closed[], None: no record. open: it leaves an attempt open. fates: what the process
# knows. unknown: how many attempts truly are of unknown fate.
World = namedtuple("World", "last open at fates unknown kills handovers ended attempts")
UNKNOWN, REFUSED = "unknown", "refused"
MOST_ATTEMPTS = 5


class Cap(Model):
    broken = {
        "no_cap": Variant("R10", "I11", "there is no cap"),
        "in_memory": Variant("R10", "I11", "counted in memory"),
        "no_fates": Variant("R10", "N", "closed[] has no fates: every entry counts"),
        "last_fate": Variant("R10", "I11", "only the last attempt's fate is in the record"),
        "open_handover": Variant("R10", "N", "a clean hand-over leaves the INTENT open"),
        "open_not_unknown": Variant("R10", "I11", "an INTENT that is found open does not count"),
    }
    bounded = dict(cap=2, kills=3, handovers=3)
    exhaustive = dict(cap=3, kills=4, handovers=4)

    def start(self):
        return World(None, False, "ready", (), 0, self.most.kills, self.most.handovers, False, 0)

    def steps(self, s):
        if s.ended:
            return
        if s.kills:
            yield "!kill", s._replace(kills=s.kills - 1, at="ready", fates=self.restored(s.last, s.open),
                                      unknown=s.unknown + (s.at in ("posting", "waiting")))
        if s.handovers and s.last is not None and s.at in ("ready", "posting"):       # posting: certainly not sent
            last, still_open = (s.last, s.open) if self.variant == "open_handover" else (s.fates, False)
            yield "!hand-over", s._replace(handovers=s.handovers - 1, at="ready", last=last, open=still_open,
                                           fates=self.restored(last, still_open))
        if s.at == "ready" and self.count(s.fates) >= self.most.cap and self.variant != "no_cap":
            yield "DONE(UPSTREAM_AMBIGUOUS)", s._replace(ended=True)
        elif s.at == "ready" and s.attempts < MOST_ATTEMPTS:
            yield "INTENT", s._replace(at="posting", last=s.fates, open=True, attempts=s.attempts + 1)
        elif s.at == "posting":
            yield "POST", s._replace(at="waiting")
        elif s.at == "waiting":
            yield "no answer", s._replace(at="ready", fates=s.fates + (UNKNOWN,), unknown=s.unknown + 1)
            yield "429", s._replace(at="ready", fates=s.fates + (REFUSED,))

    def restored(self, last, still_open):
        if last is None or self.variant == "in_memory":
            return ()
        if self.variant == "last_fate":
            last = last[-1:]
        return last + (UNKNOWN,) if still_open and self.variant != "open_not_unknown" else last

    def count(self, fates):
        return len(fates) if self.variant == "no_fates" else fates.count(UNKNOWN)

    def wrong(self, s, resting):
        if s.unknown > self.most.cap:
            yield "I11 more attempts of unknown fate than the cap"
        # A kill takes a fate with it, which counts as unknown then. Without a kill only unknown ones may count.
        if s.ended and s.kills == self.most.kills and s.unknown < self.most.cap:
            yield "N ended by the cap, and fewer attempts than that are of unknown fate"
