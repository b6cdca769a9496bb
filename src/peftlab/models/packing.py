"""The choice of the classifier for packed batches: on fused blocks, or on stock blocks."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from peftlab.models.batched import CPU, PackedModel
from peftlab.models.families import family_of, why_padded
from peftlab.models.family import Pooling
from peftlab.models.fused.blocks import has_blocks
from peftlab.models.fused_model import FusedModel
from peftlab.models.stock_model import StockModel


def why_not_packed(model: PreTrainedModel) -> str | None:
    """Return None if the model can be packed, else the reason in a few words.

    >>> from transformers import MPNetConfig, MPNetForSequenceClassification
    >>> tiny = MPNetConfig(vocab_size=9, hidden_size=4, num_attention_heads=1, intermediate_size=4)
    >>> why_not_packed(MPNetForSequenceClassification(tiny))
    'mpnet: its attention, with a bias for each distance, is its own'
    """
    config: Any = model.config
    family = family_of(config.model_type)
    reason = why_padded(family)
    if (
        reason is None
        and family.pooling_by(config) is not Pooling.LAST
        and getattr(config, "is_decoder", False)
    ):
        return "the model is configured as a decoder"
    return reason


def packed_model(
    module: nn.Module,
    base: PreTrainedModel,
    *,
    device: torch.device = CPU,
    dropout_seed: int = 0,
    fused: bool = True,
) -> PackedModel:
    """Return the classifier for packed batches, on fused blocks if its family has them.

    With `fused` False the stock blocks are used even then, as the plain twin of the fused blocks.
    Raises ValueError if the model cannot be packed.
    """
    reason = why_not_packed(base)
    if reason is not None:
        raise ValueError(reason)
    kind = FusedModel if fused and has_blocks(base) else StockModel
    return kind(module, base, device=device, dropout_seed=dropout_seed)
