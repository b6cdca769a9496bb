"""The steps of several trials as one program that is recorded once and then played.

Each trial brings what its own recorded steps have (recorded.py): the layout of its batches, its
optimizer, its losses. The batches of all lie in one row of memory, which is copied to the device at
once. In a step all of them are filled up to the same number of tokens, so that there are as many
programs as there are such numbers, and not one for each combination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from peftlab.data.batches import Indices
from peftlab.engine.recorded import Part, RecordedSteps, StepProgram, copy_to
from peftlab.models.fused.backends import Capture, Procedure
from peftlab.models.fused.shared import slices
from peftlab.models.fused.static_batch import BatchLayout, StaticBatch
from peftlab.models.fused.together import carry_out_together


@dataclass(frozen=True, kw_only=True)
class _Recorded:
    """A program, the row that it reads, and what else must stay where it is."""

    layouts: Sequence[BatchLayout]
    row: Tensor
    play: Procedure
    kept: list[Any]


class RecordedGroup:
    """Takes the steps of these trials by programs."""

    def __init__(self, members: Sequence[RecordedSteps], capture: Capture) -> None:
        self.members = members
        self._capture = capture
        self._recorded: dict[Any, _Recorded] = {}

    def take(self, rows: Sequence[Indices], *, steps: Sequence[int], micro_batch: int) -> None:
        """Take each member's step on its rows, `micro_batch` examples of each at a time.

        Raises torch.OutOfMemoryError if memory is short, and NotRecordableError if a captured step
        is not the members' own, with nothing changed.
        """
        parts = [
            member.parts(own, micro_batch) for member, own in zip(self.members, rows, strict=True)
        ]
        together = [self._filled_up(parts, index) for index in range(max(map(len, parts)))]
        for micro in together:
            self._require(micro)
        numbers = [member.optimizer.advance() for member in self.members]
        for micro in together:
            recorded = self._recorded[self._key(micro)]
            given = [
                self.members[k].row(
                    layout, part, step=steps[k], share=1 / len(rows[k]), numbers=numbers[k]
                )
                for (k, part), layout in zip(micro.items(), recorded.layouts, strict=True)
            ]
            copy_to(recorded.row, np.concatenate(given))
            recorded.play()
        for member in self.members:
            member.count()

    def _filled_up(self, parts: Sequence[Sequence[Part]], index: int) -> dict[int, Part]:
        """Return the micro-batch at that place of each member that has one, by its number."""
        found = {k: own[index] for k, own in enumerate(parts) if index < len(own)}
        most = max(part.program[0] for part in found.values())
        return {k: replace(part, program=(most, *part.program[1:])) for k, part in found.items()}

    def _key(self, micro: dict[int, Part]) -> Any:
        return tuple((k, part.program) for k, part in micro.items())

    def _require(self, micro: dict[int, Part]) -> None:
        """Record the program of these micro-batches unless it is recorded already."""
        if self._key(micro) in self._recorded:
            return
        members = [self.members[k] for k in micro]
        layouts = [
            member.layout_of(part) for member, part in zip(members, micro.values(), strict=True)
        ]
        ranges = slices([layout.size for layout in layouts])
        row = torch.zeros(ranges[-1].stop, dtype=torch.int64, device=members[0].device)
        own = list(zip(members, micro.values(), layouts, strict=True))
        # Batches as they come, to prepare with.
        copy_to(row, np.concatenate([member.row(layout, part) for member, part, layout in own]))
        programs = [
            StepProgram(member, StaticBatch(layout, member.device, row[part_range]), part)
            for (member, part, layout), part_range in zip(own, ranges, strict=True)
        ]
        program = _GroupProgram(members, programs)
        if not self._recorded:
            self._compare(own, row, program)
        play = self._capture(program.prepare, program.run)
        self._recorded[self._key(micro)] = _Recorded(
            layouts=layouts, row=row, play=play, kept=program.kept
        )

    def _compare(
        self,
        own: Sequence[tuple[RecordedSteps, Part, BatchLayout]],
        row: Tensor,
        program: _GroupProgram,
    ) -> None:
        """Raise NotRecordableError unless a captured program computes what each model does alone.

        It is captured for these batches, and played for them with their rows in reverse.
        """
        play = self._capture(program.prepare, program.collect)
        play()
        others = [(member, member.reversed(part), layout) for member, part, layout in own]
        given = [member.row(layout, part, step=1, share=1.0) for member, part, layout in others]
        copy_to(row, np.concatenate(given))
        play()
        for member, part, _ in others:
            member.require_gradients(part, step=1)


class _GroupProgram:
    """A micro-batch of each member as the device computes them."""

    def __init__(self, members: Sequence[RecordedSteps], programs: Sequence[StepProgram]) -> None:
        self._members, self._programs = members, programs
        self.kept: list[Any] = []
        """What was found of how the rows lie: a program reads it each time."""

    def prepare(self) -> None:
        """Run whatever has to be compiled; no number changes."""
        for program, (gradients, _) in zip(self._programs, self._gradients(), strict=True):
            program.prepare_for(gradients)

    def run(self) -> None:
        """Add gradients and losses to those of the steps; behind their last batches take them."""
        for program, (gradients, loss) in zip(self._programs, self._gradients(), strict=True):
            program.take(gradients, loss)

    def collect(self) -> None:
        """Let the optimizers collect the gradients, without a step."""
        for program, (gradients, _) in zip(self._programs, self._gradients(), strict=True):
            program.keep(gradients)

    def _gradients(self) -> list[tuple[Sequence[Tensor | None], Tensor]]:
        """Return the gradients of each member's parameters, and its part of its loss."""
        found: dict[Any, Any] = {}
        self.kept.append(found)
        with self._members[0].model.rounding():
            logits = carry_out_together([program.logits() for program in self._programs], found)
        losses = [
            program.loss_of(logits_BC)
            for program, logits_BC in zip(self._programs, logits, strict=True)
        ]
        parameters = [member.optimizer.parameters for member in self._members]
        gradients = torch.autograd.grad(
            torch.stack(losses).sum(),
            [parameter for own in parameters for parameter in own],
            allow_unused=True,
        )
        return [
            (gradients[part_range], loss.detach())
            for part_range, loss in zip(
                slices([len(own) for own in parameters]), losses, strict=True
            )
        ]
