"""Held-out rows are a share of every label, the same for all arms of a seed, and not trained."""

from __future__ import annotations

import numpy as np
import pytest

from peftlab.core.selection import Selection
from peftlab.data.encode import Encoded
from peftlab.data.held_out import is_held_out, strata, take

LABELS = np.array([0] * 60 + [1] * 30 + [2] * 10, dtype=np.int64)


def encoded(labels: np.ndarray) -> Encoded:
    """Return rows of 1, 2, 3, 1, 2, 3 ... tokens, each of which is its row's number."""
    lengths = np.arange(len(labels)) % 3 + 1
    ids = np.repeat(np.arange(len(labels)), lengths).astype(np.int32)
    return Encoded(
        ids=ids,
        type_ids=(ids % 2).astype(np.uint8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=labels,
        row_ids=np.arange(len(labels)) + 7,
        name="whole",
    )


def both_parts(data: Encoded, *, seed: int) -> list[Encoded]:
    """Return the rows for training, and a fifth that is held out."""
    chosen = is_held_out(data.labels, Selection(fraction=0.2), seed=seed)
    return [take(data, np.flatnonzero(own)) for own in (~chosen, chosen)]


@pytest.mark.parametrize(
    ("fraction", "of_labels"), [(0.1, [6, 3, 1]), (0.25, [15, 8, 2]), (0.01, [1, 0, 0])]
)
def test_every_label_has_its_share(fraction: float, of_labels: list[int]) -> None:
    chosen = is_held_out(LABELS, Selection(fraction=fraction), seed=1)
    assert np.bincount(LABELS[chosen], minlength=3).tolist() == of_labels
    assert chosen.sum() == Selection(fraction=fraction).num_held_out(100)


def test_the_rows_follow_from_the_seed_alone() -> None:
    selection = Selection(fraction=0.2)
    first, again, other = (is_held_out(LABELS, selection, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_both_parts_are_the_rows_themselves_in_their_order() -> None:
    data = encoded(LABELS)
    parts = both_parts(data, seed=3)
    both = np.concatenate([part.row_ids for part in parts])
    assert sorted(both) == data.row_ids.tolist()
    for part in parts:
        rows = part.row_ids - 7
        assert (np.diff(rows) > 0).all()
        assert part.labels.tolist() == LABELS[rows].tolist()
        assert part.lengths.tolist() == data.lengths[rows].tolist()
        assert part.ids.tolist() == np.repeat(rows, part.lengths).tolist()
        assert part.type_ids is not None
        assert part.type_ids.tolist() == (part.ids % 2).tolist()


def test_each_part_has_a_name_of_its_own_in_the_cache() -> None:
    data = encoded(LABELS)
    names = [part.name for seed in (1, 2) for part in both_parts(data, seed=seed)]
    assert len({data.name, *names}) == 5


def test_scores_are_held_out_by_their_nearest_whole_number() -> None:
    scores = np.repeat(np.arange(5.0), 20) + np.tile([0.0, 0.2, 0.4, -0.3], 25)
    chosen = is_held_out(scores, Selection(fraction=0.1), seed=1)
    assert np.bincount(np.rint(scores[chosen]).astype(int)).tolist() == [2] * 5


def test_rare_sets_of_labels_are_one_stratum() -> None:
    labels = np.array([[0, 1]] * 10 + [[1, 1]] * 9 + [[0, 0]] + [[1, 0]] * 30)
    kinds = strata(labels)
    assert len(set(kinds[:10])) == len(set(kinds[10:20])) == len(set(kinds[20:])) == 1
    assert len(set(kinds)) == 3
    assert is_held_out(labels, Selection(fraction=0.1), seed=2).sum() == 5


def test_scores_that_no_integer_holds_are_of_one_stratum_on_each_side() -> None:
    scores = np.array([-1e300, -1e20, 0.4, 1e20, 1e300])
    assert strata(scores).tolist() == [-(2**62), -(2**62), 0, 2**62, 2**62]
