"""What the trials of one arm on one task, a seed each, said of the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from peftlab.stats.constant import best_constant
from peftlab.stats.weighted import WEIGHTED
from peftlab.tasks.problem import Values


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """labels [N] and predictions [S, N]: class indices, or scores for a regression.

    Of examples that may have several labels they are [N, C] and [S, N, C], each 0 or 1.
    `metric` is a key of tasks.metrics.METRICS; `seeds` name the S rows, all different.
    """

    metric: str
    labels_N: Values
    predictions_SN: Values
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.predictions_SN.shape != (len(self.seeds), *self.labels_N.shape):
            raise ValueError("predictions are not one row a seed and one column an example")
        if not self.seeds or not len(self.labels_N) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("outcomes need an example, a seed, and different seeds")
        if not (np.isfinite(self.labels_N).all() and np.isfinite(self.predictions_SN).all()):
            raise ValueError("outcomes that are not finite numbers have no score")

    @cached_property
    def scores_S(self) -> npt.NDArray[np.float64]:
        """The score of each seed, in points."""
        once_1N = np.ones((1, len(self.labels_N)))
        scores_1S = WEIGHTED.get(self.metric)(once_1N, self.labels_N, self.predictions_SN)
        return scores_1S.reshape(-1)

    @cached_property
    def constant_score(self) -> float:
        """What the best constant answer, one for all examples, scores by the metric, in points."""
        return best_constant(self.metric, self.labels_N).score

    @cached_property
    def num_telling(self) -> int:
        """The examples that some run gets wrong, or those that some run gets right: the fewer.

        They tell whether runs fail at the same examples. In a regression all of them do.
        """
        if self.labels_N.dtype.kind == "f":
            return len(self.labels_N)
        is_right_SN = self.predictions_SN == self.labels_N
        if is_right_SN.ndim > 2:
            is_right_SN = is_right_SN.all(axis=2)
        right_N = is_right_SN.sum(axis=0)
        return int(min(np.count_nonzero(right_N), np.count_nonzero(right_N < len(self.seeds))))

    def of_seeds(self, seeds: Sequence[int]) -> Outcomes:
        """Those of these seeds alone, in this order; ValueError for one that is not here."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return Outcomes(
            metric=self.metric,
            labels_N=self.labels_N,
            predictions_SN=self.predictions_SN[rows],
            seeds=tuple(seeds),
        )
