"""The training loop of the engines `packed` and `padded`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch

from peftlab.core.interrupts import stop_if_requested, stop_requested
from peftlab.core.measurements import EpochRecord
from peftlab.core.scores import score_on
from peftlab.core.trial import Trial
from peftlab.data.batches import Indices, batches, epoch_order, padded_tokens
from peftlab.data.encode import Encoded
from peftlab.data.predictions import Predictions
from peftlab.engine.best import ReportedEpoch, without_best
from peftlab.engine.checkpoint import Checkpoint, Checkpoints
from peftlab.engine.classifier import Classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.energy import EnergyMeter
from peftlab.engine.evaluate import mean_loss, predict_split
from peftlab.engine.events import Began, EpochEnded, Listener, Resumed, Stepped, ignore
from peftlab.engine.steps import Steps, require_finite
from peftlab.tasks.metrics.registry import score


@dataclass(kw_only=True)
class Tally:
    """What has been measured while a trial trains."""

    earlier_seconds: float = 0.0
    """All time that was spent before the training was last resumed."""
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    dev_seconds: float | None = None
    """Of the fastest pass over the dev split, its predictions alone."""
    examples: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    epochs: list[EpochRecord] = field(default_factory=list)
    words: str = ""
    """What was done otherwise than asked for, and why."""
    is_paused: bool = False
    """Whether the training rests at the end of an epoch, as it was asked to."""

    def count_batches(self, lengths: Indices, order: Indices, size: int) -> None:
        """Add the examples and tokens of the batches that the order is cut into."""
        self.examples += len(order)
        self.tokens += int(lengths[order].sum())
        self.padded_tokens += padded_tokens(lengths, order, size)

    def time_dev(self, seconds: float) -> None:
        """Keep how long a pass over the dev split took, if none was faster."""
        self.dev_seconds = min(seconds, seconds if self.dev_seconds is None else self.dev_seconds)

    @property
    def padding_share(self) -> float:
        """The share of padding in the batches, had each been padded to its longest example."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0


def train(
    classifier: Classifier,
    trial: Trial,
    data: TrialData,
    tell: Listener = ignore,
    checkpoints: Checkpoints | None = None,
    *,
    best: ReportedEpoch | None = None,
    stop_after: int | None = None,
    micro_batch: int | None = None,
    energy: EnergyMeter | None = None,
) -> Tally:
    """Train the classifier's module in place; return what was measured on the way.

    `best` is offered each epoch; what it has kept in the end is what the module ends with. The
    training rests, its state saved, behind the epoch `stop_after` if that is not the last one.

    Goes on from the newest of the checkpoints, to the same bits as without a break: the order of
    the examples is a function of (order seed, epoch), the dropout masks of the place of what is
    dropped (models/dropout.py), so no generator is carried along. torch's own generator, from
    which a method may draw something else, is seeded anew each step and put back at the end.
    An open meter of `energy` is told what was used before a break.

    Raises TrialError if a loss is not finite, and KeyboardInterrupt if the process is asked to
    stop, after the state was saved.
    """
    steps = Steps(classifier, trial, data, micro_batch=micro_batch)
    return _Training(steps, tell, checkpoints, best, stop_after, energy).run()


class _Training:
    """A trial's training: epochs of steps, each epoch evaluated, the state saved now and then."""

    def __init__(
        self,
        steps: Steps,
        tell: Listener,
        checkpoints: Checkpoints | None,
        best: ReportedEpoch | None,
        stop_after: int | None,
        energy: EnergyMeter | None,
    ) -> None:
        self.steps, self.trial, self.data = steps, steps.trial, steps.data
        self.module = steps.classifier.module
        self.tell, self.checkpoints, self.energy = tell, checkpoints, energy
        self.best, self.stop_after = best, stop_after
        self.tally = Tally()
        self.losses: list[float] = []
        """Of the steps that were taken in the present epoch."""
        self.predict = predictor(steps.classifier, self.trial)
        self._made_at = self._began_at = perf_counter()

    def run(self) -> Tally:
        """Train to the end."""
        steps, settings = self.steps, self.trial.training
        num_examples = len(self.data.train)
        self.tell(
            Began(
                trial_id=self.trial.id,
                total_steps=steps.total,
                total_epochs=settings.total_epochs(num_examples),
            )
        )
        devices = [] if steps.device.type == "cpu" else [steps.device]
        with torch.random.fork_rng(devices=devices), steps.active():
            if not self._resume():
                self._record_epoch(0)
            for epoch, order in epoch_orders(self.trial, num_examples, steps.total):
                if epoch < len(self.tally.epochs):
                    continue
                if self.stop_after is not None and epoch > self.stop_after:
                    self.tally.is_paused = True
                    break
                self._train_epoch(order)
                self._record_epoch(epoch)
                self.losses = []
                if steps.taken < steps.total:
                    self._save_if_due(epoch=epoch)
            if self.best is not None and not self.tally.is_paused:
                self.best.put_back(steps.put)
        size = settings.per_device_train_batch_size
        for epoch, order in epoch_orders(self.trial, num_examples, steps.total):
            if epoch < len(self.tally.epochs):
                self.tally.count_batches(self.data.train.lengths, order, size)
        if steps.micro_batch < size:
            self.tally.words = f"{steps.micro_batch} examples at once for want of memory"
        return self.tally

    def _train_epoch(self, order: Indices) -> None:
        """The steps of an epoch that are not taken yet."""
        self.module.train()
        self._began_at = perf_counter()
        all_rows = list(batches(order, self.trial.training.examples_per_step))
        for rows in all_rows[len(self.losses) :]:
            self.losses.append(self.steps.take(rows))
            self.tell(Stepped(trial_id=self.trial.id, step=self.steps.taken, loss=self.losses[-1]))
            self._save_if_due()
        self._stop_clock()

    def _record_epoch(self, epoch: int) -> None:
        try:
            with self.steps.complete():
                predictions = record_epoch(
                    self.tally, self.data, self.predict, epoch, self.steps.taken, self.losses
                )
            if self.best is not None:
                self.best.offer(
                    self.tally.epochs,
                    predictions,
                    self.module,
                    embedding_factor=self.steps.embedding_factor,
                )
            self.tell(EpochEnded(trial_id=self.trial.id, record=self.tally.epochs[-1]))
        except KeyboardInterrupt:
            if epoch > 0:
                self._save()
            raise

    def _stop_clock(self) -> None:
        """Add the time of training since the clock was started, and start it again."""
        now = perf_counter()
        self.tally.train_seconds += now - self._began_at
        self._began_at = now

    def _save_if_due(self, epoch: int | None = None) -> None:
        """Save the state if it is time to, or if the process is to stop, which it then does."""
        is_due = epoch is not None and epoch == self.stop_after
        if self.checkpoints is not None and not is_due:
            is_due = self.checkpoints.are_due(step=self.steps.taken, epoch=epoch)
        if is_due or stop_requested():
            if epoch is None:
                self._stop_clock()
            self._save()
            self._began_at = perf_counter()
        stop_if_requested()

    def _save(self) -> None:
        if self.checkpoints is not None:
            progress = self._progress()
            tensors = self.steps.state() | ({} if self.best is None else self.best.state())
            self.checkpoints.save(
                Checkpoint(step=self.steps.taken, tensors=tensors, progress=progress)
            )

    def _progress(self) -> dict[str, Any]:
        tally = self.tally
        earlier_seconds = tally.earlier_seconds + perf_counter() - self._made_at
        is_recorded = tally.epochs[-1].step == self.steps.taken
        return {
            "tally": {**asdict(tally), "earlier_seconds": earlier_seconds},
            "losses": [] if is_recorded else self.losses,
            "embedding_factor": self.steps.embedding_factor,
            "best": None if self.best is None else self.best.progress(),
            "micro_batch": self.steps.micro_batch,
            "energy_joules": None if self.energy is None else self.energy.read(),
        }

    def _resume(self) -> bool:
        """Go on from the newest checkpoint; False if there is none that fits."""
        found = None if self.checkpoints is None else self.checkpoints.newest()
        if found is None:
            return False
        try:
            values = found.progress["tally"]
            epochs = [EpochRecord.of(record) for record in values["epochs"]]
            tally = Tally(**{**values, "epochs": epochs})
            losses, micro_batch = found.progress["losses"], int(found.progress["micro_batch"])
            if self.best is not None:
                self.best.restore(found.tensors, found.progress["best"])
            self.steps.restore(replace(found, tensors=without_best(found.tensors)))
        except (ValueError, KeyError, TypeError):  # of another version, of ours or of a library
            return False
        self.tally, self.losses = tally, losses
        self.steps.micro_batch = min(self.steps.micro_batch, micro_batch)
        if self.energy is not None:  # a checkpoint of an older version tells nothing of it
            self.energy.go_on_from(found.progress.get("energy_joules"))
        self.tell(Resumed(trial_id=self.trial.id, step=self.steps.taken, epochs=tuple(epochs)))
        return True


def epoch_orders(
    trial: Trial, num_examples: int, total_steps: int
) -> Iterator[tuple[int, Indices]]:
    """(epoch from 1, the examples in the order of training), the last cut short by `max_steps`."""
    left = total_steps * trial.training.examples_per_step
    for epoch in range(1, trial.training.total_epochs(num_examples) + 1):
        order = epoch_order(num_examples, seed=trial.seeds.order, epoch=epoch)[:left]
        left -= trial.training.steps_per_epoch(num_examples) * trial.training.examples_per_step
        yield epoch, order


def predictor(classifier: Classifier, trial: Trial) -> Callable[[Encoded], Predictions]:
    """A call that predicts labelled rows."""
    return lambda rows: predict_split(
        classifier, rows, batch_size=trial.training.per_device_eval_batch_size
    )


def record_epoch(
    tally: Tally,
    data: TrialData,
    predict: Callable[[Encoded], Predictions],
    epoch: int = 0,
    step: int = 0,
    losses: list[float] | None = None,
) -> Predictions:
    """Evaluate, and add the epoch's record to the tally; the predictions on dev."""
    began = perf_counter()
    predictions = predict(data.dev)
    tally.time_dev(perf_counter() - began)
    eval_loss = mean_loss(predictions)
    require_finite("validation", eval_loss)
    held_out_loss, held_out_scores = None, {}
    if data.held_out is not None:
        held_out = predict(data.held_out)
        held_out_loss = mean_loss(held_out)
        require_finite("held-out", held_out_loss)
        held_out_scores = score(data.task, held_out.logits, held_out.labels)
    scores = score(data.task, predictions.logits, predictions.labels)
    for task in data.task.also_on:
        further = predict(data.further[task.name])
        scores |= {
            score_on(name, task.name): value
            for name, value in score(task, further.logits, further.labels).items()
        }
    record = EpochRecord(
        epoch=epoch,
        step=step,
        train_loss=float(np.mean(losses)) if losses else None,
        eval_loss=eval_loss,
        scores=scores,
        seconds=tally.train_seconds,
        step_losses=tuple(losses or ()),
        held_out_loss=held_out_loss,
        held_out_scores=held_out_scores,
    )
    tally.eval_seconds += perf_counter() - began
    tally.epochs.append(record)
    return predictions
