"""A file or folder is either whole or unchanged, whatever fails while it is written."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.core import files
from peftlab.core.errors import StorageError
from peftlab.core.files import ASIDE, folder_at, remove_leftovers, whole_file, whole_folder


def write_file(path: Path, text: str) -> None:
    with whole_file(path) as stream:
        stream.write(text.encode())


def write_folder(path: Path, text: str) -> None:
    with whole_folder(path) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "text").write_text(text)


def content(path: Path) -> str:
    return (path / "inner" / "text" if path.is_dir() else path).read_text()


WAYS = [write_file, write_folder]


@pytest.mark.parametrize("write", WAYS)
def test_what_is_written_is_there_and_replaces_what_was(
    write: Callable[[Path, str], None], tmp_path: Path
) -> None:
    for text in ("old", "new"):
        write(tmp_path / "below" / "it", text)
        assert content(tmp_path / "below" / "it") == text
    assert [path.name for path in (tmp_path / "below").iterdir()] == ["it"]


@pytest.mark.parametrize("step", ["sync", "rename"])
@pytest.mark.parametrize("write", WAYS)
def test_after_a_fault_the_old_one_is_there_or_none_and_nothing_else(
    write: Callable[[Path, str], None],
    step: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    write(tmp_path / "it", "old")
    monkeypatch.setattr(files, step, fail)
    with pytest.raises(StorageError, match="cannot write: No space left"):
        write(tmp_path / "it", "new")
    assert [path.name for path in tmp_path.iterdir()] in (["it"], [])
    if write is write_file or step == "sync":
        assert content(tmp_path / "it") == "old"


def test_an_error_of_the_writer_leaves_the_old_file(tmp_path: Path) -> None:
    write_file(tmp_path / "it", "old")

    def interrupted() -> None:
        with whole_file(tmp_path / "it") as stream:
            stream.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert content(tmp_path / "it") == "old"


def test_what_a_dead_process_left_goes(tmp_path: Path) -> None:
    write_file(tmp_path / "kept", "x")
    (tmp_path / f"{ASIDE}1").write_text("half")
    (tmp_path / f"{ASIDE}2").mkdir()
    (tmp_path / f"{ASIDE}2" / "file").write_text("half")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


DIES_WRITING = """
import sys
from pathlib import Path
from peftlab.core.files import whole_file, whole_folder

with whole_folder(Path(sys.argv[1]) / "folder") as folder:
    (folder / "weights").write_text("half")
    with whole_file(Path(sys.argv[1]) / "file") as stream:
        stream.write(b"half")
        stream.flush()
        print("writing", flush=True)
        sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_what_a_killed_process_left_goes_with_the_next_write_and_what_is_being_written_stays(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", DIES_WRITING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        begun = {path.name for path in tmp_path.iterdir()}
        assert len(begun) == 2
        make_old(tmp_path)
        write_file(tmp_path / "other", "x")
        assert {path.name for path in tmp_path.iterdir()} == begun | {"other"}
        writer.kill()
    make_old(tmp_path)
    write_file(tmp_path / "other", "y")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def make_old(folder: Path) -> None:
    """Make the content of the folder look a minute old."""
    then = time.time() - 60
    for path in folder.iterdir():
        os.utime(path, (then, then))


def test_a_name_leads_to_a_folder_or_to_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert folder_at(str(tmp_path)) == tmp_path
    for name in ("a" * 5000, "~nobody-of-that-name/x", str(tmp_path / "file"), "a\0b", ""):
        assert folder_at(name) in {None, Path()}
