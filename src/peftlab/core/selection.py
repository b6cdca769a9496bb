"""By which rule the epoch is chosen whose scores a trial reports, and which one that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from peftlab.core.types import Selection

LAST_EPOCH = "last epoch"


class Evaluated(Protocol):
    """An epoch, as far as the choice among several needs it."""

    @property
    def held_out_scores(self) -> Mapping[str, float] | None:
        """Those of the held-out rows, the main one first; none where there are no such rows."""


Epoch = TypeVar("Epoch", bound=Evaluated)


def rule(selection: Selection | None) -> str:
    """The rule in words, as it stands beside scores.

    >>> rule(None)
    'last epoch'
    >>> rule(Selection(fraction=0.1))
    'best epoch on 10% of train, held out'
    """
    if selection is None:
        return LAST_EPOCH
    return f"best epoch on {100 * selection.fraction:g}% of {selection.split}, held out"


def rules(selections: Iterable[Selection | None]) -> str:
    """The rules of several trials, each once; that of the last epoch where there are none."""
    return " / ".join(dict.fromkeys(rule(one) for one in selections)) or LAST_EPOCH


def main_score(scores: Mapping[str, float]) -> float:
    """The first of them: that of the task's main metric."""
    return next(iter(scores.values()))


def reported(epochs: Sequence[Epoch]) -> Epoch | None:
    """Of the epochs so far, epoch 0 first, the one whose scores are reported; None of none.

    With held-out rows it is the one behind epoch 0 whose main metric is the highest there, the
    earlier of equals; else the last.
    """
    if not epochs:
        return None
    return max(
        (one for one in epochs[1:] if one.held_out_scores),
        key=lambda one: main_score(one.held_out_scores or {}),
        default=epochs[-1],
    )
