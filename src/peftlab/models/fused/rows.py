"""Where rows of a batch come from: which example of the batch, and which position in it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Rows:
    """R rows; int64 [R] each. `example_R` counts within the whole batch of a step."""

    example_R: Tensor
    position_R: Tensor

    def __len__(self) -> int:
        return len(self.example_R)
