"""The steps of a trial as programs that are recorded once and then played: one a step.

A program is a step's forward and backward pass, clipping and the optimizer, for all batches of one
layout (models/fused/static_batch.py). What differs from step to step is in the row that is copied
to the device before it is played; nothing waits for the device but whoever reads losses. A step of
several micro-batches plays one program for each, of which the last one takes the step.

A number of the host that has entered a program stays what it was when the program was recorded, and
a module that is called as it is may well have one. So before the first step a program's gradients
are compared with those of the model as it is called otherwise, for a batch that differs in all that
a row holds. Steps that do not stand this, wait for the device or cannot be captured are not played.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from peftlab.core.errors import first_line
from peftlab.core.progress import stage
from peftlab.data.batches import Indices, Ragged, batches, gather
from peftlab.data.encode import Encoded
from peftlab.data.states import EncodedWithStates
from peftlab.engine.loss import SummedLoss, as_wanted
from peftlab.engine.memory import is_out_of_memory
from peftlab.methods.base import Method
from peftlab.models.batched import BatchedModel, PackedModel
from peftlab.models.dropout import Use
from peftlab.models.fused.backends import Capture, NotRecordableError, Procedure, backend_of
from peftlab.models.fused.operation import Program
from peftlab.models.fused.static_batch import (
    BatchLayout,
    Numbers,
    Row,
    StaticBatch,
    filled_up,
)
from peftlab.models.fused.together import SHARED
from peftlab.models.fused_model import FusedModel

NUM_LOSSES = 1024
"""The losses of so many steps are kept on the device, until they are read."""
SECONDS_BETWEEN_READINGS = 0.3
LARGEST, LARGEST_ROUNDED = 1e-3, 5e-2
"""How far the gradients of a program may be from the model's, of their norm; the second where
operands are rounded, to bf16 or TF32. What stays as it was moves them by a tenth and more."""
COMPILING = "compiling the kernels of a step for this card"
"""The message while the first program is made; kernels that were compiled before are found."""


def recorded_steps(
    model: BatchedModel,
    method: Method,
    optimizer: torch.optim.Optimizer,
    data: Encoded,
    summed_loss: SummedLoss,
) -> tuple[RecordedSteps | None, str]:
    """Return the steps where they can be recorded, and what is to be said of that in a few words.

    It is nothing where no back end records steps, else whether they are, or why they are not.
    """
    backend = backend_of(*model.module.parameters())
    if backend is None or backend.capture is None or not isinstance(model, PackedModel):
        return None, ""
    of_groups = {operation.__name__ for operation in SHARED.values()}
    lacking = sorted(backend.lacking().keys() - of_groups)
    if lacking:
        return None, f"steps not recorded: kernels of {', '.join(lacking)} are not used here"
    why_not = _why_not_recorded(model, method, optimizer, data)
    if why_not is not None:
        return None, f"steps not recorded: {why_not}"
    steps = RecordedSteps(model, optimizer, data, summed_loss, backend.capture)
    return steps, "recorded steps"


def _why_not_recorded(
    model: PackedModel, method: Method, optimizer: torch.optim.Optimizer, data: Encoded
) -> str | None:
    if not hasattr(optimizer, "collect"):
        return "the optimizer is torch's"
    if type(method).penalty is not Method.penalty:
        return f"{method.name} adds to the loss"
    if type(method).after_step is not Method.after_step:
        return f"{method.name} changes the model between steps"
    if model.recomputes:
        return "layers are recomputed"
    return "outputs of frozen layers are given" if isinstance(data, EncodedWithStates) else None


@dataclass(frozen=True, kw_only=True)
class Part:
    """A micro-batch of a step: its tokens, the numbers of its rows and of its first example.

    `program` identifies the program that computes it: its tokens, its examples, whether it is the
    first of the step, and whether it is the last."""

    tokens: Ragged
    rows: Indices
    first_example: int
    program: tuple[int, int, bool, bool]


@dataclass(frozen=True, kw_only=True)
class _Recorded:
    """A program, and the batch that it reads."""

    static: StaticBatch
    play: Procedure


class RecordedSteps:
    """Takes the steps of a trial by programs that are recorded when such a batch first comes up.

    `optimizer` is one whose steps can be put together of their parts (models/cuda/adamw.py).
    """

    def __init__(
        self,
        model: PackedModel,
        optimizer: Any,
        data: Encoded,
        summed_loss: SummedLoss,
        capture: Capture,
    ) -> None:
        self.model, self.optimizer, self.summed_loss = model, optimizer, summed_loss
        self.wanted = as_wanted(data.labels)
        self.uses: list[Use] = []
        """The uses of dropout in a step, in the order of their keys."""
        self.device = model.device
        self.loss = torch.zeros((), device=self.device)
        """The loss of the step so far."""
        self.losses = torch.zeros(NUM_LOSSES, device=self.device)
        """The losses of the last steps, each at its slot."""
        self._data, self._capture = data, capture
        self._longest = int(data.lengths.max())
        self._recorded: dict[Any, _Recorded] = {}
        self._num_unread = 0
        self._next_slot = 0
        self._read_at = monotonic()
        self._is_compared = False
        """Whether programs are known to read all that differs between steps from the row."""

    def take(self, rows: Indices, *, step: int, micro_batch: int) -> None:
        """Take step number `step` on these rows, `micro_batch` examples at a time.

        Raises torch.OutOfMemoryError where memory is short, and NotRecordableError where such steps
        cannot be recorded, with nothing changed.
        """
        parts = self.parts(rows, micro_batch)
        for part in parts:
            self._require(part)
        numbers = self.optimizer.advance()
        for part in parts:
            recorded = self._recorded[part.program]
            row = self.row(
                recorded.static.layout, part, step=step, share=1 / len(rows), numbers=numbers
            )
            copy_to(recorded.static.row, row)
            recorded.play()
        self.count()

    def count(self) -> None:
        """Count a step that programs have taken."""
        self._next_slot = (self._next_slot + 1) % NUM_LOSSES
        self._num_unread = min(self._num_unread + 1, NUM_LOSSES)

    def read_losses(self, *, waits: bool) -> list[float]:
        """Return the losses of the steps since the last reading, for which it waits for the device.

        Without `waits` it puts that off, and returns none, until a while has passed.
        """
        is_due = monotonic() - self._read_at > SECONDS_BETWEEN_READINGS
        if not (waits or is_due or self._num_unread == NUM_LOSSES):
            return []
        oldest_first: list[float] = torch.roll(self.losses, -self._next_slot).tolist()
        found = oldest_first[NUM_LOSSES - self._num_unread :]
        self._num_unread, self._read_at = 0, monotonic()
        return found

    def forget(self) -> None:
        """Let go of the programs and their memory."""
        self._recorded.clear()

    def parts(self, rows: Indices, micro_batch: int) -> list[Part]:
        """Return the micro-batches of a step on these rows, with so many examples each."""
        found, last = [], (len(rows) - 1) // micro_batch
        for index, micro in enumerate(batches(rows, micro_batch)):
            tokens = gather(self._data, micro)
            num_tokens = filled_up(int(tokens.lengths.sum()))
            found.append(
                Part(
                    tokens=tokens,
                    rows=micro,
                    first_example=index * micro_batch,
                    program=(num_tokens, len(micro), index == 0, index == last),
                )
            )
        return found

    def _require(self, part: Part) -> None:
        """Record the program of a micro-batch unless it is recorded already."""
        if part.program in self._recorded:
            return
        with nullcontext() if self._recorded else stage(COMPILING):
            try:
                self._recorded[part.program] = self._record(part)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                raise NotRecordableError(first_line(error)) from error

    def _record(self, part: Part) -> _Recorded:
        layout = self.layout_of(part)
        static = StaticBatch(layout, self.device)
        copy_to(static.row, self.row(layout, part))  # a batch as they come, to prepare with
        program = StepProgram(self, static, part)
        if not self._is_compared:
            self._compare(part, program, static)
            self._is_compared = True
        return _Recorded(static=static, play=self._capture(program.prepare, program.run))

    def layout_of(self, part: Part) -> BatchLayout:
        """Return the layout of batches for the program of a micro-batch."""
        if not self.uses:
            self.uses = self.model.uses_of_dropout(part.tokens)
        num_tokens, num_examples, _, _ = part.program
        return BatchLayout(
            num_tokens=num_tokens,
            num_examples=num_examples,
            longest=self._longest,
            labels_per_example=self.wanted[0].size,
            num_keys=len(self.uses),
            num_numbers=self.optimizer.num_numbers,
            has_types=self._data.type_ids is not None,
        )

    def _compare(self, part: Part, program: StepProgram, static: StaticBatch) -> None:
        """Raise NotRecordableError unless a captured program computes what the model does.

        The program is captured for one batch, and played for a later step of its rows in reverse.
        """
        play = self._capture(program.prepare, program.collect)
        copy_to(static.row, self.row(static.layout, part, share=1.0))
        play()
        other = self.reversed(part)
        copy_to(static.row, self.row(static.layout, other, step=1, share=1.0))
        play()
        self.require_gradients(other, step=1)

    def reversed(self, part: Part) -> Part:
        """Return the micro-batch with its rows in reverse, at another place in its step."""
        return replace(
            part,
            tokens=gather(self._data, part.rows[::-1]),
            rows=part.rows[::-1],
            first_example=part.first_example + 1,
        )

    def require_gradients(self, part: Part, *, step: int) -> None:
        """Raise NotRecordableError unless the optimizer has collected those of a micro-batch."""
        if not self._relative_difference(self._called(part, step=step)) < self._tolerance:
            raise NotRecordableError("a captured step gives other gradients")

    @property
    def _tolerance(self) -> float:
        is_rounded = self.model.bf16 or torch.backends.cuda.matmul.fp32_precision == "tf32"
        return LARGEST_ROUNDED if is_rounded else LARGEST

    def _called(self, part: Part, *, step: int) -> Sequence[Tensor | None]:
        """Return the gradients of a micro-batch by the model as it is called."""
        with self.model.rounding():
            logits_BC = self.model(part.tokens, step=step, first_example=part.first_example)
        loss = self.summed_loss(logits_BC.float(), self.wanted[part.rows])
        found: Sequence[Tensor | None] = torch.autograd.grad(
            loss, self.optimizer.parameters, allow_unused=True
        )
        return found

    def _relative_difference(self, expected: Sequence[Tensor | None]) -> float:
        """Return how far the collected gradients are from these, of their norm; all side by side.

        It is infinite where other parameters have a gradient.
        """
        if [gradient is not None for gradient in expected] != self.optimizer.is_active_P.tolist():
            return float("inf")
        pairs = zip(self.optimizer.gradients, expected, strict=True)
        found = [(x.detach(), y.float()) for x, y in pairs if y is not None]
        apart = torch.stack([(x - y).norm() for x, y in found]).norm()
        return float(apart / torch.stack([y.norm() for _, y in found]).norm().clamp(min=1e-12))

    def row(
        self,
        layout: BatchLayout,
        part: Part,
        *,
        step: int = 0,
        share: float = 0.0,
        numbers: Numbers | None = None,
    ) -> Row:
        """Return the row of a micro-batch; the numbers are those of the optimizer."""
        return layout.row(
            part.tokens,
            self.wanted[part.rows],
            self.model.dropout.keys_of(self.uses, step),
            first_example=part.first_example,
            share=share,
            slot=self._next_slot,
            numbers=numbers,
        )


def copy_to(target: Tensor, row: Row) -> None:
    """Queue a copy of the row on the device, after all work that is queued there."""
    given = torch.from_numpy(row)
    if target.device.type == "cuda":  # from pinned memory, else the processor would wait
        given = given.pin_memory()
    target.copy_(given, non_blocking=True)


class StepProgram:
    """A micro-batch of a step as the device computes it, which reads the static batch alone."""

    def __init__(self, steps: RecordedSteps, static: StaticBatch, part: Part) -> None:
        self._steps, self._static = steps, static
        *_, self._is_first, self._is_last = part.program
        self._keys = {use: static.key(index) for index, use in enumerate(steps.uses)}

    def prepare(self) -> None:
        """Run whatever has to be compiled; no number changes."""
        gradients, _ = self._gradients()
        self.prepare_for(gradients)

    def prepare_for(self, gradients: Sequence[Tensor | None]) -> None:
        """Prepare the optimizer for such gradients; no number changes."""
        self._steps.optimizer.expect(gradients)
        self._steps.optimizer.prepare()

    def run(self) -> None:
        """Add the batch's gradients and loss to those of the step; behind the last one take it."""
        self.take(*self._gradients())

    def take(self, gradients: Sequence[Tensor | None], loss: Tensor) -> None:
        """Add these to those of the step; behind its last batch take it."""
        steps, static = self._steps, self._static
        steps.optimizer.collect(gradients, adds=not self._is_first)
        if self._is_first:
            steps.loss.copy_(loss)
        else:
            steps.loss.add_(loss)
        if self._is_last:
            steps.optimizer.update(static.numbers)
            steps.losses.index_copy_(0, static.slot, steps.loss[None])

    def collect(self) -> None:
        """Let the optimizer collect the batch's gradients, without a step."""
        gradients, _ = self._gradients()
        self.keep(gradients)

    def keep(self, gradients: Sequence[Tensor | None]) -> None:
        """Let the optimizer collect these gradients."""
        self._steps.optimizer.collect(gradients)

    def _gradients(self) -> tuple[Sequence[Tensor | None], Tensor]:
        """Return the gradients of all parameters, and the batch's part of the step's loss."""
        steps = self._steps
        with steps.model.rounding():
            logits_BC = steps.model.of_static(self._static, self._keys.__getitem__)
        loss = self.loss_of(logits_BC)
        gradients = torch.autograd.grad(loss, steps.optimizer.parameters, allow_unused=True)
        return gradients, loss.detach()

    def logits(self) -> Program[Tensor]:
        """Compute the logits of the batch, for whoever carries out the operations."""
        model = self._steps.model
        assert isinstance(model, FusedModel)
        return model.program_of_static(self._static, self._keys.__getitem__)

    def loss_of(self, logits_BC: Tensor) -> Tensor:
        """Return the batch's part of the step's loss."""
        steps, static = self._steps, self._static
        logits_BC = logits_BC.float()
        are_classes = steps.wanted.dtype.kind == "i"
        wanted = static.labels(steps.wanted.shape[1:], are_classes=are_classes)
        return steps.summed_loss(logits_BC, wanted) * static.share.to(logits_BC.dtype)
