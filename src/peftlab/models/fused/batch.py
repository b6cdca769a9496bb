"""The origin of the rows of a packed batch, computed once per batch and read by every layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from peftlab.models.fused.attention import Spans
from peftlab.models.fused.recording import EXAMPLES, TOKENS, Given
from peftlab.models.fused.rows import Rows

Lengths = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class PackedBatch:
    """The examples, positions and token types of the rows, and the pooled tokens; int64.

    The pooled tokens are the first tokens of the examples.
    """

    token_rows: Rows
    pooled_rows: Rows
    token_spans: Spans
    pooled_spans: Spans
    pooled_B: Tensor
    type_T: Tensor

    @classmethod
    def of(
        cls,
        lengths_B: Lengths,
        *,
        type_ids_T: Tensor | None = None,
        first_example: int = 0,
        device: torch.device | str = "cpu",
    ) -> PackedBatch:
        """Return the batch of examples of these lengths, each at least 1.

        Token types are 0 if they are not given. `first_example` is the number of the first example
        within its step, which is more than 0 if a step's batch is computed in parts.
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
            token_rows=rows(example_T, position_T),
            pooled_rows=rows(example_B, np.zeros_like(example_B)),
            token_spans=spans(offsets),
            pooled_spans=spans(np.arange(num_examples + 1, dtype=np.int64)),
            pooled_B=torch.from_numpy(offsets[:-1].copy()).to(device),
            type_T=type_ids_T,
        )

    @classmethod
    def given(cls, given: Given) -> PackedBatch:
        """Return the placeholder for the batch with which a recording is played."""

        def integers(size: int) -> Tensor:
            return given.tensor(size, dtype=torch.int64)

        token_rows = Rows(example_R=integers(TOKENS), position_R=integers(TOKENS))
        pooled_rows = Rows(example_R=integers(EXAMPLES), position_R=integers(EXAMPLES))
        keys, queries, first = integers(EXAMPLES + 1), integers(EXAMPLES + 1), given.number()
        return cls(
            token_rows=token_rows,
            pooled_rows=pooled_rows,
            token_spans=Spans(query_offsets=keys, key_offsets=keys, first_example=first),
            pooled_spans=Spans(query_offsets=queries, key_offsets=keys, first_example=first),
            pooled_B=integers(EXAMPLES),
            type_T=integers(TOKENS),
        )

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors of the batch, in the order in which `given` takes them."""
        return [
            self.token_rows.example_R,
            self.token_rows.position_R,
            self.pooled_rows.example_R,
            self.pooled_rows.position_R,
            self.token_spans.key_offsets,
            self.pooled_spans.query_offsets,
            self.pooled_B,
            self.type_T,
        ]

    @property
    def first_example(self) -> int:
        """The number of the first example within its step."""
        return self.token_spans.first_example

    @property
    def num_examples(self) -> int:
        """The number of examples in the batch."""
        return self.pooled_B.shape[0]

    @property
    def rows(self) -> dict[int, Rows]:
        """The rows of the pooled tokens and the rows of all tokens, each by their number."""
        return {len(self.pooled_rows): self.pooled_rows, len(self.token_rows): self.token_rows}

    @property
    def last_B(self) -> Tensor:
        """The place of each example's last token, found anew: a program may be playing it."""
        ends_B = self.token_spans.key_offsets[1 : self.num_examples + 1]
        return ends_B.to(self.pooled_B.device) - 1
