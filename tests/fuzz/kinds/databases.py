"""The results' SQLite file, read by the commands that show results and by a run."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from peftlab.store.workspace import DATABASE
from tests.fuzz.judge import command
from tests.fuzz.kinds.base import Kind
from tests.fuzz.mutate import mutate_bytes
from tests.fuzz.trees import json_bytes, mutate_tree, nasty

COLUMNS = {
    "studies": ("name", "spec", "saved_at"),
    "trials": (
        "id", "trial", "status", "error", "costs", "num_train_examples", "num_eval_examples",
        "provenance", "started_at", "ended_at",
    ),
    "placements": ("study", "trial_id", "position", "arms"),
    "evaluations": (
        "trial_id", "step", "epoch", "train_loss", "eval_loss", "scores", "seconds",
        "step_losses",
    ),
}  # fmt: skip
STATEMENTS = (
    "DROP TABLE trials",
    "DROP TABLE evaluations",
    "DROP INDEX placements_by_trial",
    "DELETE FROM trials",
    "DELETE FROM evaluations",
    "DELETE FROM placements",
    "DELETE FROM evaluations WHERE step = 0",
    "PRAGMA user_version = 0",
    "PRAGMA user_version = 99",
    "PRAGMA user_version = -1",
    "ALTER TABLE trials ADD COLUMN more TEXT",
    "ALTER TABLE evaluations DROP COLUMN seconds",
    "ALTER TABLE studies RENAME TO studios",
    "CREATE TRIGGER t AFTER UPDATE ON trials BEGIN DELETE FROM trials; END",
    "CREATE TRIGGER t AFTER UPDATE ON trials BEGIN SELECT load_extension('x'); END",
    "UPDATE trials SET status = 'failed', error = NULL",
    "UPDATE trials SET status = 'pending'",
    "UPDATE trials SET status = 'running'",
    "UPDATE trials SET costs = NULL",
    "UPDATE placements SET position = 0",
)


class Databases(Kind):
    """The file's bytes are damaged, or one of its cells has a wrong value."""

    name = "database"
    share = 30

    @cached_property
    def plain(self) -> bytes:
        """Return the database as one file with small pages and no log."""
        place = self.world.root / "plain.sqlite"
        shutil.copy(self.world.workspace / DATABASE, place)
        connection = sqlite3.connect(place, isolation_level=None)
        for line in ("PRAGMA journal_mode = DELETE", "PRAGMA page_size = 1024", "VACUUM"):
            connection.execute(line).fetchall()
        connection.close()
        content = place.read_bytes()
        place.unlink()
        return content

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        database = folder / DATABASE
        if rng.random() < 0.4:
            database.write_bytes(mutate_bytes(self.plain, rng))
        else:
            database.write_bytes(self.plain)
            _edit(database, rng)
        for name in ("-wal", "-shm", "-journal"):
            if rng.random() < 0.03:
                Path(f"{database}{name}").write_bytes(rng.randbytes(rng.choice((0, 64, 8192))))
        place = ["--workspace", str(folder)]
        study = str(self.world.study_file)
        chosen = rng.choices(
            (
                ["status"],
                ["status", study],
                ["list", "trials"],
                ["list", "trials", "--json"],
                ["list", "studies"],
                ["report", _a_study(database, "fuzzed")],
                ["run", study, "--device", "cpu", "--set", "max_train_samples=8"],
                ["run", study, "--device", "cpu", "--dry-run"],
            ),
            (20, 20, 25, 25, 3, 6, 1, 3),
        )[0]
        return lambda: command([*chosen, *place])


def _edit(database: Path, rng: Random) -> None:
    """Change cells of a random row, or the schema."""
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        for pragma in ("foreign_keys = OFF", "ignore_check_constraints = ON"):
            connection.execute(f"PRAGMA {pragma}")
        for _ in range(rng.choice((1, 1, 2))):
            if rng.random() < 0.15:
                connection.execute(rng.choice(STATEMENTS))
            else:
                _edit_cell(connection, rng)
    except (sqlite3.Error, OverflowError, UnicodeEncodeError):
        pass  # SQLite takes no such value: the database stays as it is
    finally:
        connection.close()


def _edit_cell(connection: sqlite3.Connection, rng: Random) -> None:
    table = rng.choice(list(COLUMNS))
    column = rng.choice(COLUMNS[table])
    rows = connection.execute(f"SELECT {column} FROM {table}").fetchall()
    if not rows:
        return
    (old,) = rng.choice(rows)
    where = f"{column} IS ?" if rng.random() < 0.5 else "? IS NOT 'x'"
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (_cell(old, rng), old))


def _cell(old: Any, rng: Random) -> Any:
    """Return another value for a cell: changed JSON if it is JSON, else bytes, numbers, names."""
    if isinstance(old, str) and old[:1] in "[{" and rng.random() < 0.75:
        return json_bytes(mutate_tree(json.loads(old), rng)).decode()
    if isinstance(old, bytes) and rng.random() < 0.7:
        return mutate_bytes(old, rng)
    if isinstance(old, str) and rng.random() < 0.3:
        return mutate_bytes(old.encode(), rng).decode("utf-8", "replace")
    value = nasty(rng)
    return json_bytes(value) if isinstance(value, dict | list | tuple | bool) else value


def _a_study(database: Path, name: str) -> str:
    """Return the name of its first study, if it can be read."""
    try:
        connection = sqlite3.connect(database)
        try:
            found = connection.execute("SELECT name FROM studies").fetchone()
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError):
        return name
    usable = found and isinstance(found[0], str) and found[0] and not found[0].startswith("-")
    return found[0] if usable else name


KIND = Databases
