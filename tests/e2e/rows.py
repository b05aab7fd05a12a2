#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Which test proves which row of the contract's two tables?

    tests/e2e/rows.py           # each row, with its tests

The table of replies is service/status.h's; the table of results is service/PROTOCOL.md's ("What a result means"), whose
verdicts are workers/job.h's. A test says what it proves: @pytest.mark.row("POLICY_DENIED"), or
@pytest.mark.verdict("throttled", "429"), the signal in the table's own words. test_rows.py fails where a row has no
test, and where a test names a row that there is not.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "docs"))

import table  # noqa: E402

# What cannot be brought about from outside within the moment that it takes: (file, its test).
PROVEN_BELOW = {("not_sent", "the lease is over"): ("tests/unit/test_pool.c", "a_lease_that_is_over_sends_nothing")}
HEADING = "## What a result means"


def causes():
    """The rows of the table of replies."""
    return [row[0] for row in table.rows("service/status.h", "STATUSES")]


def verdicts():
    return [row[1] for row in table.rows("workers/job.h", "VERDICTS")]


def signals_of(cell):
    """What a first column names, one by one: "408, 500, other 5xx but 501" are three."""
    parts = re.split(r"[:;,]|\bor\b|\s(?=\d{3}\b)(?<!but )", cell)
    return [p.strip() for p in parts if p.strip()]


def signals():
    """The rows of the table of results: [(verdict, signal)]."""
    text = table.source("service/PROTOCOL.md").split(HEADING, 1)[1].split("\n## ", 1)[0]
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]
    return [(cells[1].strip("`"), signal) for cells in lines[2:] for signal in signals_of(cells[0])]


class Collected:
    """A pytest plugin: what the tests say that they prove."""

    def __init__(self):
        self.rows, self.verdicts = collections.defaultdict(list), collections.defaultdict(list)

    def pytest_collection_finish(self, session):
        for item in session.items:
            name = item.nodeid.split("/")[-1]
            for mark in item.iter_markers("row"):
                for cause in mark.args:
                    self.rows[cause].append(name)
            for mark in item.iter_markers("verdict"):
                label, *found = mark.args
                for signal in found:
                    self.verdicts[label, signal].append(name)


def collect():
    """({cause: [test]}, {(verdict, signal): [test]}), found by a pytest of its own, which runs nothing."""
    done = subprocess.run(
        [sys.executable, __file__, "--collect"], capture_output=True, text=True, timeout=120, cwd=ROOT, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"the tests cannot be collected:\n{done.stdout}{done.stderr}")
    rows, found = json.loads(done.stdout.splitlines()[-1])
    found = {(label, signal): tests for label, signal, tests in found}
    for signal, (path, test) in PROVEN_BELOW.items():
        if re.search(rf"\b(TEST|cmocka_unit_test)\({test}\)", table.source(path)):
            found.setdefault(signal, []).append(f"{path}: {test}")
    return rows, found


def collect_here():
    import pytest

    c = Collected()
    folder = str(pathlib.Path(__file__).parent)
    status = pytest.main(["--collect-only", "-qq", "--no-header", "-p", "no:cacheprovider", folder], plugins=[c])
    print()
    print(json.dumps([c.rows, [[*key, tests] for key, tests in c.verdicts.items()]]))
    return int(status)


def folded(tests):
    """A line per test: on which brokers it runs, and, where there are several, with how many values."""
    cases = collections.defaultdict(set)
    for test in tests:
        name, _, parameters = test.rstrip("]").partition("[")
        flavour, _, value = parameters.partition("-")
        cases[name].add((flavour, value))
    for name, found in sorted(cases.items()):
        values, flavours = {v for _, v in found}, sorted({f for f, _ in found} - {""})
        yield " ".join([name, *flavours, f"({len(values)} cases)" if len(values) > 1 else ""]).rstrip()


def show(title, names, tests_of):
    print(title)
    for name in names:
        print(f"  {name}" if isinstance(name, str) else f"  {name[0]}: {name[1]}")
        for line in list(folded(tests_of(name))) or ["no test"]:
            print(f"      {line}")


def main():
    if sys.argv[1:] == ["--collect"]:
        return collect_here()
    rows, found = collect()
    show("Replies (service/status.h)", causes(), lambda cause: rows.get(cause, ()))
    print()
    show("Results (service/PROTOCOL.md)", signals(), lambda signal: found.get(signal, ()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
