"""The attention of stock models in plain torch: padded, or packed and padded for attention only.

Transformers calls an attention function with the projections and the settings of the layer; the
dropout of the probabilities is drawn by the counter-based generator (dropout.py).

Legend: B examples, T tokens of all of them, L tokens of the longest, H heads of the queries, G of
the keys (fewer where several queries' heads share one), d width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from peftlab.models.fused.generator import HEAD_STRIDE, keep_RC


@dataclass(frozen=True, kw_only=True)
class AttentionScores:
    """The form of a layer's attention: the factor of query-key products and the keys seen.

    With `is_causal`, a query sees no later keys. With a `window`, it sees only keys less than that
    many places away. With a `softcap`, a score x becomes softcap * tanh(x / softcap) (Gemma 2).
    """

    scale: float
    is_causal: bool
    window: int | None
    softcap: float | None

    @classmethod
    def of(
        cls, module: nn.Module, width: int, scaling: float | None, options: Any
    ) -> AttentionScores:
        """Return the form of a layer's attention as transformers' own attention functions read it.

        Raises NotImplementedError for an option that is not implemented, since the scores would be
        wrong.
        """
        for name in ("position_bias", "s_aux"):
            if options.get(name) is not None:
                raise NotImplementedError(f"attention with {name}")
        is_causal = options.get("is_causal")
        return cls(
            scale=width**-0.5 if scaling is None else scaling,
            is_causal=getattr(module, "is_causal", True) if is_causal is None else is_causal,
            window=options.get("sliding_window"),
            softcap=options.get("softcap"),
        )

    def is_plain(self, longest: int) -> bool:
        """Return whether every query sees every key in a row this long, with plain scores."""
        return not self.is_causal and self.softcap is None and not self.is_cut(longest)

    def is_cut(self, longest: int) -> bool:
        """Return whether the window is shorter than a row of this length."""
        return self.window is not None and self.window < longest

    def seen_LL(self, longest: int, device: torch.device) -> Tensor | None:
        """Return which keys each query sees, bool; None if no window restricts them."""
        if not self.is_cut(longest):
            return None
        assert self.window is not None
        place_L = torch.arange(longest, device=device)
        back_LL = place_L[:, None] - place_L
        seen_LL = back_LL < self.window
        return seen_LL & (back_LL >= 0 if self.is_causal else back_LL > -self.window)


@dataclass(frozen=True, kw_only=True)
class Padding:
    """The places of the tokens of B examples in a padded batch whose rows follow one another."""

    num_examples: int
    longest: int
    place_T: Tensor
    """The place of each token, int64 [T], on the device of the batch."""

    @classmethod
    def of(cls, offsets: Tensor, device: torch.device) -> Padding:
        """Return the padding of examples with tokens offsets[b] to offsets[b + 1] (on the CPU)."""
        length_B = offsets.diff()
        longest = int(length_B.max())
        row_B = torch.arange(len(length_B)) * longest - offsets[:-1]
        place_T = torch.arange(int(offsets[-1])) + row_B.repeat_interleave(length_B)
        return cls(num_examples=len(length_B), longest=longest, place_T=place_T.to(device))

    def pad(self, x_THd: Tensor) -> Tensor:
        """Return the tokens as a padded batch, [B, H, L, d], with zeros behind each example."""
        x_RHd = x_THd.new_zeros(self.num_examples * self.longest, *x_THd.shape[1:])
        x_RHd = x_RHd.index_copy(0, self.place_T, x_THd)
        x_BLHd: Tensor = x_RHd.view(self.num_examples, self.longest, *x_THd.shape[1:])
        return x_BLHd.transpose(1, 2)

    def unpad(self, x_BHLd: Tensor) -> Tensor:
        """Return the tokens of a padded batch, [T, H, d]."""
        return x_BHLd.transpose(1, 2).flatten(0, 1)[self.place_T]

    @cached_property
    def is_real_B11L(self) -> Tensor | None:
        """The places that hold a token, bool [B, 1, 1, L]; None if all of them do."""
        num_places = self.num_examples * self.longest
        if len(self.place_T) == num_places:
            return None
        is_real = torch.zeros(num_places, dtype=torch.bool, device=self.place_T.device)
        is_real[self.place_T] = True
        return is_real.view(self.num_examples, 1, 1, self.longest)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The dropout of the probabilities; `first_example` is its number within the step."""

    key: int
    probability: float
    first_example: int


def attend(
    query_BHLd: Tensor,
    key_BGLd: Tensor,
    value_BGLd: Tensor,
    seen: Tensor | None,
    scores: AttentionScores,
    drawn: Drawn | None,
) -> Tensor:
    """Return the context of each query, [B, H, L, d].

    `seen` (bool, broadcast to [B, H, L, L]) says which keys a query sees; without it, a query sees
    all keys, or those up to its own place if the attention is causal. A query that sees no key gets
    a finite result.
    """
    length = query_BHLd.shape[2]
    is_causal = scores.is_causal and seen is None and length > 1
    if drawn is None and scores.softcap is None:
        return scaled_dot_product_attention(
            query_BHLd,
            key_BGLd,
            value_BGLd,
            attn_mask=seen,
            is_causal=is_causal,
            scale=scores.scale,
            enable_gqa=key_BGLd.shape[1] != query_BHLd.shape[1],
        )
    shared = query_BHLd.shape[1] // key_BGLd.shape[1]
    key_BHLd = key_BGLd.repeat_interleave(shared, dim=1)
    value_BHLd = value_BGLd.repeat_interleave(shared, dim=1)
    x_BHLL = query_BHLd @ key_BHLd.transpose(2, 3) * scores.scale
    if scores.softcap is not None:
        x_BHLL = scores.softcap * torch.tanh(x_BHLL / scores.softcap)
    if is_causal:
        seen = torch.ones(x_BHLL.shape[2:], dtype=torch.bool, device=x_BHLL.device).tril()
    if seen is not None:
        x_BHLL = x_BHLL.masked_fill(~seen, torch.finfo(x_BHLL.dtype).min)
    p_BHLL = x_BHLL.softmax(dim=-1)
    if drawn is not None:
        p_BHLL = p_BHLL * _kept(p_BHLL, drawn)
    return p_BHLL @ value_BHLd


def _kept(like_BHQL: Tensor, drawn: Drawn) -> Tensor:
    """Return 1 / (1 - probability) where an attention probability is kept, else 0; [B, H, Q, L].

    If there are keys in front of the queries' own tokens (a prefix), they come first.
    """
    num_examples, num_heads, num_queries, num_keys = like_BHQL.shape
    device = like_BHQL.device
    example_B = torch.arange(num_examples, device=device) + drawn.first_example
    channel_HL = (
        torch.arange(num_heads, device=device)[:, None] * HEAD_STRIDE
        + torch.arange(num_keys, device=device)
    ).flatten()
    keep = keep_RC(
        drawn.key,
        example_B[:, None].expand(num_examples, num_queries).flatten(),
        torch.arange(num_queries, device=device).repeat(num_examples),
        channel_HL,
        drawn.probability,
    )
    keep_BQHL = keep.view(num_examples, num_queries, num_heads, num_keys)
    return keep_BQHL.transpose(1, 2).to(like_BHQL.dtype) / (1 - drawn.probability)
