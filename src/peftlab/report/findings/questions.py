"""The questions of a study that adds seeds until it is decided: which are open, and what they take.

A question is a claim, or the choice of "What to use" over all tasks. It is open while another seed
may decide it; the arms and tasks that it needs are those that get one. It is closed where it is
decided, where its arms are shown to differ by less than the margin, and where no seed can help: the
models did not learn, or the noise of the examples alone forbids a decision at the margin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np

from peftlab.core.identity import derived_seed
from peftlab.core.words import counted, duration
from peftlab.report.findings.advice import WORSE_LEVEL
from peftlab.report.findings.evidence import least_seeds, listed
from peftlab.report.findings.view import StudyView
from peftlab.stats.compare import Difference
from peftlab.stats.noise import LEVEL
from peftlab.stats.power import (
    MOST_SEEDS,
    FurtherSeeds,
    Hopeless,
    further_seeds,
)
from peftlab.study.decide_spec import DecideSpec
from peftlab.study.further_seeds import counted_further
from peftlab.study.tuning.attempts import spent_seconds
from peftlab.tasks.spec import Task

WHAT_TO_USE = "What to use"
State = Literal["decided", "closed", "open"]
Place = tuple[str, str]
"""An arm and a task, by their names."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A claim, or what to use: its state, and in words why.

    `places` are the arms and tasks of which further seeds may decide it. `pair` is the comparison
    on which it hangs, and `found` its difference over `tasks`; it is one of `num_tests` that are
    read together.
    """

    name: str
    state: State
    why: str
    places: tuple[Place, ...] = ()
    pair: tuple[str, str] | None = None
    tasks: tuple[Task, ...] = ()
    found: Difference | None = None
    margin: float | None = None
    num_tests: int = 1


def next_round(view: StudyView, asked: Sequence[Question], rule: DecideSpec) -> dict[Place, int]:
    """Return the further seeds of each arm on each task after one more round; {} for no round.

    Of the arms and tasks of an open question those with the fewest seeds get one more, so that all
    come to have the same number.
    """
    have = further_of(view)
    num_own = {arm.name: len(arm.seeds) for arm in view.arms}

    def num_seeds(place: Place) -> int:
        return num_own[place[0]] + have.get(place, 0)

    wanted = dict(have)
    for question in asked:
        if question.state != "open" or not question.places:
            continue
        target = min(map(num_seeds, question.places)) + 1
        for place in question.places:
            if num_seeds(place) < min(target, rule.max_seeds):
                wanted[place] = have.get(place, 0) + 1
    return {} if wanted == have else wanted


def further_of(view: StudyView) -> dict[Place, int]:
    """Return the further seeds that the study has by now, by arm and task."""
    runs = (
        (arm, task, record.trial.seed)
        for (arm, task), records in view.by_place.items()
        for record in records
    )
    return counted_further(view.spec, runs)


def further_seconds(view: StudyView) -> float:
    """Return the seconds that the trials of further seeds have taken."""
    own = {(arm.name, task.name): {*arm.seeds} for arm in view.arms for task in view.tasks}
    records = {
        record.trial.id: record
        for place, found in view.by_place.items()
        for record in found
        if record.trial.seed not in own.get(place, ())
    }
    return sum(spent_seconds(record) for record in records.values())


def seconds_of_seed(view: StudyView, place: Place) -> float | None:
    """Return the seconds that a further seed of the arm on the task takes; None if unknown.

    Those are the mean of its trials so far, times the folds.
    """
    records = [one for one in view.by_place.get(place, ()) if one.status == "done" and one.costs]
    seconds = [spent_seconds(record) for record in records]
    return fmean(seconds) * (view.spec.folds or 1) if seconds else None


def seconds_of_round(view: StudyView, wanted: Mapping[Place, int]) -> float:
    """Return the seconds that a round takes; what is not known counts as nothing."""
    have = further_of(view)
    grown = [place for place, num in wanted.items() if num > have.get(place, 0)]
    return sum(seconds_of_seed(view, place) or 0.0 for place in grown)


@dataclass(frozen=True, kw_only=True)
class Needed:
    """The further seeds that would probably decide an open question, and the seconds they take."""

    num_seeds: int
    seconds: float


def needed(view: StudyView, question: Question) -> Needed | Hopeless | None:
    """Return what would probably decide an open question if today's estimate is true.

    None where it is not open, or where its arms cannot be compared.
    """
    found = question.found
    if question.state != "open" or found is None:
        return None
    num = max(least_seeds(found, question.num_tests) - found.num_seeds, 1)
    if found.num_seeds > 1 and found.noise.seeds:
        more = _further(question, found)
        if not isinstance(more, FurtherSeeds):
            return more
        num = max(num, more.num)
    seconds = num * sum(seconds_of_seed(view, place) or 0.0 for place in question.places)
    return Needed(num_seeds=num, seconds=seconds)


def _further(question: Question, found: Difference) -> FurtherSeeds | Hopeless:
    """Return the further seeds that would probably decide a comparison.

    A choice is decided by an arm that is near enough as by one that is shown to be worse: the
    easier of the two counts.
    """
    generator = np.random.default_rng(derived_seed(0, "questions", question.name))
    more = further_seeds(found, question.margin, LEVEL / question.num_tests, generator)
    if question.name != WHAT_TO_USE:
        return more
    shown = further_seeds(found, None, WORSE_LEVEL, generator)
    known = [one for one in (more, shown) if isinstance(one, FurtherSeeds)]
    return min(known, key=lambda one: one.num, default=more)


def open_words(view: StudyView, asked: Sequence[Question]) -> list[str]:
    """Return a sentence on each question that is open, with what it would probably take."""
    return [
        f"{question.name}: open ({question.why}); {_needed_words(view, question)}."
        for question in asked
        if question.state == "open"
    ]


def _needed_words(view: StudyView, question: Question) -> str:
    more = needed(view, question)
    if more == "examples":
        return "if the estimate is true, these examples are too few for any number of seeds"
    if more == "too many":
        return f"if the estimate is true, it would take more than {MOST_SEEDS} seeds"
    if more is None:
        return "what it would take is not known"
    arms = listed([*dict.fromkeys(arm for arm, _ in question.places)])
    return (
        f"{counted(more.num_seeds, 'further seed')} of {arms} would probably decide it, in about "
        f"{duration(more.seconds)}"
    )
