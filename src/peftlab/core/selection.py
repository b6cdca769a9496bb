"""The rule by which a trial reports the scores of one of its evaluations, and the rule in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

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
