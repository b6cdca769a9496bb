"""Files and folders that are there whole or not at all, whatever happens while they are written.

They are written under another name beside their place, synced to the disk and renamed.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from peftlab.core.errors import StorageError

ASIDE = ".writing-"
"""How names begin under which something is being written; what a process that died left of it."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """What is written to the stream becomes the file; after an error the old one is untouched.

    Raises StorageError where it cannot be written.
    """
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as stream:
            yield stream
            stream.flush()
            sync(stream.fileno())
        rename(aside, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """What is written into the empty folder given becomes the folder, in place of an old one.

    Raises StorageError where it cannot be written.
    """
    aside = aside_of(path)
    try:
        aside.mkdir(parents=True)
        yield aside
        sync_files(aside)
        if path.exists():
            shutil.rmtree(path)
        rename(aside, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def folder_at(name: str) -> Path | None:
    """The folder that the name leads to, ~ filled in; None where it leads to none."""
    try:
        folder = Path(name).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):  # too long a name, an unknown user
        return None


def cannot_write(path: Path, error: OSError) -> StorageError:
    """The error that says so."""
    return StorageError(f"cannot write: {error.strerror or error}", where=str(path))


def sync_files(folder: Path) -> None:
    """Sync every file below the folder to the disk."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb+") as stream:
                sync(stream.fileno())


def sync(descriptor: int) -> None:
    """Have the disk hold what was written to an open file."""
    os.fsync(descriptor)


def rename(source: Path, target: Path) -> None:
    """Put a file or folder in its place; the disk holds the new name afterwards."""
    source.replace(target)
    if sys.platform != "win32":  # which cannot open a folder
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            sync(descriptor)
        finally:
            os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that died have left half written in the folder."""
    for aside in folder.glob(f"{ASIDE}*"):
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            with suppress(OSError):
                aside.unlink()


def aside_of(path: Path) -> Path:
    """A new name beside that place, under which it is written."""
    return path.with_name(f"{ASIDE}{uuid4().hex}")
