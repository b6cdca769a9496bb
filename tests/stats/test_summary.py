"""A summary is the textbook's, and its interval says which noise it holds."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from peftlab.stats.outcomes import Outcomes
from peftlab.stats.summary import expected_best, summarise, summarise_scores

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
