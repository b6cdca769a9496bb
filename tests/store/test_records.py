"""A trial's record distinguishes its last and its best scores, and its JSON keeps its keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from peftlab.core.measurements import Costs, Evaluation
from peftlab.core.selection import Selection
from peftlab.core.trial import Trial
from peftlab.store.records import TrialRecord

# DESIGN: "Machine-readable output, kept stable".
KEYS = [
    "id",
    "study",
    "arm",
    "task",
    "model",
    "method",
    "seed",
    "status",
    "scores",
    "best_scores",
    "num_train_examples",
    "num_eval_examples",
    "epochs",
    "costs",
    "engine",
    "error",
    "artifacts",
    "rule",
    "reported_epoch",
    "held_out_scores",
    "dev",
    "outdated",
    "fold",
    "folds",
    "train_size",
]
COSTS = {
    "train_seconds",
    "train_examples_per_second",
    "train_tokens_per_second",
    "padding_avoided",
    "peak_memory_bytes",
    "artifact_bytes",
    "energy_joules",
}


def test_before_any_epoch_there_are_no_scores(make_trial: Callable[..., Trial]) -> None:
    record = TrialRecord(trial=make_trial(), status="pending", arms={})
    assert (record.scores, record.best_scores) == ({}, {})
    assert record.to_json()["epochs"] == 0


def test_epoch_0_is_a_score_but_never_the_best(
    make_trial: Callable[..., Trial], make_evaluation: Callable[..., Evaluation]
) -> None:
    high = make_evaluation(0, scores={"f1": 99.0, "accuracy": 1.0})
    record = TrialRecord(trial=make_trial(), status="running", arms={}, evaluations=(high,))
    assert record.scores == {"f1": 99.0, "accuracy": 1.0}
    assert record.best_scores == {}
    assert record.to_json()["epochs"] == 0


def test_scores_are_the_last_epochs_and_the_best_are_chosen_by_the_main_metric(
    make_trial: Callable[..., Trial], make_evaluation: Callable[..., Evaluation]
) -> None:
    scores = [(90.0, 0.0), (71.0, 60.0), (80.0, 50.0), (75.0, 99.0)]
    evaluations = tuple(
        make_evaluation(number, scores={"f1": f1, "accuracy": accuracy})
        for number, (f1, accuracy) in enumerate(scores)
    )
    record = TrialRecord(trial=make_trial(), status="done", arms={}, evaluations=evaluations)
    assert record.scores == {"f1": 75.0, "accuracy": 99.0}
    assert record.best_scores == {"f1": 80.0, "accuracy": 50.0}
    assert record.to_json()["epochs"] == 3


def test_the_json_object_has_its_stable_keys(
    make_trial: Callable[..., Trial],
    make_evaluation: Callable[..., Evaluation],
    costs: Costs,
    tmp_path: Path,
) -> None:
    trial = make_trial()
    (tmp_path / "model").mkdir()
    (tmp_path / "predictions.parquet").touch()
    record = TrialRecord(
        trial=trial,
        status="done",
        arms={"two": ("b", "c"), "one": ("a", "b")},
        evaluations=(make_evaluation(0), make_evaluation(1)),
        costs=costs,
        num_train_examples=64,
        num_eval_examples=16,
        folder=tmp_path,
    )
    found = json.loads(json.dumps(record.to_json()))
    assert list(found) == KEYS
    assert found["study"] == ["one", "two"]
    assert found["arm"] == ["a", "b", "c"]
    assert found["id"] == trial.id
    assert found["model"] == "minilm"
    assert list(found["scores"]) == ["f1", "accuracy"]
    assert found["scores"]["f1"] == 71.0
    assert found["costs"].keys() >= COSTS
    assert found["costs"]["parameters"]["trainable"] == 30
    assert found["artifacts"] == {
        "model": str(tmp_path / "model"),
        "predictions": str(tmp_path / "predictions.parquet"),
    }


def test_the_json_object_of_a_failed_trial_has_the_same_keys(
    make_trial: Callable[..., Trial],
) -> None:
    record = TrialRecord(trial=make_trial(), status="failed", arms={}, error="diverged")
    found = record.to_json()
    assert list(found) == KEYS
    assert (found["status"], found["error"], found["costs"]) == ("failed", "diverged", {})
    assert found["artifacts"] == {"model": None, "predictions": None}


def test_with_held_out_rows_the_epoch_that_is_best_there_is_reported(
    make_trial: Callable[..., Trial], make_evaluation: Callable[..., Evaluation]
) -> None:
    held_out = [99.0, 70.0, 80.0, 80.0, 60.0]  # epoch 0 does not compete, the first of equals wins
    evaluations = tuple(
        make_evaluation(number, held_out_scores={"f1": f1, "accuracy": 100 - f1})
        for number, f1 in enumerate(held_out)
    )
    trial = make_trial(selection=Selection(fraction=0.2))
    record = TrialRecord(trial=trial, status="done", arms={}, evaluations=evaluations)
    found = record.to_json()
    assert (found["scores"], found["reported_epoch"]) == ({"f1": 72.0, "accuracy": 58.0}, 2)
    assert found["held_out_scores"] == {"f1": 80.0, "accuracy": 20.0}
    assert found["rule"] == "best epoch on 20% of train, held out"
    assert record.best_scores["f1"] == 74.0
    early = TrialRecord(trial=trial, status="running", arms={}, evaluations=evaluations[:1])
    assert early.to_json()["reported_epoch"] == 0


def test_the_rule_of_other_trials_is_the_last_epoch(
    make_trial: Callable[..., Trial], make_evaluation: Callable[..., Evaluation]
) -> None:
    evaluations = (make_evaluation(0), make_evaluation(1), make_evaluation(2))
    record = TrialRecord(trial=make_trial(), status="done", arms={}, evaluations=evaluations)
    assert (record.rule, record.to_json()["reported_epoch"]) == ("last epoch", 2)
