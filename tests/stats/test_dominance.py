"""The violation ratio is an integral, and its bound says which arm's runs are better."""

from __future__ import annotations

import numpy as np
import pytest

from peftlab.stats.dominance import dominance, violation_ratio


def ratio(lefts: list[float], rights: list[float]) -> float:
    return float(violation_ratio(np.array([lefts]), np.array([rights]))[0])


def test_it_is_zero_where_every_quantile_is_better_and_one_where_it_is_worse() -> None:
    assert ratio([2, 3, 4], [1, 2, 3]) == 0
    assert ratio([1, 2, 3], [2, 3, 4]) == 1
    assert ratio([1, 2], [2, 1]) == 0.5


def test_it_is_the_integral_over_the_quantile_functions_of_unequal_numbers_of_runs() -> None:
    lefts, rights = [3.0, 9.0, 4.0], [5.0, 2.0, 6.0, 4.5]
    shares = (np.arange(120_000) + 0.5) / 120_000
    first = np.sort(lefts)[(shares * 3).astype(int)]
    second = np.sort(rights)[(shares * 4).astype(int)]
    expected = np.sum((first - second)[first < second] ** 2) / np.sum((first - second) ** 2)
    assert ratio(lefts, rights) == pytest.approx(expected, rel=1e-3)
    assert ratio(rights, lefts) == pytest.approx(1 - expected, rel=1e-3)


def test_the_bound_is_low_for_the_better_arm_alone() -> None:
    generator = np.random.default_rng(0)
    good, poor = generator.normal(85, 1, 10), generator.normal(80, 1, 10)
    assert dominance(good, poor, np.random.default_rng(1)) == pytest.approx(0, abs=0.01)
    assert dominance(poor, good, np.random.default_rng(1)) == pytest.approx(1, abs=0.01)


def test_equal_arms_do_not_dominate() -> None:
    found = []
    for chance in range(100):
        lefts, rights = np.random.default_rng(chance).normal(80, 1, (2, 10))
        bound = dominance(lefts, rights, np.random.default_rng(1))
        assert bound is not None
        found.append(bound < 0.5)
    assert 0 < np.mean(found) < 0.25


def test_few_runs_say_nothing() -> None:
    assert dominance(np.arange(4.0), np.arange(9.0), np.random.default_rng(0)) is None
