"""A metric: what logits score, given the labels, and the facts about such scores.

Nothing here imports NumPy before something is computed, so that records can be ranked and shown at
once. Dimensions: R weightings, N examples, S seeds, C columns of logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from peftlab.core.inputs import ProblemType
    from peftlab.tasks.problem import Floats, Logits, Predicted, Values

POINTS = "points"
"""The unit of most scores: a share of 1 is 100 of them (91.3, not 0.913)."""
BEST_SCORE = 100.0
"""Points: the greatest score by every metric that is in points."""
Reads = Literal["answers", "logits"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A score from `lowest` to `highest` for the `kinds` of problem, of two classes if `is_binary`.

    The greater of two scores is the better one unless `greater_is_better` is False, as of a loss.
    `unit` is the word for what scores are shown in: points, or a unit of its own where there is no
    greatest score, as a log loss is in nats.

    The score is defined once, in one of two ways, and is told what it `reads`:

    - `measure`: (predictions [N, ...], labels) -> score;
    - `weighted`: (weights [R, N], labels, predictions [S, N, ...]) -> scores [R, S], the same under
      many weightings at once. It is the faster one by far where examples are resampled: of a
      `measure` every resample is a call for each seed.

    `chance`, in the form of `weighted`, is its chance level: the mean score over all permutations
    of the predictions. It is given where that can be better than every constant answer; of a
    `measure`, of which nothing is known, it is estimated from some of them.

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
    greater_is_better: bool = True
    unit: str = POINTS
    is_binary: bool = False
    is_share: bool = False
    why_not_main: str = ""

    def __post_init__(self) -> None:
        if (self.measure is None) == (self.weighted is None):
            raise ValueError("a metric is defined by `measure` or by `weighted`, not by both")
        if self.unit == POINTS and not math.isfinite(self.highest):
            raise ValueError("scores in points have a greatest one; give the metric another unit")

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
        return BEST_SCORE if self.unit == POINTS else 1.0

    @property
    def best_score(self) -> float:
        """The best score that there is, in the metric's unit."""
        return self.highest_score if self.greater_is_better else self.lowest_score

    def fits(self, problem_type: ProblemType, num_labels: int) -> bool:
        """Return whether the metric can score a problem of that kind."""
        return problem_type in self.kinds and (not self.is_binary or num_labels == 2)

    def read(self, logits_NC: Logits, problem_type: ProblemType) -> Predicted:
        """Return the part of the logits that the metric reads."""
        from peftlab.tasks.problem import answers

        return logits_NC if self.reads == "logits" else answers(logits_NC, problem_type)

    def scores(self, labels_N: Values, predictions_SN: Predicted) -> Floats:
        """Return the score [S] of each seed in the metric's unit; predictions are as it reads
        them."""
        from peftlab.tasks.metrics.weights import once

        return self.weighted_scores(once(len(labels_N)), labels_N, predictions_SN).reshape(-1)

    def weighted_scores(
        self, weights_RN: Floats, labels_N: Values, predictions_SN: Predicted
    ) -> Floats:
        """Return the scores [R, S] in the metric's unit; the weights are whole numbers."""
        from peftlab.tasks.metrics.weights import of_repeated_rows

        if self.weighted is not None:
            return self.scale * self.weighted(weights_RN, labels_N, predictions_SN)
        assert self.measure is not None
        return self.scale * of_repeated_rows(self.measure, weights_RN, labels_N, predictions_SN)

    def chance_levels(self, labels_N: Values, predictions_SN: Predicted) -> Floats | None:
        """Return the chance level [S] of each seed in the metric's unit.

        None where no chance level is better than the best constant answer.
        """
        from peftlab.tasks.metrics.weights import mean_over_permutations, once

        if self.chance is not None:
            levels_1S = self.chance(once(len(labels_N)), labels_N, predictions_SN)
            return self.scale * levels_1S.reshape(-1)
        if self.measure is None:
            return None
        return mean_over_permutations(self.scores, labels_N, predictions_SN)
