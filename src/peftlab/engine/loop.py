"""The training loop of the engines `packed` and `padded`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import torch

from peftlab.core.interrupts import stop_if_requested, stop_requested
from peftlab.core.measurements import Evaluation
from peftlab.core.trial import Trial
from peftlab.data.batches import Indices
from peftlab.engine.checkpoint import Checkpoint, Checkpoints, by_step
from peftlab.engine.classifier import Classifier
from peftlab.engine.clock import Clock
from peftlab.engine.dataset import TrialData
from peftlab.engine.devices.base import own_generators
from peftlab.engine.energy import Energy
from peftlab.engine.evaluate import predictor
from peftlab.engine.events import Began, Evaluated, Listener, Remarked, Resumed, Stepped, ignore
from peftlab.engine.reported import ReportedEvaluation, without_best
from peftlab.engine.schedule import EvaluationSchedule, rows_of_steps
from peftlab.engine.steps import Steps
from peftlab.engine.tally import Tally, record_evaluation
from peftlab.models.fused.choices import Choices, using
from peftlab.tasks.selection import has_stopped_early


@contextmanager
def training(
    classifier: Classifier,
    trial: Trial,
    data: TrialData,
    tell: Listener = ignore,
    checkpoints: Checkpoints | None = None,
    *,
    best: ReportedEvaluation | None = None,
    stop_after: int | None = None,
    micro_batch: int | None = None,
    energy: Energy | None = None,
    clock: Clock | None = None,
) -> Iterator[Training]:
    """Yield the trial's training, ready to run; close what it opened when the block ends.

    Each evaluation is offered to `best`, and the module ends with the parameters that it has kept.
    The training rests, its state saved, after the first evaluation at or after the end of the epoch
    `stop_after`, if that is not the last one. Early stopping may end it before its last step
    (tasks/selection.py).

    It goes on from the newest checkpoint, to the same bits as without a break: the order of the
    examples depends on the order seed and the epoch alone, a dropout mask on the position of the
    dropped value (models/dropout.py), so the state of no generator is saved, but which kernels
    compute its products is. torch's own generator, from which a method may draw something else, is
    seeded anew each step and put back at the end. The joules used before a break are added to an
    open meter `energy`.

    Raises TrialError if a loss is not finite, and KeyboardInterrupt if the process is asked to
    stop, after the state was saved.
    """
    device = next(classifier.module.parameters()).device
    with (
        torch.random.fork_rng(devices=own_generators(device)),
        using(Choices()) as choices,
        Steps.active(classifier, trial, data, micro_batch=micro_batch) as steps,
    ):
        clock = clock or Clock()
        yield Training(steps, tell, checkpoints, best, stop_after, energy, clock, choices)


class Training:
    """A trial's training: steps, evaluations when they are due, the state saved now and then."""

    def __init__(
        self,
        steps: Steps,
        tell: Listener,
        checkpoints: Checkpoints | None,
        best: ReportedEvaluation | None,
        stop_after: int | None,
        energy: Energy | None,
        clock: Clock,
        choices: Choices,
    ) -> None:
        self.steps, self.trial, self.data = steps, steps.trial, steps.data
        self.module = steps.classifier.module
        self.tell, self.checkpoints, self.energy = tell, checkpoints, energy
        self.choices = choices
        self.best, self.stop_after = best, stop_after
        self.schedule = EvaluationSchedule.of(self.trial, len(self.data.train))
        self.steps_per_epoch = self.trial.training.steps_per_epoch(len(self.data.train))
        self.tally = Tally()
        self.losses: list[float] = []
        """The losses of the steps since the last evaluation."""
        self.predict = predictor(steps.classifier, self.trial)
        self._now = clock.now
        self._made_at = self._began_at = self._now()

    def run(self) -> Tally:
        """Train to the end, or until the training rests; return what was measured."""
        for rows in self.course():
            self.steps.take(rows)
        return self.tally

    def course(self) -> Iterator[Indices]:
        """Yield the rows of each step; the caller takes the step before it asks for the next."""
        steps, trial, num_examples = self.steps, self.trial, len(self.data.train)
        self.tell(
            Began(trial_id=trial.id, total_steps=steps.total, steps_per_epoch=self.steps_per_epoch)
        )
        self._resume()
        rows = rows_of_steps(trial, num_examples, steps.total, taken=steps.taken)
        while not self._is_over():
            if not self._awaits_evaluation():
                yield from self._train(rows)
            self._evaluate()
            if 0 < steps.taken < steps.total:
                self._save_if_due(is_evaluated=True)
        self.tally.is_paused = steps.taken < steps.total and not self._has_stopped_early()
        if self.best is not None and not self.tally.is_paused:
            self.best.put_back(steps.put)
        self.tally.count_batches(trial, self.data.train.lengths, steps.taken)
        words = [steps.words]
        if steps.micro_batch < trial.training.per_device_train_batch_size:
            size = steps.micro_batch
            words.append(f"reduced to {size} examples at a time because memory ran out")
        self.tally.words = ", ".join(filter(None, words))

    def _is_over(self) -> bool:
        """Return whether the last step is evaluated, or the training stops early or is to rest."""
        if self.steps.taken < self.steps.total:
            return self._rests() or self._has_stopped_early()
        return not self._awaits_evaluation()

    def _has_stopped_early(self) -> bool:
        return has_stopped_early(self.tally.evaluations, self.trial.training)

    def _rests(self) -> bool:
        """Return whether the epoch after which the training is to rest is evaluated."""
        if self.stop_after is None or not self.tally.evaluations:
            return False
        return self.tally.evaluations[-1].epoch >= self.stop_after

    def _awaits_evaluation(self) -> bool:
        """Return whether the state as it is now is to be evaluated, and is not yet."""
        return self.schedule.is_due(self.steps.taken) and not self._is_evaluated()

    def _is_evaluated(self) -> bool:
        evaluations = self.tally.evaluations
        return bool(evaluations) and evaluations[-1].step == self.steps.taken

    def _train(self, rows: Iterator[Indices]) -> Iterator[Indices]:
        """Yield the rows of each step until the next evaluation is due."""
        self.module.train()
        self._began_at = self._now()
        while not self._awaits_evaluation():
            yield next(rows)
            self._read_losses(waits=False)
            self._save_if_due()
        self._read_losses()
        self._stop_clock()

    def _read_losses(self, *, waits: bool = True) -> None:
        """Keep and report the losses of steps; without `waits`, only those known by now."""
        for step, loss in self.steps.read_losses(waits=waits):
            self.losses.append(loss)
            self.tell(Stepped(trial_id=self.trial.id, step=step, loss=loss))

    def _evaluate(self) -> None:
        try:
            with self.steps.complete():
                predictions = record_evaluation(
                    self.tally, self.trial, self.data, self.predict, self.steps.taken, self.losses
                )
            if self.best is not None:
                self.best.offer(
                    self.tally.evaluations,
                    predictions,
                    self.module,
                    embedding_factor=self.steps.embedding_factor,
                )
            self.tell(Evaluated(trial_id=self.trial.id, evaluation=self.tally.evaluations[-1]))
        except KeyboardInterrupt:
            if self.steps.taken > 0:
                self.save()
            raise
        self.losses = []

    def _stop_clock(self) -> None:
        """Add the time of training since the clock was started, and start it again."""
        now = self._now()
        self.tally.train_seconds += now - self._began_at
        self._began_at = now

    def _save_if_due(self, *, is_evaluated: bool = False) -> None:
        """Save the state if it is time to, or if the process is to stop, which it then does.

        It is called after a step and after an evaluation. At the end of an epoch that is
        evaluated the state is saved after the evaluation.
        """
        is_due = is_evaluated and self._rests()
        if self.checkpoints is not None and not is_due:
            step = self.steps.taken
            epoch, num_further = divmod(step, self.steps_per_epoch)
            is_due = not is_evaluated and self.checkpoints.are_due(step=step)
            if num_further == 0 and not self._awaits_evaluation():
                is_due = is_due or self.checkpoints.are_due(step=step, epoch=epoch)
        if is_due or stop_requested():
            if not is_evaluated:
                self._read_losses()  # the clock stops when the device has done with the steps
                self._stop_clock()
            self.save()
            self._began_at = self._now()
        stop_if_requested()

    def save(self) -> None:
        """Save the state as it is now, between two steps."""
        if self.checkpoints is not None:
            progress = self._progress()
            tensors = self.steps.state() | ({} if self.best is None else self.best.state())
            self.checkpoints.save(
                Checkpoint(step=self.steps.taken, tensors=tensors, progress=progress)
            )

    def _progress(self) -> dict[str, Any]:
        tally = self.tally
        earlier_seconds = tally.earlier_seconds + self._now() - self._made_at
        return {
            "tally": {**asdict(tally), "earlier_seconds": earlier_seconds},
            "losses": [] if self._is_evaluated() else self.losses,
            "embedding_factor": self.steps.embedding_factor,
            "best": None if self.best is None else self.best.progress(),
            "micro_batch": self.steps.micro_batch,
            "products": self.choices.known,
            "energy_joules": None if self.energy is None else self.energy.read(),
        }

    def _resume(self) -> None:
        """Go on from the newest checkpoint, if there is one that fits."""
        if self.checkpoints is None:
            return
        found = self.checkpoints.newest()
        for name in self.checkpoints.damaged:
            text = f"trial {self.trial.id}: the checkpoint {name} is damaged; it was skipped"
            self.tell(Remarked(trial_id=self.trial.id, text=text))
        if found is None:
            return
        try:
            progress = by_step(found.progress)
            values = progress["tally"]
            evaluations = [Evaluation.of(one) for one in values["evaluations"]]
            tally = Tally(**{**values, "evaluations": evaluations})
            losses, micro_batch = progress["losses"], int(progress["micro_batch"])
            products = dict(progress.get("products", {}))  # missing in those of older versions
            if self.best is not None:
                self.best.restore(found.tensors, progress["best"])
            self.steps.restore(replace(found, tensors=without_best(found.tensors)))
        except (ValueError, KeyError, TypeError):  # of another version, of ours or of a library
            return
        self.tally, self.losses = tally, losses
        self.steps.micro_batch = min(self.steps.micro_batch, micro_batch)
        self.choices.known.update(products)
        if self.energy is not None:  # a checkpoint of an older version tells nothing of it
            self.energy.go_on_from(progress.get("energy_joules"))
        self.tell(
            Resumed(trial_id=self.trial.id, step=self.steps.taken, evaluations=tuple(evaluations))
        )
