"""Entries of a cache on disk: folders of arrays that are there whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from peftlab.core.files import (
    aside_of,
    cannot_write,
    locked_folder,
    remove_abandoned,
    sync_files,
)


def write_entry(
    folder: Path, write: Callable[[Path], None], *, is_whole: Callable[[Path], bool]
) -> None:
    """Make `folder` what `write` puts into the empty folder that it is given.

    Written aside, synced, renamed. Several processes may do so at once: the first one to finish
    wins, the others' copies are dropped. A folder that is there but not whole is replaced. Raises
    StorageError where it cannot be written.
    """
    aside = aside_of(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder.parent)
        aside.mkdir()
        with locked_folder(aside):
            write(aside)
            sync_files(aside)
            if not is_whole(folder):
                shutil.rmtree(folder, ignore_errors=True)
            try:
                aside.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
