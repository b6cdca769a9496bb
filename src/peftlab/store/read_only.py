"""The results of a workspace that may not be written: another person's, a snapshot, a mounted disk.

SQLite reads a database that writes ahead only where it can make files beside it, and one of an
older schema must be brought to the present one. So a copy is read, held in memory.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

CODES = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
PRIMARY = 0xFF
"""The bits of an SQLite error code that give the kind of error."""


def may_not_be_written(error: sqlite3.Error) -> bool:
    """Return whether the error means that the database or its folder is not writable."""
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY in CODES


def connect_to_copy(
    database: Path, connect: Callable[[Path], sqlite3.Connection]
) -> sqlite3.Connection:
    """Return a connection to a copy of the database, with what was written ahead of it.

    `connect` opens it, and may write to it.
    """
    with TemporaryDirectory(prefix="peftlab-") as folder:
        copy = Path(folder) / database.name
        ahead = database.with_name(f"{database.name}-wal")
        shutil.copyfile(database, copy)
        if ahead.is_file():
            shutil.copyfile(ahead, copy.with_name(ahead.name))
        opened = connect(copy)
        held = sqlite3.connect(":memory:", isolation_level=None)
        try:
            opened.backup(held)
        except BaseException:
            held.close()
            raise
        finally:
            opened.close()
    return held
