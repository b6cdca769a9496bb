"""An encoder run on a packed batch: its blocks and, if it has a known form, its embedding.

If kernels can compute everything that a model's blocks call, the whole is recorded and played
(recording.py) by the processor's kernels. On a GPU, or if a module has to be called as it is, each
operation is a separate function to autograd; without kernels, torch computes everything.

The last block computes keys and values of every token but everything else at the pooled tokens
only, since the classifier does not read the others.
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
from peftlab.models.fused.rounding import rounds
from peftlab.models.fused.rows import TakeRows
from peftlab.models.fused.tape import apply

MOST_RECORDINGS = 8
"""The largest number of recordings that an encoder keeps for each of its blocks."""


class Encoder:
    """A model's blocks, in order, and the embedding before them.

    Recordings of their operations are kept, one for each way in which they have been run.
    """

    def __init__(self, blocks: list[Block], embedding: Embedding | None) -> None:
        self.blocks = blocks
        self._embedding = embedding
        self._recordings: dict[Any, tuple[Recording, list[str]]] = {}

    @cached_property
    def embedding(self) -> Embedding | None:
        """The embedding that turns the words' vectors into the first block's input.

        It is None if the embedding, or a module of a block, has to be called as it is.
        """
        return self._embedding if self.is_recorded else None

    @property
    def is_recorded(self) -> bool:
        """Whether it can be recorded: no module of a block has to be called as it is."""
        return all(block.parameters is not None for block in self.blocks)

    def forget(self) -> None:
        """Drop the recordings, and with them the references to the weights that they read."""
        self._recordings.clear()
        for block in self.blocks:
            block.forget_roundings()

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

        x holds the words' vectors if there is an `embedding`, else the first block's input. With
        `first`, x is the output of the blocks before that one: [T, D], or [B, D] after all blocks.
        With `end`, the output is that of the blocks before that one.
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
            # Roundings of frozen parameters are kept: how often these have been written to.
            tuple(one._version for one in parameters if not one.requires_grad) if rounds() else (),
        )
        found = self._recordings.get(known_by)
        if found is None:
            found = _record(part, x_TD.shape[1], x_is_needed, trained)
            if found[0].reads_only([*parameters, *part.roundings]):
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
    """Consecutive blocks, with the embedding before the first block; the last block may pool."""

    embedding: Embedding | None
    blocks: list[Block]
    pools: bool

    @property
    def parameters(self) -> list[nn.Parameter] | None:
        """The parameters that the operations read; None if a module has to be called as it is."""
        found = [] if self.embedding is None else [*self.embedding.parameters]
        for block in self.blocks:
            if block.parameters is None:
                return None
            found += block.parameters
        return found

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The current probability of each dropout."""
        of_blocks = (probability for block in self.blocks for probability in block.probabilities)
        return (*([] if self.embedding is None else [self.embedding.probability]), *of_blocks)

    @property
    def roundings(self) -> list[Tensor]:
        """The roundings of frozen weights that are kept."""
        return [one for block in self.blocks for one in block.roundings]

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
    """Return the operands of the blocks: in bfloat16 if operations are to compute in that.

    Otherwise they are float32, and the factors of products are rounded by kernels or by autocast.
    """
    if not isinstance(x_TD, Tensor) or not torch.is_autocast_enabled(x_TD.device.type):
        return x_TD
    backend = backend_of(x_TD)
    return x_TD.to(torch.bfloat16) if backend is not None and backend.halves else x_TD


def _record(
    part: _Part, width: int, x_is_needed: bool, trained: list[nn.Parameter]
) -> tuple[Recording, list[str]]:
    """Return the part's recording, and the dropout sites whose keys it takes."""
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
