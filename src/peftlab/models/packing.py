"""Packing for stock transformers encoders: one row of tokens with no padding between examples.

A packed batch is one row of T tokens, the examples one after another. Positions restart at each
example, attention stays within it, and the classifier sees each example's first token only. The
model's own modules are used unchanged; three things are hooked in:

- an attention function of our own, registered with transformers under ATTENTION. It lays the
  tokens out as [B, L] for torch's scaled_dot_product_attention and takes them back, so that only
  attention itself (a few per cent of the work for short texts) still meets padding;
- position ids passed in by the caller;
- pooling: what the head reads is gathered from [1, T, D] to [B, 1, D] at the first tokens.

Legend: B examples, T tokens of all of them, L tokens of the longest, H heads, D width of a head
or of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

ATTENTION = "peftlab_packed"

# Who takes the first token of each example: the base model's pooler, or the head.
POOLED_BY_POOLER = frozenset({"bert"})
POOLED_BY_HEAD = frozenset({"roberta", "xlm-roberta", "camembert", "electra", "distilbert"})
POSITIONS_AFTER_PAD = frozenset({"roberta", "xlm-roberta", "camembert"})


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the examples of a packed batch lie, computed once a batch and used by every layer.

    `starts_B` is the index of each example's first token. `padded_T` maps token t to its place
    in the flattened [B, L]; `mask_B11L` is True where there is a token (None if all are full).
    """

    num_examples: int
    longest: int
    starts_B: Tensor
    padded_T: Tensor
    position_T: Tensor
    mask_B11L: Tensor | None

    @classmethod
    def of(cls, lengths_B: Tensor) -> Layout:
        """The layout of examples of these lengths (int64 [B], each at least 1)."""
        num_examples, longest = len(lengths_B), int(lengths_B.max())
        ends_B = lengths_B.cumsum(0)
        starts_B = ends_B - lengths_B
        example_T = torch.repeat_interleave(
            torch.arange(num_examples, device=lengths_B.device), lengths_B
        )
        position_T = torch.arange(len(example_T), device=lengths_B.device) - starts_B[example_T]
        steps_L = torch.arange(longest, device=lengths_B.device)
        full = bool((lengths_B == longest).all())
        return cls(
            num_examples=num_examples,
            longest=longest,
            starts_B=starts_B,
            padded_T=example_T * longest + position_T,
            position_T=position_T,
            mask_B11L=None if full else (steps_L < lengths_B[:, None])[:, None, None, :],
        )


def why_not_packed(model: PreTrainedModel) -> str | None:
    """None if the model can be packed, else the reason in a few words.

    >>> from transformers import AlbertConfig, AlbertForSequenceClassification
    >>> tiny = AlbertConfig(vocab_size=9, embedding_size=4, hidden_size=4,
    ...                     num_attention_heads=1, intermediate_size=4)
    >>> why_not_packed(AlbertForSequenceClassification(tiny))
    'the architecture albert is not among those that pack'
    """
    config = model.config
    if config.model_type not in POOLED_BY_POOLER | POOLED_BY_HEAD:
        return f"the architecture {config.model_type} is not among those that pack"
    if getattr(config, "is_decoder", False):
        return "the model is configured as a decoder"
    return None


class PackedModel:
    """A classifier (with any method on it) that takes packed batches.

    `base` is the transformers model under the method. Use `active` around the calls: outside of
    it the model is the stock one again.
    """

    def __init__(self, module: nn.Module, base: PreTrainedModel) -> None:
        reason = why_not_packed(base)
        if reason is not None:
            raise ValueError(reason)
        self.module = module
        self.base = base
        after_pad = base.config.model_type in POSITIONS_AFTER_PAD
        self._first_position = int(base.config.pad_token_id) + 1 if after_pad else 0
        self._layout: Layout | None = None

    def __call__(self, ids_T: Tensor, type_ids_T: Tensor | None, lengths_B: Tensor) -> Tensor:
        """Logits [B, C] of the examples that lie one after another in `ids_T`."""
        layout = Layout.of(lengths_B)
        self._layout = layout
        arguments: dict[str, Any] = {"input_ids": ids_T[None]}
        if type_ids_T is not None:
            arguments["token_type_ids"] = type_ids_T[None]
        position_ids = (layout.position_T + self._first_position)[None]
        output = self.module(**arguments, position_ids=position_ids, packed_layout=layout)
        logits_BC: Tensor = output.logits
        return logits_BC.reshape(layout.num_examples, -1)

    @contextmanager
    def active(self) -> Iterator[PackedModel]:
        """The model switched to packed attention and pooling, and back at the end."""
        before = self.base.config._attn_implementation
        self.base.set_attn_implementation(ATTENTION)
        handle = self._hook_pooling()
        try:
            yield self
        finally:
            handle.remove()
            self.base.set_attn_implementation(before)

    def _hook_pooling(self) -> Any:
        encoder = getattr(self.base, self.base.base_model_prefix)
        if self.base.config.model_type in POOLED_BY_POOLER:
            return encoder.pooler.register_forward_pre_hook(
                lambda module, inputs: (self._first_tokens(inputs[0]), *inputs[1:])
            )
        return encoder.register_forward_hook(self._pool_output)

    def _pool_output(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (self._first_tokens(output[0]), *output[1:])
        output["last_hidden_state"] = self._first_tokens(output["last_hidden_state"])
        return output

    def _first_tokens(self, hidden_1TD: Tensor) -> Tensor:
        assert self._layout is not None
        return hidden_1TD[0, self._layout.starts_B][:, None]


def packed_attention(
    module: nn.Module,
    query_1HTD: Tensor,
    key_1HTD: Tensor,
    value_1HTD: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    packed_layout: Layout,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention within each example; [1, T, H, D] as transformers' attention functions return.

    `attention_mask` is not used: transformers makes none for a name that has no mask function.
    """
    context_BHLD = scaled_dot_product_attention(
        _spread(query_1HTD, packed_layout),
        _spread(key_1HTD, packed_layout),
        _spread(value_1HTD, packed_layout),
        attn_mask=packed_layout.mask_B11L,
        dropout_p=dropout,
        scale=scaling,
    )
    context_NHD = context_BHLD.transpose(1, 2).flatten(0, 1)
    return context_NHD[packed_layout.padded_T][None], None


def _spread(x_1HTD: Tensor, layout: Layout) -> Tensor:
    """[1, H, T, D] laid out as [B, H, L, D], zeros where an example is short."""
    _, heads, _, width = x_1HTD.shape
    x_THD = x_1HTD[0].transpose(0, 1)
    spread = x_THD.new_zeros(layout.num_examples * layout.longest, heads, width)
    spread = spread.index_copy(0, layout.padded_T, x_THD)
    return spread.view(layout.num_examples, layout.longest, heads, width).transpose(1, 2)


AttentionInterface.register(ATTENTION, packed_attention)
