"""All results as one pandas frame, in one call."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.store.records import TrialRecord
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
        return pd.DataFrame([_row(record, study) for record in opened.trials(study)])


def _row(record: TrialRecord, study: str | None) -> dict[str, Any]:
    trial = record.trial
    row: dict[str, Any] = {
        "id": trial.id,
        "arm": ", ".join(_arms(record, study)),
        "task": trial.task,
        "model": trial.model.name,
        "method": trial.method,
        "seed": trial.seed,
        "engine": trial.engine,
        "status": record.status,
        "epochs": max(len(record.epochs) - 1, 0),
        "error": record.error,
    }
    row |= {f"score.{name}": value for name, value in record.scores.items()}
    row |= {f"best.{name}": value for name, value in record.best_scores.items()}
    if record.costs is not None:
        costs = asdict(record.costs)
        parameters = costs.pop("parameters")
        row |= {f"cost.{name}": value for name, value in (costs | parameters).items()}
    row |= {f"training.{name}": value for name, value in trial.training.model_dump().items()}
    row |= {f"method.{name}": value for name, value in trial.method_config.items()}
    return row


def _arms(record: TrialRecord, study: str | None) -> list[str]:
    if study is not None:
        return list(record.arms[study])
    return sorted({name for names in record.arms.values() for name in names})
