"""Padded batches on the stock model, against which packed batches are tested.

Everything is the model's own except dropout, which the counter-based generator draws (dropout.py),
so that a packed and a padded batch drop the same elements. Dropout of attention probabilities
therefore needs an attention function of our own, in plain torch.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from peftlab.data.batches import Ragged
from peftlab.models.attention import AttentionScores, Drawn, attend
from peftlab.models.batched import CPU, BatchedModel, LastTokens
from peftlab.models.families import fewest_tokens
from peftlab.models.fused.rows import Rows

ATTENTION = "peftlab_padded"


class PaddedModel(BatchedModel):
    """A classifier that takes rows padded to the longest of the batch, as DataCollatorWithPadding
    pads them.

    Models whose attention cannot be replaced keep it, with torch's generator in it, as do unknown
    models (families.py). If a head `score` reads all tokens, the logits are those of each row's
    last real token, whatever the padding token is.
    """

    packs = False
    path = "padded"

    def __init__(
        self,
        module: nn.Module,
        base: PreTrainedModel,
        *,
        device: torch.device = CPU,
        dropout_seed: int = 0,
    ) -> None:
        super().__init__(module, base, device=device, dropout_seed=dropout_seed)
        self.first_example = 0
        self.is_drawn = not self.family.has_own_attention
        self._lengths_B, self._longest = torch.zeros(0, dtype=torch.int64), 0
        score = getattr(base, "score", None)
        self._last = LastTokens(score, self._of_last) if isinstance(score, nn.Module) else None

    def __call__(self, rows: Ragged, *, step: int = 0, first_example: int = 0) -> Tensor:
        """Return the logits [B, C] of the rows."""
        inputs_BL = self._padded(rows)
        num_examples, longest = inputs_BL["input_ids"].shape
        example_B = torch.arange(num_examples, device=self.device) + first_example
        self.first_example = first_example
        self.dropout.begin(
            step,
            {
                num_examples * longest: Rows(
                    example_R=example_B.repeat_interleave(longest),
                    position_R=torch.arange(longest, device=self.device).repeat(num_examples),
                ),
                num_examples: Rows(example_R=example_B, position_R=torch.zeros_like(example_B)),
            },
        )
        extra: dict[str, Any] = {"padded_model": self} if self.is_drawn else {}
        if self._last is None:
            logits_BC: Tensor = self.module(**inputs_BL, **extra).logits
            return logits_BC
        self._lengths_B, self._longest = inputs_BL["attention_mask"].sum(1), longest
        self.module(**inputs_BL, **extra, use_cache=False)
        return self._last.take()

    def _switch(self, stack: ExitStack) -> None:
        if self.is_drawn:
            self._use_attention(ATTENTION, stack)
        if self._last is not None:
            self._last.hook(stack)

    def _padded(self, rows: Ragged) -> dict[str, Tensor]:
        """Return the rows as transformers' collator pads them, each [B, L]."""
        config: Any = self.base.config
        place_L = np.arange(max(rows.lengths.max(), fewest_tokens(config)))
        in_order_L = place_L[::-1] if self.family.pads_in_front else place_L
        is_real_BL = in_order_L < rows.lengths[:, None]

        def padded(values_T: Any, padding: int) -> Tensor:
            padded_BL = np.full(is_real_BL.shape, padding, dtype=np.int64)
            padded_BL[is_real_BL] = values_T
            return self._integers(padded_BL)

        inputs = {
            "input_ids": padded(rows.ids, int(config.pad_token_id or 0)),
            "attention_mask": self._integers(is_real_BL),
        }
        if rows.type_ids is not None and self._takes_types:
            inputs["token_type_ids"] = padded(rows.type_ids, 0)
        return inputs

    def _of_last(self, logits_BLC: Tensor) -> Tensor:
        """Return the logits of each row's last real token; virtual tokens may precede the row."""
        num_examples, length, _ = logits_BLC.shape
        last_B = self._lengths_B - 1 + (length - self._longest)
        return logits_BLC[torch.arange(num_examples, device=last_B.device), last_B]


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
    """Return the attention [B, L, H, d] by torch's function, or step by step with dropout.

    Causality and windows are in the mask; there is no mask if every query sees all keys that its
    position allows.
    """
    scores = AttentionScores.of(module, query_BHLd.shape[-1], scaling, options)
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
