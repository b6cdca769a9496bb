"""Packed batches on fused blocks: a model's modules called one by one, in our order.

The order is defined in fused/blocks.py; the modules of the head are called after the blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftlab.data.batches import Ragged
from peftlab.models.batched import CPU, PackedModel
from peftlab.models.dropout import Use
from peftlab.models.family import Way
from peftlab.models.fused.batch import Lengths
from peftlab.models.fused.blocks import blocks_of, embeddings_of, layers_of
from peftlab.models.fused.embedding import embedding_of
from peftlab.models.fused.encoder import Encoder
from peftlab.models.fused.linear import share_storage
from peftlab.models.fused.operation import Program
from peftlab.models.fused.static_batch import StaticBatch
from peftlab.models.recompute import recomputed


class FusedModel(PackedModel):
    """A packed classifier of a family that has fused blocks. Its blocks can be run in part."""

    blocks = Way.FUSED

    def __init__(
        self,
        module: nn.Module,
        base: PreTrainedModel,
        *,
        device: torch.device = CPU,
        dropout_seed: int = 0,
    ) -> None:
        super().__init__(module, base, device=device, dropout_seed=dropout_seed)
        site_of = self.dropout.site_of
        embeddings, embedding = embeddings_of(base), None
        if len(embeddings) == 1:  # else other modules come between it and the blocks
            embedding = embedding_of(embeddings[0], self._first_position, site_of)
        self.encoder = Encoder(blocks_of(base, site_of), embedding)

    @property
    def path(self) -> str:
        """The way of computing, and whether any module prevents recording."""
        aside = "" if self.encoder.is_recorded else ", some modules called as they are"
        return super().path + aside

    def program(self, rows: Ragged, *, step: int = 0, first_example: int = 0) -> Program[Tensor]:
        """Compute the logits [B, C] of the rows, for whoever carries out the operations."""
        type_ids_T = self._types(rows)
        self._begin(rows.lengths, type_ids_T, step=step, first_example=first_example)
        return (yield from self._program(self._integers(rows.ids), type_ids_T))

    def program_of_static(
        self, static: StaticBatch, key_of: Callable[[Use], int]
    ) -> Program[Tensor]:
        """Compute what `of_static` returns, for whoever carries out the operations."""
        type_ids_T = self._begin_static(static, key_of)
        return (yield from self._program(static.ids_T, type_ids_T))

    def _program(self, ids_T: Tensor, type_ids_T: Tensor | None) -> Program[Tensor]:
        x_TD = self._embedded(ids_T, type_ids_T)
        x_BD = yield from self.encoder.program(x_TD, self.batch, self.dropout.key)
        return self._head(x_BD)

    def states(self, rows: Ragged, *, depth: int) -> Tensor:
        """Return the output of the first `depth` blocks for the rows, in eval mode, without
        gradients.

        The output is [T, D], one row per token; after all blocks it is [B, D], one row per example:
        that of its pooled token, which is all that the classifier reads.
        """
        type_ids_T = self._types(rows)
        self._begin(rows.lengths, type_ids_T)
        was_training = self.module.training
        self.module.eval()
        with torch.inference_mode():
            embedded_TD = self._embedded(self._integers(rows.ids), type_ids_T)
            states = self._encoded(embedded_TD, end=depth)
        self.module.train(was_training)
        return states

    def from_states(
        self,
        states_RD: Tensor,
        lengths_B: Lengths,
        *,
        depth: int,
        step: int = 0,
        first_example: int = 0,
    ) -> Tensor:
        """Return the logits [B, C] from the examples' output of `states` with the same depth.

        The embeddings and the first `depth` blocks are skipped; dropout in the other blocks is as
        usual.
        """
        self._begin(lengths_B, None, step=step, first_example=first_example)
        return self._head(self._encoded(states_RD, first=depth))

    def _switch(self, stack: ExitStack) -> None:
        groups = [group for block in self.encoder.blocks for group in block.joined]
        stack.enter_context(share_storage(groups))
        stack.callback(self.encoder.forget)

    def _logits(self, ids_T: Tensor, type_ids_T: Tensor | None) -> Tensor:
        return self._head(self._encoded(self._embedded(ids_T, type_ids_T)))

    def _embedded(self, ids_T: Tensor, type_ids_T: Tensor | None) -> Tensor:
        """Return the encoder's input [T, D]: word embeddings only if the encoder adds the rest."""
        first, *others = embeddings_of(self.base)
        x_TD: Tensor
        if self.encoder.embedding is not None:
            x_TD = cast(Any, first).word_embeddings(ids_T)
            return x_TD
        x_TD = first(**self._inputs(ids_T, type_ids_T))[0]
        for module in others:
            x_TD = module(x_TD)
        return x_TD

    def _encoded(self, x_RD: Tensor, *, first: int = 0, end: int | None = None) -> Tensor:
        run = partial(self.encoder.run, batch=self.batch, keys=self.dropout.key)
        if not (self.recomputes and self.module.training):
            return run(x_RD, first=first, end=end)
        layers = layers_of(self.base)
        for index in range(first, len(layers) if end is None else end):
            read = [*layers[index].parameters()]
            if index == 0:
                read += [p for module in embeddings_of(self.base) for p in module.parameters()]
            part = partial(run, first=index, end=index + 1)
            x_RD = recomputed(part, x_RD, self.dropout, read)
        return x_RD

    def _recompute(self, stack: ExitStack) -> None:
        """Switch nothing, since the blocks are run by this class."""

    def _head(self, x_BD: Tensor) -> Tensor:
        """Return the logits [B, C] of the pooled tokens."""
        assert self.family.head is not None
        logits_BC: Tensor = self.family.head(self.base, x_BD)
        return logits_BC
