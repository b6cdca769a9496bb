"""Logits of chosen rows: the packed way and its plain, padded twin."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftlab.data.batches import Indices, gather
from peftlab.data.encode import Encoded
from peftlab.models.packing import PackedModel, why_not_packed


class Classifier(Protocol):
    """A model under a method that turns rows of encoded data into logits."""

    module: nn.Module
    path: str
    packs: bool

    def active(self) -> AbstractContextManager[Any]:
        """Around all calls of `logits`: what the way of computing needs switched on."""

    def logits(self, data: Encoded, rows: Indices) -> Tensor:
        """Logits [B, C] of those rows, in their order; with gradients where they are enabled."""


class PackedClassifier:
    """Rows one after another without padding (models/packing.py)."""

    path = "packed"
    packs = True

    def __init__(self, module: nn.Module, base: PreTrainedModel, device: torch.device) -> None:
        self.module = module
        self.packed = PackedModel(module, base)
        self.device = device

    def active(self) -> AbstractContextManager[Any]:
        """Packed attention and pooling switched on."""
        return self.packed.active()

    def logits(self, data: Encoded, rows: Indices) -> Tensor:
        """Logits [B, C]; the only padding is inside attention."""
        ragged = gather(data, rows)
        type_ids = None
        if ragged.type_ids is not None:
            type_ids = torch.from_numpy(ragged.type_ids.astype(np.int64)).to(self.device)
        return self.packed(
            torch.from_numpy(ragged.ids.astype(np.int64)).to(self.device),
            type_ids,
            torch.from_numpy(ragged.lengths).to(self.device),
        )


class PaddedClassifier:
    """Rows padded to the longest of the batch, as DataCollatorWithPadding does; stock forward."""

    packs = False

    def __init__(
        self,
        module: nn.Module,
        base: PreTrainedModel,
        device: torch.device,
        *,
        path: str = "padded",
    ) -> None:
        self.module = module
        self.device = device
        self.path = path
        self.pad_id = int(base.config.pad_token_id or 0)

    def active(self) -> AbstractContextManager[Any]:
        """Nothing to switch."""
        return nullcontext()

    def logits(self, data: Encoded, rows: Indices) -> Tensor:
        """Logits [B, C]."""
        ragged = gather(data, rows)
        keep = np.arange(ragged.lengths.max()) < ragged.lengths[:, None]
        inputs = {"input_ids": self._pad(ragged.ids, keep, self.pad_id)}
        inputs["attention_mask"] = torch.from_numpy(keep.astype(np.int64)).to(self.device)
        if ragged.type_ids is not None:
            inputs["token_type_ids"] = self._pad(ragged.type_ids, keep, 0)
        logits_BC: Tensor = self.module(**inputs).logits
        return logits_BC

    def _pad(self, flat: Any, keep: Any, value: int) -> Tensor:
        padded = np.full(keep.shape, value, dtype=np.int64)
        padded[keep] = flat
        return torch.from_numpy(padded).to(self.device)


def build_classifier(
    engine: str, module: nn.Module, base: PreTrainedModel, device: torch.device
) -> Classifier:
    """The classifier for the engine `packed` or `padded`; a model that cannot pack is padded.

    The classifier's `path` then says why.
    """
    if engine == "packed":
        reason = why_not_packed(base)
        if reason is None:
            return PackedClassifier(module, base, device)
        return PaddedClassifier(module, base, device, path=f"padded: {reason}")
    return PaddedClassifier(module, base, device)
