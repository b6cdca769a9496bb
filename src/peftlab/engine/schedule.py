"""The rows of each training step, and the steps after which the model is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from peftlab.core.trial import Trial
from peftlab.data.batches import Indices, batches, epoch_order


@dataclass(frozen=True, kw_only=True)
class EvaluationSchedule:
    """Evaluations before the first step, after every so many steps, and after the last one.

    >>> [step for step in range(8) if EvaluationSchedule(every=3, total_steps=7).is_due(step)]
    [0, 3, 6, 7]
    """

    every: int
    total_steps: int

    @classmethod
    def of(cls, trial: Trial, num_examples: int) -> EvaluationSchedule:
        """Return the trial's own: an evaluation at the end of each epoch, or by `eval_steps`."""
        training = trial.training
        return cls(
            every=training.steps_per_evaluation(num_examples),
            total_steps=training.total_steps(num_examples),
        )

    @property
    def num_evaluations(self) -> int:
        """Return the number of evaluations if training does not stop early.

        >>> EvaluationSchedule(every=3, total_steps=7).num_evaluations
        4
        """
        return 1 + -(-self.total_steps // self.every)

    def is_due(self, step: int) -> bool:
        """Return whether the state after this step is to be evaluated."""
        return step % self.every == 0 or step == self.total_steps


def epoch_orders(trial: Trial, num_examples: int, num_steps: int) -> Iterator[tuple[int, Indices]]:
    """Yield each epoch, from 1, and its examples in the order of training, for `num_steps` steps.

    The last epoch is cut short if the steps end within it.
    """
    steps_per_epoch = trial.training.steps_per_epoch(num_examples)
    for epoch in range(1, -(-num_steps // steps_per_epoch) + 1):
        order = epoch_order(num_examples, seed=trial.seeds.order, epoch=epoch)
        num_left = num_steps - (epoch - 1) * steps_per_epoch
        yield epoch, order[: num_left * trial.training.examples_per_step]


def rows_of_steps(
    trial: Trial, num_examples: int, num_steps: int, *, taken: int = 0
) -> Iterator[Indices]:
    """Yield the rows of each of `num_steps` steps in turn, without the steps already taken."""
    size = trial.training.examples_per_step
    orders = epoch_orders(trial, num_examples, num_steps)
    return islice((rows for _, order in orders for rows in batches(order, size)), taken, None)
