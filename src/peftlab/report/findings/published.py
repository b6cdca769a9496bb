"""Scores that papers report, each with its metric, split and rule of selection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True, kw_only=True)
class PublishedScore:
    """A score in points of a metric (a key of METRICS)."""

    value: float
    metric: str


@dataclass(frozen=True, kw_only=True)
class PublishedResult:
    """A row of a published table: a method on a checkpoint, its scores by task.

    `key` is a short name of the source. `selection` says which run and epoch were reported.
    """

    key: str
    source: str
    checkpoint: str
    method: str
    split: str
    selection: str
    scores: Mapping[str, PublishedScore]

    @property
    def label(self) -> str:
        """The method with its source and, in short, the rule of selection.

        >>> published_scores()[0].label
        'full (UniPELT, best on dev)'
        """
        return f"{self.method} ({self.key}, {re.split(r'[,;(]', self.selection)[0].strip()})"

    @property
    def rule(self) -> str:
        """The rule and the source that must be shown beside its scores."""
        return f"{self.checkpoint}, {self.split}, {self.selection}; {self.source}"


@lru_cache
def published_scores() -> tuple[PublishedResult, ...]:
    """Return the scores of published.yaml, in its order."""
    text = resources.files(__package__).joinpath("published.yaml").read_text(encoding="utf-8")
    return tuple(_row(table, row) for table in yaml.safe_load(text) for row in table["rows"])


def _row(table: dict[str, Any], row: dict[str, Any]) -> PublishedResult:
    metrics = {**table["metrics"], **row.get("metrics", {})}
    return PublishedResult(
        key=row.get("key", table["key"]),
        source=row.get("source", table["source"]),
        checkpoint=table["checkpoint"],
        method=row["method"],
        split=table["split"],
        selection=row.get("selection", table["selection"]),
        scores={
            task: PublishedScore(value=value, metric=metrics[task])
            for task, value in row["scores"].items()
        },
    )
