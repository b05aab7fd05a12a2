# SPDX-License-Identifier: Apache-2.0
"""What a seed means: what is asked, what goes wrong at the API, and what is done to whom, in which order.

Three scripts, each with dice of its own, so that a change of one does not disturb the others:

    steps(seed, requests)         what is written to the request topic, record by record
    faults(seed)                  what the Management API does wrong, as rules of tests/sandbox
    acts(seed, kills, others)     what happens to brokers and instances, one after the other

The seed decides what happens, not when to the millisecond: schedulers and brokers have dice of their own.
"""

import dataclasses
import random
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POINTS = re.findall(r'^\tROW\("([a-z-]+)",', (ROOT / "service" / "base" / "chaos.h").read_text(), re.M)

DURATIONS = {
    name: int(ms)
    for name, ms in re.findall(
        r"^\tROW\((\w+), +(\d+), (?:FIXED|API)", (ROOT / "service" / "base" / "durations.h").read_text(), re.M
    )
}

PRINCIPALS = ("telemetry", "billing")
# name -> how often it is asked for. dark: nobody listens; blind: it cuts descriptions; rough: mostly fails.
CLUSTERS = {"prod": 60, "edge": 30, "rough": 8, "dark": 1.5, "blind": 0.5}


def dice(seed, what):
    return random.Random(f"{seed}/{what}")


# ---- what is asked -------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Step:
    """One record of the request topic. Its index stands in the record's header chaos-step."""

    index: int
    kind: str  # create, repeat, conflict, outcome, revoke, or a poison
    principal: str
    request: str  # the request ID
    of: int = -1  # the step whose bytes or ID are used again
    cluster: str = "prod"
    life_s: int = 300
    databases: tuple = ()
    denied: bool = False


POISONS = ("junk", "empty", "bad-key", "bad-signature", "unknown-key", "wrong-partition", "wrong-principal")
SHARES = {"repeat": 0.05, "conflict": 0.01, "poison": 0.01, "outcome": 0.02, "revoke": 0.02}


def create(r, index, number):
    cluster = r.choices(list(CLUSTERS), CLUSTERS.values())[0]
    life_s = 20 if cluster in ("dark", "blind") else r.choices((300, 120, r.randint(15, 40)), (70, 20, 10))[0]
    return Step(
        index,
        "create",
        r.choice(PRINCIPALS),
        f"r-{number:05}",
        cluster=cluster,
        life_s=life_s,
        databases=tuple(f"mydb{n}" for n in sorted(r.sample(range(50), r.randint(1, 4)))),
        denied=r.random() < 0.02,
    )


def on_top(r, kind, of, index):
    """What is written beside a CreateToken, under its ID."""
    life_s = r.choice((30, 300))
    databases = ("mydb0", "conflict")
    return Step(index, kind, of.principal, of.request, of.index, of.cluster, life_s, databases)


def steps(seed, requests):
    """requests CreateTokens of their own, and what comes on top of them; at the end each poison once."""
    r, made, creates = dice(seed, "traffic"), [], []
    for number in range(requests):
        made.append(create(r, len(made), number))
        creates.append(made[-1])
        for kind, share in SHARES.items():
            if r.random() >= share:
                continue
            # Half of them come close behind, while the request is in flight; half at any later time.
            of = creates[-min(len(creates), r.randint(1, 8))] if r.random() < 0.5 else r.choice(creates)
            made.append(on_top(r, r.choice(POISONS) if kind == "poison" else kind, of, len(made)))
    for kind in POISONS:
        made.append(on_top(r, kind, r.choice(creates), len(made)))
    return made


# ---- what goes wrong at the API ------------------------------------------------------------------------------------


def faults(cluster_ids):
    """The rules, in order; the sandbox's --seed is the run's. The first that matches acts, each by its own dice."""
    rough = {"operation": "create", "cluster": cluster_ids["rough"], "times": -1}
    create, listing, delete = (
        {"operation": operation, "times": -1} for operation in ("create", "list", "delete")
    )
    return [
        {"fault": "truncate_description", "cluster": cluster_ids["blind"], "times": -1},
        {**rough, "fault": "cut", "commit": True, "probability": 0.3},
        {**rough, "fault": "error", "status": 503, "commit": False, "probability": 0.4},
        # a POST: never done
        {**create, "fault": "cut", "commit": False, "probability": 0.02},
        {**create, "fault": "reset", "commit": False, "probability": 0.01},
        {**create, "fault": "throttle", "retry_after": "1", "probability": 0.02},
        {**create, "fault": "error", "status": 500, "commit": False, "probability": 0.01},
        {**create, "fault": "error", "status": 400, "commit": False, "probability": 0.004},
        {**create, "fault": "error", "status": 401, "commit": False, "probability": 0.004},
        {**create, "fault": "error", "status": 404, "commit": False, "probability": 0.004},
        {**create, "fault": "error", "status": 409, "commit": False, "probability": 0.006},
        {**create, "fault": "error", "status": 302, "location": "/elsewhere", "commit": False, "probability": 0.003},
        # done, and the answer is lost or spoilt
        {**create, "fault": "cut", "commit": True, "probability": 0.02},
        {**create, "fault": "cut", "at": "headers", "commit": True, "probability": 0.005},
        {**create, "fault": "cut", "mid_body": True, "commit": True, "probability": 0.01},
        {**create, "fault": "reset", "commit": True, "probability": 0.01},
        {**create, "fault": "error", "status": 500, "commit": True, "probability": 0.01},
        {**create, "fault": "error", "status": 409, "commit": True, "probability": 0.004},
        {**create, "fault": "throttle", "commit": True, "probability": 0.003},
        {**create, "fault": "bad_json", "probability": 0.005},
        {**create, "fault": "wrong_type", "shape": "html", "status": 502, "probability": 0.005},
        {**create, "fault": "wrong_type", "shape": "empty", "probability": 0.003},
        {**create, "fault": "missing_token", "probability": 0.005},
        # done twice, or late, or not to be seen for a while
        {**create, "fault": "twice", "probability": 0.01},
        {**create, "fault": "twice", "late_ms": 3000, "probability": 0.005},
        {**create, "fault": "twice", "late_ms": 45000, "probability": 0.003},
        {**create, "fault": "late", "late_ms": 2000, "probability": 0.01},
        {**create, "fault": "late", "late_ms": 20000, "probability": 0.005},
        {**create, "fault": "late", "late_ms": 45000, "probability": 0.003},
        {**create, "fault": "cut", "commit": True, "lag_ms": 20000, "probability": 0.01},
        {**create, "fault": "lag", "lag_ms": 5000, "probability": 0.01},
        {**create, "fault": "delay", "delay_ms": 1500, "probability": 0.03},
        {**create, "fault": "delay", "delay_ms": 17000, "probability": 0.002},
        # looking and deleting
        {**listing, "fault": "error", "status": 500, "probability": 0.05},
        {**listing, "fault": "bad_json", "probability": 0.03},
        {**listing, "fault": "cut", "mid_body": True, "probability": 0.03},
        {**listing, "fault": "leave_out", "omit": "tokend/1", "probability": 0.05},
        {**listing, "fault": "delay", "delay_ms": 2000, "probability": 0.03},
        {**delete, "fault": "error", "status": 500, "commit": False, "probability": 0.08},
        {**delete, "fault": "cut", "commit": False, "probability": 0.05},
        {**delete, "fault": "cut", "commit": True, "probability": 0.05},
        {**delete, "fault": "late", "late_ms": 2000, "probability": 0.03},
    ]


# ---- what happens to brokers and instances -------------------------------------------------------------------------

# How often each happens beside a kill.
OTHERS = {
    "plant": 0.05,
    "takeover": 0.05,
    "stop": 0.12,
    "halt": 0.03,
    "broker-kill": 0.06,
    "broker-stop": 0.05,
    "storm": 0.05,
    "back-again": 0.06,
}
FEW = {"broker-kill": 0, "plant": 0}  # of a short run: one each
# stopped there, it holds something that it may use only if it asks again: a lease, a string, a commit.
STOPS = ("intent-committed", "post-answered", "done-written", "done-committing")


@dataclasses.dataclass
class Act:
    kind: str  # kill, or one of OTHERS
    pause_s: float  # a kill: before the instance is started again; a stop: how long it lasts
    order: str = ""  # what the instance is armed with that is started next: TOKEND_CHAOS
    overlap: bool = False  # the next act does not wait for the takeover


def acts(seed, kills, others):
    r, made = dice(seed, "acts"), []
    points = [(p, r.randint(1, 3)) for p in POINTS]
    r.shuffle(points)
    while len(points) < kills:
        points += [(p, r.randint(1, 6)) for p in r.sample(POINTS, len(POINTS))]
    for n in range(kills):
        name, count = points[n]
        order = f"stop:{r.choice(STOPS)}:{count}" if r.random() < 0.12 else f"kill:{name}:{count}"
        made.append(Act("kill", r.choice((0, 0, 1, 3, 14)), order, r.random() < 0.3))
    for kind, share in others.items():
        for _ in range(max(1, round(kills * share))):
            pause_s = {"stop": r.uniform(12, 26), "broker-stop": r.uniform(2, 13)}.get(kind, r.uniform(0, 4))
            order = f"stop:{r.choice(STOPS)}:{r.randint(1, 4)}" if kind == "halt" else ""
            made.insert(r.randint(1, len(made)), Act(kind, pause_s, order))
    return made


# ---- faults aimed at one rule --------------------------------------------------------------------------------------


@dataclasses.dataclass
class Aim:
    """What makes a rule's absence show: the invariant that breaks, and what is done for it."""

    breaks: str
    acts: list
    faults: list = dataclasses.field(default_factory=list)  # before the common ones
    alone: bool = False  # nothing else goes wrong at the API


def aims():
    """Rule -> its Aim. README.md says why each of them shows."""
    create = {"operation": "create", "times": -1}
    kills = [Act("kill", 0) for _ in range(3)]
    return {
        "R1": Aim("I1", [Act("halt", 4, f"stop:post-answered:{n}") for n in (2, 5, 3, 8)], alone=True),
        "R2": Aim("I12", [Act("halt", 1, f"stop:done-written:{n}") for n in (2, 5, 3, 8)], alone=True),
        "R3": Aim("I6", [Act("halt", 12, f"stop:intent-committed:{n}") for n in (2, 5, 3)], alone=True),
        "R4": Aim("I3", [Act(kind, 0) for kind in ("plant", "kill") * 3]),
        "R5": Aim("I1", [Act("broker-stop", 2) for _ in range(16)], alone=True),
        "R7": Aim("I4", kills, [{**create, "fault": "cut", "commit": True, "probability": 0.3}], alone=True),
        "R8": Aim("I2", kills),
        "R10": Aim("I11", kills, [{**create, "description": "create 7", "fault": "error", "status": 503}], alone=True),
        "R11": Aim("I12", [Act("cut-journal", 0), *kills], alone=True),
    }
