# SPDX-License-Identifier: Apache-2.0
"""What a run comes to: figures out of the checker, the lives' logs and their metrics, as JSON and as a table.

A figure that a process counted itself is read from what it told last; kill -9 takes half a second of it along.

Takeover: from a kill -9 until every partition that the dead instance held (restored, and not given up since) has been
restored by a later life, in whichever instance. Where something else struck in between (another kill, a stop, the
broker, instances that come and go), the time says nothing of a takeover, and the kill is counted as disturbed.
"""

import collections
import datetime
import re
import statistics
import textwrap

from lives import FENCED, read_log
from plan import POINTS, ROOT

AFTERMATH_S = 30  # what the broker's disasters and others' takeovers may end instances for
GONE = ("gave the partitions up", "the partitions are lost")


def table_of(path, macro):
    """The first column of a closed set's table."""
    rows = (ROOT / path).read_text().split(f"#define {macro}(", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\s+ROW\(([A-Z_0-9]+)", rows, re.M)


CLAUSES = [c.lower() for c in table_of("service/evidence.h", "EVIDENCE_CLAUSES")]
VERDICTS = [v.lower() for v in table_of("workers/job.h", "VERDICTS")]
METRIC = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


def seconds(ts):
    """RFC 3339, as the log has it, as Unix seconds."""
    return datetime.datetime.fromisoformat(ts.replace("Z", "+00:00")).timestamp()


def counters(texts, name):
    """Its values, added up over lives, by labels."""
    found = collections.Counter()
    for text in texts:
        for line in text.splitlines():
            m = METRIC.match(line)
            if m and m[1] == name:
                found[tuple(re.findall(r'="([^"]*)"', m[2] or ""))] += float(m[3])
    return found


# ---- takeovers -----------------------------------------------------------------------------------------------------


def restorations(lives, logs):
    """[(Unix seconds, partition, life number)], in time's order."""
    found = [
        (seconds(line["ts"]), line["partition"], life.number)
        for life in lives
        for line in logs[life.number]
        if line.get("msg") == "restored"
    ]
    return sorted(found)


def held_at_the_end(log):
    held = set()
    for line in log:
        if line.get("msg") in GONE:
            held = set()
        elif line.get("msg") == "restored":
            held.add(line["partition"])
    return held


def takeovers(lives, logs, events):
    """[seconds] of undisturbed ones; and how many were disturbed."""
    restored = restorations(lives, logs)
    strikes = sorted([at for at, _ in events] + [life.ended for life in lives if life.ended])
    took, disturbed = [], 0
    for life in lives:
        if not (life.how == "killed" or life.how.startswith("hit")):
            continue
        held = held_at_the_end(logs[life.number])
        ends = [
            min((at for at, p, n in restored if p == partition and n != life.number and at > life.ended), default=None)
            for partition in held
        ]
        if not held:
            continue
        if None in ends or any(life.ended < at < max(ends) for at in strikes):
            disturbed += 1
        else:
            took.append(max(ends) - life.ended)
    return took, disturbed


# ---- the living ----------------------------------------------------------------------------------------------------


def takeovers_that_fenced(lives, logs):
    """[(Unix seconds, the instance whose transaction was ended)]."""
    return [
        (seconds(line["ts"]), line["transactional_id"].rsplit("/", 1)[-1])
        for life in lives
        for line in logs[life.number]
        if line.get("msg") == "fenced"
    ]


def fenced_living(lives, logs, events):
    """Instances that ended because they were fenced, though nobody had stopped them; after a disaster of the broker's,
    which may time their transactions out, only if a takeover names them."""
    broker, fenced = [at for at, what in events if what == "broker"], takeovers_that_fenced(lives, logs)
    found = []
    for life in lives:
        last = next((line for line in reversed(logs[life.number]) if line.get("level") == "error"), {})
        words = " ".join(str(v) for v in last.values())
        if not life.how.startswith("exit") or life.touched or not any(w.lower() in words.lower() for w in FENCED):
            continue
        shaken = any(life.ended - AFTERMATH_S < at <= life.ended for at in broker)
        named = any(i == life.instance and life.ended - AFTERMATH_S < at <= life.ended for at, i in fenced)
        if named or not shaken:
            found.append(f"{life.name}: {words[:300]}")
    return found


def unexpected_ends(lives, logs):
    return [
        f"{life.name}: {life.how}: {(logs[life.number] or [{}])[-1].get('error', '')}"
        for life in lives
        if life.how.startswith("exit")
    ]


# ---- all of it -----------------------------------------------------------------------------------------------------


def clauses(logs):
    """Tokens by what may_delete said of them: of each list that was gone through, and of each string in hand."""
    found = collections.Counter()
    for log in logs.values():
        for line in log:
            if line.get("msg") == "a cluster was swept":
                found.update({c: line[c] for c in CLAUSES if c in line})
            elif line.get("msg", "").startswith("a token cannot be delivered any more"):
                found[line["clause"]] += 1
    return {c: found[c] for c in CLAUSES}


def figures(checker, lives, logs, events, metrics, hits):
    took, disturbed = takeovers(lives, logs, events)
    api = counters(metrics, "tokend_api_requests_total")
    verdicts = collections.Counter()
    for labels, n in api.items():
        verdicts[labels[-1]] += int(n)
    return {
        "violations": checker.violations(),
        "counts": dict(checker.counts),
        "replies by reason": dict(sorted(checker.reasons.items())),
        "kills": sum(life.how == "killed" or life.how.startswith("hit") for life in lives),
        "other events": dict(collections.Counter(what for _, what in events)),
        "takeovers": [round(s, 1) for s in took],
        "takeovers disturbed": disturbed,
        "dead owners fenced": len(takeovers_that_fenced(lives, logs)),
        "living instances fenced": len(fenced_living(lives, logs, events)),
        "instances that ended by themselves": len(unexpected_ends(lives, logs)),
        "crash points": {p: hits.count(p) for p in POINTS},
        "clauses of may_delete": clauses(logs),
        "verdicts": {v: verdicts.get(v, 0) for v in VERDICTS},
    }


def say(result):
    """The table, as lines."""
    c, took = result["counts"], result["takeovers"]
    yield f"seed {result['seed']}" + (f", {result['mutate']} off" if result["mutate"] else "")
    rows = [
        ("requests", result["requests"]),
        ("records", c.get("records", 0)),
        ("outcomes", c.get("outcomes", 0)),
        ("tokens delivered", c.get("delivered", 0)),
        ("tokens nobody received", f"{c.get('tokens that nobody received', 0)}, deleted {c.get('orphans deleted', 0)}, "
                                   f"twins outside the window {c.get('twins outside the window', 0)}"),
        ("revoked on request", c.get("revoked on request", 0)),
        ("kills survived", result["kills"]),
        ("other events", ", ".join(f"{k} {v}" for k, v in sorted(result["other events"].items()))),
        ("takeover", f"median {statistics.median(took or [0]):.1f} s, longest {max(took or [0])} s, of {len(took)}; "
                     f"{result['takeovers disturbed']} disturbed"),
        ("fenced", f"dead owners {result['dead owners fenced']}, living instances {result['living instances fenced']}"),
        ("violations", "  ".join(f"{i}={n}" for i, n in result["violations"].items())),
        ("crash points", "  ".join(f"{p}={n}" for p, n in result["crash points"].items())),
        ("clauses", "  ".join(f"{k}={n}" for k, n in result["clauses of may_delete"].items())),
        ("verdicts", "  ".join(f"{v}={n}" for v, n in result["verdicts"].items())),
        ("replies", "  ".join(f"{k}={v}" for k, v in result["replies by reason"].items())),
    ]
    for name, value in rows:
        yield from textwrap.wrap(f"  {name:24} {value}", 118, subsequent_indent=" " * 27, break_on_hyphens=False)
