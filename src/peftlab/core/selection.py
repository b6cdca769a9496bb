"""Choose the evaluation whose scores a trial reports: the rule, in words too, and the choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import Field

from peftlab.core.scores import main_merit
from peftlab.core.validation import Frozen

LAST_EPOCH = "last epoch"


class Selection(Frozen):
    """Rows of train that are held out to choose the state by which a trial is reported."""

    split: Literal["train"] = "train"
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1

    def num_held_out(self, num_rows: int) -> int:
        """Return how many of these rows are held out."""
        return round(self.fraction * num_rows)


class Scored(Protocol):
    """An evaluation, as far as the choice among several needs it."""

    @property
    def held_out_scores(self) -> Mapping[str, float] | None:
        """The scores on held-out rows, the main one first; none where there are no such rows."""


Candidate = TypeVar("Candidate", bound=Scored)


def rule(selection: Selection | None) -> str:
    """Return the rule in words, as it stands beside scores.

    >>> rule(None)
    'last epoch'
    >>> rule(Selection(fraction=0.1))
    'best epoch on 10% of train, held out'
    """
    if selection is None:
        return LAST_EPOCH
    return f"best epoch on {100 * selection.fraction:g}% of {selection.split}, held out"


def rules(selections: Iterable[Selection | None]) -> str:
    """Return the rules of several trials, each once; without trials, the last epoch's rule."""
    return " / ".join(dict.fromkeys(rule(one) for one in selections)) or LAST_EPOCH


def folds_words(folds: int) -> str:
    """Return in words that scores are of folds.

    >>> folds_words(5)
    '5-fold cross-validation on train'
    """
    return f"{folds}-fold cross-validation on train"


def main_score(scores: Mapping[str, float]) -> float:
    """Return the score by the task's main metric, which is the first of them."""
    return next(iter(scores.values()))


def reported(evaluations: Sequence[Candidate]) -> Candidate | None:
    """Return the evaluation whose scores are reported; None where there is none yet.

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
