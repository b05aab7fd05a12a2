# SPDX-License-Identifier: Apache-2.0
"""The explorer: every interleaving of a model, breadth first.

A model is a state, the steps that lead on from it, and what must never be true. A state is a tuple of tuples, so
that it can be found again in a set; a step is a label and the state behind it. Breadth first, so the first
violation that is met has the shortest trace. Nothing but the states themselves is kept: a trace's labels are
found by walking its steps once more.

Steps whose label begins with "!" are what the world may do and need not: rebalances, kills, faults. A state from
which only such steps lead on is at rest: whatever was promised must be true there, for nobody will do anything
any more. It is not a checker of liveness: a loop that goes round for ever without resting is not seen.
"""
import collections
import types

MOST_STATES = 30_000_000

Variant = collections.namedtuple("Variant", "rule violates what bounds", defaults=({},))
"""A protocol that is broken in one place: the rule that is broken there, the invariant that must be violated, the
break in words, and bounds of its own (a violation needs fewer faults than proof that there is none)."""

Holds = collections.namedtuple("Holds", "what bounds slow", defaults=({}, False))
"""Another protocol that must hold. slow: only when exhaustive."""

Result = collections.namedtuple("Result", "states violated trace")


class Model:
    """One model. holds: variants of the protocol that must hold, "base" is the protocol itself. bounded: small bounds,
    for each run of the tests; exhaustive: what one is ready to wait for. enough: what suffices to see most breaks."""

    holds = {"base": Holds("the protocol")}
    broken = {}
    bounded = {}
    exhaustive = {}
    enough = {}

    def __init__(self, variant="base", **bounds):
        self.variant = variant
        self.most = types.SimpleNamespace(**bounds)

    def start(self):
        raise NotImplementedError

    def steps(self, s):
        """Yields (label, state)."""
        raise NotImplementedError

    def wrong(self, s, resting):
        """Yields what is wrong in state s: "I3 ...", the invariant's name first."""
        raise NotImplementedError


def explore(model, until=None, progress=None):
    """Until that invariant ("I3") is violated, or, if until is None, any; or to the end. progress(states, waiting)
    is called now and then."""
    start = model.start()
    came_from = {start: None}
    queue = collections.deque([start])
    steps, wrong = model.steps, model.wrong
    others = None
    while queue:
        s = queue.popleft()
        resting = True
        new = []
        for label, n in steps(s):
            if label[0] != "!":
                resting = False
            if n not in came_from:
                came_from[n] = s
                new.append(n)
        for violated in wrong(s, resting):
            if until is None or violated.split()[0] == until:
                return Result(len(came_from), violated, trace(model, came_from, s))
            others = others or Result(0, violated, trace(model, came_from, s))
        queue.extend(new)
        if progress and len(came_from) // 250_000 != (len(came_from) - len(new)) // 250_000:
            progress(len(came_from), len(queue))
        if len(came_from) > MOST_STATES:
            return Result(len(came_from), f"more than {MOST_STATES} states", [])
    return others._replace(states=len(came_from)) if others else Result(len(came_from), None, [])


def trace(model, came_from, s):
    """The labels of the shortest way to s."""
    labels = []
    while (before := came_from[s]) is not None:
        labels.append(next(label for label, n in model.steps(before) if n == s))
        s = before
    return labels[::-1]


# ---- tuples ---------------------------------------------------------------------------------------------------------


def put(t, i, value):
    """t with another value at i."""
    return t[:i] + (value,) + t[i + 1:]


def less(t, value):
    """t without one of these."""
    i = t.index(value)
    return t[:i] + t[i + 1:]


def more(t, *values):
    """A set: t and these, each once, in order."""
    return tuple(sorted({*t, *values}))


def bag(t, *values):
    """A bag: t and these, in order."""
    return tuple(sorted(t + values))
