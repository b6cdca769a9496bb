"""Logits of chosen rows: the packed way and its plain, padded twin."""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftlab.data.batches import Indices, gather
from peftlab.data.encode import Encoded
from peftlab.data.states import EncodedWithStates, States, gather_states
from peftlab.methods.base import Method
from peftlab.models.architectures import (
    PADDED_IN_FRONT,
    TYPES_AS_WORDS,
    fewest_tokens,
    shows_padding,
    takes_token_types,
)
from peftlab.models.fused.jit import runs_kernels
from peftlab.models.packing import PackedModel, why_not_packed
from peftlab.models.padding import PaddedModel


class Together(StrEnum):
    """Which rows share a batch in evaluation: those that do not change each other's logits."""

    ANY = "any rows"
    ONE_LENGTH = "rows of one length"
    NONE = "no rows"


class Classifier(Protocol):
    """A model under a method that turns rows of encoded data into logits."""

    module: nn.Module
    word_embedding: nn.Module
    path: str
    packs: bool
    together: Together
    types_as_words: bool
    """Whether token types are looked up in the word embedding, as GPT-2 does."""

    def active(self) -> AbstractContextManager[Any]:
        """Around all calls of `logits`: what the way of computing needs switched on."""

    def logits(
        self, data: Encoded, rows: Indices, *, step: int = 0, first_example: int = 0
    ) -> Tensor:
        """Logits [B, C] of those rows, in their order; with gradients where they are enabled.

        In training, dropout masks are those of `step`; `first_example` is the number of the first
        row within the step's batch, where that is computed in parts. Of rows that come with the
        states of the lowest layers, a packed classifier computes the layers above alone.
        """


class PackedClassifier:
    """Rows one after another without padding (models/packing.py)."""

    packs = True
    together = Together.ANY

    def __init__(
        self,
        module: nn.Module,
        base: PreTrainedModel,
        device: torch.device,
        *,
        dropout_seed: int = 0,
    ) -> None:
        self.module = module
        self.word_embedding = base.get_input_embeddings()
        self.packed = PackedModel(module, base, dropout_seed=dropout_seed)
        self.takes_types = takes_token_types(base)
        self.types_as_words = base.config.model_type in TYPES_AS_WORDS
        self.device = device
        blocks = "stock blocks" if self.packed.encoder is None else "fused blocks"
        kernels = "compiled" if runs_kernels(*module.parameters()) else "plain"
        self.path = f"packed, {blocks}, {kernels} kernels"
        if self.packed.encoder is not None and not self.packed.encoder.is_recorded:
            self.path += ", some modules called as they are"

    def active(self) -> AbstractContextManager[Any]:
        """Packed attention and pooling switched on."""
        return self.packed.active()

    def logits(
        self, data: Encoded, rows: Indices, *, step: int = 0, first_example: int = 0
    ) -> Tensor:
        """Logits [B, C], no padding token computed."""
        if isinstance(data, EncodedWithStates):
            return self.packed.from_states(
                torch.from_numpy(gather_states(data, rows)).to(self.device),
                data.lengths[rows],
                depth=data.frozen.depth,
                step=step,
                first_example=first_example,
            )
        return self.packed(*self._batch(data, rows), step=step, first_example=first_example)

    def states(self, data: Encoded, rows: Indices, *, depth: int) -> States:
        """What the lowest `depth` layers make of those rows, in eval mode (PackedModel.states)."""
        return self.packed.states(*self._batch(data, rows), depth=depth).cpu().numpy()

    def _batch(self, data: Encoded, rows: Indices) -> tuple[Tensor, Tensor | None, Indices]:
        """Ids, token types where the model has them, and lengths of the rows."""
        ragged = gather(data, rows)
        type_ids = None
        if ragged.type_ids is not None and self.takes_types:
            type_ids = torch.from_numpy(ragged.type_ids.astype(np.int64)).to(self.device)
        ids = torch.from_numpy(ragged.ids.astype(np.int64)).to(self.device)
        return ids, type_ids, ragged.lengths


class PaddedClassifier:
    """Rows padded to the longest of the batch, as DataCollatorWithPadding does (models/padding)."""

    packs = False

    def __init__(
        self,
        module: nn.Module,
        base: PreTrainedModel,
        device: torch.device,
        *,
        dropout_seed: int = 0,
        path: str = "padded",
        together: Together = Together.ANY,
    ) -> None:
        self.module = module
        self.word_embedding = base.get_input_embeddings()
        self.padded = PaddedModel(module, base, dropout_seed=dropout_seed)
        self.device = device
        self.path = path
        self.together = together
        self.fewest_tokens = fewest_tokens(base.config)
        self.pad_id = int(base.config.pad_token_id or 0)
        self.takes_types = takes_token_types(base)
        self.types_as_words = base.config.model_type in TYPES_AS_WORDS
        self.pads_in_front = base.config.model_type in PADDED_IN_FRONT

    def active(self) -> AbstractContextManager[Any]:
        """Dropout drawn by the counter."""
        return self.padded.active()

    def logits(
        self, data: Encoded, rows: Indices, *, step: int = 0, first_example: int = 0
    ) -> Tensor:
        """Logits [B, C]."""
        ragged = gather(data, rows)
        place_L = np.arange(max(ragged.lengths.max(), self.fewest_tokens))
        keep = (place_L[::-1] if self.pads_in_front else place_L) < ragged.lengths[:, None]
        inputs = {"input_ids": self._pad(ragged.ids, keep, self.pad_id)}
        inputs["attention_mask"] = torch.from_numpy(keep.astype(np.int64)).to(self.device)
        if ragged.type_ids is not None and self.takes_types:
            inputs["token_type_ids"] = self._pad(ragged.type_ids, keep, 0)
        return self.padded(inputs, step=step, first_example=first_example)

    def _pad(self, flat: Any, keep: Any, value: int) -> Tensor:
        padded = np.full(keep.shape, value, dtype=np.int64)
        padded[keep] = flat
        return torch.from_numpy(padded).to(self.device)


def build_classifier(
    engine: str,
    module: nn.Module,
    base: PreTrainedModel,
    device: torch.device,
    *,
    dropout_seed: int = 0,
    method: Method | None = None,
) -> Classifier:
    """The classifier for the engine `packed` or `padded`; a model that cannot pack is padded.

    So is one whose `method` cannot. The classifier's `path` says why.
    """
    path = "padded"
    if engine == "packed":
        reason = (method and method.why_not_packed) or why_not_packed(base)
        if reason is None:
            return PackedClassifier(module, base, device, dropout_seed=dropout_seed)
        path = f"padded: {reason}"
    return PaddedClassifier(
        module,
        base,
        device,
        dropout_seed=dropout_seed,
        path=path,
        together=rows_together(base, method),
    )


def rows_together(base: PreTrainedModel, method: Method | None) -> Together:
    """Which rows may share a padded batch in evaluation."""
    if method is not None and method.why_row_by_row is not None:
        return Together.NONE
    return Together.ONE_LENGTH if shows_padding(base.config.model_type) else Together.ANY
