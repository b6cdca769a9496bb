"""Packed batches: one row of tokens with no padding between the examples.

The examples of a batch lie one after another in a row of T tokens. Positions restart at each
example, attention stays within it, and the classifier sees each example's first token only (of
decoders the last one, of some encoders the mean). The model's own modules and weights are used:

- for the architectures of fused/blocks.py, their modules are called one by one in the order that
  is written there, and those of the head behind them;
- for others, the model is called with an attention function that is registered with transformers
  under ATTENTION, and a hook that gathers the first tokens behind the encoder, or of decoders the
  last ones behind the head;
- dropout, while a packed model is active, is drawn by a counter (dropout.py).

Legend: B examples, T tokens of all of them, L tokens of the longest, H heads, D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from peftlab.models.architectures import POSITIONS_AFTER_PADDING, Pooling, pooling, why_padded
from peftlab.models.attention import Drawn, Padding, Scores, attend
from peftlab.models.dropout import CounterDropout
from peftlab.models.fused.attention import Attention, AttentionSettings, Heads, Spans
from peftlab.models.fused.blocks import READERS, blocks_of, embeddings_of, encoder_of
from peftlab.models.fused.embedding import embedding_of
from peftlab.models.fused.encoder import Encoder, Places
from peftlab.models.fused.jit import share_threads
from peftlab.models.fused.linear import share_storage
from peftlab.models.fused.rows import Rows
from peftlab.models.fused.tape import apply

ATTENTION = "peftlab_packed"

Lengths = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the examples of a packed batch lie, computed once a batch and used by every layer."""

    num_examples: int
    num_tokens: int
    places: Places
    last_B: Tensor
    """The place of each example's last token."""

    @classmethod
    def of(
        cls,
        lengths_B: Lengths,
        *,
        type_ids_T: Tensor | None = None,
        first_example: int = 0,
        device: str = "cpu",
    ) -> Layout:
        """The layout of examples of these lengths, each at least 1.

        Token types are 0 if they are not given. `first_example` is the number of the first one
        within its step, which is more than 0 where a step's batch is computed in parts.
        """
        num_examples = len(lengths_B)
        offsets = np.zeros(num_examples + 1, dtype=np.int64)
        np.cumsum(lengths_B, out=offsets[1:])
        example_B = np.arange(num_examples, dtype=np.int64)
        example_T = np.repeat(example_B, lengths_B)
        position_T = np.arange(offsets[-1], dtype=np.int64) - offsets[example_T]

        if type_ids_T is None:
            type_ids_T = torch.zeros(len(example_T), dtype=torch.int64, device=device)

        def rows(example: Lengths, position: Lengths) -> Rows:
            return Rows(
                example_R=torch.from_numpy(example + first_example).to(device),
                position_R=torch.from_numpy(position).to(device),
            )

        def spans(query_offsets: Lengths) -> Spans:
            return Spans(
                query_offsets=torch.from_numpy(query_offsets),
                key_offsets=torch.from_numpy(offsets),
                first_example=first_example,
            )

        return cls(
            num_examples=num_examples,
            num_tokens=int(offsets[-1]),
            places=Places(
                token_rows=rows(example_T, position_T),
                pooled_rows=rows(example_B, np.zeros_like(example_B)),
                token_spans=spans(offsets),
                pooled_spans=spans(np.arange(num_examples + 1, dtype=np.int64)),
                pooled_B=torch.from_numpy(offsets[:-1].copy()).to(device),
                type_T=type_ids_T,
            ),
            last_B=torch.from_numpy(offsets[1:] - 1).to(device),
        )

    @property
    def rows(self) -> dict[int, Rows]:
        """The batch's rows by their number: of the pooled tokens, and of all."""
        places = self.places
        return {self.num_examples: places.pooled_rows, self.num_tokens: places.token_rows}


def why_not_packed(model: PreTrainedModel) -> str | None:
    """None if the model can be packed, else the reason in a few words.

    >>> from transformers import MPNetConfig, MPNetForSequenceClassification
    >>> tiny = MPNetConfig(vocab_size=9, hidden_size=4, num_attention_heads=1, intermediate_size=4)
    >>> why_not_packed(MPNetForSequenceClassification(tiny))
    'mpnet: its attention, with a bias for each distance, is its own'
    """
    config: Any = model.config
    reason = why_padded(config.model_type)
    if (
        reason is None
        and pooling(config) is not Pooling.LAST
        and getattr(config, "is_decoder", False)
    ):
        return "the model is configured as a decoder"
    return reason


class PackedModel:
    """A classifier (with any method on it) that takes packed batches.

    `base` is the transformers model under the method. Use `active` around the calls: outside of
    it the model is the stock one again. With `fused` False the stock blocks are used also where
    fused ones are there, as their plain twin.
    """

    def __init__(
        self, module: nn.Module, base: PreTrainedModel, *, dropout_seed: int = 0, fused: bool = True
    ) -> None:
        reason = why_not_packed(base)
        if reason is not None:
            raise ValueError(reason)
        self.module = module
        self.base = base
        self.dropout = CounterDropout(module, dropout_seed)
        after_pad = base.config.model_type in POSITIONS_AFTER_PADDING
        self._first_position = int(base.config.pad_token_id) + 1 if after_pad else 0
        self.encoder = self._encoder() if fused else None
        self.pooling = pooling(base.config)
        self._layout: Layout | None = None
        self._last_logits_BC: Tensor | None = None

    def __call__(
        self,
        ids_T: Tensor,
        type_ids_T: Tensor | None,
        lengths_B: Lengths,
        *,
        step: int = 0,
        first_example: int = 0,
    ) -> Tensor:
        """Logits [B, C] of the examples that lie one after another in `ids_T`.

        `step` and `first_example` say which dropout masks are drawn in training.
        """
        self._begin(lengths_B, ids_T, type_ids_T, step, first_example)
        if self.encoder is None:
            return self._stock_logits(self._inputs(ids_T, type_ids_T))
        return self._head(self._encoded(self._embedded(ids_T, type_ids_T)))

    def states(
        self, ids_T: Tensor, type_ids_T: Tensor | None, lengths_B: Lengths, *, depth: int
    ) -> Tensor:
        """What the first `depth` blocks make of the examples, in eval mode, without gradients.

        [T, D], a row a token; where these are all blocks [B, D], a row an example: that of its
        pooled token, which is all that the classifier reads. Only for fused blocks.
        """
        self._begin(lengths_B, ids_T, type_ids_T)
        was_training = self.module.training
        self.module.eval()
        with torch.inference_mode():
            states = self._encoded(self._embedded(ids_T, type_ids_T), end=depth)
        self.module.train(was_training)
        return states

    def from_states(
        self,
        states_RD: Tensor,
        lengths_B: Lengths,
        *,
        depth: int,
        step: int = 0,
        first_example: int = 0,
    ) -> Tensor:
        """Logits [B, C] from what `states` with the same depth gave of the examples.

        The embeddings and the first `depth` blocks are passed by; dropout in the others is as ever.
        """
        self._begin(lengths_B, states_RD, None, step, first_example)
        return self._head(self._encoded(states_RD, first=depth))

    @property
    def layout(self) -> Layout:
        """The present batch's."""
        assert self._layout is not None, "a packed model is called with a batch first"
        return self._layout

    def _encoder(self) -> Encoder | None:
        """The blocks, and the embedding where nothing stands between it and them."""
        site_of = self.dropout.site_of
        blocks = blocks_of(self.base, site_of)
        if blocks is None:
            return None
        embeddings = embeddings_of(self.base)
        if len(embeddings) > 1:
            return Encoder(blocks, None)
        return Encoder(blocks, embedding_of(embeddings[0], self._first_position, site_of))

    @contextmanager
    def active(self) -> Iterator[PackedModel]:
        """The model switched to packed batches, and back at the end."""
        share_threads()
        before = self.base.config._attn_implementation
        with ExitStack() as stack:
            stack.enter_context(self.dropout.installed())
            if self.encoder is not None:
                groups = [group for block in self.encoder.blocks for group in block.joined]
                stack.enter_context(share_storage(groups))
                stack.callback(self.encoder.forget)
            else:
                self.base.set_attn_implementation(ATTENTION)
                stack.callback(self.base.set_attn_implementation, before)
                stack.callback(self._hook_pooling().remove)
            yield self

    def _stock_logits(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits [B, C] by the model's own forward."""
        if self.pooling is not Pooling.LAST:
            logits_BC: Tensor = self.module(**inputs, packed_model=self).logits
            return logits_BC.reshape(self.layout.num_examples, -1)
        # The logits that it gives are of one token of the row; the hook has those of all examples.
        self.module(**inputs, packed_model=self, use_cache=False)
        assert self._last_logits_BC is not None, "the head was called"
        logits_BC, self._last_logits_BC = self._last_logits_BC, None
        return logits_BC

    def _begin(
        self,
        lengths_B: Lengths,
        inputs: Tensor,
        type_ids_T: Tensor | None,
        step: int = 0,
        first_example: int = 0,
    ) -> None:
        """A batch of examples of these lengths comes next, on the device of `inputs`."""
        self._layout = Layout.of(
            lengths_B,
            type_ids_T=type_ids_T,
            first_example=first_example,
            device=str(inputs.device),
        )
        self.dropout.begin(step, self._layout.rows)

    def _inputs(self, ids_T: Tensor, type_ids_T: Tensor | None) -> dict[str, Tensor]:
        position_T = self.layout.places.token_rows.position_R + self._first_position
        inputs = {"input_ids": ids_T[None], "position_ids": position_T[None]}
        if type_ids_T is not None:
            inputs["token_type_ids"] = type_ids_T[None]
        return inputs

    def _embedded(self, ids_T: Tensor, type_ids_T: Tensor | None) -> Tensor:
        """The encoder's input, [T, D]: of the words alone where it adds the rest."""
        assert self.encoder is not None, "only fused blocks can be run in part"
        first, *others = embeddings_of(self.base)
        x_TD: Tensor
        if self.encoder.embedding is not None:
            x_TD = cast(Any, first).word_embeddings(ids_T)
            return x_TD
        x_TD = first(**self._inputs(ids_T, type_ids_T))[0]
        for module in others:
            x_TD = module(x_TD)
        return x_TD

    def _encoded(self, x_RD: Tensor, *, first: int = 0, end: int | None = None) -> Tensor:
        assert self.encoder is not None
        places, keys = self.layout.places, self.dropout.key
        return self.encoder.run(x_RD, places, keys, first=first, end=end)

    def _head(self, x_BD: Tensor) -> Tensor:
        """Logits [B, C] of the pooled tokens."""
        return READERS[self.base.config.model_type].head(self.base, x_BD)

    def _hook_pooling(self) -> Any:
        if self.pooling is Pooling.LAST:
            return cast(Any, self.base).score.register_forward_hook(self._keep_last)
        return encoder_of(self.base).register_forward_hook(self._pool_output)

    def _keep_last(self, module: nn.Module, inputs: Any, logits_1TC: Tensor) -> None:
        self._last_logits_BC = logits_1TC[0, self.layout.last_B]

    def _pool_output(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (self._pooled(output[0]), *output[1:])
        output["last_hidden_state"] = self._pooled(output["last_hidden_state"])
        return output

    def _pooled(self, hidden_1TD: Tensor) -> Tensor:
        """[B, 1, D]: to the classifier, examples of one token each."""
        places = self.layout.places
        if self.pooling is Pooling.FIRST:
            return hidden_1TD[0, places.pooled_B][:, None]
        example_T = places.token_rows.example_R - places.token_spans.first_example
        sum_BD = hidden_1TD.new_zeros(self.layout.num_examples, hidden_1TD.shape[2])
        sum_BD = sum_BD.index_add(0, example_T, hidden_1TD[0])
        length_B = self.layout.last_B - places.pooled_B + 1
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
    packed_model: PackedModel,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention within each example; [1, T, H, d] as transformers' attention functions return.

    `attention_mask` is not used: transformers makes none for a name that has no mask function.
    What our own kernels do not know (causality, windows, shared keys) is computed padded, by torch.
    """
    num_heads, width = query_1HTd.shape[1], query_1HTd.shape[3]
    source, layout = packed_model.dropout, packed_model.layout
    scores = Scores.of(module, width, scaling, options)
    key = source.key(source.site_of(module)) if dropout > 0 else 0
    tokens = tuple(x_1HTd[0].transpose(0, 1) for x_1HTd in (query_1HTd, key_1GTd, value_1GTd))
    spans = layout.places.token_spans
    padding = spans.key_padding(query_1HTd.device)
    if scores.is_plain(padding.longest) and query_1HTd.shape == key_1GTd.shape == value_1GTd.shape:
        settings = AttentionSettings(
            heads=Heads(count=num_heads, scale=scores.scale),
            spans=spans,
            key=key,
            probability=dropout,
        )
        context_TD = apply(Attention, settings, *(x_THd.flatten(1) for x_THd in tokens))
        return context_TD.unflatten(1, (num_heads, width))[None], None
    drawn = None
    if dropout > 0:
        drawn = Drawn(key=key, probability=dropout, first_example=spans.first_example)
    query_BHLd, key_BGLd, value_BGLd = (padding.pad(x_THd) for x_THd in tokens)
    seen = _seen(scores, padding)
    context_BHLd = attend(query_BHLd, key_BGLd, value_BGLd, seen, scores, drawn)
    return padding.unpad(context_BHLd)[None], None


def _seen(scores: Scores, padding: Padding) -> Tensor | None:
    """Which keys of the padded batch each query sees; causal attention never sees the padding."""
    seen_LL = scores.seen_LL(padding.longest, padding.place_T.device)
    is_real_B11L = None if scores.is_causal else padding.is_real_B11L
    if seen_LL is None or is_real_B11L is None:
        return is_real_B11L if seen_LL is None else seen_LL
    return is_real_B11L & seen_LL


AttentionInterface.register(ATTENTION, packed_attention)
