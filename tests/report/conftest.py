"""Views of a study whose records are written by hand, and a half-done copy of a real one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.types import (
    Costs,
    DataRef,
    EpochRecord,
    ModelRef,
    ParameterCount,
    Seeds,
    Trial,
)
from peftlab.report.view import StudyView
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.study.expand import expand_arms
from peftlab.study.spec import validate
from peftlab.tasks.registry import TASKS

# (training loss, validation loss, main score) of the epochs of one trial, from epoch 0
Epochs = Sequence[tuple[float | None, float, float]]

SPEC = {
    "name": "by-hand",
    "model": "minilm",
    "data": "demo",
    "tasks": ["demo-sentiment", "demo-paraphrase"],
    "seeds": [1, 2],
    "arms": {
        "full": {"method": "full", "training": {"learning_rate": 5e-4}},
        "lora": {"method": "lora", "sweep": {"r": [2, 8]}, "lora_alpha": 16},
    },
}


@pytest.fixture
def hand_made() -> Callable[..., StudyView]:
    """Build a view from (arm, task) -> a trial a seed, each given by its epochs.

    A trial with no epochs is pending, the others are done; `changes` go into the study.
    """

    def build(
        trials: Mapping[tuple[str, str], Sequence[Epochs]], changes: Mapping[str, Any] | None = None
    ) -> StudyView:
        spec = validate({**SPEC, **(changes or {})}, where="by-hand")
        arms = expand_arms(spec, resolve=False)
        by_place = {
            (arm.name, task): tuple(
                _record(spec.name, arm, task, seed, epochs)
                for seed, epochs in enumerate(trials[arm.name, task], start=1)
            )
            for task in spec.tasks
            for arm in arms
            if (arm.name, task) in trials
        }
        return StudyView(
            spec=spec,
            arms=arms,
            tasks=tuple(TASKS.get(task) for task in spec.tasks),
            records=tuple(record for records in by_place.values() for record in records),
            by_place=by_place,
        )

    return build


def _record(study: str, arm: Any, task: str, seed: int, epochs: Epochs) -> TrialRecord:
    metrics = TASKS.get(task).metrics
    return TrialRecord(
        trial=Trial(
            task=task,
            data=DataRef(source="demo", location="demo", digest="0"),
            model=ModelRef(name="minilm", fingerprint="0"),
            method=arm.method,
            method_config=dict(arm.method_config),
            training=arm.training[task],
            seed=seed,
            seeds=Seeds.of(seed),
        ),
        status="done" if epochs else "pending",
        arms={study: (arm.name,)},
        epochs=tuple(
            EpochRecord(
                epoch=number,
                step=number,
                train_loss=train_loss,
                eval_loss=eval_loss,
                scores={name: score / (1 + place) for place, name in enumerate(metrics)},
                seconds=float(number),
            )
            for number, (train_loss, eval_loss, score) in enumerate(epochs)
        ),
    )


@pytest.fixture
def with_cached_layers() -> Callable[[StudyView, str], StudyView]:
    """The view with the records of one arm as if their lowest layer had run in eval mode."""
    costs = Costs(
        parameters=ParameterCount(
            trainable=1, total=2, total_peft_counting=2, backbone=0, adapter=1, head=0
        ),
        device="cpu",
        threads=1,
        train_seconds=1.0,
        eval_seconds=1.0,
        total_seconds=2.0,
        train_examples_per_second=1.0,
        train_tokens_per_second=1.0,
        padding_avoided=0.0,
    )

    def change(view: StudyView, name: str) -> StudyView:
        by_place = {
            (arm, task): tuple(
                replace(record, costs=replace(costs, cached_layers=int(arm == name)))
                for record in records
            )
            for (arm, task), records in view.by_place.items()
        }
        every = tuple(record for records in by_place.values() for record in records)
        return replace(view, by_place=by_place, records=every)

    return change


@pytest.fixture
def half_done(finished_workspace: Path, tmp_path: Path) -> Path:
    """A copy in which lora-r2 on demo-sentiment has failed with seed 1 and waits with seed 2."""
    folder = Path(shutil.copytree(finished_workspace, tmp_path / "half-done"))
    with Workspace.open(folder) as opened:
        first, second = (
            record.trial.id
            for record in opened.trials("small-study")
            if record.arms["small-study"] == ("lora-r2",) and record.trial.task == "demo-sentiment"
        )
        opened.start(first, {})
        opened.fail(first, "the loss is <b>nan</b>\nat step 3")
        opened.start(second, {})
        opened.interrupt(second)
    return folder
