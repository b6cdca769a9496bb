"""The database's tables, and how an older one becomes a newer one."""

from __future__ import annotations

import sqlite3

from peftlab.core.errors import UserError

# MIGRATIONS[n] turns version n into version n + 1; an empty database is version 0.
# A released entry is never edited: a change is a new entry.
MIGRATIONS = (
    """
    CREATE TABLE studies (
        name TEXT PRIMARY KEY,
        spec TEXT NOT NULL,
        saved_at TEXT NOT NULL
    );
    CREATE TABLE trials (
        id TEXT PRIMARY KEY,
        trial TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'done', 'failed')),
        error TEXT,
        costs TEXT,
        num_train_examples INTEGER,
        num_eval_examples INTEGER,
        provenance TEXT,
        started_at TEXT,
        ended_at TEXT
    );
    CREATE TABLE placements (
        study TEXT NOT NULL REFERENCES studies (name) ON DELETE CASCADE,
        trial_id TEXT NOT NULL REFERENCES trials (id),
        position INTEGER NOT NULL,
        arms TEXT NOT NULL,
        PRIMARY KEY (study, trial_id)
    );
    CREATE INDEX placements_by_trial ON placements (trial_id);
    CREATE TABLE epochs (
        trial_id TEXT NOT NULL REFERENCES trials (id) ON DELETE CASCADE,
        epoch INTEGER NOT NULL,
        step INTEGER NOT NULL,
        train_loss REAL,
        eval_loss REAL,
        scores TEXT NOT NULL,
        seconds REAL NOT NULL,
        step_losses BLOB NOT NULL,
        PRIMARY KEY (trial_id, epoch)
    ) WITHOUT ROWID;
    """,
)
VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, *, where: str) -> None:
    """Bring the database to VERSION, each step in one transaction.

    Raises UserError for a database that a newer peftlab wrote.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise UserError(
            f"the workspace has schema version {found}, this peftlab knows {VERSION}",
            where=where,
            allowed="a newer peftlab, or another --workspace",
        )
    for version in range(found, VERSION):
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[version]} PRAGMA user_version = {version + 1}; COMMIT;"
        )
