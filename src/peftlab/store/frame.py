"""All results as one pandas frame, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.store.reader import Result
from peftlab.store.records import best_of, names_of_arms
from peftlab.store.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd


def load_results(workspace: Path | str, study: str | None = None) -> pd.DataFrame:
    """One row a trial, in plan order; a score, a cost, a setting is a column.

    Scores are `score.<metric>` (last epoch) and `best.<metric>`, costs `cost.<name>`,
    hyperparameters `training.<name>`, the method's settings `method.<name>`.
    Raises UserError where there is no such workspace or study.
    """
    import pandas as pd

    with Workspace.open(Path(workspace), create=False) as opened:
        return pd.DataFrame([_row(result, study) for result in opened.results(study)])


def _row(result: Result, study: str | None) -> dict[str, Any]:
    trial, trained = result.trial, result.scores[1:]
    row: dict[str, Any] = {
        "id": result.trial_id,
        "arm": ", ".join(names_of_arms(result.arms) if study is None else result.arms[study]),
        "task": trial["task"],
        "model": trial["model"]["name"],
        "method": trial["method"],
        "seed": trial["seed"],
        "engine": trial["engine"],
        "status": result.status,
        "epochs": len(trained),
        "error": result.error,
    }
    if result.scores:
        row |= _named("score", result.scores[-1])
    if trained:
        row |= _named("best", best_of(trained))
    if result.costs is not None:
        row |= _named("cost", result.costs | result.costs["parameters"])
        del row["cost.parameters"]
    row |= _named("training", trial["training"])
    row |= _named("method", trial["method_config"])
    return row


def _named(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{kind}.{name}": value for name, value in values.items()}
