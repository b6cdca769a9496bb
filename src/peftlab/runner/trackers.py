"""A trial's run in a tracker, whichever of accelerate's it is.

Nothing of accelerate or of a tracker is imported before a run is opened.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import JsonValue

from peftlab.core.identity import canonical_json
from peftlab.core.trial import Trial

End = Literal["finished", "failed", "interrupted"]
LIVE = frozenset({"tensorboard", "mlflow"})
"""Trackers whose runs can be open side by side, and begun anew.

The others keep one run in the process, and what they were told cannot be taken back: a trial's run
is opened, written and closed when it has ended.
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Values that belong to a step of the training."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a run is called, whose it is, and the folder for trackers that write files."""

    study: str
    name: str
    trial: Trial
    folder: Path

    @property
    def config(self) -> dict[str, str | int | float | bool]:
        """The resolved trial with dotted keys; what is no plain value is written as JSON."""
        return dict(_flat("", self.trial.model_dump(mode="json"))) | {"trial": self.trial.id}


class Run(Protocol):
    """A run that is open. Any exception of the tracker's passes through."""

    def write(self, rows: Sequence[Row]) -> None:
        """Add values, with steps that never fall."""

    def close(self, end: End) -> None:
        """Nothing more will come."""


def open_run(tracker: str, card: Card) -> Run:
    """Begin the trial's run, in the place of what an earlier attempt has left in a live tracker."""
    if tracker == "mlflow":
        from peftlab.runner.mlflow_run import MLflowRun

        return MLflowRun(card)
    return AccelerateRun(tracker, card)


class AccelerateRun:
    """A run by the interface that all of accelerate's trackers share."""

    def __init__(self, tracker: str, card: Card) -> None:
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState(cpu=True)  # accelerate's log does not work without
        make = LOGGER_TYPE_TO_CLASS[tracker]
        folder = card.folder / tracker / card.study
        if make.requires_logging_directory:
            shutil.rmtree(folder / card.name, ignore_errors=True)
            self._tracker = make(card.name, logging_dir=str(folder))
        else:
            self._tracker = make(card.study, **_named(tracker, card, folder))
        # One process writes: no need to ask a process group which of them is the main one.
        self._tracker.main_process_only = False
        self._tracker.start()
        self._tracker.store_init_configuration(card.config)

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._tracker.log(dict(row.values), step=row.step)

    def close(self, end: End) -> None:
        self._tracker.finish()


def _named(tracker: str, card: Card, folder: Path) -> dict[str, Any]:
    """How a run gets its name where the first argument is the project's."""
    names = {
        "wandb": {"name": card.name},
        "trackio": {"name": card.name},
        "swanlab": {"experiment_name": card.name},
        "clearml": {"task_name": card.name},
        "dvclive": {"dir": str(folder / card.name)},
    }
    return names.get(tracker, {})


def _flat(key: str, value: JsonValue) -> list[tuple[str, str | int | float | bool]]:
    """The value with dotted keys.

    >>> _flat("", {"seeds": {"init": 1}, "method_config": {"r": None}, "task": "cola"})
    [('seeds.init', 1), ('method_config.r', 'null'), ('task', 'cola')]
    """
    if isinstance(value, dict):
        prefix = f"{key}." if key else ""
        return [pair for name, inner in value.items() for pair in _flat(prefix + name, inner)]
    plain = isinstance(value, str | int | float)
    return [(key, value if plain else canonical_json(value))]  # type: ignore[list-item]
