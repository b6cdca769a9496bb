"""Texts turned into token ids, one row after another, and kept on disk by their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id
from peftlab.core.inputs import Example
from peftlab.core.interrupts import stop_if_requested
from peftlab.core.progress import stage
from peftlab.data.cache import write_entry
from peftlab.tasks.problem import Values

NO_LABEL = -1
FORMAT = 1
ROWS_PER_CALL = 8192

# The arrays of an entry of the cache. All of them are there: one that is missing was lost. A
# model without token types has an empty array of them.
DTYPES = {
    "ids": np.int32,
    "type_ids": np.uint8,
    "offsets": np.int64,
    "row_ids": np.int64,
}
LABELS = {(1, "int64"), (1, "float64"), (2, "int64")}
"""The dimensions and types that labels may have (tasks/problem.py)."""
NO_TYPES = np.empty(0, np.uint8)


@dataclass(frozen=True, kw_only=True)
class TokenLists:
    """The output of a tokenizer: ids of each, and token types where the model has them."""

    ids: list[list[int]]
    type_ids: list[list[int]] | None


class Tokenizer(Protocol):
    """A function from rows of one or two texts to token ids, with its fingerprint."""

    fingerprint: str

    def __call__(self, rows: Sequence[tuple[str, ...]], max_length: int) -> TokenLists:
        """Return token ids with special tokens, each row cut to `max_length`."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """N rows as token ids without padding: row i is ids[offsets[i]:offsets[i + 1]].

    ids int32 [T], type_ids uint8 [T] or None, offsets int64 [N + 1], row_ids int64 [N]; labels are
    classes int64 [N], scores float64 [N], or 0 and 1 int64 [N, C] (NO_LABEL, for scores NaN, where
    there are none). The arrays may be read-only file maps.
    `name` is that of their entry in the cache, by content; "" for rows that have none.
    """

    ids: npt.NDArray[np.int32]
    type_ids: npt.NDArray[np.uint8] | None
    offsets: npt.NDArray[np.int64]
    labels: Values
    row_ids: npt.NDArray[np.int64]
    name: str = ""

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of tokens in each row, int64 [N]."""
        return np.diff(self.offsets)


def encode(examples: Sequence[Example], tokenizer: Tokenizer, *, max_length: int) -> Encoded:
    """Return the examples' token ids, in their order."""
    ids, type_ids = [], []
    lengths: list[int] = []
    with stage("encoding", total=len(examples), unit="rows") as encoding:
        for start in range(0, len(examples), ROWS_PER_CALL):
            stop_if_requested()
            rows = [example.texts for example in examples[start : start + ROWS_PER_CALL]]
            lists = tokenizer(rows, max_length)
            lengths.extend(len(row) for row in lists.ids)
            try:
                ids.append(np.fromiter(chain.from_iterable(lists.ids), np.int32))
            except (OverflowError, TypeError) as error:
                raise UserError(
                    f"the tokenizer gives something that is not a token id: {error}"
                ) from error
            if lists.type_ids is not None:
                type_ids.append(np.fromiter(chain.from_iterable(lists.type_ids), np.uint8))
            encoding.advance(len(rows))
    return Encoded(
        ids=np.concatenate(ids),
        type_ids=np.concatenate(type_ids) if type_ids else None,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=labels_of(examples),
        row_ids=np.array([example.row_id for example in examples], dtype=np.int64),
    )


def encode_cached(
    read: Callable[[], Sequence[Example]],
    tokenizer: Tokenizer,
    *,
    max_length: int,
    cache: Path,
    key: str,
) -> Encoded:
    """Return the encoding of `read()`, kept in `cache` and mapped from there the next time.

    `key` identifies the examples; neither they nor the tokenizer are touched when the cache has
    them. Several processes may write at once: the first one to finish wins, the others' equal
    copies are dropped. An entry that is damaged is made again.
    """
    name = content_id([FORMAT, key, tokenizer.fingerprint, max_length], length=32)
    folder = cache / "encoded" / name
    found = _map(folder)
    if found is None:
        data = encode(read(), tokenizer, max_length=max_length)
        write_entry(
            folder,
            lambda aside: _write(data, aside),
            is_whole=lambda folder: _map(folder) is not None,
        )
        found = _map(folder)
        if found is None:  # another process is just replacing a damaged entry
            return replace(data, name=name)
    return found


def labels_of(examples: Sequence[Example]) -> Values:
    """Return the labels of all examples as one array, of the kind of any label that is there."""
    given = [example.label for example in examples]
    known = next((label for label in given if label is not None), NO_LABEL)
    if isinstance(known, tuple):
        none = (NO_LABEL,) * len(known)
        return np.array([none if label is None else label for label in given], dtype=np.int64)
    if isinstance(known, float):
        return np.array([np.nan if label is None else label for label in given], dtype=np.float64)
    return np.array([NO_LABEL if label is None else label for label in given], dtype=np.int64)


def _write(data: Encoded, folder: Path) -> None:
    for name in (*DTYPES, "labels"):
        array = getattr(data, name)
        np.save(folder / f"{name}.npy", NO_TYPES if array is None else array, allow_pickle=False)


def _map(folder: Path) -> Encoded | None:
    """Return the entry in that folder; None if there is none, or a damaged one."""
    try:
        arrays: dict[str, Any] = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in (*DTYPES, "labels")
        }
    except (OSError, ValueError, EOFError):
        return None
    num_tokens, num_rows = arrays["ids"].size, arrays["row_ids"].size
    sizes = {"ids": num_tokens, "offsets": num_rows + 1, "row_ids": num_rows}
    sizes["type_ids"] = num_tokens if arrays["type_ids"].size else 0
    if any(
        arrays[name].shape != (sizes[name],) or arrays[name].dtype != DTYPES[name]
        for name in DTYPES
    ):
        return None
    labels = arrays["labels"]
    if (labels.ndim, str(labels.dtype)) not in LABELS or len(labels) != num_rows:
        return None
    if arrays["offsets"][-1] != num_tokens:
        return None
    if num_tokens and not arrays["type_ids"].size:
        arrays["type_ids"] = None
    return Encoded(**arrays, name=folder.name)
