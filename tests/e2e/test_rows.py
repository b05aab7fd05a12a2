# SPDX-License-Identifier: Apache-2.0
"""Goal: no row of the contract's two tables is without a test that provokes it, and no test claims a row that there is
not. What each test proves: tests/e2e/rows.py."""

import pytest

import contract
import rows


@pytest.fixture(scope="module")
def claimed():
    return rows.collect()


def test_every_cause_has_a_test(claimed):
    causes, tested = rows.causes(), claimed[0]
    assert len(causes) > 20
    assert [c for c in causes if c not in tested] == []
    assert [c for c in tested if c not in causes] == []


def test_what_tests_compare_with_has_every_cause():
    assert set(contract.SAYS) == set(rows.causes())


def test_every_signal_has_a_test(claimed):
    signals, tested = rows.signals(), claimed[1]
    assert len(signals) > 30
    assert [s for s in signals if s not in tested] == []
    assert [s for s in tested if s not in signals and s[0] not in ("listed", "deleted")] == []


def test_every_verdict_stands_in_the_table_or_has_a_test(claimed):
    in_table = {verdict for verdict, _ in rows.signals()}
    for verdict in rows.verdicts():
        assert verdict in in_table or any(v == verdict for v, _ in claimed[1]), verdict


def test_signals_are_told_apart():
    assert rows.signals_of("any error; 408, 503, other 5xx but 501") == ["any error", "408", "503", "other 5xx but 501"]
    assert rows.signals_of("400 405 413") == ["400", "405", "413"]
    assert rows.signals_of("200 or 201 with a token: id, string") == ["200", "201 with a token", "id", "string"]
