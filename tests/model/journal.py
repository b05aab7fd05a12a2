# SPDX-License-Identifier: Apache-2.0
"""A journal that went backwards (R11).

One process at a time; a transaction {offset and metadata, journal record, reply} is committed at once, or aborted with
or without its delivery reports; its marker takes an offset of the journal. What may happen to Kafka's memory meanwhile:
the journal loses its last records (at rest, under a living process, between a delivery and its marker), is made anew,
expires while nothing happens, or comes back with what had expired; the group's offsets expire; the request topic is
made anew or its start moves on. An operator may accept the loss. Time is coarse: past W, or not; floor.py has the rest.

What no rule can see, since no trace of it exists, is left out: a journal that is cut or made anew while no committed
offset exists.
"""
from collections import namedtuple

from explore import Model, Variant

# log: the request topic, from `start` on. high: the journal's end. idle: 0; 1: past W since the last commit; 2: and the
# group's offsets are gone. lost: something was. refused: the key of request a left the policy. gone: a journal that
# expired, and its end. worked: something was done on a journal that went backwards. accepted: accept-loss was the last.
World = namedtuple("World", "log start journal high committed process faults kills aborts replies idle lost refused"
                   " gone worked accepted bad")
Sent = namedtuple("Sent", "request issued digest")
# at: its offset. key: of a request, "#offset" or "#loss". marker: its transaction's, None: aborted. era: tells two
# records at the same offset apart, to nobody but the checks. attempt: of an INTENT; in #loss the id that it replaces.
Entry = namedtuple("Entry", "at id key record digest state attempt seq marker era")
# position and metadata; of: what record seq speaks of (for the checks).
Committed = namedtuple("Committed", "position id seq idle of")
# last: the last known offset of the journal. answered: record -> (digest, before the loss). requests: key -> Request.
Process = namedtuple("Process", "id last position answered requests loss seq")
Request = namedtuple("Request", "state attempt record before digest")
Reply = namedtuple("Reply", "record digest request kind attempt")

CLOSED = "closed"
NEVER_BEGUN = Request(None, None, None, None, None)
LOSS_AT, SKEW = 0, 1            # request b was stamped by a clock that is ahead by the skew


class Journal(Model):
    broken = {
        "high_watermark": Variant("R11", "I2", "the journal's end is asked, not seq: aborted records raise it"),
        "no_seq": Variant("R11", "I2", "seq is not compared"),
        "seq_less_one": Variant("R11", "I3", "closed only when the last seq is smaller by two"),
        "seq_equal": Variant("R11", "N", "closed when the two are equal, too"),
        "seq_of_before": Variant("R11", "I3", "the metadata tell the seq of the transaction before"),
        "seq_from_0": Variant("R11", "I12", "seq begins at 0 again after an empty journal", dict(aborts=1)),
        "aborted_count": Variant("R11", "I2", "the seq of an aborted record counts"),
        "empty_believed": Variant("R11", "I2", "an empty journal is believed at any time"),
        "empty_closes": Variant("R11", "N", "an empty journal is never believed"),
        "empty_is_fresh": Variant("R11", "I1", "an empty journal is a fresh one: begun at the log's start"),
        "last_from_own": Variant("R11", "I2", "the check knows its own deliveries only, not the end at the restore",
                                 dict(faults=1, kills=2)),
        "no_check": Variant("R11", "I2", "delivered offsets are not checked", dict(faults=1, kills=2)),
        "marker_forgotten": Variant("R11", "I3", "the check asks for an offset above the last, no more"),
        "unreported_goes_on": Variant("R11", "I3", "an abort without its reports: the process goes on", dict(aborts=1)),
        "not_adopted": Variant("R11", "I1", "no committed offset: the journal is not read"),
        "offset_alone": Variant("R11", "I1", "what is answered is known by its offset, not by its digest"),
        "no_past_window": Variant("R11", "I2", "after accept-loss nothing gets PAST_WINDOW"),
        "loss_without_skew": Variant("R11", "I2", "after accept-loss, what was issued before its moment, no skew"),
        "loss_old_ids": Variant("R11", "N", "records older than #loss are held to its id"),
        "loss_old_metadata": Variant("R11", "N", "#loss does not forgive the committed metadata"),
        "loss_old_digests": Variant("R11", "N", "after #loss another digest at an older answer's offset still closes"),
        "loss_closes": Variant("R11", "I3", "an INTENT older than #loss is continued, and closed"),
        "open_left": Variant("R11", "I5", "an open INTENT whose record does not come back is left"),
        "open_refused": Variant("R11", "I5", "an open INTENT whose record is refused when read again is left"),
        "open_other": Variant("R11", "I5", "the digest at an open INTENT's offset is not compared"),
    }
    bounded = dict(faults=2, kills=1, aborts=1)
    exhaustive = dict(faults=2, kills=2, aborts=1)
    enough = dict(aborts=0)

    def start(self):
        log = (Sent("a", 0, "d0"), Sent("b", 1, "d1"))
        return World(log, 0, (), 0, None, None, self.most.faults, self.most.kills, self.most.aborts, (), 0, False,
                     False, None, False, 0, None)

    # ---- what the checks know, and nobody else ----

    def went_back(self, s):
        """The record that the committed metadata speak of is gone, and did not expire."""
        c = s.committed
        return c is not None and c.idle == (s.idle > 0) and all((e.at, e.era) != c.of for e in committed(s.journal))

    # ---- what may happen to Kafka's memory ----

    def faults(self, s):
        n = s._replace(faults=s.faults - 1, accepted=0)
        if s.committed:
            for end in ends(s.journal, s.high - 1):
                yield f"!the journal is cut to {end}", n._replace(journal=cut(s.journal, end), high=end, lost=True)
            if s.high:
                yield "!the journal is made anew", n._replace(journal=(), high=0, lost=True)
            if s.gone and s.gone[1] < s.high:
                yield "!a replica that was away leads", n._replace(journal=s.gone[0], high=s.gone[1], lost=True)
        # A living process ends every request by its deadline, long before W.
        busy = isinstance(s.process, Process) and any(r.state != "DONE" for _, r in s.process.requests)
        if not s.idle and (s.journal or s.committed) and not busy:
            idle = 1 if s.committed else 2
            yield "!nothing happens for W", n._replace(journal=(), idle=idle, gone=(s.journal, s.high))
        if s.process is not None:
            return
        if s.committed and not s.lost:
            yield "!the group's offsets expire", n._replace(committed=None, idle=2 * s.idle)
            if s.log[0].request == "a":
                log = (Sent("c", 0, "d8"), Sent("d", 0, "d9"))
                yield "!the request topic is made anew", n._replace(log=log, start=0, committed=None, lost=True)
        if s.start < 1:
            yield "!the request log's start moves on", n._replace(start=1)
        if not s.refused:
            yield "!the key of request a leaves the policy", n._replace(refused=True)

    # ---- restore ----

    def restored(self, s):
        """What the process begins with, or CLOSED; and whether the committed metadata was held against the journal."""
        journal = committed(s.journal)
        losses = [e for e in journal if e.key == "#loss"]
        loss = losses[-1] if losses else None
        position, last, held = s.start, s.high - 2, False
        top = max([e.seq for e in journal] + [0])
        c = s.committed
        if c is None:
            if self.variant == "not_adopted" or not journal:
                return Process(f"id{s.high}", last, position, (), (), False, top), False
            id_ = journal[-1].id
        else:
            forgiven = loss is not None and loss.attempt == c.id and self.variant != "loss_old_metadata"
            position, id_ = c.position, c.id
            if not s.start <= position <= len(s.log):
                if not forgiven:
                    return CLOSED, False
                position = s.start
            if forgiven:
                id_ = loss.id
            else:
                held = True
                if self.behind(s, journal):
                    return CLOSED, False
            if self.variant == "last_from_own":
                last = -2
            if journal or self.variant != "seq_from_0":
                top = max(top, c.seq)
            if self.variant == "empty_is_fresh" and not journal:
                return Process(f"id{s.high}", last, s.start, (), (), False, top), False
        if any(e.id != id_ for e in journal if loss is None or e.at >= loss.at or self.variant == "loss_old_ids"):
            return CLOSED, False
        answered, requests = {}, {}
        for e in journal:
            before = loss is not None and e.at < loss.at
            if e.key != "#loss" and e.state == "DONE" and e.record >= 0:
                answered[e.record] = (e.digest, before)
            if not e.key.startswith("#"):
                state = "open" if e.state == "INTENT" else "DONE"
                requests[e.key] = Request(state, e.attempt, e.record, before, e.digest)
        return Process(id_, last, position, frozen(answered), frozen(requests), loss is not None, top), held

    def behind(self, s, journal):
        """Is the journal older than the committed metadata?"""
        c, idle = s.committed, s.idle > 0
        seqs = [e.seq for e in (s.journal if self.variant == "aborted_count" else journal)]
        if self.variant == "high_watermark":
            return s.high <= c.of[0]
        if self.variant == "no_seq" or self.variant == "empty_believed" and not seqs:
            return False
        if not seqs:
            return c.seq > 0 if self.variant == "empty_closes" else idle <= c.idle
        if self.variant == "seq_less_one":
            return seqs[-1] < c.seq - 1
        return seqs[-1] <= c.seq if self.variant == "seq_equal" else seqs[-1] < c.seq

    # ---- the steps ----

    def steps(self, s):
        if s.bad:
            return
        if s.faults:
            yield from self.faults(s)
        if len(s.log) < 3 and s.log[0].request == "a":
            for sent in s.log[:2]:
                yield f"!{sent.request} is sent again", s._replace(log=s.log + (sent,))
        if s.process is None:
            yield from self.assigned(s)
            return
        if s.kills:
            yield "!kill", s._replace(process=None, kills=s.kills - 1, accepted=0)
        if s.process == CLOSED:
            yield "accept-loss", self.accepts_loss(s)
            return
        if s.aborts:
            yield "!aborted, records in the log, no reports", self.unreported(s)
        strays = [] if self.variant == "open_left" else self.strays(s)
        if strays:
            key, r = strays[0]
            yield from self.transaction(s, f"ends the open {key}", (key, -1, ""), "DONE", -1, None, s.process.position,
                                        r.attempt)
        elif s.process.position < len(s.log):
            yield from self.read(s, s.process, s.process.position)

    def assigned(self, s):
        p, held = self.restored(s)
        if p != CLOSED:
            yield "restored", s._replace(process=p, worked=s.worked or held and self.went_back(s))
            return
        outside = s.committed and not s.start <= s.committed.position <= len(s.log)
        bad = None if s.lost or outside else "N closed, and nothing was lost"
        if s.accepted == 2:
            bad = "N closed for good: accept-loss does not help"
        yield "restored: closed", s._replace(process=CLOSED, bad=bad)

    def accepts_loss(self, s):
        journal = committed(s.journal)
        replaces = s.committed.id if s.committed else journal[-1].id if journal else None
        top = max([e.seq for e in journal] + [0])
        entry = Entry(s.high, f"L{s.high}.{s.faults}", "#loss", -1, "", "DONE", replaces, top + 1, s.high, s.faults)
        return s._replace(journal=s.journal + (entry,), high=s.high + 1, process=None, accepted=2)

    def unreported(self, s):
        entry = Entry(s.high, s.process.id, "#x", -1, "", "DONE", -1, s.process.seq + 1, None, s.faults)
        return s._replace(journal=s.journal + (entry,), high=s.high + 2, aborts=s.aborts - 1,
                          process=s.process if self.variant == "unreported_goes_on" else None)

    def strays(self, s):
        """Open INTENTs whose record lies below where reading begins: nobody will come for them."""
        return [(key, r) for key, r in s.process.requests
                if r.state == "open" and r.record < s.start and (not r.before or self.variant == "loss_closes")]

    def closes(self, s, o):
        """Another record was answered, or begun, at this offset: the request topic is another one."""
        return f"another digest at {o}: closed", s._replace(process=CLOSED)

    def read(self, s, p, o):
        request, issued, digest = s.log[o]
        if o in dict(p.answered):
            known, before = dict(p.answered)[o]
            if known == digest or self.variant == "offset_alone":
                yield f"skips {o}", s._replace(process=p._replace(position=o + 1))
                return
            if not before or self.variant == "loss_old_digests":
                label, n = self.closes(s, o)
                yield label, n._replace(bad="N closed for good: accept-loss does not help" if before else None)
                return
        begun_here = any(r.state == "open" and r.record == o and r.digest != digest and not r.before
                         for _, r in p.requests)
        if begun_here and self.variant != "open_other":
            yield self.closes(s, o)
            return
        r = dict(p.requests).get(request, NEVER_BEGUN)
        if s.refused and request == "a" and r.state != "DONE":
            yield from self.refuse(s, o, r)
            return
        past = s.idle or p.loss and issued <= LOSS_AT + (0 if self.variant == "loss_without_skew" else SKEW)
        if self.variant == "no_past_window":
            past = s.idle
        left_alone = r.state == "open" and r.before and self.variant not in ("loss_closes", "no_past_window")
        if left_alone or r.state is None and past:
            yield from self.answer(s, o, "past", False)
        elif r.state == "DONE":
            yield from self.answer(s, o, "replay", False)
        elif r.state == "INTENT":
            yield from self.answer(s, o, "new", True, r.attempt)
        else:
            yield from self.transaction(s, f"INTENT for {o}", (request, o, digest), "INTENT", (s.high, s.faults),
                                        None, o, r.attempt)

    def refuse(self, s, o, r):
        """About RECORD; an attempt that is open ends with it, in the same transaction."""
        if r.state == "INTENT":
            yield from self.answer(s, o, "new", True, r.attempt)
        else:
            ends = r.state == "open" and r.record == o and not r.before
            ends = ends and self.variant not in ("open_left", "open_refused")
            yield from self.answer(s, o, "refused", ends, closing=r.attempt if ends else None)

    def answer(self, s, o, kind, own, attempt=-1, closing=None):
        """own: under the request's key; else under #offset."""
        request, _, digest = s.log[o]
        key = request if own else f"#{o}"
        yield from self.transaction(s, f"{kind} at {o}", (key, o, digest), "DONE", attempt,
                                    Reply(o, digest, request, kind, attempt), o + 1, closing)

    def transaction(self, s, label, what, state, attempt, reply, position, closing):
        p, seq = s.process, s.process.seq + 1
        key, record, digest = what
        entry = Entry(s.high, p.id, key, record, digest, state, attempt, seq, s.high + 1, s.faults)
        aborted = s._replace(journal=s.journal + (entry._replace(marker=None),), high=s.high + 2)
        if s.high < p.last + (1 if self.variant == "marker_forgotten" else 2) and self.variant != "no_check":
            yield f"{label}: delivered too low, closed", aborted._replace(process=CLOSED)
            return
        known = p._replace(last=max(p.last, s.high))
        if s.aborts:
            aborted = aborted._replace(aborts=s.aborts - 1)
            yield f"{label}: aborted, seq skipped", aborted._replace(process=known._replace(seq=seq))
            yield f"{label}: aborted, seq used again", aborted._replace(process=known)
        answered, requests = dict(p.answered), dict(p.requests)
        if state == "DONE" and record >= 0:
            answered[record] = (digest, False)
        if not key.startswith("#"):
            requests[key] = Request(state, attempt, record, False, digest)
        bad = None
        if closing is not None and any((r.kind, r.request, r.attempt) == ("new", key, closing) for r in s.replies):
            bad = "I3 an attempt that was delivered is closed, and its token deleted"
        seq_told = p.seq if self.variant == "seq_of_before" else seq
        told = Committed(position, p.id, seq_told, s.idle > 0, (s.high, s.faults))
        on_old = s.committed is not None and s.committed.id == p.id and self.went_back(s)
        done = s._replace(
            journal=s.journal + (entry,), high=s.high + 2, committed=told, worked=s.worked or on_old, bad=bad,
            accepted=0, replies=s.replies + ((reply,) if reply else ()),
            process=known._replace(answered=frozen(answered), requests=frozen(requests), position=position, seq=seq))
        yield label, done
        if s.faults:
            for end in ends(done.journal, 0):
                yield f"!{label}; the journal is cut to {end} before the marker", done._replace(
                    journal=cut(s.journal, end), high=end + 1, lost=True, faults=s.faults - 1)

    # ---- what must be true ----

    def wrong(self, s, resting):
        if s.bad:
            yield s.bad
            return
        if s.worked:
            yield "I12 works on a journal that went backwards"
        outcomes = [r.request for r in s.replies if r.kind == "new"]
        if len(outcomes) != len(set(outcomes)):
            yield "I2 a second outcome"
        records = [(r.record, r.digest) for r in s.replies]
        if len(records) != len(set(records)) and not s.lost and s.idle < 2:
            yield "I1 a record answered twice"
        if resting and isinstance(s.process, Process):
            if any((o, s.log[o].digest) not in records for o in range(s.start, len(s.log))):
                yield "I1 a record never answered"
            if any(r.state == "open" and not r.before for _, r in s.process.requests):
                yield "I5 an open attempt that nobody ends"


def committed(journal):
    return [e for e in journal if e.marker is not None]


def frozen(d):
    return tuple(sorted(d.items()))


def ends(journal, also):
    """Where it may be cut."""
    return sorted({e.at for e in journal[-3:]} | ({also} if journal else set()))


def cut(journal, end):
    return tuple(e if e.marker is None or e.marker < end else e._replace(marker=None) for e in journal if e.at < end)
