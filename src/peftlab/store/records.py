"""What the store gives back of a trial: its record, and the stable JSON object made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from peftlab.core.types import Costs, EpochRecord, Trial

Status = Literal["pending", "running", "done", "failed"]


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A trial with all that is known of it so far.

    `arms` says under which arm names each study holds it: {"glue-peft": ("lora-r8",)}.
    `epochs` are in order and begin with epoch 0. `error` is the cause of a failure.
    `model_path` and `predictions_path` exist where the trial has got so far, else they are None.
    """

    trial: Trial
    status: Status
    arms: Mapping[str, tuple[str, ...]]
    epochs: tuple[EpochRecord, ...] = ()
    costs: Costs | None = None
    num_train_examples: int | None = None
    num_eval_examples: int | None = None
    error: str | None = None
    model_path: Path | None = None
    predictions_path: Path | None = None
    provenance: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def scores(self) -> dict[str, float]:
        """The last epoch's scores in points, the task's main metric first; {} before any."""
        return dict(self.epochs[-1].scores) if self.epochs else {}

    @property
    def best_scores(self) -> dict[str, float]:
        """All scores of the epoch (after epoch 0) whose main metric is the highest.

        Chosen on the very split that is reported, so it flatters: show it named as that.
        """
        trained = self.epochs[1:]
        if not trained:
            return {}
        return dict(max(trained, key=lambda record: next(iter(record.scores.values()))).scores)

    def to_json(self) -> dict[str, JsonValue]:
        """The object of `list trials --json`; its keys are kept stable."""
        costs: dict[str, JsonValue] = asdict(self.costs) if self.costs else {}
        studies: list[JsonValue] = [*sorted(self.arms)]
        arms: list[JsonValue] = [*sorted({name for names in self.arms.values() for name in names})]
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
            "epochs": len(self.epochs) - 1 if self.epochs else 0,
            "costs": costs,
            "engine": self.trial.engine,
            "error": self.error,
            "artifacts": {
                "model": str(self.model_path) if self.model_path else None,
                "predictions": str(self.predictions_path) if self.predictions_path else None,
            },
        }
