"""A workspace that cannot be written is read, whatever state it was left in."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from peftlab.core.errors import StorageError, UserError
from peftlab.core.trial import Trial
from peftlab.store.lock import held
from peftlab.store.workspace import DATABASE, Workspace
from tests.unprivileged import nothing_written_below

MakeTrial = Callable[..., Trial]


def fill(workspace: Workspace, make_trial: MakeTrial) -> Trial:
    trial = make_trial()
    workspace.save_study("study", {"name": "study"}, [trial], {trial.id: ("arm",)})
    return trial


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_workspace_that_was_closed_is_read(tmp_path: Path, make_trial: MakeTrial) -> None:
    folder = tmp_path / "w"
    with Workspace.open(folder) as opened:
        trial = fill(opened, make_trial)
    before = files_of(folder)
    with nothing_written_below(folder):
        with Workspace.open(folder, create=False) as opened:
            assert opened.studies() == ["study"]
            assert [record.trial.id for record in opened.trials("study")] == [trial.id]
            assert len(opened.results_digest("study")) == 64
        assert files_of(folder) == before


def test_what_was_written_ahead_is_read_too(tmp_path: Path, make_trial: MakeTrial) -> None:
    """A killed run leaves it in this state, as does a run that goes on during a snapshot."""
    folder = tmp_path / "snapshot"
    with Workspace.open(tmp_path / "w") as opened:
        trial = fill(opened, make_trial)
        folder.mkdir()
        for name in (DATABASE, f"{DATABASE}-wal"):
            shutil.copyfile(tmp_path / "w" / name, folder / name)
    assert (folder / f"{DATABASE}-wal").stat().st_size > 0
    with nothing_written_below(folder), Workspace.open(folder, create=False) as opened:
        assert [record.trial.id for record in opened.trials("study")] == [trial.id]


def test_one_of_an_older_schema_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    Workspace.open(folder).close()
    database = sqlite3.connect(folder / DATABASE)
    query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid DESC"
    for (name,) in database.execute(query).fetchall():
        database.execute(f"DROP TABLE {name}")
    database.execute("PRAGMA user_version = 0")
    database.commit()
    database.close()
    before = files_of(folder)
    with nothing_written_below(folder), Workspace.open(folder, create=False) as opened:
        assert opened.studies() == []
    assert files_of(folder) == before


def test_who_wants_to_write_is_told_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    Workspace.open(folder).close()
    with nothing_written_below(folder):
        with pytest.raises(UserError) as caught:
            Workspace.open(folder)
        with pytest.raises(StorageError, match="cannot write"), held(folder, study="study"):
            pytest.fail("it is held")
    assert str(caught.value).startswith(
        f"{folder}: cannot use the workspace: nothing may be written there (try: another"
    )


def test_a_new_one_in_a_folder_that_may_not_be_written_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    with nothing_written_below(folder):
        for path in (folder, folder / "deeper"):
            with pytest.raises(UserError, match="cannot use the workspace"):
                Workspace.open(path)


@pytest.mark.parametrize("create", [True, False])
def test_a_database_of_no_bytes_beside_artifacts_is_damage(create: bool, tmp_path: Path) -> None:
    (tmp_path / "artifacts" / "0123456789ab").mkdir(parents=True)
    (tmp_path / DATABASE).touch()
    with pytest.raises(UserError) as caught:
        Workspace.open(tmp_path, create=create)
    assert str(caught.value) == (
        f"{tmp_path / DATABASE}: the results cannot be read: the file is empty, though trials have "
        "been run here (try: restore an earlier copy, or another --workspace)"
    )
    assert (tmp_path / DATABASE).stat().st_size == 0


def test_a_database_of_no_bytes_alone_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / DATABASE).touch()
    (tmp_path / "artifacts").mkdir()
    with pytest.raises(UserError, match="no results here yet"):
        Workspace.open(tmp_path, create=False)
    assert (tmp_path / DATABASE).stat().st_size == 0
    with Workspace.open(tmp_path) as opened:
        assert opened.studies() == []
