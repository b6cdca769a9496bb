"""Training the rows of the word embedding that the task uses, and only those; exact.

A row whose token occurs in no training text never gets a gradient, so Adam's averages for it stay
0 and the only thing that a step does to it is weight decay: it is multiplied by 1 - rate * decay.
SGD does the same to it; other optimizers train the whole table (optimizer.ROW_BY_ROW).
The rows in use are trained as a small table of their own; the others get the product of these
factors when the whole table is needed. For full fine-tuning that spares the optimizer about half
of all parameters of a small model.
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
"""The place of a row that is not in use: to look it up is an error, never another row."""


class EmbeddingRows:
    """The rows of `table` that `ids` name, trained in its place while `compact` is active."""

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
        """What weight decay has made of each of the other rows, as a factor."""
        self._unused_before: Tensor | None = None

    @contextmanager
    def compact(self) -> Iterator[None]:
        """Let the rows stand for the table: its `weight` is theirs, its forward looks them up."""
        self._swap_in()
        try:
            yield
        finally:
            self._swap_out()

    @contextmanager
    def complete(self) -> Iterator[None]:
        """Within `compact`: the whole table, as trained so far, stands in its place again."""
        self._swap_out()
        try:
            yield
        finally:
            self._swap_in()

    def decayed(self, rate: float, weight_decay: float) -> None:
        """Note that a step of this learning rate was taken; `weight_decay` is that of the table."""
        self.factor *= 1 - rate * weight_decay

    def _swap_in(self) -> None:
        self.table.weight = self.rows
        self.table.forward = self._look_up  # type: ignore[method-assign]

    def _swap_out(self) -> None:
        with torch.no_grad():
            self.whole[self._used] = self.rows.detach()
            if self.factor != 1:
                # From the rows as they were at first, so that it does not matter how often.
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
    """Return the rows of a word embedding that `data` uses; None where there is nothing to gain.

    That is where the table is frozen, is not a plain one, or nearly all of it is in use. With
    `types_as_words` token types are looked up in it too, as GPT-2 does.
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
