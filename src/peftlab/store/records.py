"""The record of a trial, as the store returns it, and its stable JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from peftlab.core.corrections import missing
from peftlab.core.errors import UserError
from peftlab.core.files import folder_sha256
from peftlab.core.measurements import Costs, Evaluation, plain_epoch
from peftlab.core.selection import folds_words
from peftlab.core.trial import Trial
from peftlab.tasks.scores import main_merit
from peftlab.tasks.selection import reported

Status = Literal["pending", "running", "done", "failed", "pruned"]
"""The status of a trial; it is pruned if a search for the best setting gave it up midway."""

MODEL_FOLDER = "model"
PREDICTIONS_FILE = "predictions.parquet"
CHECKPOINTS_FOLDER = "checkpoints"
"""The names of the files in a trial's folder."""
NUM_CHECKPOINTS = 2
"""The number of the newest checkpoints that are kept: the last may turn out to be damaged."""


def is_open(status: Status, retry_failed: bool) -> bool:
    """Return whether a run carries out a trial of this status."""
    return status in {"pending", "running", "pruned"} or (retry_failed and status == "failed")


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A trial with everything that is known of it so far.

    `arms` says under which arm names each study holds it: {"glue-peft": ("lora-r8",)}.
    `evaluations` are in order and begin with step 0. `error` is the cause of a failure. `folder` is
    where its model and its predictions lie, or will.
    """

    trial: Trial
    status: Status
    arms: Mapping[str, tuple[str, ...]]
    evaluations: tuple[Evaluation, ...] = ()
    costs: Costs | None = None
    num_train_examples: int | None = None
    num_eval_examples: int | None = None
    error: str | None = None
    folder: Path | None = None
    provenance: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def model_path(self) -> Path | None:
        """The folder of the trained model; None if the trial is not done or the folder is
        missing."""
        if self.folder is None or self.status != "done":
            return None
        path = self.folder / MODEL_FOLDER
        return path if path.is_dir() else None

    def require_own_model(self) -> None:
        """Raise UserError if the trained model is not the one that the trial saved.

        Trials of older versions do not know theirs again.
        """
        known, path = self.costs.model_sha256 if self.costs else None, self.model_path
        if known is not None and path is not None and folder_sha256(path) != known:
            raise UserError(
                f"this is not the model that the trial {self.trial.id} has saved, or it is damaged",
                where=str(path),
                allowed="the folder as the trial has written it",
            )

    @property
    def predictions_path(self) -> Path | None:
        """The file of the reported evaluation's predictions; None before there is one."""
        if self.folder is None or not self.evaluations:
            return None
        path = self.folder / PREDICTIONS_FILE
        return path if path.is_file() else None

    @property
    def cached_layers(self) -> int:
        """The number of the lowest layers that ran once, without dropout, for all epochs."""
        return self.costs.cached_layers if self.costs else 0

    @property
    def rule(self) -> str:
        """The rule in words by which the evaluation is chosen whose scores are reported."""
        return self.trial.rule

    @property
    def reported(self) -> Evaluation | None:
        """The evaluation whose scores are reported; None before there is any."""
        return reported(self.evaluations)

    @property
    def scores(self) -> dict[str, float]:
        """The reported scores in points, the task's main metric first; {} before any."""
        return dict(self.reported.scores) if self.reported else {}

    @property
    def has_stopped_early(self) -> bool:
        """Whether the trial is done and early stopping ended it before its last step."""
        if self.status != "done" or self.num_train_examples is None or not self.evaluations:
            return False
        total = self.trial.training.total_steps(self.num_train_examples)
        return self.evaluations[-1].step < total

    @property
    def best_scores(self) -> dict[str, float]:
        """The scores of the evaluation (after step 0) whose main metric is the best.

        It is chosen on the reported split itself, which flatters it: show it under that name.
        """
        return dict(best_of([one.scores for one in self.evaluations[1:]]))

    def to_json(self) -> dict[str, JsonValue]:
        """Return the object of `list trials --json`; its keys are kept stable."""
        costs: dict[str, JsonValue] = asdict(self.costs) if self.costs else {}
        studies: list[JsonValue] = [*sorted(self.arms)]
        arms: list[JsonValue] = [*names_of_arms(self.arms)]
        model, predictions = self.model_path, self.predictions_path
        return {
            "id": self.trial.id,
            "study": studies,
            "arm": arms,
            "task": self.trial.task,
            "model": self.trial.model.name,
            "method": self.trial.method,
            "seed": self.trial.seed,
            "status": self.status,
            "scores": dict(self.scores),
            "best_scores": dict(self.best_scores),
            "num_train_examples": self.num_train_examples,
            "num_eval_examples": self.num_eval_examples,
            "epochs": plain_epoch(self.evaluations[-1].epoch) if self.evaluations else 0,
            "costs": costs,
            "engine": self.trial.engine,
            "error": self.error,
            "artifacts": {
                "model": str(model) if model else None,
                "predictions": str(predictions) if predictions else None,
            },
            "rule": self.rule,
            "reported_epoch": plain_epoch(self.reported.epoch) if self.reported else None,
            "held_out_scores": dict(self.reported.held_out_scores) if self.reported else {},
            "dev": self._dev,
            "outdated": [correction.what for correction in missing(self.trial)],
            "fold": self.trial.fold.number if self.trial.fold else None,
            "folds": self.trial.fold.of if self.trial.fold else None,
            "train_size": self.trial.train_size,
        }

    @property
    def _dev(self) -> str | None:
        """The part of own files on which the trial is scored, in words; None for other data."""
        if self.trial.fold is not None:
            return folds_words(self.trial.fold.of)
        files = self.trial.data.files
        return files.split_words or files.dev if files else None


def best_of(scores: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """Return the scores with the best main metric, the first if tied; {} if there are none."""
    return max(scores, key=main_merit, default={})


def names_of_arms(arms: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the arms' names under all studies, each once, sorted."""
    return sorted({name for names in arms.values() for name in names})
