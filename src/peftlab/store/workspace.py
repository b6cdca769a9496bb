"""The folder where results live: one SQLite file, the artifacts of trials, a cache."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, JsonValue

from peftlab.core.errors import StorageError, UserError
from peftlab.core.identity import canonical_json
from peftlab.core.types import Costs, EpochRecord, Trial
from peftlab.store.records import Status, TrialRecord
from peftlab.store.rows import (
    StoredEpoch,
    StoredFailure,
    StoredPlacement,
    StoredStudy,
    StoredTally,
    StoredTrial,
    damaged,
    refusing_damage,
)
from peftlab.store.schema import migrate

Row = TypeVar("Row", bound=BaseModel)

DATABASE = "results.sqlite"
MODEL_FOLDER = "model"
PREDICTIONS_FILE = "predictions.parquet"
CHECKPOINTS_FOLDER = "checkpoints"
# SQLite puts names of a damaged file into its message, which Python then cannot decode.
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """A study as it was last planned: its spec as JSON, and its trials in plan order."""

    name: str
    spec: dict[str, JsonValue]
    trial_ids: tuple[str, ...]


@dataclass(frozen=True)
class Tally:
    """Trials of one task with one status: their number, and the seconds of those that are done."""

    task: str
    status: Status
    count: int
    seconds: float


class Workspace:
    """Studies and trials on disk. One process writes; any number may read beside it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path, *, create: bool = True) -> Workspace:
        """The workspace in that folder, made if it is not there and `create` is set.

        Raises UserError where there is none, or none that this version can read.
        """
        try:
            path = path.expanduser().absolute()
            database = path / DATABASE
            is_there = database.is_file()
        except (OSError, RuntimeError) as error:  # too long a name, an unknown user
            raise UserError(
                f"cannot use the workspace: {error}", where=str(path), allowed="another --workspace"
            ) from error
        if not create and not is_there:
            raise UserError(
                "no results here yet",
                where=str(path),
                allowed="a folder that 'peftlab run' has written, by --workspace",
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            connection = _connect(database)
        except (OSError, *UNREADABLE) as error:
            raise UserError(
                f"cannot use the workspace: {error}", where=str(path), allowed="another --workspace"
            ) from error
        return cls(path, connection)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cache(self) -> Path:
        """The folder of what can be computed again: encoded data."""
        return self.path / "cache"

    def artifacts(self, trial_id: str) -> Path:
        """The folder of a trial's model and predictions; it may not be there yet."""
        return self.path / "artifacts" / trial_id

    # Studies

    def save_study(
        self,
        name: str,
        spec: Mapping[str, JsonValue],
        trials: Sequence[Trial],
        placements: Mapping[str, tuple[str, ...]],
    ) -> None:
        """Store the study's spec and its trials in plan order, with each one's arm names.

        A trial that is known keeps all it has. Trials that the study no longer holds stay.
        """
        with self._transaction() as database:
            database.execute(
                "INSERT INTO studies VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE "
                "SET spec = excluded.spec, saved_at = excluded.saved_at",
                (name, json.dumps(spec, allow_nan=False), _now()),
            )
            database.executemany(
                "INSERT INTO trials (id, trial, status) VALUES (?, ?, 'pending') "
                "ON CONFLICT (id) DO UPDATE SET trial = excluded.trial",
                [(trial.id, trial.model_dump_json()) for trial in trials],
            )
            database.execute("DELETE FROM placements WHERE study = ?", (name,))
            database.executemany(
                "INSERT INTO placements VALUES (?, ?, ?, ?)",
                [
                    (name, trial.id, position, json.dumps(placements[trial.id]))
                    for position, trial in enumerate(trials)
                ],
            )

    def studies(self) -> list[str]:
        """Names of the studies that have been run here."""
        rows = self._read(StoredStudy, "SELECT name, '{}' AS spec FROM studies ORDER BY name")
        return [row.name for row in rows]

    def study(self, name: str) -> StudyRow:
        """The study as it was last run; UserError where it has not been."""
        found = self._read(StoredStudy, "SELECT name, spec FROM studies WHERE name = ?", name)
        if not found:
            raise UserError(
                f"the study '{name}' has not been run here",
                where=str(self.path),
                allowed=", ".join(self.studies()) or "peftlab run STUDY first",
            )
        placements = self._read(
            StoredPlacement, "SELECT * FROM placements WHERE study = ? ORDER BY position", name
        )
        return StudyRow(
            name=name, spec=found[0].spec, trial_ids=tuple(row.trial_id for row in placements)
        )

    def tallies(self, study: str) -> list[Tally]:
        """How many of the study's trials there are of each task and status, and their seconds.

        Counted by the database, without reading the trials. UserError for an unknown study.
        """
        self.study(study)
        rows = self._read(
            StoredTally,
            "SELECT json_extract(trial, '$.task') AS task, status, count(*) AS count, "
            "total(json_extract(costs, '$.total_seconds')) AS seconds "
            "FROM placements JOIN trials ON trial_id = id WHERE study = ? GROUP BY 1, 2",
            study,
        )
        return [Tally(row.task, row.status, row.count, row.seconds) for row in rows]

    def failures(self, study: str) -> list[tuple[str, str | None]]:
        """Id and cause of each failed trial of the study, in plan order."""
        rows = self._read(
            StoredFailure,
            "SELECT id, error FROM placements JOIN trials ON trial_id = id "
            "WHERE study = ? AND status = 'failed' ORDER BY position",
            study,
        )
        return [(row.id, row.error) for row in rows]

    # Trials, read

    def trials(self, study: str | None = None) -> list[TrialRecord]:
        """The study's trials in plan order, or all trials; UserError for an unknown study."""
        if study is None:
            return self._records("SELECT * FROM trials ORDER BY rowid")
        self.study(study)
        return self._records(
            "SELECT trials.* FROM trials JOIN placements ON trial_id = id "
            "WHERE study = ? ORDER BY position",
            study,
        )

    def trial(self, prefix: str) -> TrialRecord:
        """The trial whose id begins so; UserError unless there is exactly one."""
        found = self._query(
            "SELECT id FROM trials WHERE substr(id, 1, ?) = ? LIMIT 3", len(prefix), prefix
        )
        if len(found) != 1 or not prefix:
            num_trials = "several trials have" if found else "no trial has"
            what = f"{num_trials} an id that begins with '{prefix}'"
            raise UserError(
                what if prefix else "a trial's id is needed",
                where=str(self.path),
                allowed="an id of 'peftlab list trials', or its first digits",
            )
        return self._records("SELECT * FROM trials WHERE id = ?", found[0]["id"])[0]

    def statuses(self, trial_ids: Iterable[str]) -> dict[str, Status]:
        """The status of each of these trials; one that is not stored yet is pending."""
        rows = self._query("SELECT id, status FROM trials")
        known: dict[str, Status] = {row["id"]: row["status"] for row in rows}
        return {trial_id: known.get(trial_id, "pending") for trial_id in trial_ids}

    # Trials, written

    def reset_running(self) -> None:
        """Make those pending again that a process which is gone left as running."""
        with self._transaction() as database:
            database.execute("UPDATE trials SET status = 'pending' WHERE status = 'running'")

    def start(self, trial_id: str, provenance: Mapping[str, JsonValue]) -> None:
        """The trial begins; what an earlier attempt left goes, unless it can be gone on from.

        Its epochs go in any case: a trial that is resumed tells them again.
        """
        folder = self.artifacts(trial_id)
        if not (folder / CHECKPOINTS_FOLDER).is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        with self._transaction() as database:
            database.execute("DELETE FROM epochs WHERE trial_id = ?", (trial_id,))
            database.execute(
                "UPDATE trials SET status = 'running', error = NULL, costs = NULL, "
                "provenance = ?, started_at = ?, ended_at = NULL WHERE id = ?",
                (canonical_json(provenance), _now(), trial_id),
            )

    def add_epoch(self, trial_id: str, record: EpochRecord) -> None:
        """Store what was measured at the end of an epoch."""
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    trial_id,
                    record.epoch,
                    record.step,
                    record.train_loss,
                    record.eval_loss,
                    json.dumps(dict(record.scores)),
                    record.seconds,
                    np.asarray(record.step_losses, dtype="<f8").tobytes(),
                ),
            )

    def finish(
        self, trial_id: str, costs: Costs, *, num_train_examples: int, num_eval_examples: int
    ) -> None:
        """The trial is done, its checkpoints are no longer needed."""
        with self._transaction() as database:
            database.execute(
                "UPDATE trials SET status = 'done', costs = ?, num_train_examples = ?, "
                "num_eval_examples = ?, ended_at = ? WHERE id = ?",
                (
                    json.dumps(asdict(costs)),
                    num_train_examples,
                    num_eval_examples,
                    _now(),
                    trial_id,
                ),
            )
        shutil.rmtree(self.artifacts(trial_id) / CHECKPOINTS_FOLDER, ignore_errors=True)

    def fail(self, trial_id: str, error: str) -> None:
        """The trial has failed, with its cause in words; its epochs so far are kept."""
        with self._transaction() as database:
            database.execute(
                "UPDATE trials SET status = 'failed', error = ?, ended_at = ? WHERE id = ?",
                (error, _now(), trial_id),
            )

    def interrupt(self, trial_id: str) -> None:
        """The trial was stopped from outside and will go on with the next run."""
        with self._transaction() as database:
            database.execute("UPDATE trials SET status = 'pending' WHERE id = ?", (trial_id,))

    # Helpers

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it is stored or nothing; StorageError where it cannot be."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.ProgrammingError:
            raise
        except UNREADABLE as error:
            where = str(self.path / DATABASE)
            raise StorageError(f"cannot write: {error}", where=where) from error

    def _query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """The rows by column; UserError where the file does not give them."""
        try:
            cursor = self._connection.execute(sql, values)
            columns = [column[0] for column in cursor.description]
            return [dict(zip(columns, row, strict=True)) for row in cursor]
        except sqlite3.ProgrammingError:  # of ours
            raise
        except (*UNREADABLE, OverflowError) as error:
            raise damaged(str(error), str(self.path / DATABASE)) from error

    def _read(self, row: type[Row], sql: str, *values: object) -> list[Row]:
        """The rows, checked."""
        found = self._query(sql, *values)
        with refusing_damage(str(self.path / DATABASE)):
            return [row.model_validate(values) for values in found]

    def _records(self, sql: str, *values: object) -> list[TrialRecord]:
        rows = self._read(StoredTrial, sql, *values)
        ids = [row.id for row in rows]
        epochs = self._epochs(ids)
        arms = self._arms(ids)
        return [self._record(row, epochs.get(row.id, ()), arms[row.id]) for row in rows]

    def _record(
        self,
        row: StoredTrial,
        epochs: tuple[EpochRecord, ...],
        arms: Mapping[str, tuple[str, ...]],
    ) -> TrialRecord:
        folder = self.artifacts(row.id)
        model, predictions = folder / MODEL_FOLDER, folder / PREDICTIONS_FILE
        with refusing_damage(str(self.path / DATABASE)):
            costs = row.read_costs()
        return TrialRecord(
            trial=row.trial,
            status=row.status,
            arms=arms,
            epochs=epochs,
            costs=costs,
            num_train_examples=row.num_train_examples,
            num_eval_examples=row.num_eval_examples,
            error=row.error,
            model_path=model if row.status == "done" and model.is_dir() else None,
            predictions_path=predictions if epochs and predictions.is_file() else None,
            provenance=row.provenance or {},
        )

    def _epochs(self, trial_ids: Sequence[str]) -> dict[str, tuple[EpochRecord, ...]]:
        if len(trial_ids) == 1:
            sql = "SELECT * FROM epochs WHERE trial_id = ? ORDER BY epoch"
            rows = self._read(StoredEpoch, sql, *trial_ids)
        else:
            rows = self._read(StoredEpoch, "SELECT * FROM epochs ORDER BY trial_id, epoch")
        found: dict[str, list[EpochRecord]] = {}
        with refusing_damage(str(self.path / DATABASE)):
            for row in rows:
                found.setdefault(row.trial_id, []).append(row.record())
        return {trial_id: tuple(records) for trial_id, records in found.items()}

    def _arms(self, trial_ids: Sequence[str]) -> dict[str, dict[str, tuple[str, ...]]]:
        found: dict[str, dict[str, tuple[str, ...]]] = {trial_id: {} for trial_id in trial_ids}
        for row in self._read(StoredPlacement, "SELECT trial_id, study, arms FROM placements"):
            if row.trial_id in found:
                found[row.trial_id][row.study] = row.arms
        return found


def _connect(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, isolation_level=None, timeout=30)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection, where=str(database.parent))
    except BaseException:
        connection.close()
        raise
    return connection


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
