"""Padded batches on the stock model: what packed ones are held against.

Everything is the model's own but for dropout, which the counter-based generator draws
(dropout.py), so that a packed and a padded batch drop the same elements. For dropout of attention
probabilities that takes an attention function of our own, in plain torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from peftlab.models.dropout import CounterDropout
from peftlab.models.fused.generator import HEAD_STRIDE, keep_RC
from peftlab.models.fused.jit import share_threads
from peftlab.models.fused.rows import Rows

ATTENTION = "peftlab_padded"


class PaddedModel:
    """A classifier (with any method on it) that takes padded batches, dropout drawn by a counter.

    Models that have an attention of their own keep it, and torch's generator in it.
    """

    def __init__(self, module: nn.Module, base: PreTrainedModel, *, dropout_seed: int = 0) -> None:
        self.module = module
        self.base = base
        self.dropout = CounterDropout(module, dropout_seed)
        self.first_example = 0
        self._is_drawn = False

    def __call__(
        self, inputs_BL: dict[str, Tensor], *, step: int = 0, first_example: int = 0
    ) -> Tensor:
        """Logits [B, C]; the arguments are those of PackedModel."""
        num_examples, longest = inputs_BL["input_ids"].shape
        device = inputs_BL["input_ids"].device
        example_B = torch.arange(num_examples, device=device) + first_example
        self.first_example = first_example
        self.dropout.begin(
            step,
            {
                num_examples * longest: Rows(
                    example_R=example_B.repeat_interleave(longest),
                    position_R=torch.arange(longest, device=device).repeat(num_examples),
                ),
                num_examples: Rows(example_R=example_B, position_R=torch.zeros_like(example_B)),
            },
        )
        extra: dict[str, Any] = {"padded_model": self} if self._is_drawn else {}
        logits_BC: Tensor = self.module(**inputs_BL, **extra).logits
        return logits_BC

    @contextmanager
    def active(self) -> Iterator[PaddedModel]:
        """Dropout drawn by the counter, and by torch again at the end."""
        share_threads()
        before = self.base.config._attn_implementation
        with ExitStack() as stack:
            stack.enter_context(self.dropout.installed())
            try:
                self.base.set_attn_implementation(ATTENTION)
            except ValueError:
                self._is_drawn = False
            else:
                self._is_drawn = self.base.config._attn_implementation == ATTENTION
                stack.callback(self.base.set_attn_implementation, before)
            yield self


def padded_attention(
    module: nn.Module,
    query_BHLd: Tensor,
    key_BHLd: Tensor,
    value_BHLd: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    padded_model: PaddedModel,
    **_: Any,
) -> tuple[Tensor, None]:
    """torch's attention, written out where probabilities are dropped; [B, L, H, d]."""
    scale = query_BHLd.shape[-1] ** -0.5 if scaling is None else scaling
    if dropout == 0:
        context_BHLd = scaled_dot_product_attention(
            query_BHLd, key_BHLd, value_BHLd, attn_mask=attention_mask, scale=scale
        )
        return context_BHLd.transpose(1, 2).contiguous(), None
    scores_BHLL = query_BHLd @ key_BHLd.transpose(2, 3) * scale
    if attention_mask is not None:
        scores_BHLL = scores_BHLL.masked_fill(~attention_mask, float("-inf"))
    p_BHLL = scores_BHLL.softmax(dim=-1) * _kept(module, scores_BHLL, padded_model, dropout)
    return (p_BHLL @ value_BHLd).transpose(1, 2).contiguous(), None


def _kept(module: nn.Module, like_BHLL: Tensor, model: PaddedModel, probability: float) -> Tensor:
    """1 / (1 - probability) where an attention probability is kept, else 0; [B, H, L, L]."""
    num_examples, num_heads, longest, _ = like_BHLL.shape
    device = like_BHLL.device
    example_B = torch.arange(num_examples, device=device) + model.first_example
    position_L = torch.arange(longest, device=device)
    channel_HL = (
        torch.arange(num_heads, device=device)[:, None] * HEAD_STRIDE + position_L
    ).flatten()
    keep = keep_RC(
        model.dropout.key(model.dropout.site_of(module)),
        example_B.repeat_interleave(longest),
        position_L.repeat(num_examples),
        channel_HL,
        probability,
    )
    keep_BLHL = keep.view(num_examples, longest, num_heads, longest)
    return keep_BLHL.transpose(1, 2).to(like_BHLL.dtype) / (1 - probability)


AttentionInterface.register(ATTENTION, padded_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
