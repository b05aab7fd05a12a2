# SPDX-License-Identifier: Apache-2.0
"""The requesters of a run: they write what the plan says, at the pace that the director allows.

The request topic itself remembers what was written: each record carries its step's number in a header, which tokend
does not look at. So a run that goes on after an interruption writes nothing twice, and takes the bytes of a repeat from
where the first ones lie.
"""

import dataclasses
import threading
import time

from confluent_kafka import Producer

from place import PARTITIONS, SERVICE
from requester import Request, Requester, first, home

STEP_HEADER = "chaos-step"


class Author(Requester):
    """A requester that only writes."""

    def __init__(self, principal):
        self.me, self.service_id = principal, SERVICE


def flipped(signature):
    return (b"B" if signature[:1] == b"A" else b"A") + signature[1:]


class Traffic(threading.Thread):
    def __init__(self, place, steps):
        super().__init__(daemon=True)
        self.steps, self.principals = steps, place.principals
        self.authors = {name: Author(p) for name, p in place.principals.items()}
        self.written = {}  # step -> Request
        self.allowed, self.gap_s, self.failed = 0, 0.01, None
        self.changed = threading.Condition()
        self.producer = Producer({**place.kafka, "enable.idempotence": True, "linger.ms": 2})

    def remember(self, records):
        """What an earlier life of this run has written."""
        for m in records:
            step = self.steps[int(first(m.headers(), STEP_HEADER))]
            self.written[step.index] = Request(
                "",
                None,
                m.value(),
                m.key(),
                b"",
                b"",
                [(k, v) for k, v in m.headers() or () if k != STEP_HEADER],
            )

    def go(self, until, within_s):
        """Write up to that step, spread over that time."""
        with self.changed:
            left = until - self.allowed
            self.allowed = max(self.allowed, until)
            self.gap_s = within_s / left if left > 0 else 0.01
            self.changed.notify()

    @property
    def n_written(self):
        return len(self.written)

    def finish(self, within_s=120):
        """All is allowed; wait until it is at the broker."""
        self.go(len(self.steps), 1)
        self.join(within_s)
        assert not self.is_alive() and self.failed is None, f"the traffic did not end: {self.failed}"

    def run(self):
        for step in self.steps:
            if step.index in self.written:
                continue
            with self.changed:
                while step.index >= self.allowed:
                    self.changed.wait()
                gap_s = self.gap_s
            self.write(step)
            self.producer.poll(0)
            time.sleep(gap_s)
        while self.producer.flush(1) > 0:
            pass

    def write(self, step):
        request = self.make(step)
        self.written[step.index] = request
        where = home(request.key or b"", PARTITIONS)
        if step.kind == "wrong-partition":
            where = (where + 1) % PARTITIONS

        def delivered(error, _):
            if error is not None:
                self.failed = error

        self.producer.produce(
            f"{SERVICE}.requests",
            value=request.body,
            key=request.key,
            partition=where,
            headers=request.headers + [(STEP_HEADER, b"%d" % step.index)],
            on_delivery=delivered,
        )

    # -- the kinds of steps ------------------------------------------------------------------------------------------

    def make(self, step):
        author = self.authors[step.principal]
        if step.kind in ("create", "conflict"):
            return self.create(step, author)
        if step.kind == "repeat":
            return self.written[step.of]
        if step.kind == "outcome":
            return author.other("GetOutcome", step.request, step.life_s)
        if step.kind == "revoke":
            return author.other("RevokeToken", step.request, step.life_s)
        return self.poison(step, author)

    @staticmethod
    def create(step, author):
        return author.create(
            f"{step.kind} {step.index}",
            read=("secret",) if step.denied else step.databases,
            write=step.databases[:1] if not step.denied else (),
            request_id=step.request,
            cluster=step.cluster,
            life_s=step.life_s,
        )

    def poison(self, step, author):
        """Under an ID that is in use where it can be, so that it could do harm."""
        fresh = self.create(dataclasses.replace(step, kind="poison", cluster="prod"), author)
        if step.kind == "junk":
            return fresh.changed(body=b"\x0a\xff\xff\xff\xff\x7fjunk" + bytes([step.index % 256]))
        if step.kind == "empty":
            return fresh.changed(body=None)
        if step.kind == "bad-key":
            return fresh.changed(key=b"no request id!")
        if step.kind == "bad-signature":
            return fresh.changed(signature=flipped(fresh.signature))
        if step.kind == "unknown-key":
            return fresh.changed(key_id=b"nobody-1")
        if step.kind == "wrong-principal":
            other = next(p for name, p in self.principals.items() if name != step.principal)
            return author.sign("CreateToken", fresh.message, other.signing_key, other.key_id)
        return fresh
