"""States of rows are computed once, stored under a key of their inputs, and read row by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab.core.errors import StorageError
from peftlab.data import states as states_module
from peftlab.data.batches import Indices, gather
from peftlab.data.encode import Encoded
from peftlab.data.states import (
    EncodedWithStates,
    FrozenLayers,
    States,
    gather_states,
    with_states,
)

DATA = Encoded(
    ids=np.array([10, 11, 20, 30, 31, 32], np.int32),
    type_ids=None,
    offsets=np.array([0, 2, 3, 6], np.int64),
    labels=np.array([0, 1, 0], np.int64),
    row_ids=np.arange(3),
    name="rows",
)
TOKENS = FrozenLayers(model="f0", depth=1, width=2, is_pooled=False, computed="cpu")
POOLED = replace(TOKENS, depth=2, is_pooled=True)


class Layers:
    """A stand-in for a model that counts its calls: the state of a token is (id, row length)."""

    def __init__(self, *, is_pooled: bool = False) -> None:
        self.is_pooled = is_pooled
        self.calls: list[list[int]] = []

    def __call__(self, rows: Indices) -> States:
        self.calls.append(rows.tolist())
        ragged = gather(DATA, rows)
        states = np.stack([ragged.ids, np.repeat(ragged.lengths, ragged.lengths)], axis=1)
        if self.is_pooled:
            states = states[np.cumsum(ragged.lengths) - ragged.lengths]
        return states.astype(np.float32)


def never(rows: Indices) -> States:
    raise AssertionError("the states were computed again")


def of_tokens(cache: Path, compute: Callable[[Indices], States] | None = None) -> EncodedWithStates:
    return with_states(DATA, TOKENS, compute or Layers(), cache=cache)


def test_every_token_has_its_state_and_the_rows_are_as_they_were(tmp_path: Path) -> None:
    data = of_tokens(tmp_path)
    assert data.states.tolist() == [[10, 2], [11, 2], [20, 1], [30, 3], [31, 3], [32, 3]]
    assert data.states.dtype == np.float32
    assert (data.ids is DATA.ids, data.labels is DATA.labels, len(data)) == (True, True, 3)
    assert data.lengths.tolist() == DATA.lengths.tolist()


def test_where_they_are_pooled_every_row_has_one(tmp_path: Path) -> None:
    data = with_states(DATA, POOLED, Layers(is_pooled=True), cache=tmp_path)
    assert data.states.tolist() == [[10, 2], [20, 1], [30, 3]]
    assert gather_states(data, np.array([2, 0, 2])).tolist() == [[30, 3], [10, 2], [30, 3]]


@pytest.mark.parametrize("rows", [[0], [2, 0], [1, 1, 2]])
def test_gathered_states_stand_as_the_gathered_tokens_do(rows: list[int], tmp_path: Path) -> None:
    data = of_tokens(tmp_path)
    states = gather_states(data, np.array(rows))
    ragged = gather(data, np.array(rows))
    assert states[:, 0].tolist() == ragged.ids.tolist()
    states[:] = 0  # a copy: what is kept stays as it is
    assert data.states[0].tolist() == [10, 2]


def test_few_rows_are_computed_at_a_time_and_the_outcome_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = of_tokens(tmp_path / "whole")
    monkeypatch.setattr(states_module, "TOKENS_PER_CALL", 3)
    layers = Layers()
    parts = of_tokens(tmp_path / "parts", layers)
    assert layers.calls == [[0, 1], [2]]
    assert np.array_equal(parts.states, whole.states)


def test_the_second_time_they_are_mapped_and_cannot_be_written_to(tmp_path: Path) -> None:
    first, second = of_tokens(tmp_path), of_tokens(tmp_path, never)
    assert np.array_equal(first.states, second.states)
    for data in (first, second):
        assert isinstance(data.states, np.memmap)
        assert not data.states.flags.writeable


@pytest.mark.parametrize(
    "change", [{"model": "f1"}, {"depth": 2}, {"is_pooled": True}, {"computed": "cuda"}], ids=str
)
def test_another_model_depth_or_way_is_another_entry(
    change: dict[str, Any], tmp_path: Path
) -> None:
    of_tokens(tmp_path)
    frozen = replace(TOKENS, **change)
    layers = Layers(is_pooled=frozen.is_pooled)
    with_states(DATA, frozen, layers, cache=tmp_path)
    assert layers.calls == [[0, 1, 2]]
    assert len(list((tmp_path / "frozen").iterdir())) == 2


def test_other_rows_are_another_entry(tmp_path: Path) -> None:
    of_tokens(tmp_path)
    layers = Layers()
    with_states(replace(DATA, name="other rows"), TOKENS, layers, cache=tmp_path)
    assert layers.calls == [[0, 1, 2]]


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def of_another_type(file: Path) -> None:
    np.save(file, np.load(file).astype(np.float64))


def one_row_less(file: Path) -> None:
    np.save(file, np.load(file)[:-1])


@pytest.mark.parametrize("damage", [Path.unlink, cut_short, of_another_type, one_row_less])
def test_a_damaged_entry_is_made_again(damage: Callable[[Path], None], tmp_path: Path) -> None:
    whole = of_tokens(tmp_path).states.tolist()
    (entry,) = (tmp_path / "frozen").iterdir()
    damage(entry / "states.npy")
    assert of_tokens(tmp_path).states.tolist() == whole
    assert of_tokens(tmp_path, never).states.tolist() == whole, "the entry is whole again"
    assert [path.name for path in (tmp_path / "frozen").iterdir()] == [entry.name]


def test_a_failure_half_way_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states_module, "TOKENS_PER_CALL", 3)
    layers = Layers()

    def fail(rows: Indices) -> States:
        if layers.calls:
            raise OSError("no space left on device")
        return layers(rows)

    with pytest.raises(StorageError, match="no space left"):
        of_tokens(tmp_path, fail)
    assert list((tmp_path / "frozen").iterdir()) == []
    assert len(of_tokens(tmp_path).states) == 6


def test_rows_from_no_cache_have_no_name_to_keep_states_by(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no name"):
        with_states(replace(DATA, name=""), TOKENS, Layers(), cache=tmp_path)
