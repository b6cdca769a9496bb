"""Packed batches on the stock model, as transformers runs it.

The model uses an attention function that is registered with transformers under ATTENTION, and a
hook that gathers each example's first token after the encoder, or in decoders its last token after
the head.

Legend: B examples, T tokens of all of them, L tokens of the longest, H heads of the queries, G of
the keys, d width of a head, D width.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from peftlab.models.attention import AttentionScores
from peftlab.models.batched import CPU, LastTokens, PackedModel
from peftlab.models.family import Pooling, Way
from peftlab.models.fused.attention import Attention, AttentionSettings, Heads
from peftlab.models.fused.blocks import encoder_of
from peftlab.models.fused.tape import apply
from peftlab.models.masked_attention import MaskedAttention, MaskedAttentionSettings

ATTENTION = "peftlab_packed"


class StockModel(PackedModel):
    """A packed classifier whose blocks are transformers' own."""

    blocks = Way.STOCK

    def __init__(
        self,
        module: nn.Module,
        base: PreTrainedModel,
        *,
        device: torch.device = CPU,
        dropout_seed: int = 0,
    ) -> None:
        super().__init__(module, base, device=device, dropout_seed=dropout_seed)
        self.pooling = self.family.pooling_by(base.config)
        self._last: LastTokens | None = None
        if self.pooling is Pooling.LAST:
            score = cast(Any, base).score
            self._last = LastTokens(score, lambda logits_1TC: logits_1TC[0, self.batch.last_B])

    def _logits(self, ids_T: Tensor, type_ids_T: Tensor | None) -> Tensor:
        """Return the logits [B, C] of the present batch, by the model's own forward."""
        inputs = self._inputs(ids_T, type_ids_T)
        if self._last is not None:
            self.module(**inputs, packed_model=self, use_cache=False)
            return self._last.take()
        logits_BC: Tensor = self.module(**inputs, packed_model=self).logits
        return logits_BC.reshape(self.batch.num_examples, -1)

    def _switch(self, stack: ExitStack) -> None:
        self._use_attention(ATTENTION, stack)
        if self._last is not None:
            self._last.hook(stack)
        else:
            stack.callback(encoder_of(self.base).register_forward_hook(self._pool_output).remove)

    def _pool_output(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (self._pooled(output[0]), *output[1:])
        output["last_hidden_state"] = self._pooled(output["last_hidden_state"])
        return output

    def _pooled(self, hidden_1TD: Tensor) -> Tensor:
        """Return the pooled states [B, 1, D]: for the classifier, examples of one token each."""
        batch = self.batch
        if self.pooling is Pooling.FIRST:
            return hidden_1TD[0, batch.pooled_B][:, None]
        length_B = batch.last_B - batch.pooled_B + 1
        # index_add would add on a card in an order that differs each time.
        sum_BD = torch.segment_reduce(hidden_1TD[0], "sum", lengths=length_B, unsafe=True)
        return (sum_BD / length_B[:, None])[:, None]


def packed_attention(
    module: nn.Module,
    query_1HTd: Tensor,
    key_1GTd: Tensor,
    value_1GTd: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    packed_model: StockModel,
    **options: Any,
) -> tuple[Tensor, None]:
    """Return the attention within each example, [1, T, H, d], as transformers' functions do.

    `attention_mask` is not used: transformers makes none for a name without a mask function. Forms
    of attention without a kernel are computed by torch, padded: on a processor causality, windows
    and shared keys; on any device a cap on the scores and values of another width.
    """
    num_heads, width = query_1HTd.shape[1], query_1HTd.shape[3]
    source = packed_model.dropout
    scores = AttentionScores.of(module, width, scaling, options)
    spans = packed_model.batch.token_spans
    settings = AttentionSettings(
        heads=Heads(count=num_heads, scale=scores.scale),
        spans=spans,
        key=source.key(source.site_of(module)) if dropout > 0 else 0,
        probability=dropout,
    )
    tokens = tuple(
        x_1HTd[0].transpose(0, 1).flatten(1) for x_1HTd in (query_1HTd, key_1GTd, value_1GTd)
    )
    if scores.is_plain(spans.longest) and query_1HTd.shape == key_1GTd.shape == value_1GTd.shape:
        context_TD = apply(Attention, settings, *tokens)
    else:
        masked = MaskedAttentionSettings(
            attention=settings, scores=scores, num_key_heads=key_1GTd.shape[1]
        )
        is_known = scores.softcap is None and key_1GTd.shape == value_1GTd.shape
        compute = partial(apply, MaskedAttention) if is_known else MaskedAttention.plain
        context_TD = compute(masked, *tokens)
    return context_TD.unflatten(1, (num_heads, -1))[None], None


AttentionInterface.register(ATTENTION, packed_attention)
