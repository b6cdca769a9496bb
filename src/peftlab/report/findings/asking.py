"""The making of a study's questions: of its claims by their verdicts, and of what to use.

A claim is open while its verdict is and another seed may change that. The choice of what to use is
open while no arm is recommended. It costs the most, so its seeds go where they say the most: first
to the arms that may be the best, and once these are told apart to those that lag far behind, which
a decision with confidence has to leave behind as well.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from peftlab.report.findings.advice import WORSE_LEVEL, Advice, advise
from peftlab.report.findings.evidence import least_seeds, points_words
from peftlab.report.findings.learning import did_not_learn
from peftlab.report.findings.looks import difference_shown
from peftlab.report.findings.questions import WHAT_TO_USE, Question, State
from peftlab.report.findings.verdicts import TOO_FEW, UNLEARNED, Verdict, left_out
from peftlab.report.findings.view import StudyView
from peftlab.stats.compare import Difference
from peftlab.stats.noise import LEVEL
from peftlab.stats.power import do_examples_forbid
from peftlab.study.arms import Arm, every_arm, select_arms
from peftlab.study.declarations import advice_options
from peftlab.study.parts import AdvicePart
from peftlab.study.spec import Claim
from peftlab.tasks.spec import Task

FAR_ERRORS = 3.0
"""The standard errors beyond the margin from which an arm lags behind: it waits for its seeds, and
nothing is decided by that."""


def questions(view: StudyView, found: Sequence[Verdict]) -> tuple[Question, ...]:
    """Return the study's questions: what to use first, then the claims in their order.

    `found` are the verdicts on the claims. A study of one arm does not ask what to use.
    """
    options = advice_options(view.spec)[0]
    out = left_out(view)
    claims = [claim for claim in view.spec.claims if claim not in out]
    asked = [
        replace(_of_claim(view, claim, verdict, options.margin), num_tests=len(claims))
        for claim, verdict in zip(claims, found, strict=True)
    ]
    return tuple([_of_advice(view, options)] if len(view.arms) > 1 else []) + tuple(asked)


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
    served = _served(view, advice, playing, options)
    question = Question(
        name=WHAT_TO_USE,
        state="open",
        why=advice.lacking,
        places=tuple(
            itertools.product([arm.name for arm in served], [task.name for task in view.tasks])
        ),
        pair=pair,
        tasks=view.tasks,
        found=difference_shown(view, *pair, view.tasks) if pair else None,
        margin=options.margin,
        num_tests=max(len(view.arms) - 1, 1),
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


def _served(
    view: StudyView, advice: Advice, playing: Sequence[Arm], options: AdvicePart
) -> Sequence[Arm]:
    """Return the arms that get the next seeds: those that may be the best, else those that lag.

    The lagging ones wait while a choice among the others alone is open.
    """
    if advice.reference is None:
        return playing
    behind = _lagging(view, playing, advice.reference, options.margin)
    ahead = [arm for arm in playing if arm not in behind]
    if not behind or len(ahead) < 2:
        return behind or playing
    among = advise(
        replace(view, arms=tuple(ahead)), view.tasks,
        margin=options.margin, reference=options.reference, cost=options.cost,
    )  # fmt: skip
    return ahead if among.chosen is None else behind


def _lagging(view: StudyView, playing: Sequence[Arm], reference: Arm, margin: float) -> list[Arm]:
    """Return the arms whose mean is far below the best one, by the spread that all of them share.

    Few seeds tell little of one arm's spread, and more of that of all arms together.
    """
    found = [
        (arm, one)
        for arm in playing
        if arm.name != reference.name
        for one in [difference_shown(view, arm.name, reference.name, view.tasks)]
        if one is not None and one.noise.seeds
    ]
    if not found:
        return []
    spreads = [max(group.variance for group in one.noise.seeds) for _, one in found]
    pooled = math.fsum(spreads) / len(spreads)
    return [
        arm
        for arm, one in found
        if one.estimate
        + FAR_ERRORS * math.sqrt(one.noise.examples + one.noise.grain + pooled / one.num_seeds)
        < -margin
    ]
