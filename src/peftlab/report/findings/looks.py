"""The relation of a claim's test to earlier looks at its arms: interim, sequential, exploratory.

A look records which trials were shown, and what was declared by then (store/looks.py). If seeds of
an arm were declared only after both arms of a pair had been shown, they may have been added because
of the scores. The same holds for an arm, a claim or a margin that was added after any look at one
of the arms.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from peftlab.report.findings.look_words import (
    UNTIL_DECIDED,
    added_words,
    claim_words,
    cost_words,
    dropped_words,
    interim_words,
    margin_words,
    reference_words,
)
from peftlab.report.findings.statistics import Place
from peftlab.report.findings.view import StudyView
from peftlab.stats.compare import Difference
from peftlab.store.looks import DeclaredAdvice, DeclaredClaim, DeclaredPlace, Look
from peftlab.study.arms import Arm
from peftlab.study.declarations import (
    declared_advice,
    declared_claim,
    declared_claims,
    tasks_of_claim,
)
from peftlab.study.further_seeds import is_further
from peftlab.study.parts import AdvicePart
from peftlab.study.spec import Claim
from peftlab.tasks.spec import Task


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The relation of a claim's test, or of the advice, to earlier looks.

    `is_sequential` says that seeds were added or dropped after a look, or that the study adds them
    until it is decided, so that the test is the always-valid one even once all trials are done;
    `is_interim`, that declared trials are pending or running (failed trials are finished);
    `is_exploratory`, that an arm, the claim or its margin, or an option of the advice, was added or
    changed after a look at one of the arms. `reasons` are whole sentences for a reader, with dates
    and seeds.
    """

    is_sequential: bool
    is_interim: bool
    is_exploratory: bool
    reasons: tuple[str, ...]

    @property
    def is_always_valid(self) -> bool:
        """Whether the test must be valid for any number of looks."""
        return self.is_sequential or self.is_interim


UNSEEN = Standing(is_sequential=False, is_interim=False, is_exploratory=False, reasons=())
"""The standing of results that nobody has seen."""


def standing(
    view: StudyView, claim: Claim, pairs: Sequence[tuple[str, str]], tasks: Sequence[Task]
) -> Standing:
    """Return the claim's standing on these tasks: on all of its tasks, or on one of them.

    `pairs` are the arms that it compares. There are no looks at trials that were never shown, such
    as those of new seeds in place of others.
    """
    places = _places(view, pairs, tasks)
    sequential = _sequential(view, places, pairs)
    interim = _interim(view, places)
    exploratory = _exploratory(view, claim, places, pairs, tasks)
    return Standing(
        is_sequential=bool(sequential),
        is_interim=bool(interim),
        is_exploratory=bool(exploratory),
        reasons=(*sequential, *interim, *exploratory),
    )


def difference_shown(
    view: StudyView, left: str, right: str, tasks: Sequence[Task]
) -> Difference | None:
    """Return left - right over the tasks, with the test that is valid after the looks at both.

    It is None if they cannot be compared on all of the tasks.
    """
    found = view.statistics.difference(left, right, tasks)
    if found is None:
        return None
    return replace(found, is_always_valid=is_always_valid(view, (left, right), tasks))


def is_always_valid(view: StudyView, pair: tuple[str, str], tasks: Sequence[Task]) -> bool:
    """Return whether a test of these arms must be valid for any number of looks at scores."""
    places = _places(view, [pair], tasks)
    return bool(_interim(view, places) or _sequential(view, places, [pair]))


def advice_standing(
    view: StudyView, arms: Sequence[Arm], tasks: Sequence[Task], options: AdvicePart
) -> Standing:
    """Return the standing of advice that chooses among the arms."""
    pairs = list(itertools.combinations((arm.name for arm in arms), 2))
    places = _places(view, pairs, tasks)
    sequential = _sequential(view, places, pairs)
    interim = _interim(view, places, of_what="the advice")
    exploratory = []
    at, first = _first_relevant(view.looks, places, pairs)
    if at is not None:
        new = _new_names(_new_places(first, places), len(arms))
        if new:
            exploratory.append(claim_words(at, new))
    at, first = _first_relevant([look for look in view.looks if look.advice], places, pairs)
    if at is not None:
        now = declared_advice(options, view.places)
        exploratory += _other_advice(at, now, first, view.spec.name)
    return Standing(
        is_sequential=bool(sequential),
        is_interim=bool(interim),
        is_exploratory=bool(exploratory),
        reasons=(*sequential, *interim, *exploratory),
    )


def _other_advice(
    at: datetime, wanted: DeclaredAdvice, first: Sequence[Look], study: str
) -> list[str]:
    """Return sentences on the differences between the advice and that declared at a look.

    Declarations of another study beyond these arms were never part of this study.

    If several were declared then, the nearest counts: the one with the same arm to measure by, the
    same cost and the same margin, in this order, and with the most cells kept.
    """
    then, name = max(
        ((one, look.study) for look in first for one in look.advice),
        key=lambda known: (
            _is_same_arm(known[0].reference, wanted.reference),
            known[0].cost == wanted.cost,
            known[0].margin == wanted.margin,
            len(known[0].cells & wanted.cells) - len(known[0].cells - wanted.cells),
        ),
    )
    sentences = []
    if not _is_same_arm(then.reference, wanted.reference):
        sentences.append(reference_words(at, is_best=not then.reference))
    if then.cost != wanted.cost:
        sentences.append(cost_words(at, then.cost, wanted.cost))
    if then.margin != wanted.margin:
        sentences.append(margin_words(at, then.margin, wanted.margin, of_what="advice"))
    if name == study and then.cells - wanted.cells:
        sentences.append(dropped_words(at))
    return sentences


def _is_same_arm(one: frozenset[str], other: frozenset[str]) -> bool:
    """Return whether both hold cells of one arm, maybe on other tasks, or both are empty."""
    return bool(one & other) or not (one or other)


def withdrawn(view: StudyView) -> int:
    """Return the number of claims that were declared at the first look but no longer exist.

    They still count in Holm's family. The first look is the first to have shown two of the study's
    arms on one task; a claim whose margin has changed is both withdrawn and new. Claims of another
    study, with arms that this study does not have, never belonged to this study.
    """
    moments = {look.id: _shown_two_at(view, look) for look in view.looks}
    at = min((moment for moment in moments.values() if moment is not None), default=None)
    if at is None:
        return 0
    own = {trial.id for trial in view.placed}
    of_moment = [look for look in view.looks if moments[look.id] == at]
    first = max(of_moment, key=lambda look: (_overlap(look, own), look.id))
    cells = {one.cell for found in view.places.values() for one in found}
    if first.study != view.spec.name and any(place.cell not in cells for place in first.places):
        return 0
    now = declared_claims(view.spec, view.places)
    kept = {(one.subject, one.margin) for one in now if not one.is_part}
    then = {(one.subject, one.margin) for one in first.claims if not one.is_part}
    return len(then - kept)


def _shown_two_at(view: StudyView, look: Look) -> datetime | None:
    """Return the time at which the look had shown trials of two of the study's arms on one task."""
    moments = []
    for task in view.tasks:
        found = [view.places.get((arm.name, task.name), ()) for arm in view.arms]
        shown = [
            min(look.shown[trial] for trial in trials)
            for places in found
            if (trials := [key for one in places for key in one.trials if key in look.shown])
        ]
        moments += sorted(shown)[1:2]
    return min(moments, default=None)


def _places(
    view: StudyView, pairs: Sequence[tuple[str, str]], tasks: Sequence[Task]
) -> dict[Place, Sequence[DeclaredPlace]]:
    """Return the study's declarations for these arms on these tasks."""
    arms = dict.fromkeys(name for pair in pairs for name in pair)
    return {
        (arm, task.name): view.places.get((arm, task.name), ()) for arm in arms for task in tasks
    }


# Seeds


def _sequential(
    view: StudyView,
    places: Mapping[Place, Sequence[DeclaredPlace]],
    pairs: Sequence[tuple[str, str]],
) -> list[str]:
    """Return sentences on seeds that differ from those declared when both arms were first shown.

    A study that adds seeds until it is decided declares that they will be others at each look.
    """
    declared = [] if view.spec.decide is None else [UNTIL_DECIDED]
    at, relevant = _first_relevant(view.looks, places, pairs)
    if at is None:
        return declared
    then = [place for look in relevant for place in look.places]
    known = {place.ids for place in then}
    shown = {trial for look in relevant for trial, own in look.shown.items() if own <= at}
    found: dict[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], dict[str, None]] = {}
    for (arm, _), own_places in places.items():
        for own in own_places:
            if own.ids not in known:
                added, dropped, seen = _changes(own, then, shown)
                added = tuple(seed for seed in added if not is_further(view.spec, seed))
                if added or dropped:
                    found.setdefault((added, dropped, seen), {})[arm] = None
    every = {arm for arm, _ in places}
    return declared + [
        sentence
        for (added, dropped, seen), arms in found.items()
        for sentence in added_words(
            at, added, dropped, seen, arms=() if set(arms) == every else tuple(arms)
        )
    ]


def _first_relevant(
    looks: Sequence[Look],
    places: Mapping[Place, Sequence[DeclaredPlace]],
    pairs: Sequence[tuple[str, str]],
) -> tuple[datetime | None, list[Look]]:
    """Return the time at which both arms of a pair were first shown on one task, with its looks.

    If no single look had shown both by then, these are all looks so far at either arm.
    """
    together = {look.id: _shown_pair_at(look.shown, places, pairs) for look in looks}
    by_one = min((at for at in together.values() if at is not None), default=None)
    by_all = _shown_pair_at(_first_shown(looks), places, pairs)
    if by_all is None or by_all == by_one:
        return by_one, [look for look in looks if by_one and together[look.id] == by_one]
    own = {trial for found in places.values() for place in found for trial in place.trials}
    return by_all, [
        look
        for look in looks
        if any(at <= by_all for trial, at in look.shown.items() if trial in own)
    ]


def _first_shown(looks: Sequence[Look]) -> dict[str, datetime]:
    """Return the time at which each trial was first shown in any of the looks, by its id."""
    found: dict[str, datetime] = {}
    for look in looks:
        for trial, at in look.shown.items():
            found[trial] = min(at, found.get(trial, at))
    return found


def _shown_pair_at(
    shown: Mapping[str, datetime],
    places: Mapping[Place, Sequence[DeclaredPlace]],
    pairs: Iterable[tuple[str, str]],
) -> datetime | None:
    """Return the time from which both arms of a pair were shown on one task; None if never."""
    first = {
        place: min(
            (shown[trial] for one in found for trial in one.trials if trial in shown), default=None
        )
        for place, found in places.items()
    }
    moments = []
    tasks = dict.fromkeys(task for _, task in places)
    for left, right in pairs:
        for task in tasks:
            both = first.get((left, task)), first.get((right, task))
            if both[0] is not None and both[1] is not None:
                moments.append(max(both[0], both[1]))
    return min(moments, default=None)


def _changes(
    own: DeclaredPlace, then: Sequence[DeclaredPlace], shown: set[str]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the seeds added to those declared, the seeds dropped, and the seeds shown."""
    alike = [place for place in then if place.cell == own.cell]
    nearest = max(alike, key=lambda place: (len(place.ids & own.ids), -len(place.ids)), default=own)
    added = [seed for trial, seed in own.trials.items() if trial not in nearest.trials]
    dropped = [seed for trial, seed in nearest.trials.items() if trial not in own.trials]
    seen = [seed for trial, seed in nearest.trials.items() if trial in shown]
    return tuple(sorted(added)), tuple(sorted(dropped)), tuple(sorted(seen))


def _interim(
    view: StudyView, places: Iterable[Place], *, of_what: str = "the verdict"
) -> list[str]:
    """Return a sentence on declared trials that are not finished."""
    records = [record for place in places for record in view.by_place.get(place, ())]
    seeds = {record.trial.seed for record in records}
    opened = {r.trial.seed for r in records if r.status in {"pending", "running"}}
    return [interim_words(len(seeds - opened), len(seeds), of_what)] if opened else []


# Arms, claims and margins


def _exploratory(
    view: StudyView,
    claim: Claim,
    places: Mapping[Place, Sequence[DeclaredPlace]],
    pairs: Sequence[tuple[str, str]],
    tasks: Sequence[Task],
) -> list[str]:
    """Return a sentence on anything new since the first look at one of the arms."""
    own = {trial for found in places.values() for place in found for trial in place.trials}
    at = min((at for look in view.looks for key, at in look.shown.items() if key in own),
             default=None)  # fmt: skip
    if at is None:
        return []
    first = [look for look in view.looks if any(look.shown.get(trial) == at for trial in own)]
    names = [task.name for task in tasks]
    is_whole = set(names) == set(tasks_of_claim(view.spec, claim))
    wanted = declared_claim(claim, _sides(claim, pairs), names, view.places)
    known = {
        (one.subject, one.margin)
        for look in first
        for one in look.claims
        if not (is_whole and one.is_part)
    }
    if (wanted.subject, wanted.margin) in known:
        return []
    num_arms = len({arm for arm, _ in places})
    return [_newness(at, wanted, known, _new_names(_new_places(first, places), num_arms))]


def _new_places(
    first: Sequence[Look], places: Mapping[Place, Sequence[DeclaredPlace]]
) -> list[Place]:
    """Return the places that were declared at none of the looks."""
    cells = {place.cell for look in first for place in look.places}
    return [place for place, found in places.items() if any(one.cell not in cells for one in found)]


def _new_names(new: Sequence[Place], num_arms: int) -> list[str]:
    """Return the arms that are new, or else the tasks that are new for all arms."""
    tasks = [
        task
        for task in dict.fromkeys(task for _, task in new)
        if len({arm for arm, own in new if own == task}) == num_arms
    ]
    return [*dict.fromkeys(arm for arm, task in new if task not in tasks)] or tasks


def _newness(
    at: datetime,
    wanted: DeclaredClaim,
    known: set[tuple[str, float | None]],
    new: Sequence[str],
) -> str:
    """Return the sentence on new arms (or tasks), on a new margin, or on the new claim itself."""
    if new:
        return claim_words(at, new)
    margins = [margin for subject, margin in known if subject == wanted.subject]
    if margins and wanted.margin is not None and margins[0] is not None:
        return margin_words(at, margins[0], wanted.margin)
    return claim_words(at, ())


def _sides(claim: Claim, pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return the arms on each side of the claim, which has two sides or one."""
    if claim.equivalent is not None:
        return [[*dict.fromkeys(name for pair in pairs for name in pair)]]
    return [[*dict.fromkeys(pair[side] for pair in pairs)] for side in (0, 1)]


def _overlap(look: Look, own: set[str]) -> int:
    return sum(len(place.ids & own) for place in look.places)
