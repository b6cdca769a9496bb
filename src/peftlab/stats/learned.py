"""The test of whether an arm has learned a task: its score against those of uninformed answers.

A model that gives one answer to all examples has learned nothing, and neither has one whose score
such an answer would reach, or its own answers in a random order. The bar of a run is the better of
two scores: that of the best constant answer, and its chance level, the mean over permutations of
its predictions. By most metrics the second is never the better one; by macro F1 coin flips score 50
where the best constant answer scores 33. An arm

- learned, if the 95% interval of its score less its bar lies above 0;
- did not learn, if every run is constant; or no run has moved from where it was before its first
  step; or the score is shown (again by a 95% interval) to exceed by less than GAIN points the bar,
  or the score of the answer that each run gives to half of the examples or more;
- else it cannot be told.

The answer that a run gives most often scores no more than the best constant one and is chosen
without a look at the labels. A run that almost always gives it is near to it, with little noise
between the two, however far both are from the best one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from peftlab.stats.compare import Difference, difference
from peftlab.stats.constant import commonest, for_all, is_constant
from peftlab.stats.noise import LEVEL, NO_NOISE
from peftlab.stats.outcomes import Outcomes
from peftlab.stats.resample import Resampled
from peftlab.stats.state import LearningState
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.problem import Predicted, Values
from peftlab.tasks.scores import sign_of

GAIN = 1.0
"""Points: an arm that exceeds its bar by less has not learned."""
STILL = 0.01
"""The relative change up to which a loss has not moved."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The judgement on whether the runs of an arm learned a task.

    `constant` is the score of the best constant answer, `chance` the mean bar of the runs where
    the chance level of one of them is better than that (else None), and `gain` by how many points
    the arm is better than its bar. All are None where predictions are gone. `most` is the gain of
    perfect answers. `num_constant`
    of `num_runs` runs gave one answer to all examples. `has_moved` is False where no run moved from
    where it was before its first step. `is_one_label` says that all examples have the same label:
    no score is then better than `constant`.
    """

    state: LearningState
    constant: float | None = None
    chance: float | None = None
    gain: Difference | None = None
    most: float = math.inf
    num_runs: int = 0
    num_constant: int = 0
    has_moved: bool = True
    is_one_label: bool = False

    @property
    def bar(self) -> float | None:
        """The score with which the arm's is compared: `chance` where there is one, else
        `constant`."""
        return self.constant if self.chance is None else self.chance

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of the gain in points, within the metric's range; None if there is
        none."""
        if self.gain is None or not self.gain.noise.is_known:
            return None
        return max(self.gain.low, self.most - self.gain.reach), min(self.gain.high, self.most)


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Constant answers as if arms gave them: the best one, then those that runs give most often.

    `rows` finds the row of `outcomes` by an answer's bytes.
    """

    outcomes: Outcomes
    rows: Mapping[bytes, int]

    def row_of(self, predictions_N: Predicted) -> int:
        """Return the row of the answer that a run gives most often, or of the best answer."""
        own = _leading(predictions_N, self.outcomes.labels_N)
        return 0 if own is None else self.rows[own.tobytes()]


def constants_of(every: Sequence[Outcomes]) -> Constants:
    """Return the constant answers with which arms on the same examples are compared."""
    labels_N, metric = every[0].labels_N, every[0].metric
    best = every[0].best_constant.answer
    runs = [run_N for outcomes in every for run_N in outcomes.predictions_SN]
    own = [found for run_N in runs if (found := _leading(run_N, labels_N)) is not None]
    answers = {answer.tobytes(): answer for answer in (best, *own)}
    outcomes = Outcomes(
        metric=metric,
        labels_N=labels_N,
        predictions_SN=for_all(np.stack([*answers.values()]), len(labels_N)),
        seeds=tuple(range(len(answers))),
        folds=every[0].folds,
    )
    return Constants(outcomes=outcomes, rows={key: row for row, key in enumerate(answers)})


def judge(
    outcomes: Outcomes,
    resampled: Resampled,
    constants: Constants,
    drawn: Resampled,
    *,
    has_moved: bool = True,
) -> Learned:
    """Return the judgement on an arm's outcomes.

    `resampled` are the outcomes, and `drawn` those of `constants`, under the same resamples.
    """
    rows = [constants.row_of(run_N) for run_N in outcomes.predictions_SN]
    best = _beside(resampled, drawn, [0] * len(rows))
    bar = _bar(best, resampled.chance)
    gain = difference(resampled, bar)
    over_own = difference(resampled, _beside(resampled, drawn, rows))
    num_constant = sum(is_constant(run_N) for run_N in outcomes.predictions_SN)
    is_one_label = is_constant(outcomes.labels_N)
    is_near = min(gain.p_below(GAIN), over_own.p_below(GAIN)) <= LEVEL / 2
    state: LearningState = "cannot tell"
    if not is_one_label and gain.p_above(0.0) <= LEVEL / 2:
        state = "learned"
    elif not is_one_label and (num_constant == len(rows) or not has_moved or is_near):
        state = "did not learn"
    sign = sign_of(outcomes.metric)
    level = sign * float(bar.merits_S.mean())
    return Learned(
        state=state,
        constant=float(constants.outcomes.scores_S[0]),
        chance=None if bar is best else level,
        most=abs(METRICS.get(outcomes.metric).best_score - level),
        gain=gain,
        num_runs=len(rows),
        num_constant=num_constant,
        has_moved=has_moved,
        is_one_label=is_one_label,
    )


def has_moved(scores: Sequence[tuple[float, float]], losses: Sequence[tuple[float, float]]) -> bool:
    """Return whether training changed any run: (before the first step, reported) of each, on dev.

    A run has not moved if its score changed by no more than GAIN points and its loss by no more
    than the share STILL of itself.

    >>> has_moved([(45.0, 46.0)], [(0.695, 0.694)]), has_moved([(45.0, 45.0)], [(0.695, 0.6)])
    (False, True)
    """
    return any(
        not (abs(score - first) <= GAIN and abs(loss - start) <= STILL * abs(start))
        for (first, score), (start, loss) in zip(scores, losses, strict=True)
    )


def _leading(predictions_N: Predicted, labels_N: Values) -> Values | None:
    """Return the answer that a run gives to half of the examples or more; None if there is none.

    Scores and logits are no answers that come again.
    """
    if predictions_N.dtype.kind == "f":
        return None
    own = commonest(predictions_N).astype(labels_N.dtype)
    is_own = (predictions_N == own).reshape(len(labels_N), -1).all(axis=1)
    return own if 2 * np.count_nonzero(is_own) >= len(labels_N) else None


def _bar(best: Resampled, chance: Resampled | None) -> Resampled:
    """Return each seed's bar: its chance level, if that is better than the best constant answer."""
    if chance is None:
        return best
    is_better_S = chance.merits_S > best.merits_S + NO_NOISE
    if not is_better_S.any():
        return best
    folds = best.folds
    if folds is not None and chance.folds is not None:
        is_better_S1 = is_better_S[:, None]
        merits_SK = np.where(is_better_S1, chance.folds.merits_SK, folds.merits_SK)
        folds = replace(folds, merits_SK=merits_SK)
    return replace(
        best,
        merits_S=np.where(is_better_S, chance.merits_S, best.merits_S),
        replicates_RS=np.where(is_better_S, chance.replicates_RS, best.replicates_RS),
        folds=folds,
    )


def _beside(resampled: Resampled, drawn: Resampled, rows: Sequence[int]) -> Resampled:
    """Return the constant answers of these rows, one for each seed of `resampled`."""
    return Resampled(
        merits_S=drawn.merits_S[rows],
        replicates_RS=drawn.replicates_RS[:, rows],
        seeds=resampled.seeds,
        num_examples=resampled.num_examples,
        folds=drawn.folds and drawn.folds.of_rows(rows),
    )
