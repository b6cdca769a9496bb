"""The training loop of the engines `packed` and `padded`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from peftlab.core.errors import TrialError
from peftlab.core.identity import derived_seed
from peftlab.core.interrupts import stop_if_requested, stop_requested
from peftlab.core.types import EpochRecord, Trial
from peftlab.data.batches import Indices, batches, epoch_order, padded_tokens
from peftlab.data.predictions import Predictions
from peftlab.engine.checkpoint import Checkpoint, Checkpoints
from peftlab.engine.classifier import Classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.embedding_rows import EmbeddingRows, rows_in_use
from peftlab.engine.evaluate import mean_loss, predict_split
from peftlab.engine.memory import is_out_of_memory
from peftlab.engine.observer import Observer
from peftlab.engine.optimizer import (
    build_optimizer,
    clip_gradients,
    learning_rate_at,
    set_learning_rate,
)
from peftlab.tasks.metrics import score


@dataclass(kw_only=True)
class Tally:
    """What has been measured while a trial trains."""

    earlier_seconds: float = 0.0
    """All time that was spent before the training was last resumed."""
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    examples: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    epochs: list[EpochRecord] = field(default_factory=list)
    words: str = ""
    """What was done otherwise than asked for, and why."""

    def count_batches(self, lengths: Indices, order: Indices, size: int) -> None:
        """Add the examples and tokens of the batches that the order is cut into."""
        self.examples += len(order)
        self.tokens += int(lengths[order].sum())
        self.padded_tokens += padded_tokens(lengths, order, size)

    @property
    def padding_share(self) -> float:
        """The share of padding in the batches, had each been padded to its longest example."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0


class Steps:
    """The optimizer steps of one trial: made once, then taken in order."""

    def __init__(
        self,
        classifier: Classifier,
        trial: Trial,
        data: TrialData,
        *,
        micro_batch: int | None = None,
    ) -> None:
        size = trial.training.per_device_train_batch_size
        self.micro_batch = min(size, micro_batch or size)
        """How many examples are computed at once."""
        self.classifier = classifier
        self.trial = trial
        self.data = data
        self.total = trial.training.total_steps(len(data.train))
        self.taken = 0
        self.embedding: EmbeddingRows | None = None
        self.device = next(classifier.module.parameters()).device

    @contextmanager
    def active(self) -> Iterator[Steps]:
        """Everything in place for training; the classifier is ready for use too."""
        module, settings = self.classifier.module, self.trial.training
        with ExitStack() as stack:
            stack.enter_context(self.classifier.active())
            if self.classifier.packs:
                self.embedding = rows_in_use(self.classifier.word_embedding, self.data.train)
            if self.embedding is not None:
                stack.enter_context(self.embedding.compact())
            self.parameters = [p for p in module.parameters() if p.requires_grad]
            self.optimizer = build_optimizer(module, settings)
            self._embedding_decay = self._decay_of(self.embedding)
            yield self

    @contextmanager
    def complete(self) -> Iterator[None]:
        """Between steps: the module with all its numbers in place, for evaluation and saving."""
        if self.embedding is None:
            yield
            return
        with self.embedding.complete():
            yield

    def take(self, rows: Indices) -> float:
        """One step on these rows; the mean loss of the batch before it."""
        step, settings = self.taken, self.trial.training
        self._seed_generators(derived_seed(self.trial.seeds.dropout, step))
        rate = learning_rate_at(step, settings, total_steps=self.total)
        set_learning_rate(self.optimizer, rate)
        loss = self._backward(rows, step)
        clip_gradients(self.optimizer, self.parameters, settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.embedding is not None:
            self.embedding.decayed(rate, self._embedding_decay)
        self.taken += 1
        return loss

    def _backward(self, rows: Indices, step: int) -> float:
        """The gradients and the loss, of half as many examples at once where memory is short."""
        while True:
            try:
                return backward(
                    self.classifier, self.data, rows, step=step, micro_batch=self.micro_batch
                )
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.micro_batch == 1:
                    raise TrialError("out of memory, with one example at a time") from error
                self.micro_batch = (self.micro_batch + 1) // 2
                self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """The tensors that change from step to step: what is trained, and the optimizer's own."""
        tensors: dict[str, Tensor] = {
            f"parameter.{name}": tensor for name, tensor in self._trained()
        }
        for name, parameter in self._trained():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{key}.{name}"] = value
        return tensors

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a state with which `state` and `taken` were saved.

        Raises ValueError if it is that of other parameters.
        """
        parameters = dict(self._trained())
        states: dict[str, dict[str, Tensor]] = {name: {} for name in parameters}
        for key_and_name, tensor in checkpoint.tensors.items():
            key, name = key_and_name.split(".", 1)
            if name not in states:
                raise ValueError(f"{name} is not trained")
            states[name][key] = tensor
        for name, parameter in parameters.items():
            tensor = states[name].get("parameter", torch.empty(0))
            if tensor.shape != parameter.shape:
                raise ValueError(f"no state of {name}")
        for name, parameter in parameters.items():
            with torch.no_grad():
                parameter.copy_(states[name].pop("parameter"))
            for key, tensor in states[name].items():
                self.optimizer.state[parameter][key] = tensor.to(self.device)
        self.taken = checkpoint.step
        if self.embedding is not None:
            self.embedding.factor = checkpoint.progress["embedding_factor"]

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        named = self.classifier.module.named_parameters()
        return [(name, parameter) for name, parameter in named if parameter.requires_grad]

    def _seed_generators(self, seed: int) -> None:
        """As torch.manual_seed, which asks all kinds of devices, for those in use only."""
        torch.default_generator.manual_seed(seed)
        if self.device.type != "cpu":
            torch.manual_seed(seed)

    def _decay_of(self, embedding: EmbeddingRows | None) -> float:
        if embedding is not None:
            for group in self.optimizer.param_groups:
                if any(parameter is embedding.rows for parameter in group["params"]):
                    return float(group["weight_decay"])
        return 0.0


def train(
    classifier: Classifier,
    trial: Trial,
    data: TrialData,
    observer: Observer,
    checkpoints: Checkpoints | None = None,
    *,
    micro_batch: int | None = None,
) -> Tally:
    """Train the classifier's module in place; what was measured on the way.

    Goes on from the newest of the checkpoints, to the same bits as without a break: the order of
    the examples is a function of (order seed, epoch), the dropout masks of the place of what is
    dropped (models/dropout.py), so no generator is carried along. torch's own generator, from
    which a method may draw something else, is seeded anew each step and put back at the end.

    Raises TrialError if a loss is not finite, and KeyboardInterrupt if the process is asked to
    stop, after the state was saved.
    """
    steps = Steps(classifier, trial, data, micro_batch=micro_batch)
    return _Training(steps, observer, checkpoints).run()


class _Training:
    """A trial's training: epochs of steps, each epoch evaluated, the state saved now and then."""

    def __init__(self, steps: Steps, observer: Observer, checkpoints: Checkpoints | None) -> None:
        self.steps, self.trial, self.data = steps, steps.trial, steps.data
        self.module = steps.classifier.module
        self.observer, self.checkpoints = observer, checkpoints
        self.tally = Tally()
        self.losses: list[float] = []
        """Of the steps that were taken in the present epoch."""
        self.predict = predictor(steps.classifier, self.trial, self.data)
        self._made_at = self._began_at = perf_counter()

    def run(self) -> Tally:
        """Train to the end."""
        steps, settings = self.steps, self.trial.training
        num_examples = len(self.data.train)
        self.observer.began(steps.total, settings.total_epochs(num_examples))
        devices = [] if steps.device.type == "cpu" else [steps.device]
        with torch.random.fork_rng(devices=devices), steps.active():
            if not self._resume():
                self._record_epoch(0)
            for epoch, order in epoch_orders(self.trial, num_examples, steps.total):
                if epoch < len(self.tally.epochs):
                    continue
                self._train_epoch(order)
                self._record_epoch(epoch)
                self.losses = []
                if steps.taken < steps.total:
                    self._save_if_due(epoch=epoch)
        size = settings.per_device_train_batch_size
        for _, order in epoch_orders(self.trial, num_examples, steps.total):
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
            self.observer.stepped(self.steps.taken, self.losses[-1])
            self._save_if_due()
        self._stop_clock()

    def _record_epoch(self, epoch: int) -> None:
        try:
            with self.steps.complete():
                record_epoch(
                    self.tally, self.trial, self.data, self.observer, self.predict, epoch,
                    self.steps.taken, self.losses,
                )  # fmt: skip
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
        is_due = self.checkpoints is not None and self.checkpoints.are_due(
            step=self.steps.taken, epoch=epoch
        )
        if is_due or stop_requested():
            if epoch is None:
                self._stop_clock()
            self._save()
            self._began_at = perf_counter()
        stop_if_requested()

    def _save(self) -> None:
        if self.checkpoints is not None:
            progress = self._progress()
            tensors = self.steps.state()
            self.checkpoints.save(
                Checkpoint(step=self.steps.taken, tensors=tensors, progress=progress)
            )

    def _progress(self) -> dict[str, Any]:
        embedding, tally = self.steps.embedding, self.tally
        earlier_seconds = tally.earlier_seconds + perf_counter() - self._made_at
        is_recorded = tally.epochs[-1].step == self.steps.taken
        return {
            "tally": {**asdict(tally), "earlier_seconds": earlier_seconds},
            "losses": [] if is_recorded else self.losses,
            "embedding_factor": 1.0 if embedding is None else embedding.factor,
            "micro_batch": self.steps.micro_batch,
        }

    def _resume(self) -> bool:
        """Go on from the newest checkpoint; False if there is none that fits."""
        found = None if self.checkpoints is None else self.checkpoints.newest()
        if found is None:
            return False
        try:
            self.steps.restore(found)
        except ValueError:  # another version of a library has other parameters
            return False
        values = found.progress["tally"]
        epochs = [EpochRecord.of(record) for record in values["epochs"]]
        self.tally = Tally(**{**values, "epochs": epochs})
        self.losses = found.progress["losses"]
        self.steps.micro_batch = min(self.steps.micro_batch, found.progress["micro_batch"])
        self.observer.resumed(self.steps.taken, epochs)
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


def predictor(classifier: Classifier, trial: Trial, data: TrialData) -> Callable[[], Predictions]:
    """A call that predicts the dev split."""
    return lambda: predict_split(
        classifier, data.dev, batch_size=trial.training.per_device_eval_batch_size
    )


def record_epoch(
    tally: Tally,
    trial: Trial,
    data: TrialData,
    observer: Observer,
    predict: Callable[[], Predictions],
    epoch: int = 0,
    step: int = 0,
    losses: list[float] | None = None,
) -> None:
    """Evaluate, add the epoch's record to the tally, and tell the observer."""
    began = perf_counter()
    predictions = predict()
    eval_loss = mean_loss(predictions)
    require_finite("validation", eval_loss)
    record = EpochRecord(
        epoch=epoch,
        step=step,
        train_loss=float(np.mean(losses)) if losses else None,
        eval_loss=eval_loss,
        scores=score(data.task, predictions.logits, predictions.labels),
        seconds=tally.train_seconds,
        step_losses=tuple(losses or ()),
    )
    tally.eval_seconds += perf_counter() - began
    tally.epochs.append(record)
    observer.ended_epoch(record, predictions)


def require_finite(kind: str, loss: float) -> None:
    """TrialError for a training or validation loss that is NaN or infinite."""
    if not math.isfinite(loss):
        raise TrialError(f"the {kind} loss is {loss}: the training has diverged")


def backward(
    classifier: Classifier, data: TrialData, rows: Indices, *, step: int, micro_batch: int
) -> float:
    """Add the gradients of the mean loss over `rows`, some examples at a time; that loss.

    Raises TrialError if it is not finite.
    """
    total = 0.0
    for number, micro in enumerate(batches(rows, micro_batch)):
        first = number * micro_batch
        logits = classifier.logits(data.train, micro, step=step, first_example=first)
        labels = torch.from_numpy(data.train.labels[micro].astype(np.int64)).to(logits.device)
        loss = cross_entropy(logits, labels, reduction="sum") / len(rows)
        loss.backward()
        total += loss.item()
    require_finite("training", total)
    return total
