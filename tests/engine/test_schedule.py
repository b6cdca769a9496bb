"""Evaluations follow the schedule, even within an epoch, and a trial can be resumed from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.measurements import Evaluation
from peftlab.core.selection import Selection
from peftlab.core.training import CheckpointEvery
from peftlab.core.trial import Trial
from peftlab.engine.checkpoint import Checkpoints
from peftlab.engine.events import Evaluated, Event, Finished, Paused, Resumed, Stepped
from peftlab.engine.registry import ENGINES
from peftlab.engine.schedule import EvaluationSchedule, epoch_orders, rows_of_steps
from peftlab.tasks.selection import reported
from tests.engine.running import run_alone

MakeTrial = Callable[..., Trial]
EVERY_TWO = CheckpointEvery(number=2, unit="steps")
SELDOM = CheckpointEvery(number=99, unit="steps")


class Killed(Exception):
    """A stand-in for the end of the process."""


class History:
    """A listener that keeps the evaluations and the steps, and ends training after a step."""

    def __init__(self, *, kill_at: int | None = None) -> None:
        self.kill_at = kill_at
        self.resumed_at = 0
        self.evaluations: list[Evaluation] = []
        self.losses: list[float] = []

    def __call__(self, event: Event) -> None:
        match event:
            case Resumed(step=step, evaluations=evaluations):
                self.resumed_at, self.evaluations = step, [*evaluations]
            case Stepped(step=step, loss=loss):
                self.losses.append(loss)
                if step == self.kill_at:
                    raise Killed
            case Evaluated(evaluation=evaluation):
                self.evaluations.append(evaluation)


def every_three(
    cls: type[EvaluationSchedule], trial: Trial, num_examples: int
) -> EvaluationSchedule:
    return cls(every=3, total_steps=trial.training.total_steps(num_examples))


def run(
    trial: Trial,
    folder: Path,
    history: History,
    *,
    every: CheckpointEvery = SELDOM,
    stop_after: int | None = None,
) -> Finished | Paused:
    return run_alone(trial, folder, tell=history, checkpoint_every=every, stop_after=stop_after)


def results(folder: Path, history: History) -> tuple[dict[str, bytes], list[Evaluation]]:
    """Return everything that a trial leaves and that does not depend on time."""
    files = [*(folder / "model").iterdir(), folder / "predictions.parquet"]
    return {file.name: file.read_bytes() for file in files}, [
        replace(one, seconds=0.0) for one in history.evaluations
    ]


@pytest.fixture
def trial(make_trial: MakeTrial) -> Trial:
    """Return a trial of 10 steps, 5 per epoch, on half of the rows; the others choose the epoch."""
    settings = {"learning_rate": 0.1, "warmup_steps": 0, "weight_decay": 0.1}
    made = make_trial(method="bitfit", task="demo-paraphrase", rows=80, **settings)
    return made.model_copy(update={"selection": Selection(fraction=0.5)})


@pytest.mark.parametrize("engine", ENGINES.names())
def test_every_engine_evaluates_within_an_epoch_and_takes_the_same_steps(
    engine: str, trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, usual, often = trial.model_copy(update={"engine": engine}), History(), History()
    as_ever = run(trial, tmp_path / "usual", usual)
    monkeypatch.setattr(EvaluationSchedule, "of", classmethod(every_three))
    outcome = run(trial, tmp_path / "often", often)
    assert [(one.step, one.epoch) for one in usual.evaluations] == [(0, 0.0), (5, 1.0), (10, 2.0)]
    assert [(one.step, one.epoch) for one in often.evaluations] == [
        (0, 0.0), (3, 0.6), (6, 1.2), (9, 1.8), (10, 2.0),
    ]  # fmt: skip
    assert [len(one.step_losses) for one in often.evaluations] == [0, 3, 3, 3, 1]
    assert [loss for one in often.evaluations for loss in one.step_losses] == often.losses
    # The Trainer draws from torch's generator where it evaluates, so its dropout differs then.
    shared = 3 if engine == "trainer" else 10
    assert often.losses[:shared] == usual.losses[:shared]
    costs, before = outcome.costs, as_ever.costs
    assert (costs.padding_avoided, costs.train_flops) == (
        before.padding_avoided,
        before.train_flops,
    )
    assert 0 < often.evaluations[1].seconds < often.evaluations[-1].seconds <= costs.train_seconds


@pytest.mark.parametrize("kills", [(1,), (3, 4), (7, 8), (8, 10)])
def test_a_trial_killed_within_an_epoch_goes_on_to_the_same_bits(
    kills: tuple[int, ...], trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EvaluationSchedule, "of", classmethod(every_three))
    whole = History()
    run(trial, tmp_path / "whole", whole)
    for step in kills:
        with pytest.raises(Killed):
            run(trial, tmp_path / "killed", History(kill_at=step), every=EVERY_TWO)
    last = History()
    run(trial, tmp_path / "killed", last, every=EVERY_TWO)
    assert last.resumed_at == (kills[-1] - 1) // 2 * 2
    assert results(tmp_path / "killed", last) == results(tmp_path / "whole", whole)
    chosen = reported(last.evaluations)
    assert chosen is not None
    assert chosen.step > 0


def test_it_rests_behind_the_first_evaluation_at_or_after_the_end_of_an_epoch(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EvaluationSchedule, "of", classmethod(every_three))
    whole = History()
    run(trial, tmp_path / "whole", whole)
    for _ in range(2):  # the second time it is where it is to rest already
        history = History()
        assert isinstance(run(trial, tmp_path / "rests", history, stop_after=1), Paused)
        assert history.evaluations[-1].step == 6
    last = History()
    assert isinstance(run(trial, tmp_path / "rests", last), Finished)
    assert last.resumed_at == 6
    assert results(tmp_path / "rests", last) == results(tmp_path / "whole", whole)


def test_the_state_is_saved_at_the_end_of_an_epoch_that_is_not_evaluated(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EvaluationSchedule, "of", classmethod(every_three))
    each = CheckpointEvery(number=1, unit="epochs")
    with pytest.raises(Killed):
        run(trial, tmp_path / "a", History(kill_at=6), every=each)
    last = History()
    run(trial, tmp_path / "a", last, every=each)
    assert last.resumed_at == 5
    assert len(last.losses) == 5


def test_a_checkpoint_that_tells_its_evaluations_by_epochs_is_gone_on_from(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such checkpoints were written before schema 6."""
    whole = History()
    run(trial, tmp_path / "whole", whole)
    with pytest.raises(Killed):
        run(trial, tmp_path / "older", History(kill_at=9), every=EVERY_TWO)
    checkpoints = Checkpoints(folder=tmp_path / "older" / "checkpoints", every=EVERY_TWO)
    found = checkpoints.newest()
    assert found is not None
    for file in checkpoints.folder.iterdir():
        file.unlink()
    checkpoints.save(replace(found, progress=by_epoch(found.progress)))
    last = History()
    run(trial, tmp_path / "older", last, every=EVERY_TWO)
    assert last.resumed_at == 8
    assert results(tmp_path / "older", last) == results(tmp_path / "whole", whole)


def by_epoch(progress: Mapping[str, Any]) -> Mapping[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps(progress))
    epochs = values["tally"].pop("evaluations")
    values["tally"]["epochs"] = [{**one, "epoch": int(one["epoch"])} for one in epochs]
    of_step = {one["step"]: int(one["epoch"]) for one in epochs}
    values["best"]["epoch"] = of_step[values["best"].pop("step")]
    return values


def test_the_rows_of_the_steps_are_those_of_the_epochs_cut(make_trial: MakeTrial) -> None:
    trial = make_trial(num_train_epochs=3)
    steps = [rows.tolist() for rows in rows_of_steps(trial, 20, 7)]
    assert [len(rows) for rows in steps] == [8, 8, 4, 8, 8, 4, 8]
    orders = dict(epoch_orders(trial, 20, 7))
    assert {epoch: len(order) for epoch, order in orders.items()} == {1: 20, 2: 20, 3: 8}
    assert [row for rows in steps[3:6] for row in rows] == orders[2].tolist()
    assert [rows.tolist() for rows in rows_of_steps(trial, 20, 7, taken=4)] == steps[4:]
    assert [*rows_of_steps(trial, 20, 7, taken=7)] == []


@pytest.mark.parametrize(
    ("engine", "optim"),
    [
        ("packed", "adamw_torch"),
        ("packed", "sgd"),
        ("packed", "adafactor"),
        ("packed", "adagrad"),
        ("packed", "rmsprop"),
        ("padded", "adafactor"),
    ],
)
@pytest.mark.parametrize("method", ["full", "bitfit"])
def test_a_trial_killed_goes_on_to_the_same_bits_by_every_optimizer(
    method: str, engine: str, optim: str, make_trial: MakeTrial, tmp_path: Path
) -> None:
    """Matrices and vectors have states of their own in Adafactor."""
    settings = {"learning_rate": 1e-3, "warmup_steps": 0, "weight_decay": 0.1, "max_steps": 6}
    trial = make_trial(method=method, engine=engine, rows=24, optim=optim, **settings)
    whole = History()
    run(trial, tmp_path / "whole", whole)
    for step in (3, 5):
        with pytest.raises(Killed):
            run(trial, tmp_path / "killed", History(kill_at=step), every=EVERY_TWO)
    last = History()
    run(trial, tmp_path / "killed", last, every=EVERY_TWO)
    assert last.resumed_at == 4
    assert results(tmp_path / "killed", last) == results(tmp_path / "whole", whole)
