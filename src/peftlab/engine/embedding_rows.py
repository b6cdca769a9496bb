"""The exact training of only those rows of the word embedding that the task uses.

A row whose token occurs in no training text never gets a gradient, so Adam's averages for it stay 0
and weight decay alone changes it: each step multiplies it by 1 - rate * decay. SGD does the same to
it; with other optimizers the whole table is trained (optimizer.ROW_BY_ROW). The rows in use are
trained as a small table of their own; the others are multiplied by the product of these factors
when the whole table is needed. In full fine-tuning this spares the optimizer about half of all
parameters of a small model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from peftlab.data.encode import Encoded

NOWHERE = -1
"""The index given to a row that is not in use: looking it up is an error, never another row."""


class EmbeddingRows:
    """The rows of `table` at `ids`, which are trained in place of the table within `compact`."""

    def __init__(self, table: nn.Embedding, ids: Tensor) -> None:
        self.table = table
        self.whole = table.weight
        used = torch.zeros(table.num_embeddings, dtype=torch.bool)
        used[ids] = True
        used = used.to(self.whole.device)
        self._used, self._unused = used.nonzero()[:, 0], (~used).nonzero()[:, 0]
        self._place = torch.where(used, used.cumsum(0) - 1, NOWHERE)
        self._padding: int | None = None
        if table.padding_idx is not None and bool(used[table.padding_idx]):
            self._padding = int(self._place[table.padding_idx])
        self.rows = nn.Parameter(self.whole.detach()[self._used].clone())
        self.factor = 1.0
        """The factor by which weight decay has multiplied each of the other rows."""
        self._unused_before: Tensor | None = None

    @contextmanager
    def compact(self) -> Iterator[None]:
        """Replace the table by the rows: they are its `weight`, and its forward looks them up."""
        self._swap_in()
        try:
            yield
        finally:
            self._swap_out()

    @contextmanager
    def complete(self) -> Iterator[None]:
        """Restore the whole table, as trained so far, for a while within `compact`."""
        self._swap_out()
        try:
            yield
        finally:
            self._swap_in()

    def decayed(self, rate: float, weight_decay: float) -> None:
        """Note that a step with this learning rate and the table's `weight_decay` was taken."""
        self.factor *= 1 - rate * weight_decay

    def _swap_in(self) -> None:
        self.table.weight = self.rows
        self.table.forward = self._look_up  # type: ignore[method-assign]

    def _swap_out(self) -> None:
        with torch.no_grad():
            self.whole[self._used] = self.rows.detach()
            if self.factor != 1:
                # Computed from the initial rows, so that it may be done any number of times.
                if self._unused_before is None:
                    self._unused_before = self.whole.detach()[self._unused]
                self.whole[self._unused] = self._unused_before * self.factor
        self.table.weight = self.whole
        del self.table.forward

    def _look_up(self, input: Tensor) -> Tensor:
        return embedding(self._place[input], self.rows, self._padding)


def rows_in_use(
    table: nn.Module, data: Encoded, *, types_as_words: bool = False
) -> EmbeddingRows | None:
    """Return the rows of a word embedding that `data` uses; None if there is nothing to gain.

    There is nothing to gain if the table is frozen, is not a plain one, or is used nearly whole.
    With `types_as_words`, token types are looked up in it too, as GPT-2 does.
    """
    if type(table) is not nn.Embedding or not table.weight.requires_grad:
        return None
    used = np.unique(data.ids)
    if types_as_words and data.type_ids is not None:
        used = np.union1d(used, data.type_ids)
    ids = torch.from_numpy(used.astype(np.int64))
    if 10 * len(ids) > 9 * table.num_embeddings:
        return None
    return EmbeddingRows(table, ids)
