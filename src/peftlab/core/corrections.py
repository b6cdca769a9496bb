"""Corrections that changed the numbers of trials, and so the identities of exactly those.

A trial says by which rules it was measured (`Trial.rules`). A correction belongs to the version of
the rules that brought it: a trial that it affects has another id from that version on, so that
what was measured before is never taken for a result of today's, and everything else keeps its id.

To correct something that changes numbers, raise RULES by one and add a correction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from peftlab.core.identity import pinned_settings
from peftlab.core.inputs import DataRef, Head, ModelRef
from peftlab.core.training import TrainingSettings

RULES = 2
"""The version of the rules by which this version of peftlab measures."""


class MeasuredTrial(Protocol):
    """The part of a trial that corrections look at."""

    method: str
    engine: str
    head: Head
    rules: int
    data: DataRef
    model: ModelRef
    training: TrainingSettings
    max_train_samples: int | None
    max_eval_samples: int | None


@dataclass(frozen=True, kw_only=True)
class Correction:
    """A correction, and the version of the rules that brought it.

    `mark` returns what enters the id of a trial that is affected: true, or a setting that had no
    effect before. It returns None for any other trial. `what` says what was wrong, as the second
    half of a sentence.
    """

    name: str
    rules: int
    mark: Callable[[MeasuredTrial], JsonValue]
    what: str


def _accumulates_in_trainer(trial: MeasuredTrial) -> JsonValue:
    is_affected = trial.engine == "trainer" and trial.training.gradient_accumulation_steps > 1
    return True if is_affected else None


def _draws_rows(trial: MeasuredTrial) -> JsonValue:
    files, is_cut = trial.data.files, trial.max_train_samples or trial.max_eval_samples
    return None if files is None or not is_cut else files.split_seed


def _leaves_head_out(trial: MeasuredTrial) -> JsonValue:
    return True if trial.model.has_head and trial.head == "fresh" else None


def _mixes_rows(trial: MeasuredTrial) -> JsonValue:
    mixes = trial.method == "lily" or trial.method not in pinned_settings()
    return True if mixes or trial.model.shows_padding else None


CORRECTIONS = (
    Correction(
        name="trainer-accumulation",
        rules=2,
        mark=_accumulates_in_trainer,
        what="the engine trainer took losses and gradients gradient_accumulation_steps times "
        "too large",
    ),
    Correction(
        name="rows-drawn",
        rules=2,
        mark=_draws_rows,
        what="max_train_samples and max_eval_samples took the first rows of own files, whatever "
        "their labels, in place of a draw in which each label has its share",
    ),
    Correction(
        name="head-left-out",
        rules=2,
        mark=_leaves_head_out,
        what="the classifier's head of the checkpoint was kept, whatever its labels, where a fresh "
        "one was said to be drawn",
    ),
    Correction(
        name="rows-apart",
        rules=2,
        mark=_mixes_rows,
        what="a row's prediction depended on the rows that shared its batch",
    ),
)


def marks(trial: MeasuredTrial) -> dict[str, JsonValue]:
    """Return what the corrections that a trial was measured with add to its id, by name."""
    found = {
        correction.name: correction.mark(trial)
        for correction in CORRECTIONS
        if correction.rules <= trial.rules
    }
    return {name: mark for name, mark in found.items() if mark is not None}


def missing(trial: MeasuredTrial) -> list[Correction]:
    """Return the corrections that affect the trial and that it was measured without."""
    return [
        correction
        for correction in CORRECTIONS
        if correction.rules > trial.rules and correction.mark(trial) is not None
    ]
