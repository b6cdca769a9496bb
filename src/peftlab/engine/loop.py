"""The training loop of the engines `packed` and `padded`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from peftlab.core.errors import TrialError
from peftlab.core.identity import derived_seed
from peftlab.core.types import EpochRecord, Trial
from peftlab.data.batches import Indices, batches, epoch_order, padded_tokens
from peftlab.data.predictions import Predictions
from peftlab.engine.classifier import Classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.embedding_rows import EmbeddingRows, rows_in_use
from peftlab.engine.evaluate import mean_loss, predict_split
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

    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    examples: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    epochs: list[EpochRecord] = field(default_factory=list)

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

    def __init__(self, classifier: Classifier, trial: Trial, data: TrialData) -> None:
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
        loss = _backward(self.classifier, self.trial, self.data, rows, step)
        clip_gradients(self.optimizer, self.parameters, settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.embedding is not None:
            self.embedding.decayed(rate, self._embedding_decay)
        self.taken += 1
        return loss

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


def train(classifier: Classifier, trial: Trial, data: TrialData, observer: Observer) -> Tally:
    """Train the classifier's module in place; what was measured on the way.

    The order of the examples is a function of (order seed, epoch), the dropout masks of the place
    of what is dropped (models/dropout.py): no generator is carried along. torch's own generator,
    from which a method may draw something else, is seeded anew each step and put back at the end.
    Raises TrialError if a loss is not finite.
    """
    module, settings = classifier.module, trial.training
    tally = Tally()
    steps = Steps(classifier, trial, data)
    observer.began(steps.total, settings.total_epochs(len(data.train)))
    predict = predictor(classifier, trial, data)
    devices = [] if steps.device.type == "cpu" else [steps.device]
    with torch.random.fork_rng(devices=devices), steps.active():
        with steps.complete():
            record_epoch(tally, trial, data, observer, predict)
        for epoch, order in epoch_orders(trial, len(data.train), steps.total):
            began = perf_counter()
            losses = []
            module.train()
            for rows in batches(order, settings.examples_per_step):
                losses.append(steps.take(rows))
                observer.stepped(steps.taken, losses[-1])
            tally.train_seconds += perf_counter() - began
            tally.count_batches(data.train.lengths, order, settings.per_device_train_batch_size)
            with steps.complete():
                record_epoch(tally, trial, data, observer, predict, epoch, steps.taken, losses)
    return tally


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


def _backward(
    classifier: Classifier, trial: Trial, data: TrialData, rows: Indices, step: int
) -> float:
    """Add the gradients of the mean loss over `rows`, a micro-batch at a time; that loss."""
    total = 0.0
    size = trial.training.per_device_train_batch_size
    for number, micro in enumerate(batches(rows, size)):
        logits = classifier.logits(data.train, micro, step=step, first_example=number * size)
        labels = torch.from_numpy(data.train.labels[micro].astype(np.int64)).to(logits.device)
        loss = cross_entropy(logits, labels, reduction="sum") / len(rows)
        loss.backward()
        total += loss.item()
    require_finite("training", total)
    return total
