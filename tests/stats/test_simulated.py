"""Over simulated studies with a known truth, the statistics keep their promises.

Bounds are four binomial deviations around the promised rate; if small samples forbid 95% (see
docs/statistics.md), intervals may hold the truth more often.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.simulated_studies import Outcome, Setting, simulate, true_score

NUM_STUDIES = 150


@pytest.fixture(scope="module", params=[("accuracy", 3), ("f1", 5), ("matthews_correlation", 10)])
def outcomes(request: pytest.FixtureRequest) -> list[Outcome]:
    metric, num_seeds = request.param
    setting = Setting(metric=metric, num_seeds=num_seeds, num_examples=200)
    return simulate(setting, seed=1, num_studies=NUM_STUDIES)


def share(outcomes: list[Outcome], name: str) -> float:
    return float(np.mean([getattr(outcome, name) for outcome in outcomes]))


def slack(promised: float) -> float:
    return 4 * math.sqrt(promised * (1 - promised) / NUM_STUDIES)


@pytest.mark.parametrize("name", ["mean_held", "difference_held"])
def test_intervals_hold_the_truth(name: str, outcomes: list[Outcome]) -> None:
    assert share(outcomes, name) >= 0.95 - slack(0.95)


@pytest.mark.parametrize(
    "name",
    [
        "equal_called_different",
        "other_seeds_called_different",
        "any_called_different",
        "margin_called_equivalent",
    ],
)
def test_wrong_verdicts_are_rare(name: str, outcomes: list[Outcome]) -> None:
    assert share(outcomes, name) <= 0.05 + slack(0.05)


def test_the_truth_is_what_very_many_examples_and_seeds_score() -> None:
    from benchmarks.simulated_studies import draw

    for metric in ("accuracy", "f1", "matthews_correlation"):
        setting = Setting(metric=metric, num_seeds=100, num_examples=20_000, collapsed=0.2)
        first = draw(setting, np.random.default_rng(0))[0]
        error = first.scores_S.std() / math.sqrt(100) + 0.3
        assert first.scores_S.mean() == pytest.approx(true_score(setting, 0.0), abs=3 * error)
