"""Folds divide the rows of each label evenly, keep equal texts together, and never change."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftlab.core.errors import UserError
from peftlab.core.inputs import Example
from peftlab.data.folds import folds_cached, folds_of, require_folds

PINNED = [1, 4, 2, 1, 2, 1, 4, 3, 3, 1]


def rows_of(labels: list[Any], texts: list[str] | None = None) -> list[Example]:
    given_texts = texts or [f"text {number}" for number in range(len(labels))]
    return [
        Example(row_id=number, texts=(text,), label=label)
        for number, (text, label) in enumerate(zip(given_texts, labels, strict=True))
    ]


@given(counts=st.lists(st.integers(5, 40), min_size=1, max_size=4), num_folds=st.integers(2, 5))
def test_folds_have_as_many_rows_of_each_label_to_the_nearest_row(
    counts: list[int], num_folds: int
) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    found = folds_of(rows_of(labels), num_folds, digest="d")
    assert set(found.tolist()) == set(range(1, num_folds + 1))
    assert np.ptp(np.bincount(found)[1:]) <= 1
    for label in range(len(counts)):
        own = found[np.array(labels) == label]
        assert np.ptp(np.bincount(own, minlength=num_folds + 1)[1:]) <= 1


def test_rows_with_the_same_texts_are_in_one_fold() -> None:
    texts = [f"text {number % 30}" for number in range(60)]
    texts[0], texts[30] = "A  text", "a text"
    found = folds_of(rows_of([number % 2 for number in range(60)], texts), 5, digest="d")
    assert found[0] == found[30]
    assert all(found[row] == found[row + 30] for row in range(30))
    assert np.bincount(found)[1:].tolist() == [12] * 5


def test_folds_follow_from_the_digest_and_from_nothing_else() -> None:
    rows = rows_of([0, 1] * 20)
    one, again, other = (folds_of(rows, 4, digest=digest) for digest in ("d", "d", "e"))
    assert one.tolist() == again.tolist() != other.tolist()
    # Stored trials depend on them: another way to deal would be another study.
    assert one[:10].tolist() == PINNED


def test_scores_are_dealt_by_their_nearest_whole_number() -> None:
    labels = np.repeat(np.arange(5.0), 10) + 0.2
    found = folds_of(rows_of(labels.tolist()), 5, digest="d")
    of_each = Counter(zip(np.rint(labels).tolist(), found.tolist(), strict=True))
    assert set(of_each.values()) == {2}


@pytest.mark.parametrize(
    ("labels", "num_folds", "words"),
    [
        (
            [0] * 9 + [1] * 3,
            4,
            "4 folds need as many different rows of each label: there are 3 of the label 'good'",
        ),
        (
            [0] * 9 + [1],
            2,
            "2 folds need as many different rows of each label: there is 1 of the label 'good'",
        ),
        ([1.0, 2.5, 3.0], 4, "4 folds need as many different rows: there are 3"),
    ],
)
def test_more_folds_than_rows_of_the_smallest_class_are_refused(
    labels: list[Any], num_folds: int, words: str
) -> None:
    with pytest.raises(UserError, match=words) as refused:
        require_folds(rows_of(labels), num_folds, labels=("bad", "good"), where="s: folds")
    assert refused.value.allowed in {"2 to 3", "more rows, or no folds"}
    require_folds(rows_of([0, 1] * num_folds), num_folds, labels=("bad", "good"), where="s: folds")


def test_folds_are_read_again_from_the_cache_and_made_again_where_it_is_damaged(
    tmp_path: Path,
) -> None:
    rows = rows_of([0, 1] * 10)

    def cached(read: Any) -> list[int]:
        return list(folds_cached(read, 5, digest="d", key="k", cache=tmp_path))

    first = cached(lambda: rows)
    assert (
        first
        == cached(lambda: pytest.fail("it is in the cache"))
        == list(folds_of(rows, 5, digest="d"))
    )
    (entry,) = (tmp_path / "folds").glob("*/folds.npy")
    entry.write_bytes(b"no array")
    assert cached(lambda: rows) == first
