"""Looks at scores: which trials were shown, and which trials, claims and advice were declared then.

A look is known by the ids of trials, so it is found again whatever a study is called and wherever
its results lie. What was declared is stored once, and of each trial when it was first shown under
that declaration: a look that says nothing new is not stored again, and the first date counts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any

from pydantic import AwareDatetime, Field, FiniteFloat, Json

from peftlab.core.identity import canonical_json, content_id
from peftlab.store.rows import StoredRow

DECLARATION_ID_LENGTH = 32

# A version of the schema and the ledger have these tables; they are never edited.
# Seeds stand in the JSON text: an integer of SQLite has 64 bits.
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS declarations (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        study TEXT NOT NULL,
        content TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS shown (
        trial_id TEXT NOT NULL,
        declaration INTEGER NOT NULL REFERENCES declarations (number) ON DELETE CASCADE,
        shown_at TEXT NOT NULL,
        PRIMARY KEY (trial_id, declaration)
    ) WITHOUT ROWID
    """,
)

Query = Callable[..., list[dict[str, Any]]]
"""A function from SQL and its values to the rows by column."""


@dataclass(frozen=True, kw_only=True)
class DeclaredPlace:
    """An arm on a task: its cell (core/trial.py), and the seeds of its trials by their ids."""

    cell: str
    trials: Mapping[str, int]

    @cached_property
    def ids(self) -> frozenset[str]:
        """The ids of its trials."""
        return frozenset(self.trials)


@dataclass(frozen=True, kw_only=True)
class DeclaredClaim:
    """A claim, given by what it compares (`subject_of`) and its margin in points.

    `is_part` says that it is a claim's test on one of several tasks.
    """

    subject: str
    margin: float | None
    is_part: bool = False


@dataclass(frozen=True, kw_only=True)
class DeclaredAdvice:
    """The advice that a study asks for, among the arms of these cells, by a margin in points.

    `reference` are the cells of the arm that it measures by, none where that is the best one;
    `cost` is the one that decides among arms.
    """

    cells: frozenset[str]
    reference: frozenset[str]
    margin: float
    cost: str


@dataclass(frozen=True, kw_only=True)
class Look:
    """A look: what was declared when scores were shown, and when each trial was first shown so.

    `study` is the name that it was shown under, for words alone. `places` are those of all trials
    that were declared, `shown` those trials whose score was shown; of a look that was read back,
    only those that were asked for. `advice` is none where the study is not known, and in looks that
    were stored before advice was.
    """

    study: str
    places: tuple[DeclaredPlace, ...]
    claims: frozenset[DeclaredClaim]
    shown: Mapping[str, datetime]
    advice: frozenset[DeclaredAdvice] = frozenset()

    @cached_property
    def content(self) -> str:
        """The declaration as JSON: the same for the same trials, claims and advice."""
        places = {canonical_json([one.cell, dict(one.trials)]) for one in self.places}
        claims = {canonical_json([one.subject, one.margin, one.is_part]) for one in self.claims}
        advice = {
            canonical_json([sorted(one.cells), sorted(one.reference), one.margin, one.cost])
            for one in self.advice
        }
        parts = {"places": places, "claims": claims} | ({"advice": advice} if advice else {})
        lists = (f'"{name}":[{",".join(sorted(items))}]' for name, items in parts.items())
        return f"{{{','.join(lists)}}}"

    @cached_property
    def id(self) -> str:
        """The hash of the declaration."""
        return content_id(self.content, length=DECLARATION_ID_LENGTH)


class _Content(StoredRow):
    places: tuple[tuple[str, dict[str, int]], ...]
    claims: tuple[tuple[str, FiniteFloat | None, bool], ...]
    advice: tuple[tuple[frozenset[str], frozenset[str], FiniteFloat, str], ...] = ()


class _StoredDeclaration(StoredRow):
    number: int
    study: str
    content: Json[_Content]


class _StoredShown(StoredRow):
    trial_id: Annotated[str, Field(min_length=1)]
    declaration: int
    shown_at: AwareDatetime


def subject_of(kind: str, sides: Iterable[Iterable[Iterable[str]]]) -> str:
    """Return a name for what a claim compares, whatever its wording.

    `kind` is better or equivalent. `sides` are the two sides, or the one, of the comparison; a side
    has arms, and an arm its cells. The order of the sides has a meaning, within a side none has.
    """
    ordered = [sorted(sorted(cells) for cells in arms) for arms in sides]
    return content_id([kind, ordered])


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def read_looks(query: Query, trial_ids: Iterable[str]) -> list[Look]:
    """Return the looks that showed one of these trials; raise ValidationError for invalid ones."""
    asked = json.dumps([*trial_ids])
    shown: dict[int, dict[str, datetime]] = {}
    for values in query(
        "SELECT trial_id, declaration, shown_at FROM shown "
        "WHERE trial_id IN (SELECT value FROM json_each(?))",
        asked,
    ):
        row = _StoredShown.model_validate(values)
        shown.setdefault(row.declaration, {})[row.trial_id] = row.shown_at
    found = query(
        "SELECT number, study, content FROM declarations "
        "WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number",
        json.dumps([*shown]),
    )
    return [
        _look(declared, shown[declared.number])
        for declared in map(_StoredDeclaration.model_validate, found)
    ]


def write_looks(database: sqlite3.Connection, looks: Iterable[Look]) -> None:
    """Store what is new in the looks; the caller has begun a transaction."""
    for look in looks:
        database.execute(
            "INSERT OR IGNORE INTO declarations (id, study, content) VALUES (?, ?, ?)",
            (look.id, look.study, look.content),
        )
        database.executemany(
            "INSERT OR IGNORE INTO shown SELECT ?, number, ? FROM declarations WHERE id = ?",
            [(trial, _as_text(at), look.id) for trial, at in sorted(look.shown.items())],
        )


def news_of(looks: Iterable[Look], read: Callable[[Iterable[str]], Iterable[Look]]) -> list[Look]:
    """Return the looks that showed trials and say more than what `read` returns for these
    trials."""
    shown = [look for look in looks if look.shown]
    known = [*read(trial for look in shown for trial in look.shown)]
    return [
        look
        for look in shown
        if not any(one.id == look.id and look.shown.keys() <= one.shown.keys() for one in known)
    ]


def united(*every: Sequence[Look]) -> tuple[Look, ...]:
    """Return the looks of all, each once; if one is in several, its first dates count."""
    found: dict[str, Look] = {}
    for look in (look for looks in every for look in looks):
        known = found.get(look.id)
        found[look.id] = look if known is None else _first(known, look)
    return tuple(found[key] for key in sorted(found))


def joined(name: str, looks: Sequence[Look]) -> Look:
    """Return the looks of one moment as one look of that name."""
    return Look(
        study=name,
        places=tuple(place for look in looks for place in look.places),
        claims=frozenset(claim for look in looks for claim in look.claims),
        shown={trial: at for look in looks for trial, at in look.shown.items()},
        advice=frozenset(one for look in looks for one in look.advice),
    )


def looks_digest(looks: Sequence[Look], own: str) -> str:
    """Return a name for what earlier looks say of a study whose declaration has the id `own`.

    It changes with every look that declared something else. What was shown of the study as it is
    now matters only where it came before such a look: so a page is not made again because of the
    look at itself.
    """
    others = [look for look in looks if look.id != own]
    last = max((at for look in others for at in look.shown.values()), default=None)
    before = [
        (trial, at)
        for look in looks
        if look.id == own
        for trial, at in look.shown.items()
        if last is not None and at <= last
    ]
    shown = [(look.id, [*look.shown.items()]) for look in others] + [(own, before)]
    return content_id(
        sorted([key, sorted([trial, at.isoformat()] for trial, at in of)] for key, of in shown),
        length=DECLARATION_ID_LENGTH,
    )


def _first(left: Look, right: Look) -> Look:
    shown = dict(left.shown)
    for trial, at in right.shown.items():
        shown[trial] = min(at, shown.get(trial, at))
    return replace(left, shown=shown)


def _look(declared: _StoredDeclaration, shown: Mapping[str, datetime]) -> Look:
    return Look(
        study=declared.study,
        places=tuple(
            DeclaredPlace(cell=cell, trials=trials) for cell, trials in declared.content.places
        ),
        claims=frozenset(
            DeclaredClaim(subject=subject, margin=margin, is_part=is_part)
            for subject, margin, is_part in declared.content.claims
        ),
        shown=shown,
        advice=frozenset(
            DeclaredAdvice(cells=cells, reference=reference, margin=margin, cost=cost)
            for cells, reference, margin, cost in declared.content.advice
        ),
    )


def _as_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
