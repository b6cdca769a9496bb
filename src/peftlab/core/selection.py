"""Choose the evaluation whose scores a trial reports: the rule, in words too, and the choice.

The same scores, those on held-out rows, say whether a training stops early.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import Field

from peftlab.core.scores import main_merit
from peftlab.core.training import TrainingSettings
from peftlab.core.validation import Frozen

LAST_EPOCH = "last epoch"


class Selection(Frozen):
    """The rows of train that are held out to choose the state by which a trial is reported."""

    split: Literal["train"] = "train"
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1

    def num_held_out(self, num_rows: int) -> int:
        """Return how many of these rows are held out."""
        return round(self.fraction * num_rows)


class Scored(Protocol):
    """The part of an evaluation that the choice among several needs."""

    @property
    def held_out_scores(self) -> Mapping[str, float] | None:
        """The scores on held-out rows, the main one first; none where there are no such rows."""


AnyScored = TypeVar("AnyScored", bound=Scored)


def rule(selection: Selection | None, training: TrainingSettings | None = None) -> str:
    """Return the rule of selection in words, for display beside scores.

    >>> rule(None)
    'last epoch'
    >>> rule(Selection(fraction=0.1))
    'best epoch on 10% of train, held out'
    >>> rule(Selection(), TrainingSettings(eval_strategy="steps", eval_steps=50))
    'best evaluation on 10% of train, held out'
    """
    if selection is None:
        return LAST_EPOCH
    by_epoch = training is None or training.eval_strategy == "epoch"
    chosen = "epoch" if by_epoch else "evaluation"
    return f"best {chosen} on {100 * selection.fraction:g}% of {selection.split}, held out"


def folds_words(folds: int) -> str:
    """Return the words for scores of folds.

    >>> folds_words(5)
    '5-fold cross-validation on train'
    """
    return f"{folds}-fold cross-validation on train"


def main_score(scores: Mapping[str, float]) -> float:
    """Return the score by the task's main metric, which is the first of them."""
    return next(iter(scores.values()))


def reported(evaluations: Sequence[AnyScored]) -> AnyScored | None:
    """Return the evaluation whose scores are reported; None if there is none yet.

    The first of them is that of the state before training. With held-out rows it is the one after
    it whose main metric is the best there, the earlier of equals; else the last.
    """
    if not evaluations:
        return None
    return max(
        (one for one in evaluations[1:] if one.held_out_scores),
        key=lambda one: main_merit(one.held_out_scores or {}),
        default=evaluations[-1],
    )


def has_stopped_early(evaluations: Sequence[Scored], training: TrainingSettings) -> bool:
    """Return whether a training ends after the last of these evaluations, by its own settings.

    As with transformers.EarlyStoppingCallback an evaluation counts as better where its main metric
    on held-out rows exceeds the best before it by more than `early_stopping_threshold`, which is in
    the metric's own unit (points, of most); as many in a row as `early_stopping_patience` that are
    not better end the training. The state before training is no evaluation of it. All follows from
    the evaluations, so a training that goes on from a checkpoint ends where it would have ended.
    """
    if training.early_stopping_patience is None:
        return False
    best, num_waited = -math.inf, 0
    for one in evaluations[1:]:
        merit = main_merit(one.held_out_scores) if one.held_out_scores else -math.inf
        is_better = merit - best > training.early_stopping_threshold
        num_waited = 0 if is_better else num_waited + 1
        if merit > best:
            best = merit
    return num_waited >= training.early_stopping_patience
