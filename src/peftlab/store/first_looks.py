"""The looks of a workspace from before schema 5, as far as its content shows them.

A run has always ended with a report. So each study that has results counts as looked at once, when
its last trial ended, with the trials and the claims that it has.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from peftlab.core.trial import Trial, cell_of
from peftlab.store.looks import (
    TABLES,
    DeclaredClaim,
    DeclaredPlace,
    Look,
    subject_of,
    write_looks,
)


def add_looks(database: sqlite3.Connection) -> None:
    """Make the tables, with a look for each study; studies that cannot be read are left out."""
    for table in TABLES:
        database.execute(table)
    for study, spec, saved_at in database.execute(
        "SELECT name, spec, saved_at FROM studies ORDER BY name"
    ).fetchall():
        look = _look(database, study, spec, saved_at)
        if look is not None:
            write_looks(database, [look])


def _look(database: sqlite3.Connection, study: str, spec: str, saved_at: str) -> Look | None:
    """Return the look at a study; None if nothing was done."""
    seeds: dict[tuple[str, str], dict[str, int]] = {}
    cells: dict[tuple[str, str], str] = {}
    done: list[str] = []
    ended: list[str] = []
    for trial_id, text, status, ended_at, arms in database.execute(
        "SELECT id, trial, status, ended_at, arms FROM placements JOIN trials ON trial_id = id "
        "WHERE study = ? ORDER BY position",
        (study,),
    ).fetchall():
        try:
            trial, names = Trial.model_validate_json(text), [str(arm) for arm in json.loads(arms)]
        except (ValidationError, ValueError, TypeError):
            continue
        for arm in names:
            cells[arm, trial.task] = cell_of(trial)
            seeds.setdefault((arm, trial.task), {})[trial_id] = trial.seed
        if status == "done":
            done.append(trial_id)
            ended.append(ended_at or "")
    if not done:
        return None
    places = {
        place: DeclaredPlace(cell=cells[place], trials=trials) for place, trials in seeds.items()
    }
    at = _moment(max(ended)) or _moment(saved_at) or datetime.fromtimestamp(0, UTC)
    return Look(
        study=study,
        places=tuple(places.values()),
        claims=_claims(spec, places),
        shown=dict.fromkeys(done, at),
    )


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _claims(text: str, places: Mapping[tuple[str, str], DeclaredPlace]) -> frozenset[DeclaredClaim]:
    """Return the claims of a stored spec on all their tasks, and on each of several alone."""
    try:
        spec = json.loads(text)
        names, tasks = [*spec["arms"]], [*spec["tasks"]]
        found: set[DeclaredClaim] = set()
        for claim in spec.get("claims") or ():
            chosen = [task for task in tasks if not claim.get("tasks") or task in claim["tasks"]]
            found.add(_claim(claim, chosen, names, places, is_part=False))
            if len(chosen) > 1:
                found |= {_claim(claim, [task], names, places, is_part=True) for task in chosen}
    except (ValueError, TypeError, KeyError, AttributeError):
        return frozenset()
    return frozenset(found)


def _claim(
    claim: Mapping[str, Any],
    tasks: Sequence[str],
    names: Sequence[str],
    places: Mapping[tuple[str, str], DeclaredPlace],
    *,
    is_part: bool,
) -> DeclaredClaim:
    equivalent = claim.get("equivalent")
    sides = [equivalent] if equivalent else [[claim["better"]], [claim["than"]]]
    placed = [*dict.fromkeys(arm for arm, _ in places)]
    return DeclaredClaim(
        subject=subject_of(
            "equivalent" if equivalent else "better",
            [
                [
                    [places[arm, task].cell for task in tasks if (arm, task) in places]
                    for arm in placed
                    if arm in side or _base(arm, names) in side
                ]
                for side in sides
            ],
        ),
        margin=None if claim.get("margin") is None else float(claim["margin"]),
        is_part=is_part,
    )


def _base(arm: str, names: Sequence[str]) -> str | None:
    """Return the longest name in the study's file from which a sweep could have made the arm."""
    return max(
        (name for name in names if arm == name or arm.startswith(f"{name}-")), key=len, default=None
    )
