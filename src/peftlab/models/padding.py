"""Padded batches on the stock model: what packed ones are held against.

Everything is the model's own but for dropout, which the counter-based generator draws
(dropout.py), so that a packed and a padded batch drop the same elements. For dropout of attention
probabilities that takes an attention function of our own, in plain torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from peftlab.models.architectures import draws_attention
from peftlab.models.attention import Drawn, Scores, attend
from peftlab.models.dropout import CounterDropout
from peftlab.models.fused.jit import share_threads
from peftlab.models.fused.rows import Rows

ATTENTION = "peftlab_padded"


class PaddedModel:
    """A classifier (with any method on it) that takes padded batches, dropout drawn by a counter.

    Models that have an attention of their own keep it, and torch's generator in it, as do those
    that are not known (architectures.py). Where a head `score` reads all tokens, the logits are
    those of each row's last real token, whatever stands for padding.
    """

    def __init__(self, module: nn.Module, base: PreTrainedModel, *, dropout_seed: int = 0) -> None:
        self.module = module
        self.base = base
        self.dropout = CounterDropout(module, dropout_seed)
        self.first_example = 0
        self.is_drawn = draws_attention(base.config.model_type)
        self.pools_last = isinstance(getattr(base, "score", None), nn.Module)
        self._lengths_B: Tensor | None = None
        self._longest = 0
        self._last_logits_BC: Tensor | None = None

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
        extra: dict[str, Any] = {"padded_model": self} if self.is_drawn else {}
        if not self.pools_last:
            logits_BC: Tensor = self.module(**inputs_BL, **extra).logits
            return logits_BC
        self._lengths_B, self._longest = inputs_BL["attention_mask"].sum(1), longest
        self.module(**inputs_BL, **extra, use_cache=False)
        assert self._last_logits_BC is not None, "the head was called"
        logits_BC, self._last_logits_BC = self._last_logits_BC, None
        return logits_BC

    @contextmanager
    def active(self) -> Iterator[PaddedModel]:
        """Dropout drawn by the counter, and by torch again at the end."""
        share_threads()
        before = self.base.config._attn_implementation
        with ExitStack() as stack:
            stack.enter_context(self.dropout.installed())
            if self.is_drawn:
                self.base.set_attn_implementation(ATTENTION)
                stack.callback(self.base.set_attn_implementation, before)
            if self.pools_last:
                score = cast(Any, self.base).score
                stack.callback(score.register_forward_hook(self._keep_last).remove)
            yield self

    def _keep_last(self, module: nn.Module, inputs: Any, logits_BLC: Tensor) -> None:
        """Keep the logits of each row's last real token; virtual ones may stand in front."""
        assert self._lengths_B is not None
        num_examples, length, _ = logits_BLC.shape
        last_B = self._lengths_B - 1 + (length - self._longest)
        self._last_logits_BC = logits_BLC[torch.arange(num_examples, device=last_B.device), last_B]


def padded_attention(
    module: nn.Module,
    query_BHLd: Tensor,
    key_BGLd: Tensor,
    value_BGLd: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    padded_model: PaddedModel,
    **options: Any,
) -> tuple[Tensor, None]:
    """torch's attention, written out where probabilities are dropped; [B, L, H, d].

    Causality and windows are in the mask, or there is none where every query may see all keys
    that its place allows.
    """
    scores = Scores.of(module, query_BHLd.shape[-1], scaling, options)
    drawn = None
    if dropout > 0:
        source = padded_model.dropout
        drawn = Drawn(
            key=source.key(source.site_of(module)),
            probability=dropout,
            first_example=padded_model.first_example,
        )
    context_BHLd = attend(query_BHLd, key_BGLd, value_BGLd, attention_mask, scores, drawn)
    return context_BHLd.transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, padded_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
