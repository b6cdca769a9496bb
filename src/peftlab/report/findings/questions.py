"""The questions of a study that adds seeds until it is decided: which are open, and what they take.

A question is a claim, or the choice of "What to use" over all tasks. It is open while another seed
may decide it; the arms and tasks that it needs are those that get one. It is closed where it is
decided, where its arms are shown to differ by less than the margin, and where no seed can help: the
models did not learn, or the noise of the examples alone forbids a decision at the margin.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

import numpy as np

from peftlab.core.identity import derived_seed
from peftlab.core.words import counted, duration
from peftlab.report.findings.advice import WORSE_LEVEL, Advice, advise
from peftlab.report.findings.evidence import least_seeds, listed, points_words
from peftlab.report.findings.learning import did_not_learn
from peftlab.report.findings.looks import difference_shown
from peftlab.report.findings.verdicts import TOO_FEW, UNLEARNED, Verdict, left_out
from peftlab.report.findings.view import StudyView
from peftlab.stats.compare import Difference
from peftlab.stats.noise import LEVEL
from peftlab.stats.power import (
    MOST_SEEDS,
    FurtherSeeds,
    Hopeless,
    do_examples_forbid,
    further_seeds,
)
from peftlab.study.arms import Arm, every_arm, select_arms
from peftlab.study.decide_spec import DecideSpec
from peftlab.study.declarations import advice_options
from peftlab.study.further_seeds import counted_further
from peftlab.study.parts import AdvicePart
from peftlab.study.spec import Claim
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
    on which it hangs, and `found` its difference over `tasks`.
    """

    name: str
    state: State
    why: str
    places: tuple[Place, ...] = ()
    pair: tuple[str, str] | None = None
    tasks: tuple[Task, ...] = ()
    found: Difference | None = None
    margin: float | None = None


def questions(view: StudyView, found: Sequence[Verdict]) -> tuple[Question, ...]:
    """Return the study's questions: what to use first, then the claims in their order.

    `found` are the verdicts on the claims. A study of one arm does not ask what to use.
    """
    options = advice_options(view.spec)[0]
    out = left_out(view)
    claims = [claim for claim in view.spec.claims if claim not in out]
    asked = [
        _of_claim(view, claim, verdict, options.margin)
        for claim, verdict in zip(claims, found, strict=True)
    ]
    return tuple([_of_advice(view, options)] if len(view.arms) > 1 else []) + tuple(asked)


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
    """How many further seeds would probably decide an open question, and the seconds they take."""

    num_seeds: int
    seconds: float


def needed(view: StudyView, question: Question) -> Needed | Hopeless | None:
    """Return what would probably decide an open question if today's estimate is true.

    None where it is not open, or where its arms cannot be compared.
    """
    found = question.found
    if question.state != "open" or found is None:
        return None
    num = max(least_seeds(found) - found.num_seeds, 1)
    if found.num_seeds > 1 and found.noise.seeds:
        generator = np.random.default_rng(derived_seed(0, "questions", question.name))
        more = further_seeds(found, question.margin, LEVEL, generator)
        if not isinstance(more, FurtherSeeds):
            return more
        num = max(num, more.num)
    seconds = num * sum(seconds_of_seed(view, place) or 0.0 for place in question.places)
    return Needed(num_seeds=num, seconds=seconds)


def _of_claim(view: StudyView, claim: Claim, verdict: Verdict, margin: float) -> Question:
    every = every_arm(view.spec, resolve=False)
    arms = [arm.name for arm in select_arms(every, claim.arms, where="claims")]
    tasks = tuple(task for task in view.tasks if claim.tasks is None or task.name in claim.tasks)
    learnable = [
        task
        for task in tasks
        if not all(did_not_learn(view, arm, task) for arm in view.arms if arm.name in arms)
    ]
    pair = verdict.pair
    found = None
    if pair is not None and learnable:
        found = difference_shown(view, *pair, learnable)
    question = Question(
        name=claim.say,
        state="open",
        why=verdict.verdict,
        places=tuple(itertools.product(arms, (task.name for task in learnable))),
        pair=pair,
        tasks=tuple(learnable),
        found=found,
        margin=claim.margin,
    )
    if verdict.verdict not in (TOO_FEW, "not distinguishable", UNLEARNED):
        return _closed(question, verdict.verdict, state="decided")
    if verdict.verdict == UNLEARNED:
        return _closed(question, "its models did not learn, which seeds do not change")
    if verdict.verdict == TOO_FEW and (found is None or verdict.further_seeds is None):
        return _closed(question, "its arms cannot be compared")
    if found is None:
        return question
    return _weighed(question, found, claim.margin, margin)


def _weighed(
    question: Question, found: Difference, own_margin: float | None, margin: float
) -> Question:
    """Return the question, closed where its difference is small enough or cannot be told."""
    if found.says_nothing:
        return _closed(question, "its arms give the same answers")
    if own_margin is None and found.has_interval and -margin < found.low and found.high < margin:
        return _closed(
            question, f"its arms are shown to differ by less than {points_words(margin)}"
        )
    bound = own_margin if own_margin is not None else margin
    if do_examples_forbid(found, bound, is_equivalence=own_margin is not None):
        return _closed(question, _examples_words(found, bound))
    return question


def _closed(question: Question, why: str, *, state: State = "closed") -> Question:
    return replace(question, state=state, why=why, places=())


def _examples_words(found: Difference, margin: float) -> str:
    return (
        f"the noise of its {found.noise.num_examples:,} examples alone forbids a decision at a "
        f"margin of {points_words(margin)}: no number of seeds would do, more examples might"
    )


# What to use


def _of_advice(view: StudyView, options: AdvicePart) -> Question:
    """Return the choice over all tasks together."""
    advice = advise(
        view, view.tasks, margin=options.margin, reference=options.reference, cost=options.cost
    )
    playing = in_play(view, advice, options.margin)
    pair = None
    if advice.reference is not None:
        rivals = [arm.name for arm in playing if arm.name != advice.reference.name]
        pair = _closest(view, advice, rivals)
    question = Question(
        name=WHAT_TO_USE,
        state="open",
        why=advice.lacking,
        places=tuple(
            itertools.product([arm.name for arm in playing], [task.name for task in view.tasks])
        ),
        pair=pair,
        tasks=view.tasks,
        found=difference_shown(view, *pair, view.tasks) if pair else None,
        margin=options.margin,
    )
    if advice.chosen is not None:
        return _closed(question, f"use {advice.chosen.name}", state="decided")
    if advice.reference is None or not advice.candidates:
        return _closed(question, advice.lacking)
    for task in view.tasks:
        if all(did_not_learn(view, arm, task) for arm in view.arms):
            return _closed(question, f"the models did not learn {task.name}")
    if all(one.difference is None for one in advice.candidates):
        return _closed(question, advice.lacking)
    if len(playing) < 2:
        return _closed(question, advice.lacking)
    forbidding = _forbidding(view, playing, options.margin)
    if forbidding is not None:
        return _closed(question, _examples_words(forbidding, options.margin))
    return question


def in_play(view: StudyView, advice: Advice, margin: float) -> list[Arm]:
    """Return the arms of which further seeds may still change the choice.

    Out is an arm that is shown to be more than the margin below the best mean, and worse than each
    arm that is not out, as surely as the choice among all asks for; and one that did not learn.
    """
    reference = advice.reference
    if reference is None:
        return []
    num_others = max(len(view.arms) - 1, 1)
    candidates = [
        arm
        for arm in view.arms
        if arm.name == reference.name
        or (
            advice.of(arm) is not None
            and not any(did_not_learn(view, arm, task) for task in advice.tasks)
        )
    ]
    below = [
        arm
        for arm in candidates
        if arm.name != reference.name
        and _is_shown(view, arm, reference, advice.tasks, -margin, LEVEL / num_others)
    ]
    names = {arm.name for arm in below}
    staying = [arm for arm in candidates if arm.name not in names]
    level = min(WORSE_LEVEL / 2, LEVEL / num_others)
    out = {
        arm.name
        for arm in below
        if all(_is_shown(view, arm, other, advice.tasks, 0.0, level) for other in staying)
    }
    return [arm for arm in candidates if arm.name not in out]


def _is_shown(
    view: StudyView, arm: Arm, other: Arm, tasks: Sequence[Task], bound: float, level: float
) -> bool:
    """Return whether arm minus other is shown to be below the bound."""
    found = difference_shown(view, arm.name, other.name, tasks)
    if found is None or found.num_seeds < least_seeds(found):
        return False
    return found.estimate < bound and found.p_below(bound) <= level


def _closest(view: StudyView, advice: Advice, rivals: Sequence[str]) -> tuple[str, str] | None:
    """Return the pair on which the choice hangs: the best mean, and the rival nearest to it.

    Where no rival is left it is the arm that was nearest.
    """
    reference = advice.reference
    assert reference is not None
    comparable = [one for one in advice.candidates if one.difference is not None]
    known = [one for one in comparable if one.arm.name in rivals] or comparable
    if not known:
        return None
    nearest = max(known, key=lambda one: one.difference.estimate if one.difference else 0.0)
    return nearest.arm.name, reference.name


def _forbidding(view: StudyView, arms: Sequence[Arm], margin: float) -> Difference | None:
    """Return a comparison whose examples forbid the choice; None where some arm may be chosen.

    An arm may be chosen if each comparison of it with another one may be decided.
    """
    forbidding = None
    for arm in arms:
        found = [
            difference_shown(view, arm.name, other.name, view.tasks)
            for other in arms
            if other.name != arm.name
        ]
        known = [one for one in found if one is not None and not one.says_nothing]
        forbidden = next((one for one in known if do_examples_forbid(one, margin)), None)
        if forbidden is None:
            return None
        forbidding = forbidding or forbidden
    return forbidding


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
