"""The shared fixtures of the runner's tests: tiny studies, a fake engine, a listener, S3."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from peftlab.core.measurements import Costs, Evaluation, ParameterCount
from peftlab.core.trial import Trial
from peftlab.engine.events import (
    Began,
    Evaluated,
    Event,
    Failed,
    Finished,
    Interrupted,
    Paused,
    Remarked,
    Resumed,
    Started,
    Stepped,
    WithCosts,
)
from peftlab.engine.job import Job
from peftlab.study.spec import validate
from peftlab.study.trials import Expanded, expand


@pytest.fixture
def tiny_study(tiny_checkpoint: Path) -> Callable[..., Expanded]:
    """The function that returns a study of one task and seed on the tiny model."""

    def make(**keys: Any) -> Expanded:
        study = {
            "name": "tiny",
            "model": str(tiny_checkpoint),
            "data": "demo",
            "tasks": ["demo-paraphrase"],
            "seeds": [1],
            "max_train_samples": 20,
            "max_eval_samples": 12,
            "training": {"num_train_epochs": 2, "learning_rate": 1e-3},
            "arms": {
                "full": {"method": "full"},
                "bitfit": {"method": "bitfit"},
                "lora": {"method": "lora", "r": 2, "lora_dropout": 0.1},
            },
        }
        return expand(validate(study | keys, where="tiny.yaml"))

    return make


@dataclass
class Listener:
    """A listener that notes events as (event, method, number), and raises if it is asked to."""

    events: list[tuple[str, str, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    on_event: Callable[[str, Trial, int], None] = lambda event, trial, number: None
    trials: dict[str, Trial] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        number = 0
        match event:
            case Remarked(text=text):
                self.remarks.append(text)
                return
            case Started(trial=trial):
                self.trials[trial.id] = trial
            case Began(total_steps=number) | Resumed(step=number) | Stepped(step=number):
                pass
            case Evaluated(evaluation=record):
                number = record.epoch
            case Failed(error=error):
                self.errors.append(error)
        trial = self.trials.get(event.trial_id)
        if trial is None:  # its start could not be stored, so that nobody heard of it
            assert isinstance(event, Interrupted)
            return
        self.events.append((event.event, trial.method, number))
        self.on_event(event.event, trial, number)


class Telling:
    """A sender of events about trials, by the name of the event."""

    def __init__(self, listener: Callable[[Event], None]) -> None:
        self._tell = listener

    def started(self, trial: Trial) -> None:
        self._tell(Started(trial=trial))

    def began(self, trial: Trial, total_steps: int, steps_per_epoch: int) -> None:
        self._tell(
            Began(trial_id=trial.id, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        )

    def resumed(self, trial: Trial, step: int, evaluations: Sequence[Evaluation]) -> None:
        self._tell(Resumed(trial_id=trial.id, step=step, evaluations=tuple(evaluations)))

    def stepped(self, trial: Trial, step: int, loss: float) -> None:
        self._tell(Stepped(trial_id=trial.id, step=step, loss=loss))

    def evaluated(self, trial: Trial, evaluation: Evaluation) -> None:
        self._tell(Evaluated(trial_id=trial.id, evaluation=evaluation))

    def finished(self, trial: Trial, **changes: Any) -> None:
        self._tell(OUTCOME.model_copy(update={"trial_id": trial.id, **changes}))

    def paused(self, trial: Trial, **changes: Any) -> None:
        fields = {name: getattr(OUTCOME, name) for name in WithCosts.model_fields}
        self._tell(Paused(**{**fields, "trial_id": trial.id, **changes}))

    def failed(self, trial: Trial, error: str) -> None:
        self._tell(Failed(trial_id=trial.id, error=error))

    def interrupted(self, trial: Trial) -> None:
        self._tell(Interrupted(trial_id=trial.id))


@pytest.fixture
def make_listener() -> type[Listener]:
    """The class of the listener."""
    return Listener


OUTCOME = Finished(
    trial_id="",
    costs=Costs(
        parameters=ParameterCount(
            trainable=3, total=9, total_peft_counting=9, backbone=3, adapter=0, head=0
        ),
        device="cpu",
        threads=1,
        train_seconds=1.0,
        eval_seconds=1.0,
        total_seconds=2.0,
        train_examples_per_second=8.0,
        train_tokens_per_second=100.0,
        padding_avoided=0.5,
    ),
    num_train_examples=20,
    num_eval_examples=12,
)


@dataclass
class FakeEngine:
    """A stand-in for run_trial: one step, epochs 0 and 1; a method may be made to fail."""

    failures: dict[str, BaseException] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    outcome: Finished = OUTCOME

    def __call__(self, trial: Trial, job: Job, tell: Any, on_saved: Any) -> Finished:
        self.ran.append(trial.method)
        tell(Began(trial_id=trial.id, total_steps=1, steps_per_epoch=1))
        for epoch in (0, 1):
            record = Evaluation(
                epoch=epoch,
                step=epoch,
                train_loss=0.5 if epoch else None,
                eval_loss=0.5,
                scores={"f1": 50.0 + epoch, "accuracy": 40.0},
                seconds=0.0,
            )
            tell(Evaluated(trial_id=trial.id, evaluation=record))
            if epoch == 0:
                if trial.method in self.failures:
                    raise self.failures[trial.method]
                tell(Stepped(trial_id=trial.id, step=1, loss=0.5))
        return self.outcome.model_copy(update={"trial_id": trial.id})


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The fake engine, in place of the real one under the inline executor."""
    engine = FakeEngine()

    def train_group(
        trials: Sequence[Trial], job: Job, tell: Any, on_saved: Any, on_end: Any
    ) -> None:
        """Run the members one after another."""
        for trial in trials:
            on_end(engine(trial, job, tell, on_saved))

    monkeypatch.setattr("peftlab.engine.run.run_trial", engine)
    monkeypatch.setattr("peftlab.engine.group.train_group", train_group)
    return engine


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """A port of this machine, to which all use of S3 is directed, even in new processes."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield port


@pytest.fixture(scope="session")
def s3_server(s3_port: int) -> Iterator[Any]:
    """An S3 server on that port, which keeps its objects in memory."""
    pytest.importorskip("s3fs", reason="the package s3fs is not installed")
    pytest.importorskip("moto", reason="the package moto is not installed")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=s3_port, verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3_url(s3_server: Any) -> str:
    """The URL of a folder in a bucket of its own."""
    import s3fs

    bucket = f"bucket-{uuid4().hex[:8]}"
    s3fs.S3FileSystem().mkdir(bucket)
    return f"s3://{bucket}/studies"
