"""Rows become ragged token ids once, and are then memory-mapped from the cache."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from peftlab.core import files
from peftlab.core.errors import StorageError, UserError
from peftlab.core.inputs import Example
from peftlab.data import encode as encode_module
from peftlab.data.demo.source import DemoSource
from peftlab.data.encode import NO_LABEL, Encoded, TokenLists, encode, encode_cached
from peftlab.models.checkpoints import load_tokenizer
from peftlab.tasks.demo import PARAPHRASE

EXAMPLES = [
    Example(row_id=0, texts=("a bb ccc",), label=1),
    Example(row_id=1, texts=("", "dd"), label=None),
    Example(row_id=2, texts=("a", "a"), label=0),
]
ARRAYS = (*encode_module.DTYPES, "labels")


class WordLengths:
    """A tokenizer whose ids are the lengths of the words, and which counts its calls."""

    def __init__(self, fingerprint: str = "lengths", *, has_types: bool = True) -> None:
        self.fingerprint = fingerprint
        self.has_types = has_types
        self.sizes: list[int] = []

    def __call__(self, rows: Sequence[tuple[str, ...]], max_length: int) -> TokenLists:
        self.sizes.append(len(rows))
        pairs = [
            [(len(word), kind) for kind, text in enumerate(row) for word in text.split()]
            for row in rows
        ]
        cut = [row[:max_length] for row in pairs]
        return TokenLists(
            ids=[[length for length, _ in row] for row in cut],
            type_ids=[[kind for _, kind in row] for row in cut] if self.has_types else None,
        )


def same(one: Encoded, other: Encoded) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in ARRAYS
        if getattr(one, name) is not None or getattr(other, name) is not None
    )


def never() -> list[Example]:
    raise AssertionError("the rows were read again")


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "encoded").iterdir())


def test_rows_stand_one_after_another_with_their_offsets() -> None:
    data = encode(EXAMPLES, WordLengths(), max_length=128)
    assert data.ids.tolist() == [1, 2, 3, 2, 1, 1]
    assert data.type_ids is not None
    assert data.type_ids.tolist() == [0, 0, 0, 1, 0, 1]
    assert data.offsets.tolist() == [0, 3, 4, 6]
    assert data.lengths.tolist() == [3, 1, 2]
    assert data.labels.tolist() == [1, NO_LABEL, 0]
    assert data.row_ids.tolist() == [0, 1, 2]
    assert len(data) == 3


def test_the_arrays_have_the_stated_types() -> None:
    data = encode(EXAMPLES, WordLengths(), max_length=128)
    types = [getattr(data, name).dtype for name in ARRAYS]
    assert types == [np.int32, np.uint8, np.int64, np.int64, np.int64]


def test_a_row_is_cut_to_max_length_and_one_without_tokens_is_kept() -> None:
    examples = [EXAMPLES[0], Example(row_id=7, texts=("",), label=0), EXAMPLES[2]]
    data = encode(examples, WordLengths(), max_length=2)
    assert data.ids.tolist() == [1, 2, 1, 1]
    assert data.offsets.tolist() == [0, 2, 2, 4]
    assert data.row_ids.tolist() == [0, 7, 2]


def test_a_tokenizer_without_token_types_gives_none() -> None:
    assert encode(EXAMPLES, WordLengths(has_types=False), max_length=8).type_ids is None


def test_the_tokenizer_gets_so_many_rows_a_call_and_the_outcome_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = encode(EXAMPLES, WordLengths(), max_length=8)
    monkeypatch.setattr(encode_module, "ROWS_PER_CALL", 2)
    tokenizer = WordLengths()
    assert same(encode(EXAMPLES, tokenizer, max_length=8), whole)
    assert tokenizer.sizes == [2, 1]


def test_real_pairs_equal_a_slow_twin_that_encodes_one_at_a_time() -> None:
    tokenizer = load_tokenizer("minilm")
    examples = DemoSource().examples(PARAPHRASE, "dev")[:40]
    data = encode(examples, tokenizer, max_length=24)
    assert data.type_ids is not None
    for place, example in enumerate(examples):
        plain = tokenizer.tokenizer(*example.texts, truncation=True, max_length=24)
        span = slice(data.offsets[place], data.offsets[place + 1])
        assert data.ids[span].tolist() == plain["input_ids"]
        assert data.type_ids[span].tolist() == plain["token_type_ids"]
    assert data.labels.tolist() == [example.label for example in examples]
    assert data.lengths.max() <= 24


def test_the_second_time_neither_rows_nor_tokenizer_are_touched(tmp_path: Path) -> None:
    tokenizer = WordLengths()
    first = encode_cached(lambda: EXAMPLES, tokenizer, max_length=8, cache=tmp_path, key="rows")
    second = encode_cached(never, tokenizer, max_length=8, cache=tmp_path, key="rows")
    assert same(first, encode(EXAMPLES, WordLengths(), max_length=8))
    assert same(first, second)
    assert tokenizer.sizes == [3]


@pytest.mark.parametrize("has_types", [True, False])
def test_what_is_cached_is_mapped_and_cannot_be_written_to(has_types: bool, tmp_path: Path) -> None:
    data = encode_cached(
        lambda: EXAMPLES, WordLengths(has_types=has_types), max_length=8, cache=tmp_path, key="x"
    )
    assert (data.type_ids is not None) == has_types
    for name in ARRAYS:
        array = getattr(data, name)
        if array is not None:
            assert isinstance(array, np.memmap)
            assert not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        data.ids[0] = 0


@pytest.mark.parametrize(
    "change",
    [{"tokenizer": WordLengths("other")}, {"max_length": 2}, {"key": "other rows"}],
    ids=lambda change: next(iter(change)),
)
def test_another_tokenizer_length_or_key_is_another_entry(
    change: dict[str, object], tmp_path: Path
) -> None:
    usual: dict[str, object] = {"tokenizer": WordLengths(), "max_length": 8, "key": "rows"}
    read: list[int] = []

    def rows() -> list[Example]:
        read.append(1)
        return EXAMPLES

    for settings in (usual, usual | change, usual, usual | change):
        tokenizer, max_length, key = (settings[name] for name in ("tokenizer", "max_length", "key"))
        encode_cached(
            rows,
            tokenizer,  # type: ignore[arg-type]
            max_length=max_length,  # type: ignore[arg-type]
            cache=tmp_path,
            key=key,  # type: ignore[arg-type]
        )
    assert len(read) == 2
    assert len(entries(tmp_path)) == 2


def test_two_writers_at_once_leave_one_whole_entry(tmp_path: Path) -> None:
    both_are_there = threading.Barrier(2, timeout=20)

    def rows() -> list[Example]:
        both_are_there.wait()  # neither has looked for the entry after the other wrote it
        return EXAMPLES

    def write() -> Encoded:
        return encode_cached(rows, WordLengths(), max_length=8, cache=tmp_path, key="rows")

    with ThreadPoolExecutor(2) as pool:
        results = [future.result() for future in [pool.submit(write), pool.submit(write)]]
    assert all(same(result, encode(EXAMPLES, WordLengths(), max_length=8)) for result in results)
    (entry,) = entries(tmp_path)
    assert not entry.startswith(".")


@pytest.mark.parametrize("stage", ["reading", "writing"])
def test_a_failure_leaves_nothing_behind_and_the_next_call_works(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(read: Callable[[], Sequence[Example]]) -> Encoded:
        return encode_cached(read, WordLengths(), max_length=8, cache=tmp_path, key="rows")

    def fail(*args: object, **kwargs: object) -> list[Example]:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        if stage == "writing":
            broken.setattr(files, "sync", fail)
        kind = StorageError if stage == "writing" else OSError
        with pytest.raises(kind, match="no space left"):
            call(fail if stage == "reading" else lambda: EXAMPLES)
    assert not list(tmp_path.rglob("*.npy"))
    assert same(call(lambda: EXAMPLES), encode(EXAMPLES, WordLengths(), max_length=8))
    assert len(entries(tmp_path)) == 1


def test_an_entry_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "file").touch()
    encode_cached(lambda: EXAMPLES, WordLengths(), max_length=8, cache=tmp_path, key="rows")
    (entry,) = (tmp_path / "encoded").iterdir()
    assert entry.stat().st_mode == plain.stat().st_mode
    for array in entry.iterdir():
        assert array.stat().st_mode == (plain / "file").stat().st_mode


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def of_another_type(file: Path) -> None:
    np.save(file, np.load(file).astype(np.int16))


def one_value_less(file: Path) -> None:
    np.save(file, np.load(file)[:-1])


@pytest.mark.parametrize("damage", [Path.unlink, cut_short, empty, of_another_type, one_value_less])
@pytest.mark.parametrize("array", ARRAYS)
def test_a_damaged_entry_is_made_again(
    array: str, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    def call(read: Callable[[], Sequence[Example]]) -> Encoded:
        return encode_cached(read, WordLengths(), max_length=8, cache=tmp_path, key="rows")

    whole = encode(EXAMPLES, WordLengths(), max_length=8)
    assert same(call(lambda: EXAMPLES), whole)
    (entry,) = (tmp_path / "encoded").iterdir()
    damage(entry / f"{array}.npy")
    assert same(call(lambda: EXAMPLES), whole)
    assert same(call(never), whole), "the entry is whole again"
    assert entries(tmp_path) == [entry.name]


@pytest.mark.parametrize("token", [2**31, -(2**31) - 1, None])
def test_an_id_that_no_token_has_is_one_line(token: int | None) -> None:
    class Odd(WordLengths):
        def __call__(self, rows: Sequence[tuple[str, ...]], max_length: int) -> TokenLists:
            return TokenLists(ids=[[token] for _ in rows], type_ids=None)  # type: ignore[list-item]

    with pytest.raises(UserError, match="the tokenizer gives something that is not a token id"):
        encode(EXAMPLES, Odd(), max_length=8)


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ((None, 2.5, 3.0), np.array([np.nan, 2.5, 3.0])),
        ((None, (0, 1), (1, 1)), np.array([[NO_LABEL, NO_LABEL], [0, 1], [1, 1]])),
    ],
    ids=["scores", "several"],
)
def test_labels_of_other_kinds_are_kept_as_they_are(
    labels: tuple, kept: np.ndarray, tmp_path: Path
) -> None:
    rows = [Example(row_id=i, texts=("a",), label=label) for i, label in enumerate(labels)]
    for _ in range(2):
        found = encode_cached(lambda: rows, WordLengths(), max_length=9, cache=tmp_path, key="rows")
        assert found.labels.dtype == kept.dtype
        np.testing.assert_array_equal(found.labels, kept)
