"""The database's tables, and how an older one becomes a newer one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from peftlab.core.errors import UserError
from peftlab.store.first_looks import add_looks
from peftlab.store.renewal import renew_ids
from peftlab.store.sql import transaction

# MIGRATIONS[n] turns version n into version n + 1; an empty database is version 0.
# A released entry is never edited: a change is a new entry. A ";" ends a statement, nothing else.
# What SQL cannot say is a function of the database.
MIGRATIONS: tuple[str | Callable[[sqlite3.Connection], None], ...] = (
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
    # What is counted and looked for stands in indexes: the rows themselves are long.
    """
    ALTER TABLE trials ADD COLUMN task TEXT;
    ALTER TABLE trials ADD COLUMN total_seconds REAL;
    UPDATE trials SET task = json_extract(trial, '$.task'),
        total_seconds = json_extract(costs, '$.total_seconds');
    CREATE INDEX trials_counted ON trials (id, status, task, total_seconds, ended_at);
    CREATE INDEX trials_by_status ON trials (status, ended_at);
    """,
    # What a study's trials followed from; the scores of held-out rows; trials that a search has
    # given up. What a column may hold cannot be changed, so the table is made anew.
    """
    ALTER TABLE studies ADD COLUMN basis TEXT;
    ALTER TABLE epochs ADD COLUMN held_out_loss REAL;
    ALTER TABLE epochs ADD COLUMN held_out_scores TEXT;
    CREATE TABLE newer_trials (
        id TEXT PRIMARY KEY,
        trial TEXT NOT NULL,
        status TEXT NOT NULL
            CHECK (status IN ('pending', 'running', 'done', 'failed', 'pruned')),
        error TEXT,
        costs TEXT,
        num_train_examples INTEGER,
        num_eval_examples INTEGER,
        provenance TEXT,
        started_at TEXT,
        ended_at TEXT,
        task TEXT,
        total_seconds REAL
    );
    INSERT INTO newer_trials SELECT id, trial, status, error, costs, num_train_examples,
        num_eval_examples, provenance, started_at, ended_at, task, total_seconds
        FROM trials ORDER BY rowid;
    DROP TABLE trials;
    ALTER TABLE newer_trials RENAME TO trials;
    CREATE INDEX trials_counted ON trials (id, status, task, total_seconds, ended_at);
    CREATE INDEX trials_by_status ON trials (status, ended_at);
    """,
    # Ids that leave out what is at its default; the trials are found by their earlier ids too.
    renew_ids,
    # What was declared when scores were shown, and of each trial when it was.
    add_looks,
    # Evaluations by their steps, the epoch a number with a fraction. Until then they were made at
    # the ends of epochs alone, and an epoch that max_steps had cut short counted as a whole. Its
    # fraction follows from the steps of the first epoch, if there are two, or else from the number
    # of examples; where neither is known it stays.
    """
    CREATE TABLE evaluations (
        trial_id TEXT NOT NULL REFERENCES trials (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        epoch REAL NOT NULL,
        train_loss REAL,
        eval_loss REAL,
        scores TEXT NOT NULL,
        held_out_loss REAL,
        held_out_scores TEXT,
        seconds REAL NOT NULL,
        step_losses BLOB NOT NULL,
        PRIMARY KEY (trial_id, step)
    ) WITHOUT ROWID;
    WITH cut_short AS (
        SELECT id, num_train_examples AS num_examples,
            json_extract(trial, '$.training.per_device_train_batch_size')
            * json_extract(trial, '$.training.gradient_accumulation_steps') AS size
        FROM trials
        WHERE json_valid(trial) AND json_extract(trial, '$.training.max_steps') > 0
    ),
    per_epoch AS (
        SELECT first.trial_id AS trial_id, CASE
            WHEN EXISTS (SELECT 1 FROM epochs WHERE trial_id = first.trial_id AND epoch = 2)
            THEN step ELSE (num_examples + size - 1) / size END AS steps
        FROM epochs AS first JOIN cut_short ON first.trial_id = id WHERE epoch = 1
    )
    INSERT OR REPLACE INTO evaluations
        SELECT trial_id, step, coalesce(1.0 * step / steps, epoch), train_loss, eval_loss, scores,
            held_out_loss, held_out_scores, seconds, step_losses
        FROM epochs LEFT JOIN per_epoch USING (trial_id) ORDER BY trial_id, epoch;
    DROP TABLE epochs;
    """,
)
VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection, *, where: str) -> None:
    """Bring the database to VERSION, in one transaction; connections are in autocommit mode.

    Several processes may do so at once: one does it, the others wait and find it done. Foreign
    keys must not be enforced yet: a table that is replaced would take along what refers to it.
    Raises UserError for a database that a newer peftlab wrote.
    """
    found = _version(connection)
    if found > VERSION:
        raise UserError(
            f"the workspace has schema version {found}, this peftlab knows {VERSION}",
            where=where,
            remedy="a newer peftlab, or another --workspace",
        )
    if found == VERSION:
        return
    connection.execute("PRAGMA foreign_keys = OFF")
    with transaction(connection):
        for migration in MIGRATIONS[_version(connection) :]:
            if isinstance(migration, str):
                for statement in migration.split(";"):
                    connection.execute(statement)
            else:
                migration(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
