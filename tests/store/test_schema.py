"""A database is migrated to the version of this code, completely or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.store import schema
from peftlab.store.schema import VERSION, migrate


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "file.sqlite", isolation_level=None)
    yield connection
    connection.close()


def version(database: sqlite3.Connection) -> int:
    (found,) = database.execute("PRAGMA user_version").fetchone()
    return int(found)


def tables(database: sqlite3.Connection) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}


def test_an_empty_database_gets_every_table(database: sqlite3.Connection) -> None:
    migrate(database, where="here")
    assert version(database) == VERSION == len(schema.MIGRATIONS)
    assert {"studies", "trials", "placements", "evaluations"} <= tables(database)
    assert not database.in_transaction


def test_a_current_database_is_not_written(database: sqlite3.Connection) -> None:
    migrate(database, where="here")
    database.execute("PRAGMA query_only = ON")
    migrate(database, where="here")


def test_an_older_database_gets_what_it_lacks_and_keeps_what_it_has(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(database, where="here")
    database.execute("INSERT INTO studies (name, spec, saved_at) VALUES ('s', '{}', 'now')")
    steps = ("ALTER TABLE studies ADD COLUMN more TEXT;", "CREATE TABLE others (name TEXT);")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, *steps))
    monkeypatch.setattr(schema, "VERSION", VERSION + 2)
    migrate(database, where="here")
    assert version(database) == VERSION + 2
    rows = database.execute("SELECT name, spec, saved_at, more FROM studies").fetchall()
    assert rows == [("s", "{}", "now", None)]
    assert "others" in tables(database)


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(database, where="here")
    steps = ("CREATE TABLE others (name TEXT);", "ALTER TABLE nothing ADD COLUMN more TEXT;")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, *steps))
    monkeypatch.setattr(schema, "VERSION", VERSION + 2)
    with pytest.raises(sqlite3.OperationalError, match="nothing"):
        migrate(database, where="here")
    assert version(database) == VERSION
    assert "others" not in tables(database)
    assert not database.in_transaction


def test_a_newer_database_is_refused(database: sqlite3.Connection) -> None:
    database.execute(f"PRAGMA user_version = {VERSION + 3}")
    with pytest.raises(UserError, match=f"^here: the workspace has schema version {VERSION + 3}"):
        migrate(database, where="here")
    assert tables(database) == set()


def test_a_status_is_one_of_four(database: sqlite3.Connection) -> None:
    migrate(database, where="here")
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        database.execute("INSERT INTO trials (id, trial, status) VALUES ('a', '{}', 'lost')")


def test_a_study_that_goes_takes_its_placements_along(database: sqlite3.Connection) -> None:
    migrate(database, where="here")
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("INSERT INTO studies (name, spec, saved_at) VALUES ('s', '{}', 'now')")
    database.execute("INSERT INTO trials (id, trial, status) VALUES ('a', '{}', 'done')")
    database.execute("INSERT INTO placements VALUES ('s', 'a', 0, '[]')")
    database.execute("DELETE FROM studies")
    assert database.execute("SELECT count(*) FROM placements").fetchone() == (0,)
    assert database.execute("SELECT count(*) FROM trials").fetchone() == (1,)
