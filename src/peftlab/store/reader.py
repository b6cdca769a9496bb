"""Questions to the database of a workspace."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue

from peftlab.core.errors import UserError
from peftlab.core.measurements import Evaluation
from peftlab.core.process import search_put_off
from peftlab.store.looks import Look, read_looks
from peftlab.store.records import Status, TrialRecord
from peftlab.store.rows import (
    Failure,
    Speed,
    StatusCount,
    StoredEvaluation,
    StoredOlderId,
    StoredPlacement,
    StoredResult,
    StoredScores,
    StoredStatus,
    StoredStudy,
    StoredTrial,
    damaged,
    refusing_damage,
)
from peftlab.store.sql import query

StoredModel = TypeVar("StoredModel", bound=BaseModel)

DATABASE, ARTIFACTS = "results.sqlite", "artifacts"
# SQLite puts names of a damaged file into its message, which Python then cannot decode.
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)


@dataclass(frozen=True)
class Result:
    """The part of a trial that a frame needs: its row, its arms by study, the scores of its
    evaluations."""

    row: StoredResult
    arms: Mapping[str, tuple[str, ...]]
    evaluations: Sequence[StoredScores]


class WorkspaceReader:
    """A reader of stored studies and trials; many may read while one process writes.

    Every method raises UserError where the file is damaged.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @property
    def where(self) -> str:
        """The database's file, for messages."""
        return str(self.path / DATABASE)

    @property
    def cache(self) -> Path:
        """The folder of everything that can be computed again: encoded data."""
        return self.path / "cache"

    def artifacts(self, trial_id: str) -> Path:
        """Return the folder of a trial's model and predictions; it may not be there yet.

        One from before schema 4 has an earlier id for its name.
        """
        folder = self.path / ARTIFACTS
        older = self._older_ids.get(trial_id, ())
        return next((folder / name for name in older if (folder / name).is_dir()),
                    folder / trial_id)  # fmt: skip

    @cached_property
    def _older_ids(self) -> dict[str, list[str]]:
        """The ids that trials had before schema 4, by those of today."""
        found: dict[str, list[str]] = {}
        for row in self._rows(StoredOlderId, "SELECT id, older_id FROM older_ids ORDER BY rowid"):
            found.setdefault(row.id, []).append(row.older_id)
        return found

    # Studies

    def studies(self) -> list[str]:
        """Return the names of the studies that have been run here."""
        rows = self._rows(StoredStudy, "SELECT name, '{}' AS spec FROM studies ORDER BY name")
        return [row.name for row in rows]

    def spec(self, study: str) -> dict[str, JsonValue]:
        """Return the spec of the study's last run, as JSON; raise UserError if it was never run."""
        found = self._rows(StoredStudy, "SELECT name, spec FROM studies WHERE name = ?", study)
        if not found:
            raise UserError(
                f"the study '{study}' has not been run here",
                where=str(self.path),
                allowed=", ".join(self.studies()),
                remedy="" if self.studies() else "peftlab run STUDY first",
            )
        return found[0].spec

    def basis(self, study: str) -> str | None:
        """Return the hash of what the study's trials followed from at its last run; None if
        unknown."""
        found = self._query("SELECT basis FROM studies WHERE name = ?", study)
        return found[0]["basis"] if found else None

    def status_counts(self, study: str) -> list[StatusCount]:
        """Return the number of the study's trials of each task and status, and their seconds.

        Counted by the database, without reading the trials. Raises UserError for an unknown study.
        """
        self.spec(study)
        return self._rows(
            StatusCount,
            "SELECT task, status, count(*) AS count, total(total_seconds) AS seconds "
            "FROM placements JOIN trials INDEXED BY trials_counted ON trial_id = id "
            "WHERE study = ? GROUP BY 1, 2",
            study,
        )

    def failures(self, study: str) -> list[Failure]:
        """Return the ids of the study's trials, in plan order."""
        return self._rows(
            Failure,
            "SELECT id, task, error FROM placements JOIN trials ON trial_id = id "
            "WHERE study = ? AND status = 'failed' ORDER BY position",
            study,
        )

    def results_digest(self, study: str) -> str:
        """Return a SHA-256 of everything that is stored of the study: it changes when any of it
        does.

        A trial's single step losses are left out: they come and go with its evaluations.
        """
        digest = hashlib.sha256()
        for sql in (
            "SELECT name, spec FROM studies WHERE name = ?",
            "SELECT arms, trials.* FROM placements JOIN trials ON trial_id = id "
            "WHERE study = ? ORDER BY position",
            "SELECT trial_id, step, epoch, train_loss, eval_loss, scores, seconds, "
            "held_out_loss, held_out_scores FROM placements JOIN evaluations USING (trial_id) "
            "WHERE study = ? ORDER BY position, step",
        ):
            for row in self._query(sql, study):
                digest.update(f"{list(row.values())!r}\n".encode(errors="surrogatepass"))
        return digest.hexdigest()

    # Trials

    @search_put_off()
    def trials(self, study: str | None = None) -> list[TrialRecord]:
        """Return the study's trials in plan order, or all; raise UserError for an unknown study."""
        return self._records(*self._chosen(study))

    def trial_ids(self, study: str, status: Status | None = None) -> list[str]:
        """Return the ids of the study's trials (those with the status) in plan order."""
        rows = self._query(
            "SELECT trial_id FROM placements JOIN trials ON trial_id = id "
            "WHERE study = ? AND ? IN ('', status) ORDER BY position",
            study,
            status or "",
        )
        return [row["trial_id"] for row in rows]

    def results(self, study: str | None = None) -> Iterator[Result]:
        """Yield the trials in the form of `Result`; raise UserError for an unknown study."""
        chosen, order, values = self._chosen(study)
        evaluations: defaultdict[str, list[StoredScores]] = defaultdict(list)
        for one in self._rows(
            StoredScores,
            "SELECT trial_id, epoch, scores, held_out_scores FROM evaluations "
            f"WHERE trial_id IN (SELECT id {chosen}) ORDER BY trial_id, step",
            *values,
        ):
            evaluations[one.trial_id].append(one)
        arms = self._arms(chosen, values)
        for row in self._rows(
            StoredResult,
            "SELECT id, json_remove(trial, '$.seed', '$.seeds', '$.fold.number') AS settings, "
            "json_extract(trial, '$.seed') AS seed, json_extract(trial, '$.fold.number') AS fold, "
            f"status, error, costs {chosen} {order}",
            *values,
        ):
            yield Result(row, arms[row.id], evaluations[row.id])

    def trial(self, prefix: str) -> TrialRecord:
        """Return the trial whose id begins with these digits; raise UserError unless there is one.

        Where none does, an id of before schema 4 will do.
        """
        begins = "substr({}, 1, ?) = ? LIMIT 3"
        found = self._query(
            f"SELECT id FROM trials WHERE {begins.format('id')}", len(prefix), prefix
        ) or self._query(
            f"SELECT DISTINCT id FROM older_ids WHERE {begins.format('older_id')}",
            len(prefix),
            prefix,
        )
        if len(found) != 1 or not prefix:
            num_trials = "several trials have" if found else "no trial has"
            what = f"{num_trials} an id that begins with '{prefix}'"
            raise UserError(
                what if prefix else "a trial's id is needed",
                where=str(self.path),
                allowed="an id of 'peftlab list trials', or its first digits",
            )
        return self._records("FROM trials WHERE id = ?", "", (found[0]["id"],))[0]

    def statuses(self, trial_ids: Iterable[str]) -> dict[str, Status]:
        """Return the status of each of these trials; a trial that is not stored yet is pending."""
        rows = self._rows(StoredStatus, "SELECT id, status FROM trials")
        known = {row.id: row.status for row in rows}
        return {trial_id: known.get(trial_id, "pending") for trial_id in trial_ids}

    def speeds(self, most: int = 1000) -> list[Speed]:
        """Return the speeds of the trials that were done last."""
        return self._rows(
            Speed,
            "SELECT json_extract(trial, '$.model.fingerprint') AS model_fingerprint, "
            "json_extract(trial, '$.method') AS method, "
            "json_extract(trial, '$.engine') AS engine, "
            "json_extract(trial, '$.cache_frozen') AS cache_frozen, "
            "coalesce(json_extract(trial, '$.training.bf16'), 0) AS bf16, "
            "coalesce(json_extract(trial, '$.training.tf32'), 0) AS tf32, "
            "json_extract(costs, '$.device') AS device, "
            "json_extract(costs, '$.device_name') AS device_name, "
            "json_extract(costs, '$.threads') AS threads, "
            "json_extract(costs, '$.train_tokens_per_second') AS tokens_per_second, "
            "json_extract(costs, '$.eval_tokens_per_second') AS eval_tokens_per_second, "
            "coalesce(json_extract(costs, '$.together'), 1) AS together "
            "FROM trials WHERE status = 'done' ORDER BY ended_at DESC LIMIT ?",
            most,
        )

    def has_folder(self, name: str) -> bool:
        """Return whether trials here are of a checkpoint of that name that was a folder."""
        return bool(
            self._query(
                "SELECT 1 FROM trials WHERE json_extract(trial, '$.model.name') = ? "
                "AND json_extract(trial, '$.model.fingerprint') NOT LIKE 'hub:%' LIMIT 1",
                name,
            )
        )

    # Looks

    def looks(self, trial_ids: Iterable[str]) -> list[Look]:
        """Return the looks here that showed one of these trials."""
        with refusing_damage(self.where):
            return read_looks(self._query, trial_ids)

    # Helpers

    def _query(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Return the rows by column; raise UserError if the file cannot be read."""
        try:
            return query(self._connection, sql, *values)
        except sqlite3.ProgrammingError:  # of ours
            raise
        except (*UNREADABLE, OverflowError) as error:
            raise damaged(str(error), self.where) from error

    def _rows(self, row: type[StoredModel], sql: str, *values: object) -> list[StoredModel]:
        """Return the rows, checked."""
        found = self._query(sql, *values)
        with refusing_damage(self.where):
            return [row.model_validate(values) for values in found]

    def _chosen(self, study: str | None) -> tuple[str, str, tuple[str, ...]]:
        """Return the source, the order and the values of a query for the study's trials, or for
        all."""
        if study is None:
            return "FROM trials", "ORDER BY rowid", ()
        self.spec(study)
        chosen = "FROM placements JOIN trials ON trial_id = id WHERE study = ?"
        return chosen, "ORDER BY position", (study,)

    def _records(self, chosen: str, order: str, values: Sequence[str]) -> list[TrialRecord]:
        rows = self._rows(StoredTrial, f"SELECT trials.* {chosen} {order}", *values)
        evaluations, arms = self._evaluations(chosen, values), self._arms(chosen, values)
        return [self._record(row, evaluations[row.id], arms[row.id]) for row in rows]

    def _record(
        self,
        row: StoredTrial,
        evaluations: Sequence[Evaluation],
        arms: Mapping[str, tuple[str, ...]],
    ) -> TrialRecord:
        with refusing_damage(self.where):
            costs = row.read_costs()
        return TrialRecord(
            trial=row.trial,
            status=row.status,
            arms=arms,
            evaluations=tuple(evaluations),
            costs=costs,
            num_train_examples=row.num_train_examples,
            num_eval_examples=row.num_eval_examples,
            error=row.error,
            folder=self.artifacts(row.id),
            provenance=row.provenance or {},
        )

    def _evaluations(
        self, chosen: str, values: Sequence[str]
    ) -> defaultdict[str, list[Evaluation]]:
        """Return the evaluations of each trial, in the order of their steps."""
        rows = self._rows(
            StoredEvaluation,
            f"SELECT * FROM evaluations WHERE trial_id IN (SELECT id {chosen}) "
            "ORDER BY trial_id, step",
            *values,
        )
        found: defaultdict[str, list[Evaluation]] = defaultdict(list)
        with refusing_damage(self.where):
            for row in rows:
                found[row.trial_id].append(row.evaluation())
        return found

    def _arms(
        self, chosen: str, values: Sequence[str]
    ) -> defaultdict[str, dict[str, tuple[str, ...]]]:
        """Return the arms of each trial by study; a trial that no study holds has none."""
        found: defaultdict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
        for row in self._rows(
            StoredPlacement,
            f"SELECT trial_id, study, arms FROM placements WHERE trial_id IN (SELECT id {chosen})",
            *values,
        ):
            found[row.trial_id][row.study] = row.arms
        return found
