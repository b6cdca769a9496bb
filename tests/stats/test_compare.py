"""Two arms are compared by example and by seed, with the noise of both."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.compare import (
    Comparison,
    Difference,
    compare,
    difference,
    hedges_g,
    superiority,
)
from peftlab.stats.noise import Noise, SeedNoise
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.resample import mean_over_tasks, resample

Draw = Callable[..., Outcomes]


def of_seeds_alone(differences: list[float]) -> Difference:
    group = SeedNoise(spread=float(np.var(differences, ddof=1)), num_seeds=len(differences))
    return Difference(
        estimate=float(np.mean(differences)),
        noise=Noise(examples=0.0, num_examples=100, seeds=(group,)),
        num_seeds=len(differences),
        is_paired=True,
    )


def test_one_seed_in_common_does_not_leave_out_all_the_others(draw: Draw) -> None:
    left = draw([0.9] * 5, seeds=(1, 2, 3, 4, 5))
    right = draw([0.6] * 5, seeds=(5, 6, 7, 8, 9), chance=1)
    found = compare(left, right)
    assert (found.is_paired, found.num_seeds) == (False, 5)
    assert found.estimate == pytest.approx(left.scores_S.mean() - right.scores_S.mean())
    both = compare(left, right.of_seeds([5]))
    assert (both.is_paired, both.num_seeds) == (True, 1)


def test_without_noise_of_examples_it_is_the_paired_t_test() -> None:
    differences = [1.0, 2.5, -0.5, 1.75]
    found = of_seeds_alone(differences)
    expected = stats.ttest_1samp(differences, 0)
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("margin", [0.5, 1.0, 3.0])
def test_equivalence_is_the_worse_of_two_one_sided_tests(margin: float) -> None:
    differences = [0.4, -0.9, 0.8, 0.5]
    sides = [
        stats.ttest_1samp(differences, -margin, alternative="greater").pvalue,
        stats.ttest_1samp(differences, margin, alternative="less").pvalue,
    ]
    assert of_seeds_alone(differences).equivalence_p(margin) == pytest.approx(max(sides))


def test_an_excess_over_the_margin_is_tested_on_both_sides() -> None:
    differences = [2.4, 2.9, 2.8, 3.5]
    beyond = stats.ttest_1samp(differences, 1.0, alternative="greater").pvalue
    assert of_seeds_alone(differences).excess_p(1.0) == pytest.approx(2 * beyond)
    assert of_seeds_alone([-d for d in differences]).excess_p(1.0) == pytest.approx(2 * beyond)
    assert of_seeds_alone(differences).excess_p(50.0) == 1.0


def test_an_arm_does_not_differ_from_itself(draw: Draw) -> None:
    one = draw([0.8, 0.7, 0.9])
    found = compare(one, one)
    assert (found.estimate, found.low, found.high) == (0, 0, 0)
    assert (found.p_value, found.swap_p) == (1.0, 1.0)
    assert found.says_nothing, "there is no noise to test by"
    assert found.excess_p(0.1) == 1.0
    assert (found.effect_size, found.superiority) == (0, 0.5)


def test_a_difference_is_signed_and_turns_with_its_sides(draw: Draw) -> None:
    good = draw([0.9, 0.88, 0.92, 0.9, 0.9], chance=1)
    poor = draw([0.6, 0.62, 0.58, 0.6, 0.6], chance=2)
    found, turned = compare(good, poor), compare(poor, good)
    assert found.estimate == pytest.approx(good.scores_S.mean() - poor.scores_S.mean())
    assert found.low > 0
    assert found.p_value < 0.01
    assert turned.estimate == pytest.approx(-found.estimate)
    assert turned.high < 0
    assert (found.superiority, turned.superiority) == (1.0, 0.0)


def test_the_same_outcomes_give_the_same_comparison(draw: Draw) -> None:
    sides = draw([0.8, 0.7, 0.9], chance=1), draw([0.75, 0.7, 0.8], chance=2)
    assert compare(*sides) == compare(*sides)
    assert compare(*sides, seed=1) != compare(*sides)


def test_seeds_are_paired_by_name_whatever_their_order(draw: Draw) -> None:
    left = draw([0.9, 0.7, 0.8], seeds=(1, 2, 3))
    right = draw([0.8, 0.9, 0.7, 0.5], seeds=(3, 1, 2, 4))
    found = compare(left, right)
    assert (found.is_paired, found.num_seeds) == (True, 3)
    common = right.of_seeds([1, 2, 3])
    assert found.estimate == pytest.approx(left.scores_S.mean() - common.scores_S.mean())
    (group,) = found.noise.seeds
    assert group.spread == pytest.approx(np.var(left.scores_S - common.scores_S, ddof=1))


def test_without_a_seed_in_common_all_runs_of_each_are_compared(draw: Draw) -> None:
    left = draw([0.9, 0.7, 0.8], seeds=(1, 2, 3), chance=1)
    right = draw([0.8, 0.9, 0.7, 0.85], seeds=(4, 5, 6, 7), chance=2)
    found = compare(left, right)
    assert (found.is_paired, found.num_seeds, found.flip_p) == (False, 3, None)
    assert [group.num_seeds for group in found.noise.seeds] == [3, 4]
    assert found.estimate == pytest.approx(left.scores_S.mean() - right.scores_S.mean())


def test_pairing_by_example_takes_away_what_both_find_hard(draw: Draw) -> None:
    one = draw([0.8], num_examples=1000, chance=1)
    flipped = one.predictions_SN.copy()
    flipped[:, :10] = 1 - flipped[:, :10]
    twin = Outcomes(metric="accuracy", labels_N=one.labels_N, predictions_SN=flipped, seeds=(0,))
    paired = difference(*resample([one, twin], np.random.default_rng(0)))
    assert paired.noise.error == pytest.approx(100 * math.sqrt(10) / 1000, rel=0.1)
    single = difference(*resample([one, draw([0.8], num_examples=1000, chance=2)],
                                  np.random.default_rng(0)))  # fmt: skip
    assert single.noise.error > 4 * paired.noise.error


def test_hedges_g_by_hand() -> None:
    lefts, rights = np.array([3.0, 5.0, 7.0]), np.array([1.0, 2.0, 3.0])
    pooled = math.sqrt((2 * 4 + 2 * 1) / 4)
    assert hedges_g(lefts, rights) == pytest.approx((1 - 3 / 15) * 3 / pooled)
    assert hedges_g(lefts[:1], rights) is None
    assert hedges_g(np.array([1.0, 1.0]), np.array([2.0, 2.0])) is None


def test_superiority_counts_pairs_of_runs() -> None:
    assert superiority(np.array([1.0, 3.0]), np.array([1.0, 2.0])) == (0.5 + 0 + 1 + 1) / 4
    assert superiority(np.array([1.0]), np.array([1.0, 2.0])) is None


def outcomes_of(right_SN: np.ndarray, metric: str = "accuracy") -> Outcomes:
    """Return runs that are right where `right` is true; every second label is 1."""
    right_SN = np.atleast_2d(right_SN)
    labels_N = np.arange(right_SN.shape[1]) % 2
    return Outcomes(
        metric=metric,
        labels_N=labels_N,
        predictions_SN=np.where(right_SN, labels_N, 1 - labels_N),
        seeds=tuple(range(len(right_SN))),
    )


def against(num_left: int, num_right: int, num: int = 100, num_seeds: int = 1) -> Comparison:
    """Return two arms, each of which alone is right on a number of examples."""
    place_N = np.arange(num)
    left_N = (place_N < num_left) | (place_N >= num_left + num_right)
    right_N = place_N >= num_left
    sides = [np.stack([own_N] * num_seeds) for own_N in (left_N, right_N)]
    return compare(outcomes_of(sides[0]), outcomes_of(sides[1]))


@pytest.mark.parametrize("num_seeds", [1, 5])
def test_two_examples_that_one_arm_has_right_are_no_proof_whatever_the_number_of_seeds(
    num_seeds: int,
) -> None:
    found = against(2, 0, num=2, num_seeds=num_seeds)
    assert found.estimate == 100
    assert not found.noise.is_known
    assert found.p_value == 0.5, "each may be so by chance, and so may the contrary"
    assert found.p_above(50.0) == 0.75**2


def test_all_of_six_examples_are_as_good_as_the_sign_test() -> None:
    found = against(6, 0, num=6)
    assert found.p_value == found.mcnemar_p == 2 * 0.5**6


def test_few_examples_that_tell_two_arms_apart_are_as_good_as_the_exact_test() -> None:
    six, five = against(6, 0), against(5, 0)
    assert six.mcnemar_p == 2 * 0.5**6
    assert six.p_value == pytest.approx(six.mcnemar_p, rel=0.15)
    assert six.low > 0
    assert five.p_value > 0.05
    assert five.low < 0


@pytest.mark.parametrize(("num_left", "num_right"), [(9, 1), (10, 2), (15, 5), (30, 12)])
def test_so_are_more_of_them_on_both_sides(num_left: int, num_right: int) -> None:
    found = against(num_left, num_right, num=200)
    assert found.mcnemar_p is not None
    assert 0.5 * found.mcnemar_p < found.p_value < 1.5 * found.mcnemar_p


@pytest.mark.parametrize("num", [10, 59, 300])
@pytest.mark.parametrize("margin", [1.0, 5.0])
def test_the_same_answers_are_within_a_margin_if_more_would_have_been_seen(
    num: int, margin: float
) -> None:
    """By the rule of three, if 5% of examples differ, 59 examples are all alike in 5% of cases."""
    one = outcomes_of(np.arange(num) % 5 != 0)
    found = compare(one, one)
    assert found.equivalence_p(margin) == pytest.approx((1 - margin / 100) ** num)
    assert found.p_value == 1.0


def test_by_other_metrics_the_same_answers_show_nothing() -> None:
    one = outcomes_of(np.arange(5000) % 5 != 0, "f1")
    found = compare(one, one)
    assert found.says_nothing
    assert found.equivalence_p(5.0) == 1.0


def over_tasks(*tasks: tuple[np.ndarray, np.ndarray]) -> Difference:
    """Return the mean over tasks of the difference between two arms with these right answers."""
    drawn = [
        resample([outcomes_of(left), outcomes_of(right)], np.random.default_rng(number))
        for number, (left, right) in enumerate(tasks)
    ]
    sides = [mean_over_tasks([own[side] for own in drawn]) for side in (0, 1)]
    assert sides[0] is not None
    assert sides[1] is not None
    return difference(sides[0], sides[1])


def test_in_a_mean_over_tasks_the_smallest_may_hold_all_that_was_missed() -> None:
    """A mean of 5 points may come from one task's 20 examples, whatever the other task has."""
    small, large = np.ones(20, dtype=bool), np.ones(1000, dtype=bool)
    found = over_tasks((small, small), (large, large))
    assert found.noise.num_examples == 1020
    worst = max((1 - q) ** 20 * (1 - (0.1 - q)) ** 1000 for q in np.linspace(0, 0.1, 101))
    assert worst == pytest.approx(0.9**20)
    assert worst <= found.equivalence_p(5.0) <= 1.1 * worst


def test_two_examples_of_one_task_are_no_proof_beside_many_of_another_that_are_alike() -> None:
    two, many = np.ones(2, dtype=bool), np.ones(1000, dtype=bool)
    found = over_tasks((two, ~two), (many, many))
    assert found.estimate == 50
    assert found.p_value >= 0.5


def test_an_interval_ends_where_a_difference_does() -> None:
    found = against(5, 0, num=6)
    assert found.high == 100
    assert compare(*(outcomes_of(np.arange(6) != own, "matthews_correlation") for own in (0, 1))
                   ).reach == 200  # fmt: skip


def test_what_holds_for_any_number_of_looks_takes_more() -> None:
    group = SeedNoise(spread=1.0, num_seeds=6)
    once = Difference(
        estimate=1.5,
        noise=Noise(examples=0.01, num_examples=1000, seeds=(group,)),
        num_seeds=6,
        is_paired=True,
    )
    often = replace(once, is_always_valid=True)
    assert once.p_value < 0.05 < often.p_value
    assert often.low < 0 < once.low
    for test in (Difference.equivalence_p, Difference.p_above, Difference.p_below):
        for bound in (-4.0, 5.0):
            tails = test(once, bound), test(often, bound)
            assert tails[0] < tails[1] or tails == (1.0, 1.0) or tails[0] > 0.5
    few = replace(often, noise=replace(once.noise, seeds=(replace(group, num_seeds=4),)), reach=100)
    assert (few.low, few.high) == (-100, 100)


def test_two_trained_models_are_looked_at_once_whatever_seeds_are_to_come() -> None:
    once = against(12, 2)
    often = replace(once, is_always_valid=True)
    assert (often.low, often.high, often.p_value) == (once.low, once.high, once.p_value)
