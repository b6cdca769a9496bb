"""A metric: what the logits of a classifier score, given the labels, in points (91.3, not 0.913).

What has no greatest value is in a unit of its own instead, as a log loss is in nats.

Dimensions: R weightings, N examples, S seeds, C columns of logits. A weight is how often an example
is there, so that a resample of the bootstrap is a row of counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from peftlab.core.inputs import ProblemType
from peftlab.tasks.problem import Floats, Logits, Values, answers

BEST_SCORE = 100.0
"""Points: the greatest score by every metric that is in points."""
NUM_PERMUTATIONS = 100
"""The permutations of a chance level; with 400 examples, mean macro F1 is off by 0.25 points."""
Reads = Literal["answers", "logits"]
Predicted = npt.NDArray[Any]
"""The part of a prediction that a metric reads: its answer in the form of the label, or its logits
[C]."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A score from `lowest` to `highest` for the `kinds` of problem, of two classes if `is_binary`.

    Whether more of it is better, and its unit, its name says (core/scores.py).

    It is defined once, in one of two ways, and is told what it `reads`:

    - `measure`: (predictions [N, ...], labels) -> score;
    - `weighted`: (weights [R, N], labels, predictions [S, N, ...]) -> scores [R, S], the same under
      many weightings at once. It is the faster one by far where examples are resampled: of a
      `measure` every resample is a call for each seed.

    `chance`, in the form of `weighted`, is its chance level: the mean score over all permutations
    of the predictions. It is given where that can be better than every constant answer; of a
    `measure`, of which nothing is known, it is estimated by NUM_PERMUTATIONS of them.

    `is_share` says that it is the share of examples that are right. `why_not_main` is why no task
    can be compared by it; "" where one can.
    """

    kinds: tuple[ProblemType, ...]
    reads: Reads = "logits"
    measure: Callable[[Predicted, Values], float] | None = None
    weighted: Callable[[Floats, Values, Predicted], Floats] | None = None
    chance: Callable[[Floats, Values, Predicted], Floats] | None = None
    lowest: float = 0.0
    highest: float = 1.0
    is_binary: bool = False
    is_share: bool = False
    why_not_main: str = ""

    def __post_init__(self) -> None:
        if (self.measure is None) == (self.weighted is None):
            raise ValueError("a metric is defined by `measure` or by `weighted`, not by both")

    @property
    def lowest_score(self) -> float:
        """The lowest score that there is, in the metric's unit."""
        return self.scale * self.lowest

    @property
    def highest_score(self) -> float:
        """The highest score that there is, in the metric's unit; it may be infinite."""
        return self.scale * self.highest

    @property
    def scale(self) -> float:
        """The factor of a value for display: a share of 1 is 100 points."""
        return BEST_SCORE if math.isfinite(self.highest) else 1.0

    def fits(self, problem_type: ProblemType, num_labels: int) -> bool:
        """Return whether the metric can score a problem of that kind."""
        return problem_type in self.kinds and (not self.is_binary or num_labels == 2)

    def read(self, logits_NC: Logits, problem_type: ProblemType) -> Predicted:
        """Return the part of the logits that the metric reads."""
        return logits_NC if self.reads == "logits" else answers(logits_NC, problem_type)

    def scores(self, labels_N: Values, predictions_SN: Predicted) -> Floats:
        """Return the score [S] of each seed in the metric's unit; predictions are as it reads
        them."""
        once_1N = np.ones((1, len(labels_N)))
        return self.weighted_scores(once_1N, labels_N, predictions_SN).reshape(-1)

    def weighted_scores(
        self, weights_RN: Floats, labels_N: Values, predictions_SN: Predicted
    ) -> Floats:
        """Return the scores [R, S] in the metric's unit; the weights are whole numbers."""
        if self.weighted is not None:
            return self.scale * self.weighted(weights_RN, labels_N, predictions_SN)
        return self.scale * self._of_rows(weights_RN, labels_N, predictions_SN)

    def chance_levels(self, labels_N: Values, predictions_SN: Predicted) -> Floats | None:
        """Return the chance level [S] of each seed in the metric's unit.

        None where no chance level is better than the best constant answer. The permutations that a
        `measure` needs are the same ones at every call.
        """
        once_1N = np.ones((1, len(labels_N)))
        if self.chance is not None:
            return self.scale * self.chance(once_1N, labels_N, predictions_SN).reshape(-1)
        if self.measure is None:
            return None
        generator = np.random.default_rng(0)
        orders = (generator.permutation(len(labels_N)) for _ in range(NUM_PERMUTATIONS))
        every = [self.scores(labels_N, predictions_SN[:, order_N]) for order_N in orders]
        return np.asarray(np.mean(every, axis=0))

    def _of_rows(self, weights_RN: Floats, labels_N: Values, predictions_SN: Predicted) -> Floats:
        """Return the value of `measure` on examples that are repeated as often as they weigh."""
        assert self.measure is not None
        scores_RS = np.empty((len(weights_RN), len(predictions_SN)))
        for row, weights_N in enumerate(weights_RN):
            drawn = np.repeat(np.arange(len(labels_N)), weights_N.astype(np.int64))
            for seed, own in enumerate(predictions_SN):
                scores_RS[row, seed] = self.measure(own[drawn], labels_N[drawn])
        return scores_RS


def quotient(above: Floats, below: Floats) -> Floats:
    """Return above / below, or 0 where `below` is not positive."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
