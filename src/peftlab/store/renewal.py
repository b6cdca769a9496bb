"""Trials of a workspace from before schema 4 under the ids that they have today.

Ids used to depend on every setting, also on those at their defaults and on those without effect
(core/trial.py says what they depend on now). What was measured keeps its numbers: a trial is only
known by another name, and is found by the earlier one too, which its folder keeps.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from peftlab.core.trial import Trial

RULES_BEFORE = 1
"""The rules of all measurements from before trials stored their rules."""

PREFERRED = ("done", "failed", "pruned", "running", "pending")
"""The order in which one of two trials of the same id is kept: the one that has come furthest."""


def renew_ids(database: sqlite3.Connection) -> None:
    """Give the stored trials their ids of today; rows that cannot be read are left as they are.

    The table `older_ids` has the earlier ids of each, that of the kept one first.
    """
    database.execute("CREATE TABLE older_ids (older_id TEXT PRIMARY KEY, id TEXT NOT NULL)")
    same: defaultdict[str, list[tuple[str, str, Trial]]] = defaultdict(list)
    for older_id, text, status, num_train, num_eval in database.execute(
        "SELECT id, trial, status, num_train_examples, num_eval_examples FROM trials ORDER BY rowid"
    ).fetchall():
        try:
            trial = Trial.model_validate(_as_measured(json.loads(text), num_train, num_eval))
        except (ValidationError, ValueError, TypeError):
            continue
        same[trial.id].append((older_id, status, trial))
    for trial_id, found in same.items():
        found.sort(key=lambda one: PREFERRED.index(one[1]) if one[1] in PREFERRED else 9)
        (kept, _, trial), *others = found
        for older_id, _, _ in found:
            database.execute("INSERT INTO older_ids VALUES (?, ?)", (older_id, trial_id))
        for older_id, _, _ in others:
            _merge_placements(database, older_id, kept)
            database.execute("DELETE FROM epochs WHERE trial_id = ?", (older_id,))
            database.execute("DELETE FROM trials WHERE id = ?", (older_id,))
        database.execute(
            "UPDATE trials SET id = ?, trial = ? WHERE id = ?",
            (trial_id, trial.model_dump_json(), kept),
        )
        for table in ("placements", "epochs"):
            database.execute(
                f"UPDATE {table} SET trial_id = ? WHERE trial_id = ?", (trial_id, kept)
            )


def _as_measured(
    stored: Mapping[str, Any], num_train: int | None, num_eval: int | None
) -> dict[str, Any]:
    """Return the trial's values with its rules, and without limits that cut nothing off."""
    values = {**stored, "rules": RULES_BEFORE}
    counts = {"max_train_samples": num_train, "max_eval_samples": num_eval}
    if stored.get("selection"):  # the count is without the rows that are held out
        del counts["max_train_samples"]
    for name, count in counts.items():
        limit = values.get(name)
        if limit is not None and count is not None and count < limit:
            values[name] = None
    return values


def _merge_placements(database: sqlite3.Connection, older_id: str, kept: str) -> None:
    """Make the studies of a dropped trial hold the kept one, under the arms of both."""
    for study, position, arms in database.execute(
        "SELECT study, position, arms FROM placements WHERE trial_id = ?", (older_id,)
    ).fetchall():
        found = database.execute(
            "SELECT arms FROM placements WHERE study = ? AND trial_id = ?", (study, kept)
        ).fetchone()
        if found is None:
            database.execute("INSERT INTO placements VALUES (?, ?, ?, ?)",
                             (study, kept, position, arms))  # fmt: skip
        else:
            both = list(dict.fromkeys([*json.loads(found[0]), *json.loads(arms)]))
            database.execute(
                "UPDATE placements SET arms = ? WHERE study = ? AND trial_id = ?",
                (json.dumps(both), study, kept),
            )
    database.execute("DELETE FROM placements WHERE trial_id = ?", (older_id,))
