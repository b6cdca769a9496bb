"""A checkpoint is whole or known to be damaged, and training resumed from one ends the same."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from peftlab.core.interrupts import stopping_gently
from peftlab.core.measurements import Evaluation
from peftlab.core.training import CheckpointEvery
from peftlab.core.trial import Trial
from peftlab.engine.checkpoint import Checkpoint, Checkpoints
from peftlab.engine.events import Evaluated, Event, Finished, Remarked, Resumed, Stepped
from peftlab.models.fused.choices import CHOICE, available
from peftlab.models.fused.product_kernels import LIBRARY, OWN
from tests.engine.running import run_alone

MakeTrial = Callable[..., Trial]
EVERY_STEP = CheckpointEvery(number=1, unit="steps")


class Killed(Exception):
    """A stand-in for the end of the process."""


@dataclass
class Listener:
    """A listener that keeps evaluations, and ends training after a step or an epoch."""

    kill_at_step: int | None = None
    kill_at_epoch: int | None = None
    evaluations: list[Evaluation] = field(default_factory=list)
    resumed_at: int | None = None
    remarks: list[str] = field(default_factory=list)
    do_at: Callable[[int], None] = lambda step: None

    def __call__(self, event: Event) -> None:
        match event:
            case Resumed(step=step, evaluations=found):
                self.resumed_at, self.evaluations = step, list(found)
            case Remarked(text=text):
                self.remarks.append(text)
            case Stepped(step=step):
                self.do_at(step)
                if step == self.kill_at_step:
                    raise Killed
            case Evaluated(evaluation=record):
                self.evaluations.append(record)
                if record.epoch == self.kill_at_epoch:
                    raise Killed


def run(trial: Trial, folder: Path, listener: Listener, every: CheckpointEvery) -> Finished:
    return run_alone(trial, folder, tell=listener, checkpoint_every=every)


def results(folder: Path, listener: Listener) -> tuple[dict[str, bytes], list[Evaluation]]:
    """Return the weights and predictions bit by bit, and the history without its times."""
    files = [*(folder / "model").iterdir(), folder / "predictions.parquet"]
    content = {file.name: file.read_bytes() for file in files}
    return content, [replace(record, seconds=0.0) for record in listener.evaluations]


def checkpoint(step: int) -> Checkpoint:
    tensors = {"parameter.weight": torch.full((3, 2), float(step)), "step": torch.tensor(1.0)}
    return Checkpoint(step=step, tensors=tensors, progress={"losses": [0.1, 1e-30]})


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(folder=tmp_path / "checkpoints", every=EVERY_STEP)


def test_what_was_saved_is_read(checkpoints: Checkpoints) -> None:
    assert checkpoints.newest() is None
    checkpoints.save(checkpoint(7))
    found = checkpoints.newest()
    assert found is not None
    assert (found.step, found.progress) == (7, {"losses": [0.1, 1e-30]})
    assert found.tensors.keys() == {"parameter.weight", "step"}
    assert torch.equal(found.tensors["parameter.weight"], torch.full((3, 2), 7.0))


def test_the_last_two_are_kept_and_nothing_else_is_left(checkpoints: Checkpoints) -> None:
    for step in (1, 2, 30):
        checkpoints.save(checkpoint(step))
    names = sorted(file.name for file in checkpoints.folder.iterdir())
    assert [name[:14] for name in names] == ["step-000000002", "step-000000030"]


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty", "gone"])
def test_from_a_damaged_one_the_one_before_is_used(checkpoints: Checkpoints, damage: str) -> None:
    for step in (1, 2):
        checkpoints.save(checkpoint(step))
    last = max(checkpoints.folder.iterdir())
    content = bytearray(last.read_bytes())
    if damage == "torn":
        last.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[-3] ^= 1
        last.write_bytes(content)
    elif damage == "empty":
        last.write_bytes(b"")
    else:
        last.unlink()
    found = checkpoints.newest()
    assert found is not None
    assert found.step == 1
    assert checkpoints.damaged == ([] if damage == "gone" else [last.name])


def test_a_damaged_one_that_was_passed_over_is_told_of(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    trial = make_trial(method="bitfit", rows=16, num_train_epochs=2)
    with pytest.raises(Killed):
        run(trial, tmp_path, Listener(kill_at_step=4), EVERY_STEP)
    last = max((tmp_path / "checkpoints").iterdir())
    last.write_bytes(b"torn")
    listener = Listener()
    run(trial, tmp_path, listener, EVERY_STEP)
    assert listener.resumed_at == 2
    expected = f"trial {trial.id}: the checkpoint {last.name} is damaged; it was skipped"
    assert listener.remarks == [expected]


@pytest.mark.skipif(LIBRARY not in available(), reason="there is one kernel for products alone")
def test_a_trial_goes_on_with_the_kernels_that_its_products_began_with(
    make_trial: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_trial(method="lora", rows=16, num_train_epochs=2)
    found = {}
    for kernel in (OWN, LIBRARY):
        monkeypatch.setenv(CHOICE, kernel)
        listener = Listener()
        run(trial, tmp_path / kernel, listener, EVERY_STEP)
        found[kernel] = results(tmp_path / kernel, listener)
    assert found[OWN] != found[LIBRARY]
    with pytest.raises(Killed):
        run(trial, tmp_path / "killed", Listener(kill_at_step=3), EVERY_STEP)
    monkeypatch.setenv(CHOICE, OWN)
    listener = Listener()
    run(trial, tmp_path / "killed", listener, EVERY_STEP)
    assert listener.resumed_at == 2
    assert results(tmp_path / "killed", listener) == found[LIBRARY]


def test_what_a_process_left_half_written_goes(checkpoints: Checkpoints) -> None:
    checkpoints.save(checkpoint(1))
    (checkpoints.folder / ".writing-1234").write_bytes(b"half")
    assert checkpoints.newest() is not None
    assert len(list(checkpoints.folder.iterdir())) == 1


def test_who_wants_to_know_is_told_of_each_once_it_is_there(tmp_path: Path) -> None:
    seen: list[int] = []
    checkpoints = Checkpoints(
        folder=tmp_path,
        every=EVERY_STEP,
        on_saved=lambda: seen.append(len(list(tmp_path.iterdir()))),
    )
    for step in (1, 2, 3):
        checkpoints.save(checkpoint(step))
    assert seen == [1, 2, 2]


@pytest.mark.parametrize(
    ("words", "steps", "epochs"),
    [("3 steps", [3, 6], []), ("2 epochs", [], [2, 4]), ("0 steps", None, None)],
)
def test_when_one_is_due(
    tmp_path: Path, words: str, steps: list[int] | None, epochs: list[int] | None
) -> None:
    if steps is None:
        with pytest.raises(ValueError, match="must be of the form '200 steps'"):
            CheckpointEvery.model_validate(words)
        return
    every = CheckpointEvery.model_validate(words)
    checkpoints = Checkpoints(folder=tmp_path, every=every)
    assert every.model_dump() == words
    assert [step for step in range(1, 8) if checkpoints.are_due(step=step)] == steps
    assert [n for n in range(1, 5) if checkpoints.are_due(step=6, epoch=n)] == epochs


def test_after_some_seconds_one_is_due_until_it_is_saved(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("peftlab.engine.checkpoint.monotonic", lambda: now)
    checkpoints.every = CheckpointEvery.model_validate("60 seconds")
    checkpoints.save(checkpoint(1))
    assert not checkpoints.are_due(step=1)
    now = 160.0
    assert checkpoints.are_due(step=1)
    checkpoints.save(checkpoint(2))
    assert not checkpoints.are_due(step=2)


WAYS = [
    ("full", {}, "packed"),
    ("full", {}, "padded"),
    ("lora", {"r": 2, "lora_dropout": 0.1}, "packed"),
    ("bitfit-frozen-head", {}, "packed"),
    ("adalora", {"init_r": 3, "target_r": 2}, "packed"),
]


@pytest.mark.parametrize(("method", "settings", "engine"), WAYS)
def test_a_training_killed_anywhere_ends_with_the_same_bits(
    method: str, settings: dict[str, object], engine: str, make_trial: MakeTrial, tmp_path: Path
) -> None:
    trial = make_trial(method=method, settings=settings, engine=engine, weight_decay=0.1)
    whole = Listener()
    run(trial, tmp_path / "whole", whole, CheckpointEvery.model_validate("1 epoch"))
    expected = results(tmp_path / "whole", whole)

    folder = tmp_path / "killed"
    every = CheckpointEvery.model_validate("2 steps")
    for listener in (
        Listener(kill_at_epoch=0),  # before there is anything to go on from
        Listener(kill_at_step=1),
        Listener(kill_at_step=3),
        Listener(kill_at_epoch=1),
        Listener(kill_at_step=9),
    ):
        with pytest.raises(Killed):
            run(trial, folder, listener, every)
    last = Listener()
    run(trial, folder, last, every)
    assert last.resumed_at == 8
    assert results(folder, last) == expected


@pytest.mark.parametrize("moment", [3, 5])
def test_a_request_to_stop_saves_the_state(
    moment: int, make_trial: MakeTrial, tmp_path: Path
) -> None:
    """5 steps are an epoch, so the second comes just before it is evaluated."""
    trial = make_trial(method="bitfit")
    whole = Listener()
    run(trial, tmp_path / "whole", whole, CheckpointEvery.model_validate("1 epoch"))

    def terminate(step: int) -> None:
        if step == moment:
            signal.raise_signal(signal.SIGTERM)

    folder, seldom = tmp_path / "stopped", CheckpointEvery.model_validate("9 epochs")
    with stopping_gently(), pytest.raises(KeyboardInterrupt):
        run(trial, folder, Listener(do_at=terminate), seldom)
    last = Listener()
    run(trial, folder, last, seldom)
    assert last.resumed_at == moment
    assert results(folder, last) == results(tmp_path / "whole", whole)


@pytest.mark.parametrize("told", [False, True])
def test_a_stop_around_the_end_of_an_epoch_counts_nothing_twice(
    told: bool, make_trial: MakeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop comes before its record is made, or when it has just been told."""
    trial = make_trial(method="bitfit")
    seldom = CheckpointEvery.model_validate("9 epochs")
    whole = Listener()
    expected = run(trial, tmp_path / "whole", whole, seldom)

    class Interrupting(Listener):
        def __call__(self, event: Event) -> None:
            super().__call__(event)
            if told and isinstance(event, Evaluated) and event.evaluation.epoch == 1:
                raise KeyboardInterrupt

    def interrupted() -> None:
        raise KeyboardInterrupt

    def patch(step: int) -> None:
        if not told and step == 5:
            monkeypatch.setattr("peftlab.engine.evaluate.stop_if_requested", interrupted)

    with pytest.raises(KeyboardInterrupt):
        run(trial, tmp_path / "stopped", Interrupting(do_at=patch), seldom)
    monkeypatch.undo()
    last = Listener()
    found = run(trial, tmp_path / "stopped", last, seldom)
    assert last.resumed_at == 5
    assert results(tmp_path / "stopped", last) == results(tmp_path / "whole", whole)
    assert found.costs.padding_avoided == expected.costs.padding_avoided


def test_a_checkpoint_of_other_parameters_is_not_gone_on_from(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        run(make_trial(method="bitfit"), tmp_path / "t", Listener(kill_at_step=2), EVERY_STEP)
    listener = Listener()
    run(make_trial(method="full"), tmp_path / "t", listener, EVERY_STEP)
    assert listener.resumed_at is None
    assert [record.epoch for record in listener.evaluations] == [0, 1, 2]


def test_transformers_trainer_stops_too(make_trial: MakeTrial, tmp_path: Path) -> None:
    trial = make_trial(method="bitfit", engine="trainer")
    steps = []

    def terminate(step: int) -> None:
        steps.append(step)
        signal.raise_signal(signal.SIGTERM)

    with stopping_gently(), pytest.raises(KeyboardInterrupt):
        run(trial, tmp_path / "stopped", Listener(do_at=terminate), EVERY_STEP)
    assert steps == [1]
