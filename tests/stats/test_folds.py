"""With folds a score varies as Nadeau and Bengio say, and at least as its examples make it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.compare import Difference, difference
from peftlab.stats.learned import constants_of, judge
from peftlab.stats.outcomes import FoldedExamples, Outcomes
from peftlab.stats.resample import mean_over_tasks, resample
from peftlab.stats.summary import summarise

NUM_ROWS, NUM_FOLDS = 400, 5
FOLD_N = (np.arange(NUM_ROWS) % NUM_FOLDS + 1).astype(np.int16)
FOLDS = FoldedExamples(fold_N=FOLD_N, test_share=0.25)


def outcomes(rights: list[list[float]], *, seed: int = 0, first: int = 0) -> Outcomes:
    """Return runs that are right on these shares of each fold, a list per seed."""
    draw = np.random.default_rng(seed)
    labels_N = np.arange(NUM_ROWS) // NUM_FOLDS % 2
    is_right_SN = np.array([draw.random(NUM_ROWS) < np.array(run)[FOLD_N - 1] for run in rights])
    return Outcomes(
        metric="accuracy",
        labels_N=labels_N,
        predictions_SN=np.where(is_right_SN, labels_N, 1 - labels_N),
        seeds=tuple(range(first, first + len(rights))),
        folds=FOLDS,
    )


def between(left: Outcomes, right: Outcomes) -> Difference:
    return difference(*resample([left, right], np.random.default_rng(0)))


def test_folds_that_differ_give_the_corrected_t_test() -> None:
    """By Nadeau and Bengio 2003, t = mean / sqrt((1 / K + n_test / n_train) s^2), K - 1 degrees."""
    left, right = outcomes([[0.95, 0.9, 0.8, 0.7, 0.95]]), outcomes([[0.7, 0.8, 0.4, 0.68, 0.5]])
    found = between(left, right)
    scores_K = [
        100 * np.mean((one.predictions_SN[0] == one.labels_N)[fold == FOLD_N])
        for one in (left, right)
        for fold in range(1, NUM_FOLDS + 1)
    ]
    differences_K = np.array(scores_K[:NUM_FOLDS]) - np.array(scores_K[NUM_FOLDS:])
    variance = (1 / NUM_FOLDS + 0.25) * differences_K.var(ddof=1)
    assert found.estimate == pytest.approx(differences_K.mean())
    expected = 2 * stats.t.sf(found.estimate / np.sqrt(variance), NUM_FOLDS - 1)
    assert found.p_value == pytest.approx(expected, rel=1e-3)
    assert found.num_folds == NUM_FOLDS


def test_folds_that_agree_by_chance_leave_the_noise_of_the_examples() -> None:
    left, right = outcomes([[0.9] * NUM_FOLDS]), outcomes([[0.8] * NUM_FOLDS], seed=1)
    drawn = resample([left, right], np.random.default_rng(0))
    found = difference(*drawn)
    assert found.noise.folds is not None
    agreed = replace(found, noise=replace(found.noise, folds=replace(found.noise.folds, spread=0)))
    of_dev = difference(*(replace(one, folds=None) for one in drawn))
    assert of_dev.noise.folds is None
    assert agreed.noise.error == pytest.approx(of_dev.noise.error)
    assert agreed.p_value == pytest.approx(of_dev.p_value, abs=0.002)


def test_one_seed_knows_how_models_differ_and_the_interval_says_so() -> None:
    same = summarise(outcomes([[0.8] * NUM_FOLDS]))
    apart = summarise(outcomes([[0.99, 0.5, 0.9, 0.7, 0.91]]))
    assert same.covers == apart.covers == "folds"
    assert apart.high - apart.low > 2 * (same.high - same.low)


def test_a_perfect_score_has_an_interval_within_its_range() -> None:
    found = summarise(outcomes([[1.0] * NUM_FOLDS]))
    assert found.high == found.mean == 100
    assert 98 < found.low < 99.7


def test_arms_without_a_seed_in_common_are_paired_by_their_folds() -> None:
    hard = [0.95, 0.6, 0.9, 0.65, 0.9]
    left, right = outcomes([hard] * 3), outcomes([hard] * 3, seed=1, first=10)
    found = between(left, right)
    assert not found.is_paired
    assert found.noise.folds is not None
    assert found.noise.folds.spread < 0.2 * np.var(100 * np.array(hard), ddof=1)


def test_looks_at_more_seeds_keep_the_noise_of_the_folds() -> None:
    left, right = outcomes([[0.9, 0.6, 0.9, 0.5, 0.9]] * 6), outcomes([[0.6] * 5] * 6, seed=1)
    found = replace(between(left, right), is_always_valid=True)
    assert found.noise.folds is not None
    of_folds = found.noise.folds.factor * found.noise.folds.spread
    assert found.high - found.low > 4 * np.sqrt(of_folds)


def test_an_arm_learns_by_folds_as_by_dev() -> None:
    for share, state in ((0.9, "learned"), (0.5, "cannot tell")):
        own = outcomes([[share] * NUM_FOLDS])
        constants = constants_of([own])
        drawn, of_constants = resample([own, constants.outcomes], np.random.default_rng(0))
        assert judge(own, drawn, constants, of_constants).state == state


def test_a_mean_over_tasks_has_the_mean_of_their_folds() -> None:
    one, two = outcomes([[0.9, 0.6, 0.9, 0.5, 0.9]] * 2), outcomes([[0.6] * 5] * 2, seed=1)
    drawn = [resample([own], np.random.default_rng(0))[0] for own in (one, two)]
    together = mean_over_tasks(drawn)
    assert together is not None
    assert together.folds is not None
    assert together.folds.merits_SK.shape == (2, NUM_FOLDS)
    assert together.folds.merits_SK.mean() == pytest.approx(together.merits_S.mean())
