"""A simulation of intervals and tests by k-fold cross-validation, on rows of known truth.

    OMP_NUM_THREADS=1 python -m benchmarks.simulated_folds --studies 400

A study draws rows of two classes. Two views of a row have the same distribution and share a part of
their noise, so that both arms find the same rows hard: an arm sees one of them, and arms that see
different ones are equally good in truth, though their models differ. Each run trains one model for
each fold. Kinds of model: `centroid` (the nearest centroid, without luck of a run), `features`
(ridge regression on random features, which a run draws for each fold), `neighbour` (the nearest
neighbour on a random projection: a model that follows the rows it was given) and `collapse`
(`features`, of which one model in ten gives one answer to everything). `twice` is one arm of
`features` under two sets of seeds.

It prints in percent of studies how often the interval of an arm's mean holds the truth (the
expected score of a model of that many rows), and how often two equal arms are told apart at 5%: by
the test that is used; by Nadeau and Bengio's t test without a least variance from the examples; by
the test that takes pooled predictions for those of models that had seen all of train (as of a dev
split); and by Student's t test over the folds. Last, how often the first test finds a true
difference, and its size.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from peftlab.core.identity import derived_seed
from peftlab.core.inputs import Example
from peftlab.data.folds import folds_of
from peftlab.stats.compare import Difference, difference
from peftlab.stats.noise import LEVEL
from peftlab.stats.outcomes import FoldedExamples, Outcomes
from peftlab.stats.resample import resample
from peftlab.stats.summary import summarise
from peftlab.tasks.problem import Floats, Values

NUM_COLUMNS, NUM_FEATURES, NUM_PROJECTED = 6, 24, 3
SIGNAL, WEAKER, SHARED, OWN = 0.55, 0.3, 0.5, 1.0
"""The means of a column in the classes are plus and minus SIGNAL; deviations of the noise that both
views share and of that which each column has. WEAKER is the signal of an arm that is worse."""
COLLAPSED = 0.1
NUM_RESAMPLES = 500

Model = Callable[[Floats, Values, Floats, np.random.Generator], Values]
"""The type of a model: the answers to rows, after training on rows with these labels."""


def centroid(train: Floats, labels: Values, rows: Floats, luck: np.random.Generator) -> Values:
    """Return the class whose mean is nearer."""
    means = [train[labels == label].mean(axis=0) for label in (0, 1)]
    away = [((rows - mean) ** 2).sum(axis=1) for mean in means]
    nearer: Values = (away[1] < away[0]).astype(np.int64)
    return nearer


def features(train: Floats, labels: Values, rows: Floats, luck: np.random.Generator) -> Values:
    """Return the sign of a ridge regression on random features."""
    weights = luck.normal(size=(NUM_COLUMNS, NUM_FEATURES)) / math.sqrt(NUM_COLUMNS)
    shift = luck.normal(size=NUM_FEATURES)
    own, new = np.tanh(train @ weights + shift), np.tanh(rows @ weights + shift)
    fit = np.linalg.solve(own.T @ own + np.eye(NUM_FEATURES), own.T @ (2.0 * labels - 1))
    return (new @ fit > 0).astype(np.int64)


def neighbour(train: Floats, labels: Values, rows: Floats, luck: np.random.Generator) -> Values:
    """Return the class of the nearest row, on a random projection."""
    weights = luck.normal(size=(NUM_COLUMNS, NUM_PROJECTED))
    own, new = train @ weights, rows @ weights
    away = (own**2).sum(axis=1) - 2 * new @ own.T
    return np.asarray(labels[away.argmin(axis=1)])


def collapse(train: Floats, labels: Values, rows: Floats, luck: np.random.Generator) -> Values:
    """Return the answers of `features`, or one answer to everything."""
    if luck.random() < COLLAPSED:
        return np.full(len(rows), luck.integers(2), np.int64)
    return features(train, labels, rows, luck)


KINDS: dict[str, Model] = {
    "centroid": centroid,
    "features": features,
    "neighbour": neighbour,
    "collapse": collapse,
    "twice": features,
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A kind of study: its model, and its numbers of rows, folds and seeds."""

    kind: str
    num_rows: int
    num_folds: int
    num_seeds: int

    @property
    def model(self) -> Model:
        """The model of both arms."""
        return KINDS[self.kind]


def draw(setting: Setting, generator: np.random.Generator, signal: float) -> list[Outcomes]:
    """Return the answers of two arms to the rows of one study; `signal` is that of the second."""
    labels_N = generator.permutation(np.arange(setting.num_rows) % 2)
    examples = [
        Example(row_id=row, texts=(str(row),), label=int(label))
        for row, label in enumerate(labels_N)
    ]
    digest = str(generator.integers(2**62))
    fold_N = folds_of(examples, setting.num_folds, digest=digest)
    shared_N1 = SHARED * generator.normal(size=(setting.num_rows, 1))
    views = [
        strength * (2.0 * labels_N[:, None] - 1)
        + shared_N1
        + OWN * generator.normal(size=(setting.num_rows, NUM_COLUMNS))
        for strength in (SIGNAL, signal)
    ]
    if setting.kind == "twice" and signal == SIGNAL:
        views[1] = views[0]
    folds = FoldedExamples(fold_N=fold_N, test_share=1 / (setting.num_folds - 1))
    found = []
    for view, first in zip(views, (0, setting.num_seeds * (setting.kind == "twice")), strict=True):
        predictions_SN = np.empty((setting.num_seeds, setting.num_rows), np.int64)
        for run_N in predictions_SN:
            for fold in range(1, setting.num_folds + 1):
                is_own = fold_N == fold
                run_N[is_own] = setting.model(
                    view[~is_own], labels_N[~is_own], view[is_own], generator
                )
        found.append(
            Outcomes(
                metric="accuracy",
                labels_N=labels_N,
                predictions_SN=predictions_SN,
                seeds=tuple(range(first, first + setting.num_seeds)),
                folds=folds,
            )
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Found:
    """The findings of a study: the first arm's mean and interval, and tests of the difference."""

    mean: float
    low: float
    high: float
    estimate: float
    p_used: float
    p_plain: float
    p_pooled: float
    p_folds: float


def study(setting: Setting, generator: np.random.Generator, signal: float = SIGNAL) -> Found:
    """Return the findings of one study."""
    arms = draw(setting, generator, signal)
    drawn = resample(arms, generator, num=NUM_RESAMPLES)
    own = summarise(arms[0], resampled=drawn[0])
    found = difference(*drawn)
    pooled = difference(*(replace(one, folds=None) for one in drawn))
    return Found(
        mean=own.mean,
        low=own.low,
        high=own.high,
        estimate=found.estimate,
        p_used=found.p_value,
        p_plain=_t_test(found, is_corrected=True),
        p_pooled=pooled.p_value,
        p_folds=_t_test(found, is_corrected=False),
    )


def _t_test(found: Difference, *, is_corrected: bool) -> float:
    """Return the p value of Student's t test over the folds, with the correction or without."""
    folds = found.noise.folds
    assert folds is not None
    factor = folds.factor if is_corrected else 1 / folds.num_folds
    if folds.spread == 0:
        return 1.0
    t = abs(found.estimate) / math.sqrt(factor * folds.spread)
    return float(2 * stats.t.sf(t, folds.num_folds - 1))


def row_of(setting: Setting, num_studies: int) -> str:
    """Return the setting's row of the table."""
    generator = np.random.default_rng(derived_seed(0, "folds", str(setting)))
    equal = [study(setting, generator) for _ in range(num_studies)]
    truth = np.mean([one.mean for one in equal])  # each is an unbiased estimate of it
    is_held = np.mean([one.low <= truth <= one.high for one in equal])
    wrong = [
        np.mean([getattr(one, name) <= LEVEL for one in equal])
        for name in ("p_used", "p_plain", "p_pooled", "p_folds")
    ]
    apart = [study(setting, generator, WEAKER) for _ in range(num_studies)]
    power = np.mean([one.p_used <= LEVEL for one in apart])
    size = np.mean([one.estimate for one in apart])
    cells = [setting.kind, setting.num_rows, setting.num_folds, setting.num_seeds, f"{truth:.1f}"]
    cells += [f"{100 * share:.1f}" for share in (is_held, *wrong, power)]
    return f"| {' | '.join(map(str, [*cells, f'{size:+.1f}']))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS], default=[*KINDS])
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 3, 5])
    chosen = parser.parse_args()
    titles = ("model", "rows", "folds", "seeds", "score", "in the interval", "used", "plain",
              "as dev", "folds alone", "found", "difference")  # fmt: skip
    print(f"| {' | '.join(titles)} |")
    print(f"| --- |{' --: |' * (len(titles) - 1)}")
    for kind in chosen.kinds:
        for num_rows in chosen.rows:
            for num_seeds in chosen.seeds:
                setting = Setting(
                    kind=kind, num_rows=num_rows, num_folds=chosen.folds, num_seeds=num_seeds
                )
                print(row_of(setting, chosen.studies), flush=True)


if __name__ == "__main__":
    main()
