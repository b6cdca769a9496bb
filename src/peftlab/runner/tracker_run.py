"""A trial's run in a tracker: what it is called, and what is written to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import JsonValue

from peftlab.core.identity import canonical_json
from peftlab.core.trial import Trial

RunStatus = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class StepValues:
    """Values that belong to a step of the training."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Card:
    """The name of a run, its trial, and the folder for trackers that write files."""

    study: str
    name: str
    trial: Trial
    folder: Path

    @property
    def config(self) -> dict[str, str | int | float | bool]:
        """The resolved trial with dotted keys; values that are not plain are written as JSON."""
        return dict(_flat("", self.trial.model_dump(mode="json"))) | {"trial": self.trial.id}


class TrackerRun(Protocol):
    """An open run. Any exception of the tracker's passes through."""

    def write(self, rows: Sequence[StepValues]) -> None:
        """Add values, with steps that never fall."""

    def close(self, end: RunStatus) -> None:
        """Close the run."""


def _flat(key: str, value: JsonValue) -> list[tuple[str, str | int | float | bool]]:
    """Return the pairs of a value with dotted keys.

    >>> _flat("", {"seeds": {"init": 1}, "method_config": {"r": None}, "task": "cola"})
    [('seeds.init', 1), ('method_config.r', 'null'), ('task', 'cola')]
    """
    if isinstance(value, dict):
        prefix = f"{key}." if key else ""
        return [pair for name, inner in value.items() for pair in _flat(prefix + name, inner)]
    plain = isinstance(value, str | int | float)
    return [(key, value if plain else canonical_json(value))]  # type: ignore[list-item]
