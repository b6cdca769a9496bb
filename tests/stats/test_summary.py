"""A summary is the textbook's, and its interval says which noise it holds."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.outcomes import Outcomes
from peftlab.stats.summary import Summary, expected_best, summarise, summarise_scores

Draw = Callable[..., Outcomes]


def test_scores_by_hand() -> None:
    found = summarise_scores("pearson", [2.0, 4.0, 9.0])
    assert (found.num_values, found.mean, found.median) == (3, 5.0, 4.0)
    assert (found.least, found.greatest) == (2.0, 9.0)
    assert found.sd == pytest.approx(statistics.stdev([2, 4, 9]))
    half_width = stats.t.ppf(0.975, 2) * statistics.stdev([2, 4, 9]) / 3**0.5
    assert (found.low, found.high) == pytest.approx((5 - half_width, 5 + half_width))
    assert (found.failed_share, found.covers) == (0.0, "seeds")


def test_one_score_has_neither_deviation_nor_interval() -> None:
    found = summarise_scores("accuracy", [81.5])
    assert (found.sd, found.low, found.high, found.covers) == (None, 81.5, 81.5, "nothing")
    assert found.best_of == (81.5,)


def test_nothing_cannot_be_summed_up() -> None:
    with pytest.raises(ValueError, match="no scores"):
        summarise_scores("accuracy", [])


def test_an_interval_ends_where_scores_do() -> None:
    found = summarise_scores("accuracy", [99.0, 100.0, 98.0])
    assert found.high == 100.0


def test_the_interquartile_mean_leaves_out_the_quarters() -> None:
    assert summarise_scores("accuracy", [0.0, 10.0, 20.0, 90.0]).iqm == 15.0
    assert summarise_scores("accuracy", [5.0, 10.0, 12.0, 14.0, 99.0]).iqm == 12.0


def test_the_expected_best_is_the_mean_over_all_draws_with_replacement() -> None:
    scores = [70.0, 80.0, 85.0]
    for number, found in enumerate(expected_best(np.array(scores)), start=1):
        draws = itertools.product(scores, repeat=number)
        assert found == pytest.approx(statistics.fmean(max(draw) for draw in draws))


def test_outcomes_have_an_interval_of_seeds_and_examples(draw: Draw) -> None:
    outcomes = draw([0.8, 0.82, 0.78, 0.81])
    found = summarise(outcomes)
    assert found.covers == "seeds and examples"
    assert found.mean == pytest.approx(outcomes.scores_S.mean())
    of_seeds = summarise_scores(outcomes.metric, outcomes.scores_S.tolist())
    assert (found.sd, found.best_of) == (of_seeds.sd, of_seeds.best_of)
    assert found == summarise(outcomes)


def test_one_seed_has_the_interval_of_its_examples(draw: Draw) -> None:
    outcomes = draw([0.8], num_examples=400)
    found = summarise(outcomes)
    share = found.mean / 100
    assert found.covers == "examples"
    assert found.high - found.mean == pytest.approx(
        1.966 * 100 * (share * (1 - share) / 400) ** 0.5, rel=0.1
    )


def test_failed_runs_are_those_without_scores_and_those_no_better_than_one_answer() -> None:
    labels = np.array([1, 1, 1, 0])
    rows = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    outcomes = Outcomes(metric="accuracy", labels_N=labels, predictions_SN=rows, seeds=(1, 2, 3))
    assert summarise(outcomes).failed_share == pytest.approx(2 / 3)
    assert summarise(outcomes, num_failed=1).failed_share == pytest.approx(3 / 4)
    assert summarise_scores("accuracy", [50.0], num_failed=3).failed_share == pytest.approx(3 / 4)


@pytest.mark.parametrize(("metric", "low"), [("f1", 0.0), ("matthews_correlation", -100.0)])
def test_an_interval_ends_where_the_metric_does(metric: str, low: float) -> None:
    found = summarise_scores(metric, [2.0, 98.0])
    assert (found.low, found.high) == (low, 100.0)


def summary_of(is_right_SN: np.ndarray, metric: str = "accuracy") -> Summary:
    labels_N = np.arange(is_right_SN.shape[1]) % 2
    outcomes = Outcomes(
        metric=metric,
        labels_N=labels_N,
        predictions_SN=np.where(is_right_SN, labels_N, 1 - labels_N),
        seeds=tuple(range(len(is_right_SN))),
    )
    return summarise(outcomes)


@pytest.mark.parametrize("num_right", [0, 3, 50, 97, 100])
def test_the_interval_of_one_run_is_wilsons(num_right: int) -> None:
    """Student's quantile with 99 degrees, 1.984, replaces 1.96."""
    found = summary_of(np.arange(100)[None] < num_right)
    wilson = stats.binomtest(num_right, 100).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((100 * wilson.low, 100 * wilson.high), abs=0.3)
    share, square = num_right / 100, stats.t.ppf(0.975, 99) ** 2 / 100
    middle = (share + square / 2) / (1 + square)
    half = math.sqrt(square * share * (1 - share) + square**2 / 4) / (1 + square)
    ends = [100 * (middle - half), 100 * (middle + half)]
    # The bootstrap's variance, of 2,000 draws, is off by up to four times 3%.
    assert [found.low, found.high] == pytest.approx(ends, abs=0.06 * 100 * half + 1e-9)


@pytest.mark.parametrize("num_seeds", [1, 5])
def test_all_of_100_right_may_be_less_of_others_and_so_with_seeds_that_agree(
    num_seeds: int,
) -> None:
    found = summary_of(np.ones((num_seeds, 100), dtype=bool))
    assert found.low == pytest.approx(96.3, abs=0.11)
    assert found.high == found.mean == 100
    assert found.has_interval


def test_by_other_metrics_all_right_has_no_interval() -> None:
    found = summary_of(np.ones((3, 100), dtype=bool), "f1")
    assert (found.low, found.high, found.has_interval) == (100, 100, False)


def test_a_precision_of_two_answers_that_are_right_is_not_known_exactly() -> None:
    labels_N = np.arange(40) % 2
    answers_N = np.zeros(40, dtype=np.int64)
    answers_N[[1, 3]] = 1
    found = summarise(
        Outcomes(metric="precision", labels_N=labels_N, predictions_SN=answers_N[None], seeds=(1,))
    )
    assert found.mean == found.high == 100
    assert found.low < 70


@pytest.mark.parametrize("num_right", [1, 25, 50, 99])
def test_the_interval_of_a_correlation_lies_within_its_range(num_right: int) -> None:
    found = summary_of(np.arange(100)[None] < num_right, "matthews_correlation")
    assert -100 <= found.low < found.mean < found.high <= 100
    # It is turned with the score: as far below -m as it is above m.
    turned = summary_of(np.arange(100)[None] >= num_right, "matthews_correlation")
    assert (found.low, found.high) == pytest.approx((-turned.high, -turned.low), abs=1.5)


def test_a_share_and_its_complement_have_intervals_that_mirror_each_other() -> None:
    rows = np.random.default_rng(0).random((1, 200)) < 0.93
    right, wrong = summary_of(rows), summary_of(~rows)
    assert (right.low, right.high) == pytest.approx((100 - wrong.high, 100 - wrong.low), abs=0.2)
    assert right.mean - right.low > right.high - right.mean, "farther from the end of the range"


def test_few_seeds_that_differ_widen_what_many_examples_would_say() -> None:
    rows = np.arange(2000)[None] < np.array([[1400], [1600], [1800]])
    found = summary_of(rows)
    half_width = stats.t.ppf(0.975, 2) * 10 / math.sqrt(3)
    assert found.mean == 80
    assert found.high == 100
    assert half_width <= found.mean - found.low < 1.1 * half_width


def outcomes_of(wrong: Sequence[Sequence[int]], num_examples: int = 100) -> Outcomes:
    """Return runs each of which gets these examples wrong."""
    labels_N = np.arange(num_examples) % 2
    predictions_SN = np.tile(labels_N, (len(wrong), 1))
    for seed, places in enumerate(wrong):
        predictions_SN[seed, [*places]] = 1 - labels_N[[*places]]
    seeds = tuple(range(len(wrong)))
    return Outcomes(
        metric="accuracy", labels_N=labels_N, predictions_SN=predictions_SN, seeds=seeds
    )


def test_one_error_in_ten_runs_makes_no_interval_that_is_far_narrower_than_none() -> None:
    none = summarise(outcomes_of([[]] * 10))
    one = summarise(outcomes_of([[7], *[[]] * 9]))
    assert one.low < none.low + 1.5, "one error tells little of whether runs err at the same rows"
    assert one.low == pytest.approx(97.3, abs=0.1)
    assert none.low == pytest.approx(96.3, abs=0.1)
    same = summarise(outcomes_of([[7]] * 10))
    assert same.low == pytest.approx(94.6, abs=0.2), "as of one run"


def test_many_errors_tell_whether_runs_err_at_the_same_examples() -> None:
    each = summarise(outcomes_of([range(3 * seed, 3 * seed + 3) for seed in range(10)]))
    shared = summarise(outcomes_of([[0, 1, 2]] * 10))
    assert each.mean == shared.mean == 97.0
    assert each.high - each.low < 0.5 * (shared.high - shared.low)


@pytest.mark.parametrize(
    ("wrong", "num"), [([[]], 0), ([[1, 2], [2, 3]], 3), ([range(98), range(99)], 2)]
)
def test_the_examples_that_tell_are_those_that_some_run_gets_wrong_or_right(
    wrong: Sequence[Sequence[int]], num: int
) -> None:
    assert outcomes_of(wrong).num_telling == num
