"""The declarations of a study: its trials by id, cell and seed, its claims, and its advice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from peftlab.core.trial import cell_of, cell_of_settings, unseeded_trial
from peftlab.store.looks import (
    DeclaredAdvice,
    DeclaredClaim,
    DeclaredPlace,
    Look,
    subject_of,
)
from peftlab.store.reader import Result
from peftlab.store.records import TrialRecord
from peftlab.study.arms import every_arm, select_arms
from peftlab.study.parts import AdvicePart
from peftlab.study.spec import Claim, StudySpec
from peftlab.study.train_sizes import largest_sizes, order_of_size


@dataclass(frozen=True, kw_only=True)
class PlacedTrial:
    """The part of a study's trial that a look needs; `arms` are those of the study that hold it.

    `train_size` is None for a trial on all rows.
    """

    id: str
    cell: str
    seed: int
    task: str
    arms: tuple[str, ...]
    is_done: bool
    train_size: int | None = None


DeclaredPlaces = Mapping[tuple[str, str], Sequence[DeclaredPlace]]
"""The places of an arm on a task: one, or none where it has no trial."""


def placed_trial(record: TrialRecord, arms: tuple[str, ...]) -> PlacedTrial:
    """Return the trial of a record under these arms."""
    trial = record.trial
    return PlacedTrial(
        id=trial.id,
        cell=cell_of(trial),
        seed=trial.seed,
        task=trial.task,
        arms=arms,
        is_done=record.status == "done",
        train_size=trial.train_size,
    )


def placed_result(result: Result, arms: tuple[str, ...]) -> PlacedTrial:
    """Return the trial of a result under these arms; a result is the part that a frame reads."""
    row = result.row
    shared = unseeded_trial(row.settings)
    return PlacedTrial(
        id=row.id,
        cell=cell_of_settings(row.settings),
        seed=row.seed,
        task=shared.task,
        arms=arms,
        is_done=row.status == "done",
        train_size=shared.train_size,
    )


def places_of(placed: Iterable[PlacedTrial]) -> dict[tuple[str, str], list[DeclaredPlace]]:
    """Return the places by arm and task; trials of no arm are together where they have one cell."""
    seeds: dict[tuple[str, str], dict[str, dict[str, int]]] = {}
    for trial in placed:
        for arm in trial.arms or ("",):
            of_cell = seeds.setdefault((arm, trial.task), {}).setdefault(trial.cell, {})
            of_cell[trial.id] = trial.seed
    return {
        place: [DeclaredPlace(cell=cell, trials=trials) for cell, trials in of_cells.items()]
        for place, of_cells in seeds.items()
    }


def declared_claim(
    claim: Claim,
    sides: Sequence[Iterable[str]],
    tasks: Iterable[str],
    places: DeclaredPlaces,
    *,
    is_part: bool = False,
) -> DeclaredClaim:
    """Return the claim on these tasks, by the arms on its one or two sides.

    Arms that have no trials are left out, so that the claim is another once they have.
    """
    names = [*tasks]
    of_sides = [
        [[one.cell for task in names for one in places.get((arm, task), ())] for arm in side]
        for side in sides
    ]
    return DeclaredClaim(
        subject=subject_of(
            "better" if claim.equivalent is None else "equivalent",
            [[cells for cells in arms if cells] for arms in of_sides],
        ),
        margin=claim.margin,
        is_part=is_part,
    )


def declared_claims(spec: StudySpec, places: DeclaredPlaces) -> frozenset[DeclaredClaim]:
    """Return the study's claims, on its tasks together and, if several, on each alone."""
    if not spec.claims:
        return frozenset()
    every = every_arm(spec, resolve=False)
    found: set[DeclaredClaim] = set()
    for claim in spec.claims:
        sides = [
            [arm.name for arm in select_arms(every, names, where="claims")]
            for names in ([claim.equivalent] if claim.equivalent else [[one] for one in claim.arms])
        ]
        tasks = tasks_of_claim(spec, claim)
        found.add(declared_claim(claim, sides, tasks, places))
        if len(tasks) > 1:
            found |= {declared_claim(claim, sides, [task], places, is_part=True) for task in tasks}
    return frozenset(found)


def declared_advice(options: AdvicePart, places: DeclaredPlaces) -> DeclaredAdvice:
    """Return the advice by these options among all arms that have trials."""
    reference = options.reference
    return DeclaredAdvice(
        cells=frozenset(one.cell for found in places.values() for one in found),
        reference=frozenset(
            one.cell for (arm, _), found in places.items() if arm == reference for one in found
        ),
        margin=options.margin,
        cost=options.cost,
    )


def advice_options(spec: StudySpec) -> tuple[AdvicePart, ...]:
    """Return the options by which the study's page gives advice: its own, or the usual ones."""
    named = tuple(part.options for part in spec.report if isinstance(part.options, AdvicePart))
    margin = spec.decide.margin if spec.decide is not None else None
    return named or (AdvicePart() if margin is None else AdvicePart(margin=margin),)


def tasks_of_claim(spec: StudySpec, claim: Claim) -> tuple[str, ...]:
    """Return the study's tasks that the claim is about."""
    return tuple(task for task in spec.tasks if claim.tasks is None or task in claim.tasks)


def look_at(spec: StudySpec | None, placed: Sequence[PlacedTrial], at: datetime) -> Look:
    """Return a look at these trials at that moment; without the study no claims and no advice.

    Claims are of the trials with the most training rows; the advice is given for each number.
    """
    by_size = [places_of(own) for own in by_train_size(placed)]
    return Look(
        study=spec.name if spec else "",
        places=tuple(one for of_place in places_of(placed).values() for one in of_place),
        claims=declared_claims(spec, by_size[0]) if spec and by_size else frozenset(),
        shown={one.id: at for one in placed if one.is_done},
        advice=frozenset(
            declared_advice(options, places)
            for options in (advice_options(spec) if spec else ())
            for places in by_size
        ),
    )


def by_train_size(placed: Sequence[PlacedTrial]) -> list[list[PlacedTrial]]:
    """Return the trials apart: those of each task's largest size, then those of each other one."""
    largest = largest_sizes((one.task, one.train_size) for one in placed)
    found: dict[int | None, list[PlacedTrial]] = {}
    for one in placed:
        is_largest = one.train_size == largest[one.task]
        found.setdefault(None if is_largest else one.train_size, []).append(one)
    return [found[size] for size in sorted(found, key=order_of_size, reverse=True)]
