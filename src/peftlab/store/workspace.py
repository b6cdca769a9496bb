"""The folder where results live: one SQLite file, the artifacts of trials, a cache."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from peftlab.core.errors import StorageError, UserError
from peftlab.core.identity import canonical_json
from peftlab.core.measurements import Costs, Evaluation
from peftlab.core.process import search_put_off
from peftlab.core.trial import Trial
from peftlab.store.looks import Look, news_of, write_looks
from peftlab.store.read_only import connect_to_copy, may_not_be_written
from peftlab.store.reader import ARTIFACTS, DATABASE, UNREADABLE, WorkspaceReader
from peftlab.store.records import CHECKPOINTS_FOLDER, Status
from peftlab.store.rows import damaged, stored_losses
from peftlab.store.schema import migrate
from peftlab.store.sql import transaction


class Workspace(WorkspaceReader):
    """Studies and trials on disk. One process writes; any number may read beside it.

    `may_be_written` is False where a copy is read (read_only.py).
    """

    may_be_written = True

    @classmethod
    def open(cls, path: Path, *, create: bool = True) -> Workspace:
        """Return the workspace in that folder, which is made if it is missing and `create` is set.

        Without `create` one that may not be written is read, as it is now (read_only.py). Raises
        UserError where there is none, or none that this version can read.
        """
        try:
            path = path.expanduser().absolute()
            database = path / DATABASE
            _refuse_lost(path)
            if not create and (not database.is_file() or _is_begun(database)):
                raise UserError(
                    "no results here yet",
                    where=str(path),
                    remedy="--workspace with a folder that 'peftlab run' has written",
                )
            path.mkdir(parents=True, exist_ok=True)
            try:
                return cls(path, _connect(database))
            except sqlite3.OperationalError as error:
                if not may_not_be_written(error):
                    raise
                if create:
                    raise _read_only(path) from error
                copied = cls(path, connect_to_copy(database, _connect))
                copied.may_be_written = False
                return copied
        except (OSError, RuntimeError, *UNREADABLE) as error:  # too long a name, an unknown user
            raise UserError(
                f"cannot use the workspace: {error}", where=str(path), remedy="another --workspace"
            ) from error

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Studies

    @search_put_off()
    def save_study(
        self,
        name: str,
        spec: Mapping[str, JsonValue],
        trials: Sequence[Trial],
        placements: Mapping[str, tuple[str, ...]],
        *,
        basis: str = "",
    ) -> None:
        """Store the study's spec and its trials in plan order, with each one's arm names.

        `basis` is a hash of all that they follow from. A trial that is known keeps all it has.
        Trials that the study no longer holds stay.
        """
        spec_text = json.dumps(spec, allow_nan=False)
        placed = [(trial.id, json.dumps(placements[trial.id])) for trial in trials]
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO trials (id, trial, task, status) VALUES (?, ?, ?, 'pending') "
                "ON CONFLICT (id) DO UPDATE SET trial = excluded.trial "
                "WHERE trial <> excluded.trial",
                [(trial.id, trial.model_dump_json(), trial.task) for trial in trials],
            )
            if self._is_saved(name, spec_text, placed):
                database.execute("UPDATE studies SET basis = ? WHERE name = ?", (basis, name))
                return
            database.execute(
                "INSERT INTO studies (name, spec, saved_at, basis) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, "
                "saved_at = excluded.saved_at, basis = excluded.basis",
                (name, spec_text, _now(), basis),
            )
            database.execute("DELETE FROM placements WHERE study = ?", (name,))
            database.executemany(
                "INSERT INTO placements VALUES (?, ?, ?, ?)",
                [(name, trial_id, number, arms) for number, (trial_id, arms) in enumerate(placed)],
            )

    # Trials, written

    def reset_running(self) -> None:
        """Make the trials pending again that an ended process left as running."""
        with self._transaction() as database:
            database.execute("UPDATE trials SET status = 'pending' WHERE status = 'running'")

    def remove_spent_checkpoints(self) -> None:
        """Remove the checkpoints that an ended process left of trials that it had just finished.

        May be called while another process writes here.
        """
        if any((self.path / ARTIFACTS).glob(f"*/{CHECKPOINTS_FOLDER}")):
            for row in self._query("SELECT id FROM trials WHERE status IN ('done', 'pruned')"):
                self._remove_checkpoints(row["id"])

    def start(self, trial_id: str, provenance: Mapping[str, JsonValue]) -> None:
        """Store that the trial begins; remove what an attempt left unless it can be resumed.

        Its evaluations go in any case: a trial that is resumed tells them again.
        """
        folder = self.artifacts(trial_id)
        if not (folder / CHECKPOINTS_FOLDER).is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        with self._transaction() as database:
            database.execute("DELETE FROM evaluations WHERE trial_id = ?", (trial_id,))
            database.execute(
                "UPDATE trials SET status = 'running', error = NULL, costs = NULL, "
                "total_seconds = NULL, provenance = ?, started_at = ?, ended_at = NULL "
                "WHERE id = ?",
                (canonical_json(provenance), _now(), trial_id),
            )

    def add_evaluation(self, trial_id: str, evaluation: Evaluation) -> None:
        """Store an evaluation of the trial; one of the same step is replaced."""
        held_out_scores = dict(evaluation.held_out_scores)
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    trial_id,
                    evaluation.step,
                    evaluation.epoch,
                    evaluation.train_loss,
                    evaluation.eval_loss,
                    json.dumps(dict(evaluation.scores)),
                    evaluation.held_out_loss,
                    json.dumps(held_out_scores) if held_out_scores else None,
                    evaluation.seconds,
                    stored_losses(evaluation.step_losses),
                ),
            )

    def finish(
        self, trial_id: str, costs: Costs, *, num_train_examples: int, num_eval_examples: int
    ) -> None:
        """Store that the trial is done; its checkpoints, no longer needed, are removed."""
        self._measured(trial_id, "done", costs, num_train_examples, num_eval_examples)
        self._remove_checkpoints(trial_id)

    def pause(
        self, trial_id: str, costs: Costs, *, num_train_examples: int, num_eval_examples: int
    ) -> None:
        """Store that the trial pauses after an evaluation, and its costs so far."""
        self._measured(trial_id, "pending", costs, num_train_examples, num_eval_examples)

    def prune(self, trial_id: str) -> None:
        """Store that a search has given up the paused trial; its measurements are kept."""
        with self._transaction() as database:
            database.execute("UPDATE trials SET status = 'pruned' WHERE id = ?", (trial_id,))
        self._remove_checkpoints(trial_id)

    def fail(self, trial_id: str, error: str) -> None:
        """Store that the trial has failed and why, in words; its evaluations so far are kept."""
        with self._transaction() as database:
            database.execute(
                "UPDATE trials SET status = 'failed', error = ?, ended_at = ? WHERE id = ?",
                (error, _now(), trial_id),
            )

    def interrupt(self, trial_id: str) -> None:
        """Store that the trial was stopped from outside; the next run continues it."""
        with self._transaction() as database:
            database.execute("UPDATE trials SET status = 'pending' WHERE id = ?", (trial_id,))

    # Looks

    def add_looks(self, looks: Sequence[Look]) -> None:
        """Store what is new in the looks, as readers may too; raise StorageError if that fails."""
        new = news_of(looks, self.looks)
        if new:
            with self._transaction() as database:
                write_looks(database, new)

    # Helpers

    def _measured(
        self,
        trial_id: str,
        status: Status,
        costs: Costs,
        num_train_examples: int,
        num_eval_examples: int,
    ) -> None:
        with self._transaction() as database:
            database.execute(
                "UPDATE trials SET status = ?, costs = ?, total_seconds = ?, "
                "num_train_examples = ?, num_eval_examples = ?, ended_at = ? WHERE id = ?",
                (
                    status,
                    json.dumps(asdict(costs)),
                    costs.total_seconds,
                    num_train_examples,
                    num_eval_examples,
                    _now(),
                    trial_id,
                ),
            )

    def _remove_checkpoints(self, trial_id: str) -> None:
        shutil.rmtree(self.artifacts(trial_id) / CHECKPOINTS_FOLDER, ignore_errors=True)

    def _is_saved(self, study: str, spec: str, placed: Sequence[tuple[str, str]]) -> bool:
        """Return whether the study was last stored with this spec and these (trial id, arms)."""
        stored = self._query(
            "SELECT trial_id, arms FROM placements WHERE study = ? ORDER BY position", study
        )
        specs = self._query("SELECT spec FROM studies WHERE name = ?", study)
        return specs == [{"spec": spec}] and [(*row.values(),) for row in stored] == placed

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Store all changes within the block, or none; raise StorageError if that fails."""
        try:
            with transaction(self._connection):
                yield self._connection
        except sqlite3.ProgrammingError:
            raise
        except UNREADABLE as error:
            raise StorageError(f"cannot write: {error}", where=self.where) from error


def _refuse_lost(path: Path) -> None:
    """Raise UserError if the database is empty although trials have left files: it was a whole one.

    A run that was killed as it made a new workspace may leave one too, and nothing else.
    """
    database, artifacts = path / DATABASE, path / ARTIFACTS
    is_empty = database.is_file() and database.stat().st_size == 0
    if is_empty and artifacts.is_dir() and any(artifacts.iterdir()):
        raise damaged("the file is empty, though trials have been run here", str(database))


def _is_begun(database: Path) -> bool:
    """Return whether database and log are empty: a run was ended as it made the workspace."""
    log = database.with_name(f"{database.name}-wal")
    return database.stat().st_size == 0 and not (log.is_file() and log.stat().st_size)


def _read_only(path: Path) -> UserError:
    return UserError(
        "cannot use the workspace: nothing may be written there",
        where=str(path),
        remedy="another --workspace; this one's trials can be listed, reported, predicted with",
    )


def _connect(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, isolation_level=None, timeout=30)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        migrate(connection, where=str(database.parent))
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
