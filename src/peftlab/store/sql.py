"""Queries and transactions, the same for every database of this project."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def query(database: sqlite3.Connection, sql: str, *values: object) -> list[dict[str, Any]]:
    """Return the rows of a query, by column."""
    cursor = database.execute(sql, values)
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor]


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Store all changes within the block, or none; the connection is in autocommit mode.

    No other process writes meanwhile.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
