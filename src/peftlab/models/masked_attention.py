"""The attention of stock modules within each example of a packed batch: causal, with a window, or
with heads of keys that several heads of queries share. It has no kernels for the processor.

Legend: T tokens, H heads of the queries, G of the keys, d width of a head, L tokens of the longest
example.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from peftlab.models.attention import AttentionScores, Drawn, Padding, attend
from peftlab.models.fused.attention import AttentionSettings
from peftlab.models.fused.operation import PlainOperation


@dataclass(frozen=True, kw_only=True)
class MaskedAttentionSettings:
    """The form of a layer's attention; `attention.heads` are the queries' heads."""

    attention: AttentionSettings
    scores: AttentionScores
    num_key_heads: int


class MaskedAttention(PlainOperation):
    """The context [T, H * d] for the inputs q [T, H * d], and k and v [T, G * d]."""

    @staticmethod
    def parameters(settings: MaskedAttentionSettings) -> tuple[nn.Parameter, ...]:
        """Return no parameters."""
        return ()

    @staticmethod
    def plain(settings: MaskedAttentionSettings, *inputs: Tensor) -> Tensor:
        """Return the context by torch, for all examples at once, padded to the longest."""
        attention, spans = settings.attention, settings.attention.spans
        padding = spans.key_padding(inputs[0].device)
        drawn = None
        if attention.probability > 0:
            drawn = Drawn(
                key=attention.key,
                probability=attention.probability,
                first_example=spans.first_example,
            )
        num_heads = (attention.heads.count, settings.num_key_heads, settings.num_key_heads)
        query_BHLd, key_BGLd, value_BGLd = (
            padding.pad(x.unflatten(1, (heads, -1)))
            for x, heads in zip(inputs, num_heads, strict=True)
        )
        seen = _seen(settings.scores, padding)
        context_BHLd = attend(query_BHLd, key_BGLd, value_BGLd, seen, settings.scores, drawn)
        return padding.unpad(context_BHLd).flatten(1)


def _seen(scores: AttentionScores, padding: Padding) -> Tensor | None:
    """Return which keys each query sees, bool; None if causality alone decides. Causal queries
    never see padding."""
    seen_LL = scores.seen_LL(padding.longest, padding.place_T.device)
    is_real_B11L = None if scores.is_causal else padding.is_real_B11L
    if seen_LL is None or is_real_B11L is None:
        return is_real_B11L if seen_LL is None else seen_LL
    return is_real_B11L & seen_LL
