"""Scores under resamples of the examples, the same resamples for all that is compared.

The bootstrap draws N examples of N with replacement (Efron 1979). Examples that have the same
label and the same predictions, of every arm and seed, are one pattern, and how often each pattern
is drawn is multinomial: exactly the bootstrap of the examples, at the cost of the patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from peftlab.stats.outcomes import Outcomes
from peftlab.tasks.metrics.metric import BEST_SCORE
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.problem import Floats, Predicted, Values
from peftlab.tasks.scores import sign_of

NUM_RESAMPLES = 2000
"""The number of resamples; a standard error is then off by 1.6%, one part in sqrt(2 x 2000)."""
MOST_NUMBERS = 4_000_000
"""The most counts that are drawn at a time: 32 MB."""


@dataclass(frozen=True, kw_only=True)
class Patterns:
    """Distinct columns of labels and predictions, with how many examples have each.

    `predictions` are [S, P, ...], one for each of the outcomes.
    """

    labels_P: Values
    predictions: tuple[Predicted, ...]
    sizes_P: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class FoldMerits:
    """The merits [S, K] of S seeds on the examples of K folds; `test_share` as in outcomes.py."""

    merits_SK: Floats
    test_share: float

    def of_rows(self, rows: Sequence[int]) -> FoldMerits:
        """Return only the merits of these rows, in this order."""
        return replace(self, merits_SK=self.merits_SK[rows])


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """The merits [S] of an arm, and those [R, S] under R resamples of its N examples, in points.

    A merit is a score with the sign that makes more better: that of a loss is turned.
    Two that were resampled together are paired by example: their row r saw the same resample.
    `grain` is the square of what one example is worth in points, as if the metric were a share of
    examples. `reach` is how far the metric goes, in points, from its lowest value to its highest.
    `is_share` says that it is the share of examples that are right. `num_alike` is how many
    examples a mean rests on where all of them say the same (0: all): of several tasks the smallest
    may hold all the difference that was missed. `folds` are the merits on each fold, where there
    are such. `chance` is the chance level of the same predictions under the same resamples, where
    it can be better than the best constant answer (that of a `measure` is held fixed).
    """

    merits_S: Floats
    replicates_RS: Floats
    seeds: tuple[int, ...]
    num_examples: int
    grain: float = 0.0
    reach: float = BEST_SCORE
    is_share: bool = False
    num_alike: int = 0
    folds: FoldMerits | None = None
    chance: Resampled | None = None

    def of_seeds(self, seeds: Sequence[int]) -> Resampled:
        """Return only the merits of these seeds, in this order."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return replace(
            self,
            merits_S=self.merits_S[rows],
            replicates_RS=self.replicates_RS[:, rows],
            seeds=tuple(seeds),
            folds=self.folds and self.folds.of_rows(rows),
            chance=self.chance and self.chance.of_seeds(seeds),
        )


def patterns(every: Sequence[Outcomes]) -> Patterns:
    """Return the patterns of outcomes on the same examples; raise ValueError if labels differ."""
    labels_N = every[0].labels_N
    if any(not np.array_equal(outcomes.labels_N, labels_N) for outcomes in every):
        raise ValueError("outcomes on different examples cannot be paired")
    predictions = [outcomes.predictions_SN for outcomes in every]
    columns = [labels_N, *(np.moveaxis(one, 0, 1) for one in predictions)]
    as_bytes = np.concatenate([_bytes(one) for one in columns], axis=1)
    by_example = as_bytes.view(np.dtype((np.void, as_bytes.shape[1])))[:, 0]
    _, first_P, sizes_P = np.unique(by_example, return_index=True, return_counts=True)
    return Patterns(
        labels_P=labels_N[first_P],
        predictions=tuple(one[:, first_P] for one in predictions),
        sizes_P=sizes_P.astype(np.int64),
    )


def resample(
    every: Sequence[Outcomes], generator: np.random.Generator, num: int = NUM_RESAMPLES
) -> tuple[Resampled, ...]:
    """Return each of the outcomes under the same `num` resamples of their examples."""
    found = patterns(every)
    metrics = [METRICS.get(outcomes.metric) for outcomes in every]
    signs = [sign_of(outcomes.metric) for outcomes in every]
    num_examples = int(found.sizes_P.sum())
    replicates = [np.empty((num, len(outcomes.seeds))) for outcomes in every]
    by_chance = [np.empty_like(into) for into in replicates]
    at_a_time = max(1, MOST_NUMBERS // len(found.sizes_P))
    for start in range(0, num, at_a_time):
        part = slice(start, min(num, start + at_a_time))
        drawn_RP = generator.multinomial(
            num_examples, found.sizes_P / num_examples, size=part.stop - part.start
        ).astype(np.float64)
        for metric, sign, own, into, chance in zip(
            metrics, signs, found.predictions, replicates, by_chance, strict=True
        ):
            into[part] = sign * metric.weighted_scores(drawn_RP, found.labels_P, own)
            if metric.chance is not None:
                chance[part] = sign * metric.scale * metric.chance(drawn_RP, found.labels_P, own)
    return tuple(
        Resampled(
            merits_S=outcomes.merits_S,
            replicates_RS=into,
            seeds=outcomes.seeds,
            num_examples=num_examples,
            grain=(metric.scale / num_examples) ** 2,
            reach=metric.highest_score - metric.lowest_score,
            is_share=metric.is_share,
            folds=_fold_merits(outcomes, outcomes.fold_merits_SK),
            chance=_chance(outcomes, chance if metric.chance else None, num),
        )
        for outcomes, metric, into, chance in zip(
            every, metrics, replicates, by_chance, strict=True
        )
    )


def mean_over_tasks(every: Sequence[Resampled]) -> Resampled | None:
    """Return the mean over tasks of one arm, a seed each: the seeds that all tasks have.

    None where they have none in common. The tasks' resamples must have been drawn apart.
    """
    seeds = [s for s in every[0].seeds if all(s in one.seeds for one in every)]
    if not seeds:
        return None
    chosen = [one.of_seeds(seeds) for one in every]
    return Resampled(
        merits_S=np.mean([one.merits_S for one in chosen], axis=0),
        replicates_RS=np.mean([one.replicates_RS for one in chosen], axis=0),
        seeds=tuple(seeds),
        num_examples=sum(one.num_examples for one in chosen),
        grain=sum(one.grain for one in chosen) / len(chosen) ** 2,
        reach=sum(one.reach for one in chosen) / len(chosen),
        is_share=all(one.is_share for one in chosen),
        num_alike=len(chosen) * min(one.num_alike or one.num_examples for one in chosen),
        folds=_mean_folds([one.folds for one in chosen]),
    )


def _chance(outcomes: Outcomes, replicates_RS: Floats | None, num: int) -> Resampled | None:
    """Return the chance level of the outcomes; without replicates it is the same in all `num`."""
    chance_S = outcomes.chance_S
    if chance_S is None:
        return None
    if replicates_RS is None:
        replicates_RS = np.broadcast_to(chance_S, (num, len(chance_S)))
    return Resampled(
        merits_S=chance_S,
        replicates_RS=replicates_RS,
        seeds=outcomes.seeds,
        num_examples=len(outcomes.labels_N),
        folds=_fold_merits(outcomes, outcomes.fold_chance_SK),
    )


def _fold_merits(outcomes: Outcomes, merits_SK: Floats | None) -> FoldMerits | None:
    if outcomes.folds is None or merits_SK is None:
        return None
    return FoldMerits(merits_SK=merits_SK, test_share=outcomes.folds.test_share)


def _mean_folds(every: Sequence[FoldMerits | None]) -> FoldMerits | None:
    """Return the mean over tasks: the first folds of all, the second folds, and so on."""
    known = [one for one in every if one is not None]
    if len(known) < len(every) or len({one.merits_SK.shape for one in known}) > 1:
        return None
    return FoldMerits(
        merits_SK=np.mean([one.merits_SK for one in known], axis=0),
        test_share=sum(one.test_share for one in known) / len(known),
    )


def _bytes(values_N: Predicted) -> npt.NDArray[np.uint8]:
    """Return the bytes [N, ...] of each example's values."""
    rows = np.ascontiguousarray(values_N.reshape(len(values_N), -1))
    return rows.view(np.uint8)
