"""What a trial's process tells the study's process: one JSON object a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

from peftlab.core.errors import PeftlabError, UserError
from peftlab.core.measurements import Costs, EpochRecord
from peftlab.core.progress import Stage
from peftlab.core.training import CheckpointEvery
from peftlab.core.trial import Trial
from peftlab.data.predictions import Predictions
from peftlab.engine.run import Outcome
from peftlab.runner.executors.base import Job, Listener

Message = Mapping[str, Any]
ENDS = {"finished", "failed", "interrupted", "refused", "lost", "measured"}
"""Events after which a worker has nothing to do."""
READY: Message = {"event": "ready"}
"""Said once by a process that has imported all it needs."""
BUSY: Message = {"event": "busy"}
"""Said now and then by a process that gets on with something before the first step."""
OF_THE_PROCESS = {"ready", "busy"}
"""Events that say nothing of a trial."""
SECONDS_OF_PULSE = 1.0


def job_to_json(job: Job) -> dict[str, Any]:
    """A job as JSON values."""
    return {
        "trial": job.trial.model_dump(mode="json"),
        "artifacts": str(job.artifacts),
        "cache": str(job.cache),
        "device": job.device,
        "checkpoint_every": job.checkpoint_every.model_dump(),
        "threads": job.threads,
        "told_every": job.told_every,
        "micro_batch": job.micro_batch,
        "stop_after": job.stop_after,
        "is_alone": job.is_alone,
    }


def job_from_json(values: Message) -> Job:
    """The job that was given as JSON values."""
    return Job(
        trial=Trial.model_validate(values["trial"]),
        artifacts=Path(values["artifacts"]),
        cache=Path(values["cache"]),
        device=values["device"],
        checkpoint_every=CheckpointEvery.model_validate(values["checkpoint_every"]),
        threads=values["threads"],
        told_every=values["told_every"],
        micro_batch=values["micro_batch"],
        stop_after=values["stop_after"],
        is_alone=values["is_alone"],
    )


class Telling:
    """An engine's observer that sends messages, those of steps at most `every` so many seconds."""

    def __init__(self, send: Callable[[Message], None], *, every: float) -> None:
        self._send, self._every = send, every
        self._told_at = 0.0

    def began(self, total_steps: int, total_epochs: int) -> None:
        self._send({"event": "began", "total_steps": total_steps, "total_epochs": total_epochs})

    def resumed(self, step: int, epochs: Sequence[EpochRecord]) -> None:
        self._send({"event": "resumed", "step": step, "epochs": [asdict(e) for e in epochs]})

    def stepped(self, step: int, loss: float) -> None:
        now = monotonic()
        if now - self._told_at >= self._every:
            self._told_at = now
            self._send({"event": "stepped", "step": step, "loss": loss})

    def ended_epoch(self, record: EpochRecord, predictions: Predictions) -> None:
        self._send({"event": "ended_epoch", "record": asdict(record)})


class Pulse:
    """A watcher of stages, such as encoding, that says now and then that they get on."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._told_at = monotonic()

    def began(self, stage: Stage) -> None:
        self.changed(stage)

    def changed(self, stage: Stage) -> None:
        now = monotonic()
        if now - self._told_at >= SECONDS_OF_PULSE:
            self._told_at = now
            self._send(BUSY)

    def ended(self, stage: Stage) -> None:
        self.changed(stage)


def pass_on(message: Message, trial: Trial, listener: Listener) -> None:
    """Tell the listener what the message says of the trial.

    Raises the error that has ended it and ends the study: a UserError, or that it was not stored.
    """
    match message["event"]:
        case "began":
            listener.began(trial, message["total_steps"], message["total_epochs"])
        case "resumed":
            epochs = [EpochRecord.of(values) for values in message["epochs"]]
            listener.resumed(trial, message["step"], epochs)
        case "stepped":
            listener.stepped(trial, message["step"], message["loss"])
        case "ended_epoch":
            listener.ended_epoch(trial, EpochRecord.of(message["record"]))
        case "remarked":
            listener.remarked(message["text"])
        case "finished":
            outcome = dict(message["outcome"])
            listener.finished(trial, Outcome(**{**outcome, "costs": Costs.of(outcome["costs"])}))
        case "failed":
            listener.failed(trial, message["error"])
        case "interrupted":
            listener.interrupted(trial)
        case "refused":
            listener.interrupted(trial)
            raise UserError(message["what"], where=message["where"], allowed=message["allowed"])
        case "lost":
            listener.interrupted(trial)
            raise PeftlabError(message["error"])
        case other:
            raise ValueError(f"an event '{other}' is not known")
