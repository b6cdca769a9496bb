"""Rows of dev that are in train too: a score on them shows what was memorised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import JsonValue

from peftlab.core.inputs import Example
from peftlab.core.words import counted

RowTexts = tuple[str, ...]
LEAK = "leak"
"""The key of a trial's provenance for the leak that was found when it was trained."""


@dataclass(frozen=True, kw_only=True)
class Leak:
    """The number of a split's `num_rows` rows that are in train as well.

    `exact` have the very texts of a row of train (of a pair both), `alike`, those among them, the
    same after lower-casing and with every run of blanks as one. `is_same_file` says that the
    split's file is that of train, under another name perhaps.
    """

    num_rows: int
    exact: int = 0
    alike: int = 0
    is_same_file: bool = False

    @property
    def is_any(self) -> bool:
        """Whether there is any leak to report."""
        return self.alike > 0 or self.is_same_file

    @property
    def share(self) -> float:
        """The share of the rows that are in train."""
        return self.alike / self.num_rows if self.num_rows else 0.0

    def words(self, split: str = "dev") -> str:
        """Return the finding in one sentence.

        >>> Leak(num_rows=20, exact=3, alike=5).words()
        '5 of 20 rows of dev are in train (3 exactly, 2 more after lower-casing and squeezing \
blanks)'
        """
        same = f"{split} is the file of train itself" if self.is_same_file else ""
        if not self.alike:
            return same or f"no row of {split} is in train"
        more = self.alike - self.exact
        how = "exactly" if not more else "after lower-casing and squeezing blanks"
        if more and self.exact:
            how = f"{self.exact:,} exactly, {more:,} more {how}"
        stand = "is" if self.alike == 1 else "are"
        found = (
            f"{self.alike:,} of {counted(self.num_rows, 'row')} of {split} {stand} in train ({how})"
        )
        return f"{same}: {found}" if same else found

    def to_json(self) -> dict[str, JsonValue]:
        """Return the JSON object that is stored with a trial."""
        return asdict(self)

    @classmethod
    def of(cls, values: Any) -> Leak | None:
        """Return the leak that was stored; None if the value is not one."""
        if not isinstance(values, Mapping):
            return None
        counts: list[Any] = [values.get(name) for name in ("num_rows", "exact", "alike")]
        if not all(type(count) is int and count >= 0 for count in counts):
            return None
        num_rows, exact, alike = counts
        return cls(
            num_rows=num_rows, exact=exact, alike=alike,
            is_same_file=values.get("is_same_file") is True,
        )  # fmt: skip


def find_leak(
    train: Sequence[Example], rows: Sequence[Example], *, is_same_file: bool = False
) -> Leak:
    """Return which of a split's rows are in train, in time and memory linear in the rows.

    >>> train = [Example(row_id=0, texts=("Good  film",), label=1)]
    >>> find_leak(train, [Example(row_id=0, texts=("good film",), label=1)]).alike
    1
    """
    exact = {row.texts for row in rows}
    exact.intersection_update(row.texts for row in train)
    wanted = [as_read(row.texts) for row in rows]
    alike = set(wanted)
    alike.intersection_update(as_read(row.texts) for row in train)
    return Leak(
        num_rows=len(rows),
        exact=sum(row.texts in exact for row in rows),
        alike=sum(texts in alike for texts in wanted),
        is_same_file=is_same_file,
    )


def num_contradictory(train: Sequence[Example]) -> tuple[int, tuple[int, int] | None]:
    """Return how many texts have more than one label, and the first two places."""
    first: dict[RowTexts, int] = {}
    contradictory: set[RowTexts] = set()
    example: tuple[int, int] | None = None
    for index, row in enumerate(train):
        texts = as_read(row.texts)
        before = first.setdefault(texts, index)
        if train[before].label != row.label:
            contradictory.add(texts)
            example = example or (before, index)
    return len(contradictory), example


def as_read(texts: RowTexts) -> RowTexts:
    """Return texts as a reader would compare them: without capitals, and with every run of blanks
    as one.

    >>> as_read(("Good\\t film ",))
    ('good film',)
    """
    return tuple(" ".join(text.lower().split()) for text in texts)
