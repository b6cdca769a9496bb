"""The time of scores and verdicts in a large study: 1,020 trials, 1,000 examples, 50 claims.

    OMP_NUM_THREADS=1 python -m benchmarks.verdicts

The trials' predictions lie in files, as after a run; all of them are read. The digest of the
results is the same as long as no number changes.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from peftlab.core.identity import file_sha256
from peftlab.core.inputs import DataRef, ModelRef
from peftlab.core.measurements import Costs, Evaluation, ParameterCount
from peftlab.core.trial import Seeds, Trial
from peftlab.data.predictions import Predictions, write_predictions
from peftlab.report.findings.results import results_of
from peftlab.report.findings.stored_results import results_file
from peftlab.report.findings.verdicts import verdicts
from peftlab.report.findings.view import StudyView
from peftlab.store.records import PREDICTIONS_FILE, TrialRecord
from peftlab.study.arms import Arm, expand_arms
from peftlab.study.spec import validate
from peftlab.tasks.metrics.registry import score
from peftlab.tasks.registry import TASKS

NUM_ARMS, NUM_SEEDS, NUM_EXAMPLES, NUM_CLAIMS = 10, 34, 1000, 50
TASK_NAMES = ("sst2", "cola", "mrpc")
COSTS = Costs(
    parameters=ParameterCount(
        trainable=1, total=2, total_peft_counting=2, backbone=0, adapter=1, head=0
    ),
    device="cpu",
    threads=1,
    train_seconds=1.0,
    eval_seconds=0.1,
    total_seconds=1.1,
    train_examples_per_second=1.0,
    train_tokens_per_second=1.0,
    padding_avoided=0.5,
)


def main() -> None:
    """Write the trials, then time the scores and verdicts."""
    spec = validate(
        {
            "name": "large",
            "model": "minilm",
            "data": "demo",
            "tasks": TASK_NAMES,
            "seeds": range(NUM_SEEDS),
            "arms": {"lora": {"method": "lora", "sweep": {"r": range(1, NUM_ARMS + 1)}}},
            "claims": [_claim(number) for number in range(NUM_CLAIMS)],
        },
        where="large",
    )
    arms = expand_arms(spec, resolve=False)
    with tempfile.TemporaryDirectory() as folder:
        by_place = {
            (arm.name, task): tuple(
                _record(arm, task, seed, Path(folder)) for seed in range(NUM_SEEDS)
            )
            for arm in arms
            for task in TASK_NAMES
        }
        view = StudyView(
            spec=spec,
            arms=arms,
            tasks=tuple(TASKS.get(task) for task in TASK_NAMES),
            records=tuple(record for records in by_place.values() for record in records),
            by_place=by_place,
        )
        began = time.perf_counter(), time.process_time()
        for task in view.tasks:
            for arm in arms:
                view.outcomes(arm, task)
        read = time.perf_counter(), time.process_time()
        results = results_of(view, verdicts(view))
        ended = time.perf_counter(), time.process_time()
    for name, start, end in (("read predictions", began, read), ("scores, verdicts", read, ended)):
        print(f"{name}: {end[0] - start[0]:.2f} s, {end[1] - start[1]:.2f} s of processor time")
    words = [str(verdict["verdict"]) for verdict in results.verdicts]
    print({word: words.count(word) for word in words})
    print(f"results: SHA-256 {hashlib.sha256(results_file(results)).hexdigest()[:16]}")


def _claim(number: int) -> dict[str, object]:
    first, second = f"lora-r{number % NUM_ARMS + 1}", f"lora-r{(number * 7 + 3) % NUM_ARMS + 1}"
    if first == second:
        second = f"lora-r{(number + 1) % NUM_ARMS + 1}"
    if number % 2:
        return {"say": f"claim {number}", "equivalent": [first, second], "margin": 1.0}
    return {"say": f"claim {number}", "better": first, "than": second}


def _record(arm: Arm, task: str, seed: int, folder: Path) -> TrialRecord:
    trial = Trial(
        task=task,
        data=DataRef(source="demo", location="demo", digest="0"),
        model=ModelRef(name="minilm", fingerprint="0"),
        method=arm.method,
        method_config=dict(arm.method_config),
        training=arm.training[task],
        seed=seed,
        seeds=Seeds.of(seed),
    )
    generator = np.random.default_rng(int(trial.id, 16))
    labels = np.arange(NUM_EXAMPLES) % 2
    is_right = generator.random(NUM_EXAMPLES) < 0.8 + 0.002 * int(str(arm.swept["r"]))
    logits = np.eye(2, dtype=np.float32)[np.where(is_right, labels, 1 - labels)]
    own = folder / trial.id
    own.mkdir()
    write_predictions(
        own / PREDICTIONS_FILE,
        Predictions(row_ids=np.arange(NUM_EXAMPLES), labels=labels, logits=logits),
    )
    epoch = Evaluation(
        epoch=1,
        step=1,
        train_loss=1.0,
        eval_loss=1.0,
        scores=score(TASKS.get(task), logits, labels),
        seconds=1.0,
    )
    return TrialRecord(
        trial=trial,
        status="done",
        arms={"large": (arm.name,)},
        evaluations=(epoch, epoch),
        costs=replace(COSTS, predictions_sha256=file_sha256(own / PREDICTIONS_FILE)),
        folder=own,
    )


if __name__ == "__main__":
    main()
