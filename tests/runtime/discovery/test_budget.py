"""Retries are bounded, and waits grow."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as some
import pytest

from rpcgen.runtime.backoff import LONGEST, backoff
from rpcgen.runtime.discovery.budget import A_SECOND, KEPT, SHARE, RetryBudget


def test_a_burst_is_granted_at_the_start() -> None:
    budget = RetryBudget(0.0)
    assert sum(budget.take(0.0) for _ in range(200)) == A_SECOND * KEPT


def test_ten_a_second_come_back() -> None:
    budget = RetryBudget(0.0)
    while budget.take(0.0):
        pass
    assert sum(budget.take(1.0) for _ in range(50)) == 10


def test_a_fifth_of_the_calls_may_be_tried_again() -> None:
    budget = RetryBudget(0.0)
    while budget.take(0.0):
        pass
    budget.calls += 1000
    assert sum(budget.take(0.001) for _ in range(1000)) == 200


def test_what_was_not_used_is_gone_after_ten_seconds() -> None:
    budget = RetryBudget(0.0)
    budget.calls += 1_000_000
    budget.has(0.0)
    assert sum(budget.take(1000.0) for _ in range(10_000)) == A_SECOND * KEPT


def test_asking_takes_nothing() -> None:
    budget = RetryBudget(0.0)
    assert all(budget.has(0.0) for _ in range(1000))


@hypothesis.given(some.lists(some.tuples(some.floats(0, 5), some.integers(0, 100), some.integers(0, 100))))
def test_the_budget_bounds_retries(steps: list[tuple[float, int, int]]) -> None:
    """However time passes: never more than the start, ten a second and a fifth of the calls."""
    budget, now, calls, granted = RetryBudget(0.0), 0.0, 0, 0
    for passed, called, wanted in steps:
        now += passed
        calls += called
        budget.calls += called
        granted += sum(budget.take(now) for _ in range(wanted))
        assert granted <= A_SECOND * (KEPT + now) + SHARE * calls + 1e-6


def test_a_clock_that_stands_still_or_goes_back_grants_nothing() -> None:
    budget = RetryBudget(10.0)
    while budget.take(10.0):
        pass
    assert not budget.take(10.0)
    assert not budget.take(5.0)
    assert not budget.take(10.0)


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_waits_grow_to_ten_seconds(draw: float) -> None:
    waits = [backoff(failures, lambda: draw) for failures in range(1, 2000)]
    assert waits == sorted(waits)
    assert waits[0] == pytest.approx(0.1, rel=0.2)
    assert waits[1] == pytest.approx(0.16, rel=0.2)
    assert LONGEST * 0.8 <= waits[-1] <= LONGEST


def test_clients_wait_differently() -> None:
    assert backoff(3, lambda: 0.1) != backoff(3, lambda: 0.9)
