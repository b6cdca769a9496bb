"""The measurements of a trial's training: times, counts of tokens, and evaluations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from peftlab.core.measurements import Evaluation
from peftlab.core.scores import score_on
from peftlab.core.trial import Trial
from peftlab.data.batches import Indices, padded_tokens
from peftlab.data.encode import Encoded
from peftlab.data.predictions import Predictions
from peftlab.engine.dataset import TrialData
from peftlab.engine.evaluate import mean_loss
from peftlab.engine.schedule import epoch_orders
from peftlab.engine.steps import require_finite
from peftlab.tasks.metrics.registry import score


@dataclass(kw_only=True)
class Tally:
    """The measurements of a trial's training so far."""

    earlier_seconds: float = 0.0
    """All time that was spent before the training was last resumed."""
    train_seconds: float = 0.0
    eval_seconds: float = 0.0
    dev_seconds: float | None = None
    """The seconds of the fastest pass over the dev split, its predictions alone."""
    examples: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    evaluations: list[Evaluation] = field(default_factory=list)
    words: str = ""
    """How steps were taken and where that differs from what was asked for, in words."""
    is_paused: bool = False
    """Whether the training rests after an evaluation, as it was asked to."""

    def count_batches(self, trial: Trial, lengths: Indices, num_steps: int) -> None:
        """Add the examples and tokens in the batches of the first `num_steps` steps."""
        size = trial.training.per_device_train_batch_size
        for _, order in epoch_orders(trial, len(lengths), num_steps):
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


def record_evaluation(
    tally: Tally,
    trial: Trial,
    data: TrialData,
    predict: Callable[[Encoded], Predictions],
    step: int = 0,
    losses: Sequence[float] = (),
) -> Predictions:
    """Evaluate and add what is measured to the tally; return the predictions on dev.

    `losses` are those of the steps since the evaluation before. Raises TrialError if a loss is not
    finite.
    """
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
    evaluation = Evaluation(
        step=step,
        epoch=step / trial.training.steps_per_epoch(len(data.train)),
        train_loss=float(np.mean(losses)) if losses else None,
        eval_loss=eval_loss,
        scores=scores,
        seconds=tally.train_seconds,
        step_losses=tuple(losses),
        held_out_loss=held_out_loss,
        held_out_scores=held_out_scores,
    )
    tally.eval_seconds += perf_counter() - began
    tally.evaluations.append(evaluation)
    return predictions
