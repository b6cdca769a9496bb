"""A limit draws rows of every label from own files; from other data it takes the first."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftlab.core.inputs import Example, OwnFiles
from peftlab.data.demo.source import DemoSource
from peftlab.data.limited import drawn_rows, limit_key, limited
from peftlab.data.own_files import OwnSource
from peftlab.data.own_tasks import Asked, define
from peftlab.tasks.demo import SENTIMENT
from peftlab.tasks.registry import own_task
from peftlab.tasks.spec import Task

SORTED = np.array([0] * 60 + [1] * 30 + [2] * 10, dtype=np.int64)


def own(folder: Path, labels: list[Any], **changes: Any) -> tuple[OwnSource, Task]:
    path = folder / "sorted.jsonl"
    rows = [{"text": f"row {number}", "label": label} for number, label in enumerate(labels)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys = {"train": str(path), "dev": str(path), "text": ("text",), "label": ("label",)}
    files = OwnFiles.model_validate(keys | changes)
    return OwnSource(files), own_task("own", define(files, Asked(), where="own"))


def classes(rows: Any) -> Counter[Any]:
    return Counter(row.label for row in rows)


@pytest.mark.parametrize(
    ("limit", "of_labels"),
    [(10, [6, 3, 1]), (40, [24, 12, 4]), (3, [2, 1, 0]), (4, [2, 1, 1]), (99, [59, 30, 10])],
)
def test_every_label_has_its_share_to_the_nearest_row(limit: int, of_labels: list[int]) -> None:
    for seed in range(5):
        rows = drawn_rows(SORTED, limit, seed=seed)
        assert len(set(rows.tolist())) == limit
        assert rows.tolist() == sorted(rows.tolist())
        shares = np.bincount(SORTED[rows], minlength=3) - limit * np.array([0.6, 0.3, 0.1])
        assert np.abs(shares).max() < 1
    found = np.bincount(SORTED[drawn_rows(SORTED, limit, seed=1)], minlength=3)
    assert found.sum() == sum(of_labels)
    if limit in {10, 40}:
        assert found.tolist() == of_labels


def test_the_rows_are_those_of_this_seed_on_every_machine() -> None:
    assert drawn_rows(SORTED, 10, seed=42).tolist() == [7, 11, 12, 27, 44, 46, 61, 72, 85, 99]


@given(st.lists(st.integers(0, 5), min_size=2, max_size=60), st.integers(0, 2**63 - 1), st.data())
def test_the_rows_of_a_smaller_limit_are_among_those_of_a_larger_one(
    labels: list[int], seed: int, data: st.DataObject
) -> None:
    more = data.draw(st.integers(1, len(labels)))
    fewer = data.draw(st.integers(1, more))
    values = np.array(labels, dtype=np.int64)
    inner, outer = (set(drawn_rows(values, n, seed=seed).tolist()) for n in (fewer, more))
    assert inner <= outer
    assert (len(inner), len(outer)) == (fewer, more)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.data())
def test_the_shares_are_those_of_webster_written_out(
    counts: list[int], data: st.DataObject
) -> None:
    """The slow twin gives each next row to the label with the largest claim n / (2 j + 1)."""
    limit = data.draw(st.integers(1, sum(counts)))
    labels = np.repeat(np.arange(len(counts)), counts)
    given_rows = np.bincount(labels[drawn_rows(labels, limit, seed=3)], minlength=len(counts))
    claims = sorted((n / (2 * taken + 1) for n in counts for taken in range(n)), reverse=True)
    least = claims[limit - 1]
    for n, taken in zip(counts, given_rows.tolist(), strict=True):
        sure = sum(n / (2 * j + 1) > least + 1e-12 for j in range(n))
        possible = sum(n / (2 * j + 1) >= least - 1e-12 for j in range(n))
        assert sure <= taken <= possible


def test_scores_are_drawn_from_all_over_and_sets_of_labels_by_their_share() -> None:
    scores = np.arange(100, dtype=np.float64)
    rows = drawn_rows(scores, 20, seed=5)
    assert rows.min() < 25 < 75 < rows.max()
    assert rows.tolist() != drawn_rows(scores, 20, seed=6).tolist()
    sets = np.array([[1, 0]] * 60 + [[1, 1]] * 30 + [[0, 0]] * 10, dtype=np.int64)
    assert sets[drawn_rows(sets, 10, seed=1)].sum(axis=0).tolist() == [9, 3]


def test_rows_of_a_sorted_file_are_drawn_and_keep_their_places(tmp_path: Path) -> None:
    source, task = own(tmp_path, ["a"] * 50 + ["b"] * 50)
    whole = source.examples(task, "train")
    rows = limited(source, task, "train", 20)
    assert classes(rows) == {0: 10, 1: 10}
    assert all(whole[row.row_id] == row for row in rows)
    assert [row.row_id for row in rows] == sorted(row.row_id for row in rows)
    assert rows != limited(source, task, "dev", 20)
    assert rows == limited(source, task, "train", 20)
    other, _ = own(tmp_path, ["a"] * 50 + ["b"] * 50, split_seed=43)
    assert rows != limited(other, task, "train", 20)
    assert limit_key(source, 20) != limit_key(other, 20)


@pytest.mark.parametrize("limit", [None, 100, 101])
def test_a_limit_that_is_not_below_the_number_of_rows_cuts_nothing(
    limit: int | None, tmp_path: Path
) -> None:
    source, task = own(tmp_path, ["a"] * 50 + ["b"] * 50)
    assert limited(source, task, "train", limit) == source.examples(task, "train")


def test_rows_of_what_is_left_of_train_are_drawn_where_dev_is_cut_off(tmp_path: Path) -> None:
    source, task = own(tmp_path, ["a"] * 50 + ["b"] * 50, dev=None, dev_fraction=0.2)
    for split, limit in (("train", 40), ("dev", 10)):
        rows = limited(source, task, split, limit)
        assert classes(rows) == {0: limit // 2, 1: limit // 2}
        assert all(source.examples(task, split)[row.row_id] == row for row in rows)


def test_other_data_keep_their_first_rows() -> None:
    source, task = DemoSource(), SENTIMENT
    assert limited(source, task, "train", 7) == source.examples(task, "train")[:7]
    assert limit_key(source, 7) == "7"
    assert isinstance(limited(source, task, "dev", 7)[0], Example)
