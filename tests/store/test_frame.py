"""All results come as one pandas frame, with a row per trial and a column per number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from peftlab.core.errors import UserError
from peftlab.core.measurements import Costs, Evaluation
from peftlab.core.selection import Selection
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Trial
from peftlab.store.frame import load_results
from peftlab.store.workspace import Workspace


@pytest.fixture
def filled(
    tmp_path: Path,
    make_trial: Callable[..., Trial],
    make_evaluation: Callable[..., Evaluation],
    costs: Costs,
) -> Path:
    """A workspace with a done, a failed and a pending trial of two studies."""
    done = make_trial(seed=3)
    failed = make_trial(seed=1, method="full", method_config={})
    pending = make_trial(seed=2)
    with Workspace.open(tmp_path / "runs") as workspace:
        arms = {done.id: ("b", "a"), failed.id: ("full",), pending.id: ("a",)}
        workspace.save_study("one", {}, [done, failed], arms)
        workspace.save_study("two", {}, [pending, done], arms | {done.id: ("c",)})
        for trial in (done, failed):
            workspace.start(trial.id, {})
            workspace.add_evaluation(trial.id, make_evaluation(0))
        workspace.add_evaluation(done.id, make_evaluation(1, scores={"f1": 90.0, "accuracy": 80.0}))
        workspace.add_evaluation(done.id, make_evaluation(2, scores={"f1": 85.0, "accuracy": 82.0}))
        workspace.finish(done.id, costs, num_train_examples=8, num_eval_examples=4)
        workspace.fail(failed.id, "diverged")
    return tmp_path / "runs"


def test_a_row_is_a_trial_in_plan_order(filled: Path) -> None:
    frame = load_results(filled, "two")
    assert frame["seed"].tolist() == [2, 3]
    assert frame["arm"].tolist() == ["a", "c"]
    assert frame["status"].tolist() == ["pending", "done"]
    assert load_results(filled)["seed"].tolist() == [3, 1, 2]
    assert load_results(filled)["arm"].tolist() == ["a, b, c", "full", "a"]


def test_the_columns_are_the_documented_ones(filled: Path, costs: Costs) -> None:
    frame = load_results(str(filled), "one")
    own = ["id", "arm", "task", "model", "method", "seed", "engine", "status", "epochs", "error"]
    own.append("rule")
    counts = asdict(costs)
    parameters = counts.pop("parameters")
    del counts["predictions_sha256"], counts["model_sha256"]
    assert set(frame.columns) == {
        *own,
        *(f"{kind}.{metric}" for kind in ("score", "best") for metric in ("f1", "accuracy")),
        *(f"cost.{name}" for name in (*counts, *parameters)),
        *(f"training.{name}" for name in TrainingSettings.model_fields),
        "method.r",
        "method.target_modules",
    }


def test_the_numbers_stand_in_their_columns(filled: Path, costs: Costs) -> None:
    done, failed = (row for _, row in load_results(filled, "one").iterrows())
    assert (done["score.f1"], done["score.accuracy"]) == (85.0, 82.0)
    assert (done["best.f1"], done["best.accuracy"]) == (90.0, 80.0)
    assert done["epochs"] == 2
    assert done["cost.train_seconds"] == costs.train_seconds
    assert done["cost.trainable"] == costs.parameters.trainable
    assert done["training.learning_rate"] == 5e-4
    assert done["method.r"] == 8
    assert (failed["epochs"], failed["error"]) == (0, "diverged")
    assert failed["score.f1"] == 70.0
    assert pd.isna(failed["best.f1"])
    assert pd.isna(failed["cost.train_seconds"])


def test_a_folder_without_results_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results here yet"):
        load_results(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_an_unknown_study_names_the_known_ones(filled: Path) -> None:
    with pytest.raises(UserError, match=r"'three' has not been run here \(allowed: one, two\)"):
        load_results(filled, "three")


def test_a_trial_with_held_out_rows_has_the_scores_of_the_epoch_that_is_best_there(
    make_trial: Callable[..., Trial], make_evaluation: Callable[..., Evaluation], tmp_path: Path
) -> None:
    trial, other = make_trial(selection=Selection()), make_trial()
    with Workspace.open(tmp_path) as workspace:
        workspace.save_study("s", {}, [trial, other], {trial.id: ("a",), other.id: ("b",)})
        workspace.start(trial.id, {})
        for epoch, held_out in enumerate([90.0, 50.0, 70.0, 70.0]):
            record = make_evaluation(epoch, held_out_scores={"f1": held_out}, held_out_loss=0.25)
            workspace.add_evaluation(trial.id, record)
        (stored,) = [one for one in workspace.trials() if one.trial == trial]
        assert stored.evaluations[3] == record
    frame = load_results(tmp_path)
    assert frame["rule"].tolist() == ["best epoch on 10% of train, held out", "last epoch"]
    assert (frame["score.f1"][0], frame["held_out.f1"][0], frame["best.f1"][0]) == (72, 70, 73)
    with Workspace.open(tmp_path) as workspace:
        workspace._connection.execute("UPDATE trials SET status = 'done'")
        assert [record.scores.get("f1") for record in workspace.trials("s")] == [72.0, None]
