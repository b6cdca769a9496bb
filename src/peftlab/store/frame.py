"""The results of a workspace as one pandas frame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.core.measurements import plain_epoch
from peftlab.core.process import search_put_off
from peftlab.core.trial import unseeded_trial
from peftlab.store.reader import Result
from peftlab.store.records import best_of, names_of_arms
from peftlab.store.rows import refusing_damage
from peftlab.store.workspace import Workspace
from peftlab.tasks.selection import reported

if TYPE_CHECKING:
    import pandas as pd

FIRST = (
    "id", "arm", "task", "model", "method", "seed", "fold", "train_size", "engine", "status",
    "epochs", "error", "rule",
)  # fmt: skip

NO_COSTS = ("parameters", "predictions_sha256", "model_sha256")
"""The keys of the costs that get no column of their own."""


def load_results(workspace: Path | str, study: str | None = None) -> pd.DataFrame:
    """Return a row for each trial, in plan order; a score, a cost, a setting is a column.

    Scores are `score.<metric>`, of the epoch that `rule` says, `held_out.<metric>`, of the same
    epoch on held-out rows, and `best.<metric>`, of the epoch that is best on dev itself; `epochs`
    is the number until the last evaluation, with a fraction where it has one; costs `cost.<name>`,
    hyperparameters `training.<name>`, the method's settings `method.<name>`.
    Raises UserError where there is no such workspace or study.
    """
    with Workspace.open(Path(workspace), create=False) as opened:
        return frame_of(opened.results(study), study, where=opened.where)


@search_put_off()
def frame_of(results: Iterable[Result], study: str | None, *, where: str) -> pd.DataFrame:
    """Return the frame of these results of a study, or of all; raise UserError if one is
    damaged."""
    import pandas as pd

    columns: dict[str, list[Any]] = {}
    settings: dict[str, int] = {}
    places: list[int] = []
    for count, result in enumerate(results):
        places.append(settings.setdefault(result.row.settings, len(settings)))
        for name, value in _measured(result, study).items():
            column = columns.setdefault(name, [])
            column += [None] * (count - len(column))
            column.append(value)
    for column in columns.values():
        column += [None] * (len(places) - len(column))
    with refusing_damage(where):
        of_settings = pd.DataFrame([_settings(text) for text in settings])
    parts = [pd.DataFrame(columns), of_settings.take(places).reset_index(drop=True)]
    whole = pd.concat(parts, axis="columns")
    own = [name for name in FIRST if name in whole]
    return whole[own + [name for name in whole if name not in FIRST]]


def _measured(result: Result, study: str | None) -> dict[str, Any]:
    """Return the columns that are each trial's own."""
    trained, chosen = result.evaluations[1:], reported(result.evaluations)
    row: dict[str, Any] = {
        "id": result.row.id,
        "arm": ", ".join(names_of_arms(result.arms) if study is None else result.arms[study]),
        "seed": result.row.seed,
        **({} if result.row.fold is None else {"fold": result.row.fold}),
        "status": result.row.status,
        "epochs": plain_epoch(trained[-1].epoch) if trained else 0,
        "error": result.row.error,
    }
    if chosen is not None:
        row |= _prefixed("score", chosen.scores)
        row |= _prefixed("held_out", chosen.held_out_scores or {})
    if trained:
        row |= _prefixed("best", best_of([one.scores for one in trained]))
    if result.row.costs is not None:
        row |= _prefixed("cost", result.row.costs | result.row.costs["parameters"])
        for name in NO_COSTS:
            row.pop(f"cost.{name}", None)
    return row


def _settings(text: str) -> dict[str, Any]:
    """Return the columns that trials share whatever their seeds; raise ValueError for invalid
    settings."""
    trial, checked = json.loads(text), unseeded_trial(text)
    row = {name: trial[name] for name in ("task", "method", "engine")}
    row["model"] = trial["model"]["name"]
    row["rule"] = checked.rule
    if checked.train_size is not None:
        row["train_size"] = checked.train_size
    return (
        row | _prefixed("training", trial["training"]) | _prefixed("method", trial["method_config"])
    )


def _prefixed(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{kind}.{name}": value for name, value in values.items()}
