"""Several trials of one checkpoint that train in the same steps.

A group computes the products with the frozen weights for the tokens of all its members at once
(models/fused/together.py). All else is each member's own: its data, order, dropout, loss, clipping,
optimizer, rate, evaluations, checkpoints, files and costs; so is its end. A member that ends or
fails makes room for the next trial.

Seconds of a step that is common are shared out by the tokens of each member; a member's own seconds
(loading, evaluating, saving) are its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

import torch
from torch import Tensor

from peftlab.core.errors import StorageError, TrialError, UserError
from peftlab.core.trial import Trial
from peftlab.data.batches import Indices, batches, gather
from peftlab.engine.attempt import Attempt, describe
from peftlab.engine.base import OnEnd, OnSaved
from peftlab.engine.clock import Clock
from peftlab.engine.devices.registry import resolve
from peftlab.engine.energy import EnergyMeter, EnergyShares
from peftlab.engine.events import Failed, Finished, Listener, Paused
from peftlab.engine.job import Job
from peftlab.engine.memory import PeakMemory, is_out_of_memory
from peftlab.engine.own import Opened, OwnEngine
from peftlab.engine.precision import precision_of
from peftlab.engine.recorded_group import RecordedGroup
from peftlab.engine.steps import Steps
from peftlab.models.fused.backends import backend_of
from peftlab.models.fused.together import carry_out_together
from peftlab.models.fused_model import FusedModel
from peftlab.models.shared_weights import SharedWeights, frozen


@dataclass(kw_only=True, eq=False)
class _Member:
    """A trial in its place: its training, and the rows of its next step."""

    attempt: Attempt
    opened: Opened
    stack: ExitStack
    course: Iterator[Indices]
    rows: Indices = field(init=False)
    together: int = 1
    shares: list[float] = field(default_factory=list)
    """Its share of the tokens of each step."""

    @property
    def trial(self) -> Trial:
        return self.attempt.run.trial

    @property
    def clock(self) -> Clock:
        return self.attempt.run.clock

    @property
    def joins(self) -> bool:
        """Whether it takes its steps with others; if not, it takes them beside theirs."""
        return isinstance(self.opened.classifier.model, FusedModel)

    @property
    def steps(self) -> Steps:
        return self.opened.training.steps

    @property
    def share(self) -> float:
        """Its mean share of the group's tokens, by which the memory is shared out."""
        return sum(self.shares) / len(self.shares) if self.shares else 1.0


def train_group(
    trials: Sequence[Trial], job: Job, tell: Listener, on_saved: OnSaved, on_end: OnEnd
) -> None:
    """Run trials of a job that may share steps, as `TrainGroup` (engine/base.py) says."""
    Group(trials, job, tell, on_saved, on_end).run()


class Group:
    """Trains the trials of a job, as many of them at once as it has places."""

    def __init__(
        self, trials: Sequence[Trial], job: Job, tell: Listener, on_saved: OnSaved, on_end: OnEnd
    ) -> None:
        self._job, self._device, self._tell = job, resolve(job.device), tell
        self._on_saved, self._on_end = on_saved, on_end
        self._waiting = deque(trials)
        self._members: list[_Member] = []
        self._places = job.together
        self._weights = SharedWeights()
        self._engine = OwnEngine("packed")
        self._memory = PeakMemory(self._device)
        self._is_between_steps = True
        self._recorded: RecordedGroup | None = None
        self._records = True

    def run(self) -> None:
        """Train all trials to their ends, which `on_end` is told.

        Raises UserError, StorageError and KeyboardInterrupt once the state of every member is
        saved, as far as it can be.
        """
        first = self._waiting[0].training
        meter = EnergyMeter(self._device, is_alone=self._job.is_alone)
        with precision_of(first, self._device), meter:
            self._energy = EnergyShares(meter)
            try:
                while self._waiting or self._members:
                    self._fill()
                    self._go_on(self._step())
            except (UserError, StorageError, KeyboardInterrupt):
                if self._is_between_steps:
                    for member in self._members:
                        with suppress(StorageError):
                            member.opened.training.save()
                raise
            finally:
                for member in [*self._members]:
                    self._leave(member)

    def _fill(self) -> None:
        """Put waiting trials into the places that are free."""
        while self._waiting and len(self._members) < self._places:
            trial = self._waiting.popleft()
            began, clock, stack = perf_counter(), Clock(), ExitStack()
            try:
                member = self._member(trial, clock, stack)
            except (UserError, StorageError, KeyboardInterrupt):
                stack.close()
                raise
            except Exception as error:
                stack.close()
                self._charge(began, None)
                self._fail(trial, error)
                continue
            self._charge(began, member)
            self._members.append(member)
            self._go_on([member])

    def _member(self, trial: Trial, clock: Clock, stack: ExitStack) -> _Member:
        energy = self._energy.of(clock)
        attempt = Attempt.of(
            trial,
            self._job,
            self._device,
            self._tell,
            self._on_saved,
            clock=clock,
            energy=energy,
            memory=self._memory,
        )
        opened = stack.enter_context(self._engine.opened(attempt.prepared, attempt.run))
        self._weights.share(frozen(opened.classifier.module))
        return _Member(attempt=attempt, opened=opened, stack=stack, course=opened.training.course())

    def _step(self) -> list[_Member]:
        """Have each member take its next step; return those that have taken it.

        If memory is short none takes it, and the group becomes smaller.
        """
        members = [member for member in self._members if member.joins]
        began = perf_counter()
        if members and not self._is_taken_by(members):
            return []
        self._share_out(members, perf_counter() - began)
        for member in [one for one in self._members if not one.joins]:
            began = perf_counter()
            with self._failing(member):
                member.steps.take(member.rows)
            self._charge(began, member)
        return [*self._members]

    def _is_taken_by(self, members: Sequence[_Member]) -> bool:
        """Have members take a step together; if memory is short none takes it, and return False."""
        recorded = self._recorded_of(members)
        if recorded is not None:
            try:
                self._play(recorded, members)
                return True
            except Exception as error:
                if is_out_of_memory(error):
                    self._make_smaller(members, error)
                    return False
                self._records = False
        losses = self._losses_of(members)
        if losses is None:
            return False
        self._is_between_steps = False
        for member in [one for one in members if one in losses]:
            with self._failing(member):
                member.steps.take_with(losses[member])
        return True

    def _recorded_of(self, members: Sequence[_Member]) -> RecordedGroup | None:
        """Return the steps of these members as programs; None unless all of them are recorded."""
        if not self._records or len(members) < 2:
            return None
        recorded = [member.steps.recorded for member in members]
        if any(one is None for one in recorded):
            return None
        known = self._recorded
        if known is None or known.members != recorded:
            backend = backend_of(members[0].steps.parameters[0])
            assert backend is not None
            assert backend.capture is not None
            self._recorded = None  # its memory is free before the next one takes some
            own = [one for one in recorded if one is not None]
            self._recorded = known = RecordedGroup(own, backend.capture)
        return known

    def _play(self, recorded: RecordedGroup, members: Sequence[_Member]) -> None:
        """Have members take a step by a program."""
        for member in members:
            member.steps.begin()
        recorded.take(
            [member.rows for member in members],
            steps=[member.steps.taken for member in members],
            micro_batch=min(member.steps.micro_batch for member in members),
        )
        self._is_between_steps = False
        for member in members:
            member.steps.count()

    def _losses_of(self, members: Sequence[_Member]) -> dict[_Member, float] | None:
        """Add the gradients of members and return their losses; None if memory was short.

        Then there are fewer members, or the last one computes fewer examples at once. After any
        other error each member computes by itself, so that it ends those alone that raise it.
        """
        try:
            losses = backward_together([(one.steps, one.rows) for one in members])
        except Exception as error:
            for member in members:
                member.steps.optimizer.zero_grad()
            if is_out_of_memory(error):
                self._make_smaller(members, error)
                return None
            if len(members) == 1:
                self._end_with(members[0], error)
                return {}
            found: dict[_Member, float] = {}
            for member in members:
                found |= self._losses_of([member]) or {}
            return found
        return dict(zip(members, losses, strict=True))

    @contextmanager
    def _failing(self, member: _Member) -> Iterator[None]:
        """Have an error within be the end of the member alone."""
        try:
            yield
        except (UserError, StorageError):
            raise
        except Exception as error:
            self._end_with(member, error)

    def _end_with(self, member: _Member, error: Exception) -> None:
        self._leave(member)
        self._fail(member.trial, error)

    def _make_smaller(self, members: Sequence[_Member], error: BaseException) -> None:
        if len(members) > 1:
            self._places = len(members) // 2
            for member in reversed(members[self._places :]):
                member.opened.training.save()
                self._leave(member)
                self._waiting.appendleft(member.trial)
            return
        (member,) = members
        if member.steps.micro_batch > 1:
            member.steps.micro_batch = (member.steps.micro_batch + 1) // 2
            return
        failure = TrialError("out of memory, with one example at a time")
        failure.__cause__ = error
        self._end_with(member, failure)

    def _go_on(self, members: Sequence[_Member]) -> None:
        """Have members evaluate and save what is due, up to their next steps or their ends.

        Where the process is asked to stop, each of them saves its state first.
        """
        stopped: BaseException | None = None
        for member in members:
            began = perf_counter()
            ended: Finished | Paused | None = None
            try:
                with self._failing(member):
                    rows = next(member.course, None)
                    if rows is None:
                        ended = self._ended(member)
                    else:
                        member.rows = rows
                if ended is not None:
                    self._on_end(ended)
            except (UserError, StorageError, KeyboardInterrupt) as error:
                stopped = error
            self._charge(began, member)
        self._is_between_steps = True
        if stopped is not None:
            raise stopped

    def _ended(self, member: _Member) -> Finished | Paused:
        self._leave(member)
        trained = member.opened.trained()
        return member.attempt.finish(trained, together=member.together, share=member.share)

    def _fail(self, trial: Trial, error: Exception) -> None:
        self._on_end(Failed(trial_id=trial.id, error=describe(error)))

    def _leave(self, member: _Member) -> None:
        """Take a member out of the group, its module as its training has left it."""
        if member in self._members:
            self._members.remove(member)
        member.stack.close()

    def _share_out(self, members: Sequence[_Member], seconds: float) -> None:
        """Share out a step's seconds by the tokens of each member."""
        tokens = [int(one.steps.data.train.lengths[one.rows].sum()) for one in members]
        for member, number in zip(members, tokens, strict=True):
            share = number / sum(tokens)
            member.shares.append(share)
            member.together = max(member.together, len(members))
            member.clock.leave_out(seconds * (1 - share))

    def _charge(self, began: float, owner: _Member | None) -> None:
        """Leave the seconds since then out of what the others are charged."""
        seconds = perf_counter() - began
        for member in self._members:
            if member is not owner:
                member.clock.leave_out(seconds)


def backward_together(steps_and_rows: Sequence[tuple[Steps, Indices]]) -> list[float]:
    """Add the gradients of each member's mean loss over its rows; return these losses.

    Each computes as many examples at once as it may. A loss need not be finite.
    """
    totals = [0.0] * len(steps_and_rows)
    parts = [list(batches(rows, steps.micro_batch)) for steps, rows in steps_and_rows]
    for index in range(max(map(len, parts))):
        numbers = [number for number, micro in enumerate(parts) if index < len(micro)]
        losses = _losses_of_parts(
            [(steps_and_rows[k][0], parts[k][index], index) for k in numbers],
            [len(steps_and_rows[k][1]) for k in numbers],
        )
        losses_G = torch.stack(losses)
        losses_G.sum().backward()
        for number, loss in zip(numbers, losses_G.tolist(), strict=True):
            totals[number] += loss
    return totals


def _losses_of_parts(
    parts: Sequence[tuple[Steps, Indices, int]], num_rows: Sequence[int]
) -> list[Tensor]:
    """Return the part of each member's loss that these rows of its have; part `index` of a step."""
    models = [cast(FusedModel, steps.classifier.model) for steps, _, _ in parts]
    with models[0].rounding():
        programs = [
            model.program(
                gather(steps.data.train, rows),
                step=steps.taken,
                first_example=index * steps.micro_batch,
            )
            for model, (steps, rows, index) in zip(models, parts, strict=True)
        ]
        logits = carry_out_together(programs)
    return [
        steps.summed_loss(logits_BC.float(), steps.data.train.labels[rows]) / num
        for logits_BC, (steps, rows, _), num in zip(logits, parts, num_rows, strict=True)
    ]
