"""A power law over numbers of training rows: found where it holds, with its doubt; else said so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from peftlab.stats.power_law import MeanAtSize, NoPrediction, Prediction, predicted

SIZES = (100.0, 300.0, 1000.0, 3000.0)


def found(
    truth: Callable[[float], float],
    *,
    sizes: Sequence[float] = SIZES,
    error: float = 0.3,
    num_seeds: int = 5,
    examples: float = 0.0,
    best: float = 100.0,
) -> Prediction | NoPrediction:
    means = [
        MeanAtSize(num_rows=n, merit=truth(n), error=error, num_seeds=num_seeds) for n in sizes
    ]
    return predicted(
        means, 2 * sizes[-1], examples=examples, best=best, generator=np.random.default_rng(0)
    )


def law(rows: float) -> float:
    return 90 - 25 * (rows / 100) ** -0.5


def test_a_law_without_noise_is_found_and_followed() -> None:
    one = found(law, error=0.0)
    assert isinstance(one, Prediction)
    assert one.num_rows == 6000
    assert one.merit == pytest.approx(law(6000), abs=0.02)
    assert one.low < one.merit < one.high


def test_more_doubt_of_runs_or_examples_makes_the_interval_wider() -> None:
    widths = []
    for doubt in ({}, {"error": 1.0}, {"num_seeds": 2}, {"examples": 4.0}):
        one = found(law, **doubt)  # type: ignore[arg-type]
        assert isinstance(one, Prediction)
        widths.append(one.high - one.low)
    assert widths[0] < min(widths[1:])


def test_no_more_is_expected_than_the_metric_allows() -> None:
    one = found(lambda n: 100 - 8 * (n / 100) ** -0.9, error=1.0)
    assert isinstance(one, Prediction)
    assert one.merit <= 100
    assert one.high <= 100


@pytest.mark.parametrize(
    ("truth", "sizes", "seeds", "reason"),
    [
        (law, SIZES[:3], 5, "it takes 4 sizes"),
        (law, SIZES, 1, "one seed does not tell"),
        (lambda n: 60.0 if n < 500 else 85.0, SIZES, 5, "no power law fits"),
        (lambda n: 85 - 5 * np.log10(n), SIZES, 5, "no power law fits"),
        (lambda n: 80 - 0.01 * np.log10(n), SIZES, 5, "do not rise"),
    ],
)
def test_where_nothing_can_be_expected_the_reason_is_said(
    truth: Callable[[float], float], sizes: Sequence[float], seeds: int, reason: str
) -> None:
    one = found(truth, sizes=sizes, num_seeds=seeds)
    assert isinstance(one, NoPrediction)
    assert reason in one.reason


def test_intervals_hold_the_score_on_twice_the_rows() -> None:
    generator = np.random.default_rng(1)
    held = []
    for _ in range(60):
        runs = [law(n) + generator.normal(0, 1.5, 5) for n in SIZES]
        means = [
            MeanAtSize(num_rows=n, merit=own.mean(), error=own.std(ddof=1) / 5**0.5, num_seeds=5)
            for n, own in zip(SIZES, runs, strict=True)
        ]
        one = predicted(means, 6000.0, examples=0.0, best=100.0, generator=generator)
        if isinstance(one, Prediction):
            held.append(one.low <= law(6000) <= one.high)
    assert len(held) > 40
    assert np.mean(held) > 0.87
