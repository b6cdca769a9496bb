"""An arm is near the best if it is near every other arm, whichever is the best."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.best import near_best_p
from peftlab.stats.families import holm


def test_of_its_tests_against_the_others_the_worst_counts() -> None:
    p_values = np.array([[9.0, 0.01, 0.02], [0.3, 9.0, 0.001], [0.001, 0.002, 9.0]])
    assert near_best_p(p_values) == holm([0.02, 0.3, 0.002], num_false=1)


def test_one_of_the_hypotheses_is_false_so_that_the_first_step_counts_one_less() -> None:
    p_values = [0.03, 0.011, 0.024, 0.6]
    assert holm(p_values) == pytest.approx([0.072, 0.044, 0.072, 0.6])
    assert holm(p_values, num_false=1) == pytest.approx([0.072, 0.033, 0.072, 0.6])


def test_of_two_arms_each_is_tested_as_if_alone() -> None:
    """One of them is the best, so only the other can be called near it in error."""
    p_values = np.array([[1.0, 0.04], [0.9, 1.0]])
    assert near_best_p(p_values) == pytest.approx([0.04, 0.9])


def test_a_single_arm_is_the_best_one_and_none_is_none() -> None:
    assert near_best_p(np.array([[1.0]])) == [0.0]
    assert holm([], num_false=1) == []
    assert holm([0.9, 0.8], num_false=1) == pytest.approx([0.9, 0.8])


@pytest.mark.parametrize("gaps", [(1.0, 1.0, 1.0), (0.0, 1.0, 1.0), (2.0, 2.0, 1.0)])
def test_an_arm_that_is_as_far_below_the_best_as_the_margin_is_rarely_called_near(
    gaps: tuple[float, ...],
) -> None:
    """There are three arms below the best by these gaps, with an error of 0.2 and a margin of 1."""
    num_studies, error, margin = 1500, 0.2, 1.0
    truth = np.array([0.0, *(-gap for gap in gaps)])
    generator = np.random.default_rng(4)
    num_wrong = 0
    for _ in range(num_studies):
        means = truth + generator.normal(0, error, 4)
        apart = means[:, None] - means[None, :] + margin
        p_values = stats.norm.sf(apart / (error * math.sqrt(2)))
        called = np.array(near_best_p(p_values)) <= 0.05
        num_wrong += bool((called & (truth <= -margin)).any())
    assert num_wrong / num_studies <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / num_studies)
