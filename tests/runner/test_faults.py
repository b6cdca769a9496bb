"""If nothing can be written, a study ends with a clear message and can be continued later."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from peftlab.core import files
from peftlab.core.errors import StorageError
from peftlab.store.workspace import DATABASE, Workspace
from peftlab.study.trials import Expanded
from tests.executing import execute

MakeStudy = Callable[..., Expanded]


class Faults:
    """A function that fails from its nth call on, and counts its calls."""

    def __init__(self, function: Callable[..., Any], error: Exception) -> None:
        self.function, self.error = function, error
        self.calls, self.first = 0, -1

    def __call__(self, *given: Any) -> Any:
        self.calls += 1
        if 0 < self.first <= self.calls:
            raise self.error
        return self.function(*given)


FULL = OSError(errno.ENOSPC, "No space left on device")
BROKEN = OSError(errno.EIO, "Input/output error")


def run(study: Expanded, folder: Path, make_listener: Any) -> None:
    with Workspace.open(folder) as workspace:
        execute(study, workspace, display=make_listener())


def stored(folder: Path) -> list[Any]:
    """Return what is stored of every trial, except what depends on time; nothing is incomplete."""
    found = []
    with Workspace.open(folder) as workspace:
        for record in workspace.trials():
            scores = [(one.epoch, one.eval_loss, one.step_losses) for one in record.evaluations]
            predictions = record.predictions_path and record.predictions_path.read_bytes()
            found.append((record.trial.id, record.status, scores, predictions))
    assert not list(folder.rglob(f"{files.ASIDE}*"))
    return found


@pytest.mark.parametrize(("name", "error"), [("sync", FULL), ("sync", BROKEN), ("rename", BROKEN)])
def test_a_fault_of_the_disk_ends_the_study_and_costs_nothing(
    name: str,
    error: OSError,
    tmp_path: Path,
    tiny_study: MakeStudy,
    make_listener: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = tiny_study(checkpoint_every="2 steps")
    faults = Faults(getattr(files, name), error)
    monkeypatch.setattr(files, name, faults)
    run(study, tmp_path / "whole", make_listener)
    whole, calls = stored(tmp_path / "whole"), faults.calls
    assert calls > 20

    folder = tmp_path / "faulty"
    for first in (1, 2, 3, 4, 5, 6, 7):
        faults.calls, faults.first = 0, first
        with pytest.raises(StorageError, match=f"cannot write: {error.strerror}"):
            run(study, folder, make_listener)
        statuses = [status for _, status, _, _ in stored(folder)]
        assert set(statuses) <= {"done", "pending"}
    faults.first = -1
    run(study, folder, make_listener)
    assert stored(folder) == whole


class FaultyConnection:
    """A database connection whose every nth writing statement fails."""

    def __init__(self, connection: sqlite3.Connection, words: str, nth: int) -> None:
        self._connection, self._words, self._left = connection, words, nth

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if sql.startswith(("INSERT", "UPDATE", "DELETE", "COMMIT")):
            self._left -= 1
            if self._left <= 0:
                raise sqlite3.OperationalError(self._words)
        return self._connection.execute(sql, *values)


@pytest.mark.parametrize(
    "words", ["database or disk is full", "disk I/O error", "attempt to write a readonly database"]
)
def test_a_fault_of_the_database_ends_the_study_and_costs_nothing(
    words: str, tmp_path: Path, tiny_study: MakeStudy, make_listener: Any
) -> None:
    study = tiny_study(arms={"bitfit": {"method": "bitfit"}})
    run(study, tmp_path / "whole", make_listener)
    folder = tmp_path / "faulty"
    for nth in range(1, 15, 2):
        with Workspace.open(folder) as workspace:
            faulty = FaultyConnection(workspace._connection, words, nth)
            workspace._connection = faulty  # type: ignore[assignment]
            with pytest.raises(StorageError, match=words):
                execute(study, workspace, display=make_listener())
    run(study, folder, make_listener)
    assert stored(folder) == stored(tmp_path / "whole")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the database as another program that writes would."""
    other = sqlite3.connect(folder / DATABASE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_a_database_that_another_program_holds(
    tmp_path: Path, tiny_study: MakeStudy, make_listener: Any
) -> None:
    study = tiny_study(arms={"bitfit": {"method": "bitfit"}})
    with Workspace.open(tmp_path) as workspace:
        workspace._connection.execute("PRAGMA busy_timeout = 100")
        with locked(tmp_path), pytest.raises(StorageError, match="database is locked"):
            execute(study, workspace, display=make_listener())
        execute(study, workspace, display=make_listener())
        assert [record.status for record in workspace.trials()] == ["done"]
