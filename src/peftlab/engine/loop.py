"""The training loop of the engines `packed` and `padded`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from peftlab.core.errors import TrialError
from peftlab.core.identity import derived_seed
from peftlab.core.types import EpochRecord, Trial
from peftlab.data.batches import Indices, batches, epoch_order, padded_tokens
from peftlab.data.predictions import Predictions
from peftlab.engine.classifier import Classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.evaluate import mean_loss, predict_split
from peftlab.engine.observer import Observer
from peftlab.engine.optimizer import build_optimizer, learning_rate_at, set_learning_rate
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


def train(classifier: Classifier, trial: Trial, data: TrialData, observer: Observer) -> Tally:
    """Train the classifier's module in place; what was measured on the way.

    The order of the examples is a function of (order seed, epoch), the dropout masks of the place
    of what is dropped (models/dropout.py): no generator is carried along. torch's own generator,
    from which a method may draw something else, is seeded anew each step and put back at the end.
    Raises TrialError if a loss is not finite.
    """
    settings = trial.training
    total_steps = settings.total_steps(len(data.train))
    module = classifier.module
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = build_optimizer(module, settings)
    devices = [] if parameters[0].device.type == "cpu" else [parameters[0].device]
    tally = Tally()
    observer.began(total_steps, settings.total_epochs(len(data.train)))
    step = 0
    with torch.random.fork_rng(devices=devices), classifier.active():
        record_epoch(tally, trial, data, observer, predictor(classifier, trial, data))
        for epoch, order in epoch_orders(trial, len(data.train), total_steps):
            began = perf_counter()
            losses = []
            module.train()
            for rows in batches(order, settings.examples_per_step):
                torch.manual_seed(derived_seed(trial.seeds.dropout, step))
                set_learning_rate(
                    optimizer, learning_rate_at(step, settings, total_steps=total_steps)
                )
                loss = _backward(classifier, trial, data, rows, step)
                if settings.max_grad_norm > 0:
                    nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                step += 1
                losses.append(loss)
                observer.stepped(step, loss)
            tally.train_seconds += perf_counter() - began
            tally.count_batches(data.train.lengths, order, settings.per_device_train_batch_size)
            predict = predictor(classifier, trial, data)
            record_epoch(tally, trial, data, observer, predict, epoch, step, losses)
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
    if not math.isfinite(eval_loss):
        raise TrialError(f"the validation loss is {eval_loss}: the training has diverged")
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
    if not math.isfinite(total):
        raise TrialError(f"the training loss is {total}: the training has diverged")
    return total
