"""The predictions of one arm's trials on one task, one for each seed, on the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from peftlab.stats.constant import ConstantPrediction, best_constant
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.problem import Floats, Predicted, Values
from peftlab.tasks.scores import sign_of


@dataclass(frozen=True, kw_only=True)
class FoldedExamples:
    """Examples each of which was predicted by a model trained on the other folds.

    fold_N [N] is the fold of each, from 1 on. `test_share` is how many examples a model is scored
    on for each one that it was trained on: 1 / (K - 1) where it trains on all of the other folds.
    """

    fold_N: npt.NDArray[np.int16]
    test_share: float


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """labels [N] and predictions [S, N]: class indices, or scores for a regression.

    Of examples that may have several labels they are [N, C] and [S, N, C], each 0 or 1. `metric` is
    a key of METRICS; for one that reads logits the predictions are these, [S, N, C]. `seeds` name
    the S rows, all different. With `folds` a row is pooled: each fold's examples were predicted by
    a model of its own.
    """

    metric: str
    labels_N: Values
    predictions_SN: Predicted
    seeds: tuple[int, ...]
    folds: FoldedExamples | None = None

    def __post_init__(self) -> None:
        expected = (len(self.seeds), *self.labels_N.shape)
        if METRICS.get(self.metric).reads == "logits":
            expected = (*expected[:2], self.predictions_SN.shape[-1])
        if self.predictions_SN.shape != expected:
            raise ValueError("predictions are not one row a seed and one column an example")
        if not self.seeds or not len(self.labels_N) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("outcomes need an example, a seed, and different seeds")
        if not (np.isfinite(self.labels_N).all() and np.isfinite(self.predictions_SN).all()):
            raise ValueError("outcomes that are not finite numbers have no score")

    @cached_property
    def scores_S(self) -> Floats:
        """The score of each seed, in the unit of the metric."""
        return METRICS.get(self.metric).scores(self.labels_N, self.predictions_SN)

    @cached_property
    def merits_S(self) -> Floats:
        """The scores with the sign that makes more better."""
        return sign_of(self.metric) * self.scores_S

    @cached_property
    def fold_merits_SK(self) -> Floats | None:
        """The merits of each seed on the examples of each fold; None without folds."""
        if self.folds is None:
            return None
        return np.stack([own.merits_S for own in self._by_fold], axis=1)

    @cached_property
    def chance_S(self) -> Floats | None:
        """The mean merit of each seed's predictions over permutations of them.

        None for a metric by which that is never better than the best constant answer.
        """
        found = METRICS.get(self.metric).chance_levels(self.labels_N, self.predictions_SN)
        return None if found is None else sign_of(self.metric) * found

    @cached_property
    def fold_chance_SK(self) -> Floats | None:
        """The same on the examples of each fold; None without folds as well."""
        if self.folds is None or self.chance_S is None:
            return None
        every = [own.chance_S for own in self._by_fold]
        return np.stack([one for one in every if one is not None], axis=1)

    @cached_property
    def _by_fold(self) -> list[Outcomes]:
        """The outcomes on the examples of each fold; none without folds."""
        fold_N = np.empty(0, np.int16) if self.folds is None else self.folds.fold_N
        return [
            Outcomes(
                metric=self.metric,
                labels_N=self.labels_N[own_N],
                predictions_SN=self.predictions_SN[:, own_N],
                seeds=self.seeds,
            )
            for fold in np.unique(fold_N)
            for own_N in [fold_N == fold]
        ]

    @cached_property
    def best_constant(self) -> ConstantPrediction:
        """The prediction, one for all examples, that scores best by the metric."""
        return best_constant(self.metric, self.labels_N, self.predictions_SN.shape[-1])

    @cached_property
    def num_telling(self) -> int:
        """The number of examples that some run gets wrong, or right: the smaller of the two.

        They tell whether runs fail at the same examples. In a regression, and by a metric of the
        logits, all of them do.
        """
        if self.labels_N.dtype.kind == "f" or METRICS.get(self.metric).reads == "logits":
            return len(self.labels_N)
        is_right_SN = self.predictions_SN == self.labels_N
        if is_right_SN.ndim > 2:
            is_right_SN = is_right_SN.all(axis=2)
        right_N = is_right_SN.sum(axis=0)
        return int(min(np.count_nonzero(right_N), np.count_nonzero(right_N < len(self.seeds))))

    def of_seeds(self, seeds: Sequence[int]) -> Outcomes:
        """Return the outcomes of these seeds in this order; raise ValueError for an unknown
        seed."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return Outcomes(
            metric=self.metric,
            labels_N=self.labels_N,
            predictions_SN=self.predictions_SN[rows],
            seeds=tuple(seeds),
            folds=self.folds,
        )
