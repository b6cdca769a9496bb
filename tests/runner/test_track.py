"""Trackers have the same content as the store, read back with the trackers' own tools."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab.core.measurements import Evaluation
from peftlab.core.trial import Trial
from peftlab.runner import track, trackers
from peftlab.runner.executors.base import ExecutorOptions
from peftlab.runner.mlflow_run import STORE
from peftlab.runner.track import FOLDER, MOST_FAILURES, rows_of, run_name, values_of_costs
from peftlab.runner.tracker_run import Card, StepValues
from peftlab.runner.trackers import AccelerateRun
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.study.trials import Expanded
from tests.executing import execute
from tests.runner.conftest import Telling

MakeStudy = Callable[..., Expanded]
Curves = dict[str, list[tuple[int, float]]]
BOTH = ["tensorboard", "mlflow"]
ARMS = {"bitfit": {"method": "bitfit"}, "lora": {"method": "lora", "r": 2, "lora_dropout": 0.1}}
pytest.importorskip("tensorboard", reason="the extra track is not installed")
pytest.importorskip("mlflow", reason="the extra track is not installed")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow: making one takes longer than most tests here."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("mlflow") / STORE
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def new_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    with Workspace.open(tmp_path / "runs") as opened:
        yield opened


@pytest.fixture
def workspace(new_workspace: Workspace, empty_store: Path) -> Workspace:
    """A workspace that has MLflow's store already."""
    (new_workspace.path / FOLDER).mkdir()
    shutil.copy(empty_store, new_workspace.path / FOLDER / STORE)
    return new_workspace


def curves_of(record: TrialRecord) -> Curves:
    """Return what a tracker should have: each value of the stored epochs by its step, in order."""
    found: Curves = {}
    step = 0
    for epoch in record.evaluations:
        for loss in epoch.step_losses:
            step += 1
            found.setdefault("step_loss", []).append((step, loss))
        assert step == epoch.step
        values = {
            "epoch": epoch.epoch,
            "train_loss": epoch.train_loss,
            "eval_loss": epoch.eval_loss,
            "seconds": epoch.seconds,
            **{f"eval_{metric}": score for metric, score in epoch.scores.items()},
        }
        for name, value in values.items():
            if value is not None:
                found.setdefault(name, []).append((step, value))
    if record.costs is not None:
        for name, value in values_of_costs(record.costs).items():
            found[name] = [(step, value)]
    return found


def in_single(curves: Curves) -> Curves:
    """Return the curves in TensorBoard's precision."""
    return {
        name: [(step, float(np.float32(value))) for step, value in points]
        for name, points in curves.items()
    }


def tensorboard_curves(workspace: Workspace, record: TrialRecord) -> Curves:
    """Return the curves that TensorBoard reads from the run's folder, and from no other."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = workspace.path / FOLDER / "tensorboard" / "tiny" / name_of(record)
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def mlflow_runs(workspace: Workspace) -> dict[str, Any]:
    """Return the runs of MLflow's store that are not deleted, by name."""
    client = mlflow_client(workspace)
    experiment = client.get_experiment_by_name("tiny")
    runs = [*client.search_runs([experiment.experiment_id])]
    assert len({run.info.run_name for run in runs}) == len(runs), "a trial has one run"
    return {run.info.run_name: run for run in runs}


def mlflow_client(workspace: Workspace) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{workspace.path / FOLDER / STORE}")


def mlflow_curves(workspace: Workspace, record: TrialRecord) -> Curves:
    run = mlflow_runs(workspace)[name_of(record)]
    client = mlflow_client(workspace)
    return {
        name: [
            (metric.step, metric.value)
            for metric in client.get_metric_history(run.info.run_id, name)
        ]
        for name in run.data.metrics
    }


def name_of(record: TrialRecord) -> str:
    return run_name(record.trial, record.arms["tiny"])


def assert_tracked(workspace: Workspace, records: Sequence[TrialRecord]) -> None:
    runs = mlflow_runs(workspace)
    assert runs.keys() == {name_of(record) for record in records}
    folders = workspace.path / FOLDER / "tensorboard" / "tiny"
    assert {folder.name for folder in folders.iterdir()} == runs.keys()
    for record in records:
        curves = curves_of(record)
        assert mlflow_curves(workspace, record) == curves
        assert tensorboard_curves(workspace, record) == in_single(curves)


@pytest.mark.parametrize("executor", ["inline", "pool"])
def test_the_trackers_hold_what_the_store_holds(
    executor: str, new_workspace: Workspace, tiny_study: MakeStudy, make_listener: Any
) -> None:
    workspace = new_workspace
    study = tiny_study(arms=ARMS, track=BOTH)
    execute(
        study,
        workspace,
        display=make_listener(),
        executor=executor,
        options=ExecutorOptions(workers=2, threads=1, logs=workspace.path / "logs"),
        device="cpu",
    )
    records = workspace.trials("tiny")
    assert [record.status for record in records] == ["done"] * 2
    assert len(curves_of(records[0])["step_loss"]) == 6
    assert_tracked(workspace, records)
    for record in records:
        run = mlflow_runs(workspace)[name_of(record)]
        assert run.info.status == "FINISHED"
        trial = record.trial
        assert run.data.params["training.learning_rate"] == str(trial.training.learning_rate)
        assert run.data.params["method"] == trial.method
        assert run.data.params["trial"] == trial.id
        assert run.data.metrics["cost_trainable"] == record.costs.parameters.trainable  # type: ignore[union-attr]
    assert not (Path.cwd() / "mlruns").exists()


def test_an_interrupted_trial_that_goes_on_has_one_whole_curve(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any
) -> None:
    study = tiny_study(arms=ARMS, track=BOTH, checkpoint_every="1 steps")

    def stop(event: str, trial: Trial, number: int) -> None:
        if (event, trial.method, number) == ("stepped", "lora", 5):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        execute(study, workspace, display=make_listener(on_event=stop), device="cpu")
    stopped = workspace.trials("tiny")
    assert [record.status for record in stopped] == ["done", "pending"]
    assert len(stopped[1].evaluations) == 2
    assert_tracked(workspace, stopped)
    assert mlflow_runs(workspace)[name_of(stopped[1])].info.status == "KILLED"

    listener = make_listener()
    execute(study, workspace, display=listener, device="cpu")
    whole = workspace.trials("tiny")
    assert ("resumed", "lora", 5) in listener.events
    assert listener.remarks == []
    assert [len(epoch.step_losses) for epoch in whole[1].evaluations] == [0, 3, 3]
    assert_tracked(workspace, whole)
    assert mlflow_runs(workspace)[name_of(whole[1])].info.status == "FINISHED"


def test_an_epoch_can_be_seen_as_soon_as_it_ends(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    seen: list[int] = []

    def look(event: str, trial: Trial, number: int) -> None:
        if event == "stepped":
            (record,) = workspace.trials("tiny")
            for curves in (mlflow_curves, tensorboard_curves):
                seen.append(len(curves(workspace, record)["eval_loss"]))

    study = tiny_study(arms={"full": {"method": "full"}}, track=BOTH)
    execute(study, workspace, display=make_listener(on_event=look))
    assert seen == [1, 1]


def test_a_failed_trial_that_is_tried_again_has_one_run(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    fake_engine.failures = {"bitfit": ValueError("once")}
    study = tiny_study(arms=ARMS, track=["mlflow"])
    execute(study, workspace, display=make_listener())
    failed = workspace.trials("tiny")[0]
    assert mlflow_runs(workspace)[name_of(failed)].info.status == "FAILED"
    assert set(mlflow_curves(workspace, failed)) == set(curves_of(failed))
    fake_engine.failures = {}
    execute(study, workspace, display=make_listener(), retry_failed=True)
    assert mlflow_runs(workspace)[name_of(failed)].info.status == "FINISHED"


def test_mlflows_own_environment_says_where_its_runs_lie(
    new_workspace: Workspace,
    empty_store: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    fake_engine: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow import MlflowClient

    shutil.copy(empty_store, tmp_path / "theirs.sqlite")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'theirs.sqlite'}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "theirs")
    execute(tiny_study(arms=ARMS, track=["mlflow"]), new_workspace, display=make_listener())
    client = MlflowClient()
    experiment = client.get_experiment_by_name("theirs")
    assert len(client.search_runs([experiment.experiment_id])) == 2
    assert not (new_workspace.path / FOLDER).exists()


def test_without_trackers_nothing_of_them_is_imported_or_written(
    new_workspace: Workspace,
    tiny_study: MakeStudy,
    make_listener: Any,
    fake_engine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in ("accelerate.tracking", "mlflow", "tensorboard"):
        monkeypatch.setitem(sys.modules, module, None)
    execute(tiny_study(), new_workspace, display=make_listener())
    assert new_workspace.failures("tiny") == []
    assert not (new_workspace.path / FOLDER).exists()


# Trackers that fail, and those that keep one run in the process


class OneRun:
    """A tracker in accelerate's form, for a library with one active run, such as W&B."""

    name = "one-run"
    requires_logging_directory = False
    main_process_only = True
    active: list[OneRun] = []  # noqa: RUF012
    ended: list[OneRun] = []  # noqa: RUF012
    fail_at = ""

    def __init__(self, project: str) -> None:
        self.project = project
        self.rows: list[tuple[int, dict[str, float]]] = []

    def start(self) -> None:
        self._do("start")
        assert not self.active, "another trial's run is open"
        self.active.append(self)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.config = values

    def log(self, values: dict[str, float], step: int) -> None:
        self._do("log")
        self.rows.append((step, values))

    def finish(self) -> None:
        self._do("finish")
        self.ended.append(self.active.pop())

    def _do(self, what: str) -> None:
        print(what)
        if what in self.fail_at.split():
            raise ConnectionError("the server is down\nsecond line")


@pytest.fixture
def one_run(monkeypatch: pytest.MonkeyPatch) -> type[OneRun]:
    """The tracker, registered with accelerate."""
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "one-run", OneRun)
    monkeypatch.setattr(OneRun, "active", [])
    monkeypatch.setattr(OneRun, "ended", [])
    return OneRun


def test_several_trials_at_once_do_not_mix_in_a_tracker_of_one_run(
    one_run: type[OneRun],
    tiny_study: MakeStudy,
    make_listener: Any,
    fake_engine: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = tiny_study(arms=ARMS, track=["one-run"])
    listener = track.Tracking(
        make_listener(), study="tiny", trackers=["one-run"], arms_of={}, workspace=Path("nowhere")
    )
    first, second = study.trials
    epochs = [epoch(0, 0), epoch(1, 2), epoch(2, 4)]
    for trial in (first, second):
        Telling(listener).started(trial)
    for record in epochs[:2]:
        for trial in (first, second):
            Telling(listener).evaluated(trial, record)
    Telling(listener).interrupted(first)
    assert one_run.ended == []
    Telling(listener).started(first)
    Telling(listener).resumed(first, 3, epochs[:2])
    for trial in (second, first):
        Telling(listener).evaluated(trial, epochs[2])
        Telling(listener).finished(trial, costs=fake_engine.outcome.costs)
    assert [run.config["trial"] for run in one_run.ended] == [second.id, first.id]
    assert [run.project for run in one_run.ended] == ["tiny", "tiny"]
    costs = StepValues(step=4, values=values_of_costs(fake_engine.outcome.costs))
    rows = [*rows_of(epochs[0], after=0), *rows_of(epochs[1], after=0)]
    rows += [*rows_of(epochs[2], after=2), costs]
    for run in one_run.ended:
        assert [StepValues(step=step, values=values) for step, values in run.rows] == rows
        assert not run.main_process_only
    said = capsys.readouterr()
    assert (said.out, "start" in said.err) == ("", True), "the standard output is for results"


@pytest.mark.parametrize("fail_at", ["start", "log", "finish", "start finish"])
def test_a_tracker_that_fails_is_a_remark_and_the_study_goes_on(
    fail_at: str,
    one_run: type[OneRun],
    workspace: Workspace,
    tiny_study: MakeStudy,
    make_listener: Any,
    fake_engine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(one_run, "fail_at", fail_at)
    monkeypatch.setattr(trackers, "LIVE", frozenset({"one-run"}))
    monkeypatch.setattr(track, "LIVE", frozenset({"one-run"}))
    listener = make_listener()
    study = tiny_study(arms={"full": {"method": "full"}}, track=["one-run"])
    execute(study, workspace, display=listener)
    (record,) = workspace.trials("tiny")
    assert (record.status, len(record.evaluations)) == ("done", 2)
    assert listener.remarks == [
        f"the tracker one-run failed, trial {record.trial.id} goes on without it: "
        "ConnectionError: the server is down"
    ]


def test_a_tracker_that_fails_again_and_again_is_left_alone(
    one_run: type[OneRun],
    workspace: Workspace,
    tiny_study: MakeStudy,
    make_listener: Any,
    fake_engine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(one_run, "fail_at", "start")
    listener = make_listener()
    study = tiny_study(arms=ARMS, seeds=[1, 2, 3], track=["one-run", "mlflow"])
    execute(study, workspace, display=listener)
    assert [record.status for record in workspace.trials("tiny")] == ["done"] * 6
    assert len(listener.remarks) == MOST_FAILURES
    assert "this run goes on without it" in listener.remarks[-1]
    assert len(mlflow_runs(workspace)) == 6, "the other tracker goes on"


# Rows


def epoch(number: int, step: int, *losses: float) -> Evaluation:
    return Evaluation(
        epoch=number,
        step=step,
        train_loss=0.5 if number else None,
        eval_loss=0.25,
        scores={"f1": 50.0},
        seconds=1.5,
        step_losses=losses or ((0.75, 0.25) if number else ()),
    )


def test_an_epochs_values_are_those_of_its_last_step() -> None:
    values = {"eval_loss": 0.25, "seconds": 1.5, "eval_f1": 50.0}
    assert rows_of(epoch(0, 0), after=0) == [StepValues(step=0, values={**values, "epoch": 0.0})]
    assert rows_of(epoch(2, 4), after=2) == [
        StepValues(step=3, values={"step_loss": 0.75}),
        StepValues(step=4, values={**values, "epoch": 2.0, "train_loss": 0.5, "step_loss": 0.25}),
    ]


def test_several_losses_of_a_step_are_one_point() -> None:
    rows = rows_of(epoch(1, 2, 1.0, 3.0, 5.0), after=0)
    assert [(row.step, row.values["step_loss"]) for row in rows] == [(1, 2.0), (2, 5.0)]


def test_costs_are_numbers_and_what_is_unknown_is_left_out(fake_engine: Any) -> None:
    values = values_of_costs(replace(fake_engine.outcome.costs, energy_joules=12.5))
    assert values["cost_energy_joules"] == 12.5
    assert values["cost_trainable"] == 3.0
    assert not {"cost_device", "cost_parameters", "cost_peak_memory_bytes"} & values.keys()


def test_tensorboard_shows_the_settings_of_a_trial(tiny_study: MakeStudy, tmp_path: Path) -> None:
    (trial,) = tiny_study(arms={"full": {"method": "full"}}).trials
    card = Card(study="tiny", name="one", trial=trial, folder=tmp_path)
    AccelerateRun("tensorboard", card).close("finished")
    (settings,) = (tmp_path / "tensorboard" / "tiny" / "one").rglob("hparams.yml")
    assert "training.learning_rate: 0.001" in settings.read_text()
