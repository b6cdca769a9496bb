"""A study whose trials were never run, with records and predictions of a given quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from peftlab.core.inputs import ModelRef
from peftlab.core.measurements import Costs, Evaluation, ParameterCount
from peftlab.core.trial import Seeds, Trial
from peftlab.data.demo.source import DemoSource
from peftlab.data.predictions import Predictions, write_predictions
from peftlab.report.findings.view import StudyView
from peftlab.store.records import PREDICTIONS_FILE, TrialRecord
from peftlab.study.arms import Arm, expand_arms
from peftlab.study.spec import validate
from peftlab.tasks.metrics.registry import score
from peftlab.tasks.registry import TASKS
from peftlab.tasks.spec import Task

TASK_NAMES = ("demo-sentiment", "demo-paraphrase")
NUM_ROWS = 200
ARMS: dict[str, Any] = {
    "full": {"method": "full", "training": {"learning_rate": 1e-4}},
    "lora": {"method": "lora", "sweep": {"r": [2, 16]}},
    "bitfit": {"method": "bitfit"},
}


def made_up(
    folder: Path,
    right: Mapping[str, float],
    *,
    arms: Mapping[str, Any] = ARMS,
    tasks: Sequence[str] = TASK_NAMES,
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
    seconds: Mapping[str, float] | None = None,
    pending: Sequence[tuple[str, str, int]] = (),
    failed: Sequence[tuple[str, str, int]] = (),
    report: Sequence[Any] = (),
    spread: float = 0.01,
    num_train: int | None = None,
) -> StudyView:
    """Return a view of trials that are right on these shares of the examples, by arm.

    The hard examples are the same for all arms, as in reality; each seed has a little luck of its
    own. `seconds` are an arm's training times (10 by default), and its other costs are in
    proportion.
    """
    spec = validate(
        {
            "name": "made-up",
            "model": "minilm",
            "data": "demo",
            "tasks": list(tasks),
            "seeds": list(seeds),
            "arms": dict(arms),
            "report": list(report),
        },
        where="made-up",
    )
    every = expand_arms(spec, resolve=False)
    by_place = {
        (arm.name, name): tuple(
            _record(
                folder,
                arm,
                TASKS.get(name),
                seed,
                share=right[arm.name],
                spread=spread,
                num_train=num_train,
                seconds=(seconds or {}).get(arm.name, 10.0),
                status="pending"
                if (arm.name, name, seed) in pending
                else "failed"
                if (arm.name, name, seed) in failed
                else "done",
            )
            for seed in seeds
        )
        for name in tasks
        for arm in every
    }
    return StudyView(
        spec=spec,
        arms=every,
        tasks=tuple(TASKS.get(name) for name in tasks),
        records=tuple(record for records in by_place.values() for record in records),
        by_place=by_place,
    )


def _record(
    folder: Path,
    arm: Arm,
    task: Task,
    seed: int,
    *,
    share: float,
    spread: float,
    seconds: float,
    status: Any,
    num_train: int | None = None,
) -> TrialRecord:
    examples = DemoSource().examples(task, "dev")[:NUM_ROWS]
    labels_N = np.array([example.label for example in examples], dtype=np.int64)
    draw = np.random.default_rng([seed, *arm.name.encode()])
    hardness_N = np.random.default_rng(len(task.name)).permutation(NUM_ROWS) / NUM_ROWS
    margin_N = share - hardness_N + draw.normal(0, 0.04, NUM_ROWS) + draw.normal(0, spread)
    signed_N = np.where(labels_N == 1, margin_N, -margin_N).astype(np.float32)
    logits_NC = 4 * np.stack([-signed_N, signed_N], axis=1)
    trial = Trial(
        task=task.name,
        data=DemoSource().ref(task),
        model=ModelRef(name="minilm", fingerprint="0"),
        method=arm.method,
        method_config=dict(arm.method_config),
        training=arm.training[task.name],
        seed=seed,
        seeds=Seeds.of(seed),
    )
    own = folder / f"{arm.name}-{task.name}-{seed}"
    own.mkdir(parents=True)
    write_predictions(
        own / PREDICTIONS_FILE,
        Predictions(row_ids=np.arange(NUM_ROWS), labels=labels_N, logits=logits_NC),
    )
    scores = score(task, logits_NC, labels_N)
    evaluations = tuple(
        Evaluation(
            epoch=number,
            step=number,
            train_loss=0.7 / (1 + number) + draw.normal(0, 0.02) if number else None,
            eval_loss=0.72 / (1 + 0.8 * number) + draw.normal(0, 0.02),
            scores=scores,
            seconds=seconds * number / 3,
        )
        for number in range(4)
    )
    return TrialRecord(
        trial=trial,
        status=status,
        arms={"made-up": (arm.name,)},
        evaluations=evaluations if status == "done" else (),
        costs=costs(seconds) if status == "done" else None,
        num_train_examples=num_train,
        num_eval_examples=NUM_ROWS,
        error="the loss is not finite" if status == "failed" else None,
        folder=own,
    )


def costs(seconds: float) -> Costs:
    adapter = int(1000 * seconds)
    return Costs(
        parameters=ParameterCount(
            trainable=adapter + 770,
            total=10**7,
            total_peft_counting=10**7 + 770,
            backbone=0,
            adapter=adapter,
            head=770,
        ),
        device="cpu",
        threads=2,
        train_seconds=seconds,
        eval_seconds=1.0,
        total_seconds=seconds + 2,
        train_examples_per_second=100.0,
        train_tokens_per_second=2000.0,
        padding_avoided=0.3,
        peak_memory_bytes=int(1e9 + 1e7 * seconds),
        artifact_bytes=int(1e5 * seconds),
    )


def with_places(view: StudyView, by_place: dict[Any, tuple[TrialRecord, ...]]) -> StudyView:
    """Return the view with these records."""
    every = tuple(record for records in by_place.values() for record in records)
    return replace(view, records=every, by_place=by_place)
