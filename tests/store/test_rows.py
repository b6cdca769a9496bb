"""A damaged database is reported in one line that names the file, whatever the damage."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from peftlab.core.errors import StorageError, UserError
from peftlab.store.workspace import DATABASE, Workspace

READERS: dict[str, Callable[[Workspace], object]] = {
    "studies": lambda opened: opened.studies(),
    "spec": lambda opened: opened.spec("small-study"),
    "trials": lambda opened: opened.trials(),
    "trials of the study": lambda opened: opened.trials("small-study"),
    "status_counts": lambda opened: opened.status_counts("small-study"),
    "failures": lambda opened: opened.failures("small-study"),
    "results": lambda opened: [*opened.results("small-study")],
    "statuses": lambda opened: opened.statuses([]),
    "speeds": lambda opened: opened.speeds(),
    "digest of the results": lambda opened: opened.results_digest("small-study"),
}
DAMAGE = {
    "a trial that is no JSON": ("UPDATE trials SET trial = '{'", "trials"),
    "a trial without a task": ("UPDATE trials SET trial = '{}'", "trials"),
    "a number for a trial": ("UPDATE trials SET trial = 5", "trials"),
    "an id that leads elsewhere": ("UPDATE trials SET id = '../x' WHERE rowid = 1", "trials"),
    "costs of words": ('UPDATE trials SET costs = \'{"threads": "x"}\'', "trials"),
    "costs that are a list": ("UPDATE trials SET costs = '[]'", "trials"),
    "seconds beyond numbers": ("UPDATE trials SET total_seconds = 1e999", "status_counts"),
    "costs that are no JSON": ("UPDATE trials SET costs = '{'", "speeds"),
    "scores that are no JSON": ("UPDATE evaluations SET scores = 'high'", "results"),
    "results without a seed": ("UPDATE trials SET trial = '{}'", "results"),
    "an error of no text": (
        "UPDATE trials SET error = CAST(x'ff' AS TEXT)",
        "digest of the results",
    ),
    "a negative count": ("UPDATE trials SET num_train_examples = -1", "trials"),
    "no name": ("UPDATE studies SET name = ''", "studies"),
    "bytes that are no text": ("UPDATE trials SET error = CAST(x'ff' AS TEXT)", "trials"),
    "an error of bytes": ("UPDATE trials SET status = 'failed', error = x'00ff'", "failures"),
    "scores of words": ('UPDATE evaluations SET scores = \'{"f1": "high"}\'', "trials"),
    "no scores": ("UPDATE evaluations SET scores = '{}'", "trials"),
    "half a loss": ("UPDATE evaluations SET step_losses = x'0001'", "trials"),
    "a spec that is a list": ("UPDATE studies SET spec = '[1]'", "spec"),
    "arms that are a number": ("UPDATE placements SET arms = '3'", "trials of the study"),
    "a study of bytes": ("UPDATE placements SET study = x'00ff'", "trials"),
    "a status that there is not": ("UPDATE trials SET status = 'gone'", "statuses"),
    "an earlier id of bytes": ("INSERT INTO older_ids VALUES (x'00ff', '0')", "trials"),
    "an earlier id that leads elsewhere": ("INSERT INTO older_ids VALUES ('../x', '0')", "trials"),
    "a lost table": ("DROP TABLE evaluations", "trials"),
    "a lost column": ("ALTER TABLE studies DROP COLUMN spec", "spec"),
}


@pytest.fixture
def database(finished_workspace: Path, tmp_path: Path) -> Path:
    """The database of a workspace that may be damaged."""
    return Path(shutil.copy(finished_workspace / DATABASE, tmp_path / DATABASE))


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_line_that_names_the_file(damage: str, database: Path) -> None:
    statement, reader = DAMAGE[damage]
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute(statement)
    connection.close()
    with (
        Workspace.open(database.parent, create=False) as opened,
        pytest.raises(UserError) as caught,
    ):
        READERS[reader](opened)
    assert str(caught.value).startswith(f"{database}: the results cannot be read: ")
    assert "(try: restore an earlier copy, or another --workspace" in str(caught.value)


def test_whole_results_are_read_by_every_reader(database: Path) -> None:
    with Workspace.open(database.parent, create=False) as opened:
        for reader in READERS.values():
            reader(opened)


def test_a_write_that_the_database_refuses_is_one_line(database: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute(
        "CREATE TRIGGER refuses BEFORE UPDATE ON trials BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    connection.close()
    with Workspace.open(database.parent, create=False) as opened:
        trial = opened.trials()[0].trial.id
        with pytest.raises(StorageError, match=r"results.sqlite: cannot write: no; what was"):
            opened.fail(trial, "x")
