"""What the database of a workspace can be asked."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import JsonValue

from peftlab.core.errors import UserError
from peftlab.core.types import Costs, EpochRecord, Trial
from peftlab.store.records import FinalScore, Status, TrialRecord


@dataclass(frozen=True)
class Tally:
    """Trials of one task with one status: their number, and the seconds of those that are done."""

    task: str
    status: Status
    count: int
    seconds: float


class Result(NamedTuple):
    """A trial as it is stored; `scores` are by epoch.

    `settings` is the JSON text of the trial without its seeds.
    """

    trial_id: str
    settings: str
    seed: int
    status: Status
    error: str | None
    costs: dict[str, Any] | None
    arms: Mapping[str, tuple[str, ...]]
    scores: list[dict[str, float]]


class Failure(NamedTuple):
    """A trial that has failed, and its cause."""

    trial_id: str
    task: str
    error: str | None


class Speed(NamedTuple):
    """How many tokens a second a trial was trained with, and what it depends on most."""

    model_fingerprint: str
    method: str
    engine: str
    cache_frozen: bool
    tokens_per_second: float


class Reader:
    """Studies and trials as they are stored; many may read while one process writes."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @property
    def cache(self) -> Path:
        """The folder of what can be computed again: encoded data."""
        return self.path / "cache"

    def artifacts(self, trial_id: str) -> Path:
        """The folder of a trial's model and predictions; it may not be there yet."""
        return self.path / "artifacts" / trial_id

    # Studies

    def studies(self) -> list[str]:
        """Names of the studies that have been run here."""
        return [name for (name,) in self._query("SELECT name FROM studies ORDER BY name")]

    def spec(self, study: str) -> dict[str, JsonValue]:
        """The study's spec as it was last run, as JSON; UserError where it has not been."""
        found = self._query("SELECT spec FROM studies WHERE name = ?", study)
        if not found:
            raise UserError(
                f"the study '{study}' has not been run here",
                where=str(self.path),
                allowed=", ".join(self.studies()) or "peftlab run STUDY first",
            )
        spec: dict[str, JsonValue] = json.loads(found[0][0])
        return spec

    def tallies(self, study: str) -> list[Tally]:
        """How many of the study's trials there are of each task and status, and their seconds.

        Counted by the database, without reading the trials. UserError for an unknown study.
        """
        self.spec(study)
        rows = self._query(
            "SELECT task, status, count(*), total(total_seconds) FROM placements "
            "JOIN trials INDEXED BY trials_counted ON trial_id = id WHERE study = ? GROUP BY 1, 2",
            study,
        )
        return [Tally(*row) for row in rows]

    def failures(self, study: str) -> list[Failure]:
        """Those of the study's trials, in plan order."""
        rows = self._query(
            "SELECT id, task, error "
            "FROM placements JOIN trials ON trial_id = id "
            "WHERE study = ? AND status = 'failed' ORDER BY position",
            study,
        )
        return [Failure(*row) for row in rows]

    def changed_at(self, study: str) -> datetime:
        """When the study was last planned otherwise or one of its trials ended, to the second."""
        found = self._query(
            "SELECT max(saved_at, coalesce((SELECT max(ended_at) FROM placements "
            "JOIN trials INDEXED BY trials_counted ON trial_id = id WHERE study = name), '')) "
            "FROM studies WHERE name = ?",
            study,
        )
        return datetime.fromisoformat(found[0][0])

    # Trials, read

    def trials(self, study: str | None = None) -> list[TrialRecord]:
        """The study's trials in plan order, or all trials; UserError for an unknown study."""
        return self._records(*self._chosen(study))

    def results(self, study: str | None = None) -> Iterator[Result]:
        """The same trials, as a frame needs them; UserError for an unknown study."""
        chosen, order, values = self._chosen(study)
        scores: dict[str, list[str]] = {}
        for trial_id, text in self._query(
            f"SELECT trial_id, scores FROM epochs WHERE trial_id IN (SELECT id {chosen}) "
            "ORDER BY trial_id, epoch",
            *values,
        ):
            scores.setdefault(trial_id, []).append(text)
        arms = self._arms(chosen, values)
        for trial_id, settings, seed, status, error, costs in self._query(
            "SELECT id, json_remove(trial, '$.seed', '$.seeds'), json_extract(trial, '$.seed'), "
            f"status, error, costs {chosen} {order}",
            *values,
        ):
            yield Result(
                trial_id,
                settings,
                seed,
                status,
                error,
                None if costs is None else json.loads(costs),
                arms[trial_id],
                [json.loads(text) for text in scores.get(trial_id, ())],
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
        return self._records("FROM trials WHERE id = ?", "", found[0])[0]

    def statuses(self, trial_ids: Iterable[str]) -> dict[str, Status]:
        """The status of each of these trials; one that is not stored yet is pending."""
        known: dict[str, Status] = dict(self._query("SELECT id, status FROM trials"))
        return {trial_id: known.get(trial_id, "pending") for trial_id in trial_ids}

    def final_scores(self, study: str) -> list[FinalScore]:
        """Those of all trials of the study in plan order; None where one is not done."""
        rows = self._query(
            "SELECT arms, task, CASE status WHEN 'done' THEN "
            "(SELECT scores FROM epochs WHERE trial_id = id ORDER BY epoch DESC LIMIT 1) END, "
            "json_extract(costs, '$.cached_layers') "
            "FROM placements JOIN trials ON trial_id = id WHERE study = ? ORDER BY position",
            study,
        )
        return [
            FinalScore(
                tuple(json.loads(arms)),
                task,
                None if scores is None else next(iter(json.loads(scores).values())),
                cached_layers or 0,
            )
            for arms, task, scores, cached_layers in rows
        ]

    def speeds(self, most: int = 1000) -> list[Speed]:
        """Those of the trials that were done last."""
        rows = self._query(
            "SELECT json_extract(trial, '$.model.fingerprint'), json_extract(trial, '$.method'), "
            "json_extract(trial, '$.engine'), json_extract(trial, '$.cache_frozen'), "
            "json_extract(costs, '$.train_tokens_per_second') "
            "FROM trials WHERE status = 'done' ORDER BY ended_at DESC LIMIT ?",
            most,
        )
        return [Speed(*row) for row in rows]

    # Helpers

    def _query(self, sql: str, *values: object) -> list[Any]:
        return self._connection.execute(sql, values).fetchall()

    def _chosen(self, study: str | None) -> tuple[str, str, tuple[str, ...]]:
        """The study's trials, or all: from where they are selected, their order, and the values."""
        if study is None:
            return "FROM trials", "ORDER BY rowid", ()
        self.spec(study)
        chosen = "FROM placements JOIN trials ON trial_id = id WHERE study = ?"
        return chosen, "ORDER BY position", (study,)

    def _records(self, chosen: str, order: str, values: Sequence[str]) -> list[TrialRecord]:
        cursor = self._connection.execute(f"SELECT trials.* {chosen} {order}", values)
        columns = [column[0] for column in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        epochs, arms = self._epochs(chosen, values), self._arms(chosen, values)
        return [self._record(row, epochs.get(row["id"], ()), arms[row["id"]]) for row in rows]

    def _record(
        self,
        row: Mapping[str, Any],
        epochs: tuple[EpochRecord, ...],
        arms: Mapping[str, tuple[str, ...]],
    ) -> TrialRecord:
        return TrialRecord(
            trial=Trial.model_validate_json(row["trial"]),
            status=row["status"],
            arms=arms,
            epochs=epochs,
            costs=None if row["costs"] is None else Costs.of(json.loads(row["costs"])),
            num_train_examples=row["num_train_examples"],
            num_eval_examples=row["num_eval_examples"],
            error=row["error"],
            folder=self.artifacts(row["id"]),
            provenance=_provenance(row["provenance"]),
        )

    def _epochs(self, chosen: str, values: Sequence[str]) -> dict[str, tuple[EpochRecord, ...]]:
        rows = self._query(
            f"SELECT * FROM epochs WHERE trial_id IN (SELECT id {chosen}) ORDER BY trial_id, epoch",
            *values,
        )
        found: dict[str, list[EpochRecord]] = {}
        for trial_id, epoch, step, train_loss, eval_loss, scores, seconds, step_losses in rows:
            # SQLite has no NaN and keeps it as NULL; epoch 0 has no training loss.
            record = EpochRecord(
                epoch=epoch,
                step=step,
                train_loss=float("nan") if train_loss is None and epoch else train_loss,
                eval_loss=float("nan") if eval_loss is None else eval_loss,
                scores=json.loads(scores),
                seconds=seconds,
                step_losses=tuple(np.frombuffer(step_losses, dtype="<f8").tolist()),
            )
            found.setdefault(trial_id, []).append(record)
        return {trial_id: tuple(records) for trial_id, records in found.items()}

    def _arms(
        self, chosen: str, values: Sequence[str]
    ) -> defaultdict[str, dict[str, tuple[str, ...]]]:
        """The arms of each trial by study; a trial that no study holds has none."""
        found: defaultdict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
        for trial_id, study, arms in self._query(
            f"SELECT trial_id, study, arms FROM placements WHERE trial_id IN (SELECT id {chosen})",
            *values,
        ):
            found[trial_id][study] = tuple(json.loads(arms))
        return found


@lru_cache
def _provenance(text: str | None) -> dict[str, JsonValue]:
    """All trials of a process share one text, and so one value."""
    found: dict[str, JsonValue] = json.loads(text or "{}")
    return found
