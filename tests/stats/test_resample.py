"""Resamples of patterns are the bootstrap of the examples, shared by all compared arms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from peftlab.stats import resample as module
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.resample import mean_over_tasks, patterns, resample

Draw = Callable[..., Outcomes]
METRIC = "matthews_correlation"


def test_patterns_hold_every_example_once(draw: Draw) -> None:
    left, right = draw([0.8, 0.7], chance=1), draw([0.6], chance=2)
    found = patterns([left, right])
    assert len(found.sizes_P) <= 2**4
    columns = np.concatenate([found.labels_P[None], *found.predictions])
    columns = columns.repeat(found.sizes_P, axis=1)
    examples = np.concatenate([left.labels_N[None], left.predictions_SN, right.predictions_SN])
    assert sorted(columns.T.tolist()) == sorted(examples.T.tolist())


def test_the_replicates_are_distributed_as_the_plain_bootstrap_of_examples(draw: Draw) -> None:
    outcomes = draw([0.85, 0.75], metric=METRIC, num_examples=120)
    (found,) = resample([outcomes], np.random.default_rng(0), num=4000)
    generator = np.random.default_rng(1)
    plain = []
    for _ in range(1000):
        drawn = generator.integers(0, 120, 120)
        # Of two classes it is Pearson's correlation.
        rows = np.corrcoef(outcomes.labels_N[drawn], outcomes.predictions_SN[:, drawn])
        plain.append(100 * rows[0, 1:])
    expected = np.cov(np.transpose(plain))
    # Four deviations of what 1,000 and 4,000 draws estimate.
    variances = np.diag(expected)
    close = 4 * np.sqrt((np.outer(variances, variances) + expected**2) * (1 / 1000 + 1 / 4000))
    assert np.all(np.abs(np.cov(found.replicates_RS.T) - expected) < close)
    close = 4 * np.sqrt(variances * (1 / 1000 + 1 / 4000))
    assert np.all(np.abs(found.replicates_RS.mean(axis=0) - np.mean(plain, axis=0)) < close)


def test_arms_are_paired_by_example(draw: Draw) -> None:
    one = draw([0.8], chance=1)
    first, twin, other = resample(
        [one, one, draw([0.8], chance=2)], np.random.default_rng(0), num=500
    )
    assert np.array_equal(first.replicates_RS, twin.replicates_RS)
    assert np.corrcoef(first.replicates_RS[:, 0], other.replicates_RS[:, 0])[0, 1] < 0.5


def test_the_same_generator_gives_the_same_and_parts_are_joined(
    draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = draw([0.8, 0.7, 0.9])
    whole = resample([outcomes], np.random.default_rng(5), num=300)[0]
    monkeypatch.setattr(module, "MOST_NUMBERS", 100)
    parts = resample([outcomes], np.random.default_rng(5), num=300)[0]
    assert np.array_equal(whole.replicates_RS, parts.replicates_RS)


def test_other_examples_cannot_be_paired(draw: Draw) -> None:
    with pytest.raises(ValueError, match="different examples"):
        resample([draw([0.8]), draw([0.8], labels_chance=1)], np.random.default_rng(0))


def test_the_mean_over_tasks_is_of_the_seeds_that_all_have(draw: Draw) -> None:
    one = resample([draw([0.9, 0.8, 0.7], seeds=(1, 2, 3))], np.random.default_rng(0))[0]
    two = resample([draw([0.5, 0.6], seeds=(3, 1))], np.random.default_rng(1))[0]
    mean = mean_over_tasks([one, two])
    assert mean is not None
    assert mean.seeds == (1, 3)
    assert mean.num_examples == 400
    assert mean.merits_S == pytest.approx((one.merits_S[[0, 2]] + two.merits_S[[1, 0]]) / 2)
    assert mean.replicates_RS == pytest.approx(
        (one.replicates_RS[:, [0, 2]] + two.replicates_RS[:, [1, 0]]) / 2
    )
    assert mean_over_tasks([one, replace(two, seeds=(8, 9))]) is None
