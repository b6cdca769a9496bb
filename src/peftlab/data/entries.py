"""Entries of a cache on disk: folders of arrays that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4


def write_entry(
    folder: Path, write: Callable[[Path], None], *, is_whole: Callable[[Path], bool]
) -> None:
    """Make `folder` what `write` puts into the empty folder that it is given.

    Written aside, synced, renamed. Several processes may do so at once: the first one to finish
    wins, the others' copies are dropped. A folder that is there but not whole is replaced.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".writing-{uuid4().hex}")
    aside.mkdir()
    try:
        write(aside)
        for file in aside.iterdir():
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())
        if not is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
        try:
            aside.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
