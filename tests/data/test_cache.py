"""A cache entry is either whole or absent, whoever writes it and whatever happens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from peftlab.core import files
from peftlab.core.errors import StorageError
from peftlab.data.cache import write_entry


def is_whole(folder: Path) -> bool:
    return (folder / "text").is_file() and (folder / "text").read_text() != ""


def write(folder: Path, text: str) -> None:
    write_entry(folder, lambda aside: put(aside, text), is_whole=is_whole)


def put(aside: Path, text: str) -> None:
    (aside / "text").write_text(text)


def test_an_entry_holds_what_was_written_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "cache" / "entry", "first")
    assert (tmp_path / "cache" / "entry" / "text").read_text() == "first"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["entry"]


def test_the_first_whole_entry_stays_and_a_broken_one_is_replaced(tmp_path: Path) -> None:
    write(tmp_path / "entry", "first")
    write(tmp_path / "entry", "second")
    assert (tmp_path / "entry" / "text").read_text() == "first"
    (tmp_path / "entry" / "text").write_text("")
    write(tmp_path / "entry", "third")
    assert (tmp_path / "entry" / "text").read_text() == "third"
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_every_file_is_synced_before_the_entry_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(
        files, "sync", lambda descriptor: seen.append((tmp_path / "entry").exists())
    )

    def two_files(aside: Path) -> None:
        put(aside, "first")
        (aside / "other").write_text("second")

    write_entry(tmp_path / "entry", two_files, is_whole=is_whole)
    assert seen == [False, False]


def test_what_a_killed_process_has_left_goes_with_the_next_write(tmp_path: Path) -> None:
    left = tmp_path / f"{files.ASIDE}1234"
    left.mkdir()
    put(left, "half")
    os.utime(left, (1, 1))
    write(tmp_path / "entry", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["entry"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(aside: Path) -> None:
        put(aside, "half")
        raise OSError("no space left on device")

    with pytest.raises(StorageError, match="no space left"):
        write_entry(tmp_path / "entry", fail, is_whole=is_whole)
    assert list(tmp_path.iterdir()) == []
