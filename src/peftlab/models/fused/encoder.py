"""An encoder run on a packed batch: its blocks and, where it is of a known form, the embedding.

Where all that a model's blocks call can be computed by kernels, the whole is recorded and played
(recording.py) by the processor's kernels. On a GPU, or where a module has to be called as it is,
each operation is a function of its own to autograd; without kernels, torch computes all of it.

The last block computes keys and values of every token but everything else at the pooled tokens
only: what the classifier does not read has no effect on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from peftlab.models.fused.backends import backend_of
from peftlab.models.fused.batch import PackedBatch
from peftlab.models.fused.blocks import Block, finish_block
from peftlab.models.fused.embedding import Embedding
from peftlab.models.fused.generator import signed
from peftlab.models.fused.linear import Keys
from peftlab.models.fused.operation import Call, Node, Program, Run, carry_out
from peftlab.models.fused.recording import TOKENS, Given, Recording, Sizes, play
from peftlab.models.fused.rows import TakeRows
from peftlab.models.fused.tape import apply

MOST_RECORDINGS = 8
"""How many recordings of an encoder are kept at most for each of its blocks."""


class Encoder:
    """A model's blocks, in order, and what stands before them.

    The recordings of what they do are kept, one for each way in which they have been run.
    """

    def __init__(self, blocks: list[Block], embedding: Embedding | None) -> None:
        self.blocks = blocks
        self._embedding = embedding
        self._recordings: dict[Any, tuple[Recording, list[str]]] = {}

    @cached_property
    def embedding(self) -> Embedding | None:
        """What makes the first block's input of the vectors of the words.

        None where that is done elsewhere, since it or a block has to be called as it is.
        """
        return self._embedding if self.is_recorded else None

    @property
    def is_recorded(self) -> bool:
        """Whether it can be recorded: no module of a block has to be called as it is."""
        return all(block.parameters is not None for block in self.blocks)

    def forget(self) -> None:
        """Let go of the recordings, and of the weights that they read."""
        self._recordings.clear()

    def run(
        self,
        x_TD: Tensor,
        batch: PackedBatch,
        keys: Keys,
        *,
        first: int = 0,
        end: int | None = None,
    ) -> Tensor:
        """Return the last block's output at the pooled tokens, [B, D].

        x are the vectors of the words where `embedding` is there, else what was made of them. With
        `first`, x is what the blocks before that one have made: [T, D], and after all blocks
        [B, D]. With `end`, the output is that of the blocks before that one only.
        """
        end = len(self.blocks) if end is None else end
        part = self._part(first, end)
        parameters = part.parameters
        backend = backend_of(x_TD)
        if parameters is None or backend is None or not backend.records:
            return cast(Tensor, carry_out(part.program(x_TD, batch, keys), apply))
        if not parameters:
            return x_TD
        trained = [p for p in parameters if p.requires_grad] if torch.is_grad_enabled() else []
        x_is_needed = x_TD.requires_grad and torch.is_grad_enabled()
        known_by = (
            (first, end, x_is_needed, torch.get_num_threads()),
            tuple(parameter.data_ptr() for parameter in parameters),
            tuple(map(id, trained)),
            part.probabilities,
        )
        found = self._recordings.get(known_by)
        if found is None:
            found = _record(part, x_TD.shape[1], x_is_needed, trained)
            if found[0].reads_only(parameters):
                if len(self._recordings) >= MOST_RECORDINGS * len(self.blocks):
                    self._recordings.clear()
                self._recordings[known_by] = found
        recording, sites = found
        numbers = [batch.first_example, *(signed(keys(site)) for site in sites)]
        sizes = Sizes(tokens=x_TD.shape[0], examples=batch.num_examples)
        return play(recording, x_TD, batch.tensors, numbers, sizes, trained)

    def program(self, x_TD: Tensor, batch: PackedBatch, keys: Keys) -> Program[Tensor]:
        """Compute what `run` returns of all blocks, for whoever carries out the operations."""
        return self._part(0, len(self.blocks)).program(x_TD, batch, keys)

    def _part(self, first: int, end: int) -> _Part:
        return _Part(
            embedding=self.embedding if first == 0 else None,
            blocks=self.blocks[first:end],
            pools=first < end == len(self.blocks),
        )


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Blocks in a row, with the embedding before them if it is theirs; the last may pool."""

    embedding: Embedding | None
    blocks: list[Block]
    pools: bool

    @property
    def parameters(self) -> list[nn.Parameter] | None:
        """All that the operations read; None if a module has to be called as it is."""
        found = [] if self.embedding is None else [*self.embedding.parameters]
        for block in self.blocks:
            if block.parameters is None:
                return None
            found += block.parameters
        return found

    @property
    def probabilities(self) -> tuple[float, ...]:
        """How likely each dropout drops an element now."""
        of_blocks = (probability for block in self.blocks for probability in block.probabilities)
        return (*([] if self.embedding is None else [self.embedding.probability]), *of_blocks)

    def program(self, x_TD: Any, batch: PackedBatch, keys: Keys) -> Program[Any]:
        """Compute the output of the last block."""
        rows, spans = batch.token_rows, batch.token_spans
        if self.embedding is not None:
            x_TD = yield from self.embedding.program(x_TD, rows, batch.type_T, keys)
        x_TD = _operands(x_TD)
        for block in self.blocks[:-1] if self.pools else self.blocks:
            projections = yield from block.query_key_value.program(x_TD, rows, keys)
            x_TD = yield from finish_block(block, projections, x_TD, rows, spans, keys)
        if not self.pools:
            return x_TD
        block, pooled_rows = self.blocks[-1], batch.pooled_rows
        x_BD = yield Call(TakeRows, batch.pooled_B, (x_TD,))
        query = yield from block.query.program(x_BD, pooled_rows, keys)
        key_value = yield from block.key_value.program(x_TD, rows, keys)
        projections = (*query, *key_value)
        spans = batch.pooled_spans
        return (yield from finish_block(block, projections, x_BD, pooled_rows, spans, keys))


def _operands(x_TD: Any) -> Any:
    """Return what the blocks compute with: bfloat16 where kernels are to round operands.

    Plain twins get float32, of which torch's autocast rounds what products read.
    """
    if not isinstance(x_TD, Tensor) or not torch.is_autocast_enabled(x_TD.device.type):
        return x_TD
    return x_TD if backend_of(x_TD) is None else x_TD.to(torch.bfloat16)


def _record(
    part: _Part, width: int, x_is_needed: bool, trained: list[nn.Parameter]
) -> tuple[Recording, list[str]]:
    """Return the part's recording, and the dropout sites whose keys it is given."""
    given, sites = Given(), list[str]()
    x = Node(given.tensor(TOKENS, width), is_needed=x_is_needed)
    batch = PackedBatch.given(given)

    def keys(site: str) -> int:
        sites.append(site)
        return given.number()

    def program(run: Run, x: Node) -> Node:
        output: Node = carry_out(part.program(x, batch, keys), run)
        return output

    return Recording(program, given, x, trained), sites
