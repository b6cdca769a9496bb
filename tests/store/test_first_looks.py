"""A workspace from before looks were stored has one look for each study that has results."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from peftlab.store.workspace import DATABASE, Workspace
from peftlab.study.declarations import look_at, placed_trial
from peftlab.study.stored_studies import stored_spec


@pytest.fixture
def older(finished_workspace: Path, tmp_path: Path) -> Path:
    """A copy of small-study in schema 4, with a study that has no results yet."""
    folder = Path(shutil.copytree(finished_workspace, tmp_path / "older"))
    with sqlite3.connect(folder / DATABASE) as database:
        for table in ("shown", "declarations"):
            database.execute(f"DROP TABLE {table}")
        database.execute("INSERT INTO studies VALUES ('empty', '{}', '2026-01-01', NULL)")
        database.execute("UPDATE trials SET ended_at = '2026-11-01T10:00:00+00:00'")
        database.execute(
            "UPDATE trials SET ended_at = '2026-11-02T10:00:00+00:00' "
            "WHERE id = (SELECT max(id) FROM trials)"
        )
        database.execute(
            "CREATE TABLE epochs (trial_id TEXT NOT NULL REFERENCES trials (id) ON DELETE CASCADE, "
            "epoch INTEGER NOT NULL, step INTEGER NOT NULL, train_loss REAL, eval_loss REAL, "
            "scores TEXT NOT NULL, seconds REAL NOT NULL, step_losses BLOB NOT NULL, "
            "held_out_loss REAL, held_out_scores TEXT, PRIMARY KEY (trial_id, epoch)) WITHOUT ROWID"
        )
        database.execute(
            "INSERT INTO epochs SELECT trial_id, epoch, step, train_loss, eval_loss, scores, "
            "seconds, step_losses, held_out_loss, held_out_scores FROM evaluations"
        )
        database.execute("DROP TABLE evaluations")
        database.execute("PRAGMA user_version = 4")
    database.close()
    return folder


def test_it_is_the_look_that_a_report_would_have_left(older: Path) -> None:
    """It has the claims by sweeps and tasks as today's code reads them from the spec."""
    with Workspace.open(older, create=False) as workspace:
        records = workspace.trials("small-study")
        (found,) = workspace.looks([record.trial.id for record in records])
        placed = [placed_trial(record, record.arms["small-study"]) for record in records]
        (at,) = set(found.shown.values())
        assert at.isoformat() == "2026-11-02T10:00:00+00:00"
        wanted = look_at(stored_spec(workspace, "small-study"), placed, at)
        wanted = replace(wanted, advice=frozenset())  # which is not read from what was stored then
        assert found == wanted or (found.id, found.shown) == (wanted.id, wanted.shown)
        assert len(found.claims) == 2 * 3, "each on both tasks, and on each alone"


def test_a_spec_that_cannot_be_read_leaves_the_trials_alone(older: Path) -> None:
    with sqlite3.connect(older / DATABASE) as database:
        database.execute("UPDATE studies SET spec = '[]'")
    database.close()
    with Workspace.open(older, create=False) as workspace:
        (found,) = workspace.looks(workspace.trial_ids("small-study"))
        assert (len(found.shown), found.claims) == (16, frozenset())
