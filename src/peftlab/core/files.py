"""Files and folders that are there whole or not at all, whatever happens while they are written.

They are written under another name beside their place, synced to the disk and renamed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from peftlab.core.errors import StorageError
from peftlab.core.identity import file_sha256

DEFAULT_WORKSPACE = Path("peftlab-runs")
STUDY_SUFFIXES = (".yaml", ".yml")
"""The endings by which a study's name is recognised as a file."""
"""The folder of results where no other one is given."""
ASIDE = ".writing-"
"""The beginning of the names of unfinished files; a process that dies leaves them behind."""

BEGINS_WITHIN_SECONDS = 1.0
"""The time after its creation during which a name may still lack its writer's lock."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream whose content becomes the file; after an error the old one is untouched.

    Raises StorageError where it cannot be written.
    """
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent)
        with aside.open("wb") as stream:
            _lock(stream.fileno())
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
    """Yield an empty folder whose content becomes the folder, in place of an old one.

    Raises StorageError where it cannot be written.
    """
    aside = aside_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent)
        aside.mkdir()
        with locked_folder(aside):
            yield aside
            sync_files(aside)
            if path.exists():
                shutil.rmtree(path)
            rename(aside, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_whole_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into the folder, by their names in it, all of them or none.

    They are put in their places in their order, once all are on the disk: a process that dies
    between two of them leaves the last ones as they were. Raises OSError where they cannot be
    written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    aside = aside_of(folder / "files")
    try:
        aside.mkdir()
        with locked_folder(aside):
            for name, content in contents.items():
                path = aside / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            sync_files(aside)
            for name in contents:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                rename(aside / name, folder / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def folder_sha256(folder: Path) -> str:
    """Return a SHA-256 of the folder's files: of their names and of what is in them."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder).as_posix()}\n{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def folder_at(name: str) -> Path | None:
    """Return the folder of that name, with ~ expanded; None if there is none."""
    try:
        folder = Path(name).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):  # too long a name, an unknown user
        return None


def cannot_write(path: Path, error: OSError) -> StorageError:
    """Return the error for a result that could not be written."""
    return StorageError(f"cannot write: {error.strerror or error}", where=str(path))


def sync_files(folder: Path) -> None:
    """Sync every file below the folder to the disk."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb+") as stream:
                sync(stream.fileno())


def sync(descriptor: int) -> None:
    """Flush what was written to an open file to the disk."""
    os.fsync(descriptor)


def rename(source: Path, target: Path) -> None:
    """Move a file or folder to its place and sync the new name to the disk."""
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


def remove_abandoned(folder: Path) -> None:
    """Remove what processes that died have left half written, and nothing that is being written.

    Who writes holds a lock, which ends with the process. Where there are no locks nothing is done.
    """
    for aside in folder.glob(f"{ASIDE}*"):
        try:
            descriptor = os.open(aside, os.O_RDONLY)
        except OSError:  # gone by now, or somebody else's
            continue
        try:
            begun = time.time() - os.fstat(descriptor).st_mtime < BEGINS_WITHIN_SECONDS
            if not begun and _lock(descriptor):
                if aside.is_dir():
                    shutil.rmtree(aside, ignore_errors=True)
                else:
                    aside.unlink(missing_ok=True)
        except OSError:
            continue
        finally:
            os.close(descriptor)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold a new folder's lock, so that it is not taken for abandoned; do nothing on Windows."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Return whether the lock of an open file or folder is now ours; closing it ends the lock."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another holds it, or the file system has none
        return False
    return True


def aside_of(path: Path) -> Path:
    """Return a new name beside the place, under which its content is written first."""
    return path.with_name(f"{ASIDE}{uuid4().hex}")
