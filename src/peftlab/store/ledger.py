"""The user's own record of looks beside the workspaces' records, so that a new workspace hides
none.

It lies in $XDG_STATE_HOME/peftlab, else ~/.local/state/peftlab. Where it cannot be used the work
goes on without it. It is no write-ahead database as workspaces are: home folders are often on a
network disk, where those do not work, and what is written here is little.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from peftlab.core.errors import first_line
from peftlab.store.looks import TABLES, Look, news_of, read_looks, united, write_looks
from peftlab.store.reader import WorkspaceReader
from peftlab.store.sql import query, transaction

FILE = "looks.sqlite"
VERSION = 1
SECONDS = 5.0
"""The longest wait for another process that writes."""

FAILURES = (sqlite3.Error, OSError, RuntimeError, ValidationError, UnicodeError, ValueError)
"""The errors of a damaged or unusable file, and of an unknown home folder."""


def ledger_file() -> Path:
    """Return the ledger's file; raise RuntimeError if the user has no home folder."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    state = given if given.is_absolute() else Path.home() / ".local" / "state"
    return state / "peftlab" / FILE


def read_ledger(trial_ids: Iterable[str]) -> list[Look]:
    """Return this user's looks that showed one of these trials; none if they cannot be read."""
    try:
        path = ledger_file()
        if not path.is_file():
            return []
        with _opened(path, "ro") as database:
            return read_looks(partial(query, database), trial_ids)
    except FAILURES:
        return []


def known_looks(workspace: WorkspaceReader, trial_ids: Sequence[str]) -> tuple[Look, ...]:
    """Return the looks that showed one of these trials, from the workspace and the user's
    ledger."""
    return united(workspace.looks(trial_ids), read_ledger(trial_ids))


def write_ledger(looks: Sequence[Look]) -> str:
    """Store what is new in the looks; return why that failed, in words, or ""."""
    try:
        path = ledger_file()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _opened(path, "rwc") as database:
            _prepare(database)
            new = news_of(looks, partial(read_looks, partial(query, database)))
            if new:
                with transaction(database):
                    write_looks(database, new)
    except (OSError, RuntimeError) as error:  # which names the file, or says that there is no home
        return first_line(error)
    except FAILURES as error:
        return f"{path}: {first_line(error)}"
    return ""


@contextmanager
def _opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=SECONDS
    )
    try:
        database.execute("PRAGMA trusted_schema = OFF")
        yield database
    finally:
        database.close()


def _prepare(database: sqlite3.Connection) -> None:
    """Make the tables if they are missing; raise ValueError if a newer peftlab made them."""
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise ValueError("a newer peftlab wrote it")
    if found < VERSION:
        with transaction(database):
            for table in TABLES:
                database.execute(table)
            database.execute(f"PRAGMA user_version = {VERSION}")
