"""The evaluation whose scores a trial reports, and whether its training stops early.

Both follow from the scores on held-out rows, by the rule of core/selection.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from peftlab.tasks.scores import main_merit

if TYPE_CHECKING:
    from peftlab.core.training import TrainingSettings


class Scored(Protocol):
    """The part of an evaluation that the choice among several needs."""

    @property
    def held_out_scores(self) -> Mapping[str, float] | None:
        """The scores on held-out rows, the main one first; none where there are no such rows."""


AnyScored = TypeVar("AnyScored", bound=Scored)


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
