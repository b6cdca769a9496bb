"""The advice in words, and as tables of each arm's score and cost beside those of the best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from peftlab.core.words import all_of
from peftlab.report.findings.advice import Advice, Candidate, advise, within_words
from peftlab.report.findings.better_words import better_note, highest
from peftlab.report.findings.costs import (
    COSTS,
    cost_words,
    group_note,
    is_dearer,
    is_in_group,
    total_cost,
)
from peftlab.report.findings.evidence import IDENTICAL, listed, points_words, signed
from peftlab.report.findings.look_words import NOT_REMEMBERED
from peftlab.report.findings.looks import UNSEEN, Standing, advice_standing
from peftlab.report.findings.marks import kind_of
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Block, Cell, Heading, Table
from peftlab.report.tables.advice_remarks import kept_out, unseen_collapses, where_words
from peftlab.stats.noise import LEVEL
from peftlab.stats.state import LearningState
from peftlab.study import parts
from peftlab.study.arms import Arm
from peftlab.study.parts import CostName
from peftlab.tasks.metrics.metric import POINTS
from peftlab.tasks.scores import unit_of, value_words
from peftlab.tasks.spec import Task

TITLE = "What to use"
OPEN = "not decided yet"
NOT_SHOWN = "not shown to have learned"
WEIGHED: tuple[CostName, ...] = ("time", "memory", "disk")
UNITS = {COSTS[name].title: COSTS[name].unit for name in WEIGHED}


def advices_of(view: StudyView, options: parts.AdvicePart) -> list[Advice]:
    """Return the advice over all tasks, and the advice on each task if there are several."""
    by_task = advices_by_task(view, options)
    return by_task if len(by_task) == 1 else [_advise(view, view.tasks, options), *by_task]


def advices_by_task(view: StudyView, options: parts.AdvicePart) -> list[Advice]:
    """Return the advice on each task."""
    return [_advise(view, [task], options) for task in view.tasks]


def _advise(view: StudyView, tasks: Sequence[Task], options: parts.AdvicePart) -> Advice:
    return advise(
        view, tasks, margin=options.margin, reference=options.reference, cost=options.cost
    )


def advice_blocks(
    view: StudyView, options: parts.AdvicePart, advices: Sequence[Advice]
) -> list[Block]:
    """Return a heading with the advice over all tasks, and tables of all arms and of each task."""
    whole, *by_task = advices
    stands = _standing_of(view, whole, options)
    kind = kind_of(is_interim=stands.is_interim, is_exploratory=stands.is_exploratory)
    answer = OPEN if whole.chosen is None else whole.chosen.name + f" ({kind})" * bool(kind)
    blocks: list[Block] = [
        Heading(title=f"{TITLE}: {answer}", text=_advice_words(view, whole, options, stands))
    ]
    if whole.candidates:
        blocks.append(_arms_table(view, whole, options))
    if any(advice.chosen is not None for advice in by_task):
        blocks.append(_by_task_table(view, by_task, options))
    return blocks


def _advice_words(
    view: StudyView, advice: Advice, options: parts.AdvicePart, stands: Standing
) -> str:
    """Return the advice in a few sentences."""
    over = f"Over {all_of(len(advice.tasks), 'tasks')}" if len(advice.tasks) > 1 else "Here"
    base, chosen = advice.reference, advice.chosen
    if base is None or chosen is None:
        shown = " What is measured so far is below." if advice.candidates else ""
        said = f"Nothing can be recommended yet: {advice.lacking}.{shown}"
        if advice.safe is not None:
            said = f"{over}: {advice.safe.name} will do, but which arm is best is still open: "
            said += f"{advice.lacking}."
        told = (said, _passed_by(advice), *kept_out(view, advice))
        return " ".join(filter(None, (*told, *_reservations(view, advice, stands))))
    within = within_words(options.margin, advice.reference if advice.is_named else None)
    others = [arm.name for arm in advice.near if arm.name != chosen.name]
    alike = [name for name in others if _are_identical(view, name, chosen.name, advice.tasks)]
    candidate = advice.of(chosen)
    sentences = [f"{over}: use {chosen.name}."]
    if len(others) > len(alike):
        sentences.append(
            f"{listed([chosen.name, *others])} could be shown to stay {within} (with "
            f"{1 - LEVEL:.0%} confidence for all arms together); of these it "
            f"{_why_it(view, advice, options)}."
        )
    elif alike:
        sentences.append(
            f"Of the arms that give the same answers it {_why_it(view, advice, options)}."
        )
    else:
        sentences.append(_only_words(view, advice, options))
    if alike:
        sentences.append(
            f"It gives the same answer as {listed(alike)} to every example with every seed."
        )
    if base.name not in alike:
        sentences.append(_score_words(view, advice, chosen, base))
    if candidate is not None:
        sentences.append(_cost_words(view, advice, chosen, base))
    sentences += [_better_words(advice), _passed_by(advice), *kept_out(view, advice)]
    sentences.append(unseen_collapses(view, advice, chosen))
    return " ".join(filter(None, (*sentences, *_reservations(view, advice, stands))))


def _are_identical(view: StudyView, one: str, other: str, tasks: Sequence[Task]) -> bool:
    return view.statistics.are_identical(one, other, tasks)


def _only_words(view: StudyView, advice: Advice, options: parts.AdvicePart) -> str:
    """Return the sentence that no arm other than the chosen one will do."""
    chosen = advice.chosen
    assert chosen is not None
    left = [one for one in advice.candidates if not one.unlearned and not one.num_failed]
    others = [one for one in left if one.arm.name != chosen.name]
    if not left:
        return "No other arm is shown to have learned, with all of its runs done."
    is_cheaper = all(is_dearer(view, chosen, one.arm, advice.tasks, options.cost) for one in others)
    which = "cheaper" if is_cheaper and others else "other"
    best = chosen if len(others) == len(left) else advice.reference
    return f"No {which} arm could be shown to stay {within_words(options.margin, best)}."


def _score_words(view: StudyView, advice: Advice, chosen: Arm, base: Arm) -> str:
    """Return the sentence on the chosen arm's score, and its distance from the reference."""
    means = " in the mean over the tasks" if len(advice.tasks) > 1 else ""
    score, candidate = _score(view, chosen, advice.tasks), advice.of(chosen)
    scored = f"It scores {score}{means}"
    if candidate is None:
        has_interval = isinstance(score, Cell) and score.low is not None
        return f"{scored}{' (in brackets the 95% interval)' if has_interval else ''}."
    best = "" if advice.is_named else f", which has the {highest(advice.tasks)} mean"
    return (
        f"{scored}, {base.name}{best}, {_score(view, base, advice.tasks)}: a difference of "
        f"{_difference(candidate)} (in brackets 95% intervals)."
    )


def _score(view: StudyView, arm: Arm, tasks: Sequence[Task]) -> str:
    """Return the arm's main score, as the mean over the tasks, with its interval."""
    found = view.mean_score(arm, tasks)
    if found is None:
        return NOTHING
    unit = unit_of(tasks[0].main_metric) if len(tasks) == 1 else POINTS
    mean, low, high = (value_words(one, unit, 1) for one in (found.mean, found.low, found.high))
    if not found.has_interval:
        return Cell(mean, value=found.mean)
    return Cell(f"{mean} [{low}, {high}]", value=found.mean, low=found.low, high=found.high)


def _reservations(view: StudyView, advice: Advice, stands: Standing) -> list[str]:
    """Return sentences on why the advice is interim or exploratory."""
    is_compared = advice.reference is not None and advice.candidates
    return [
        *stands.reasons,
        *([NOT_REMEMBERED] if is_compared and not view.looks_remembered else []),
    ]


def _standing_of(view: StudyView, advice: Advice, options: parts.AdvicePart) -> Standing:
    if advice.reference is None or not advice.candidates:
        return UNSEEN
    arms = [advice.reference, *(one.arm for one in advice.candidates), *advice.missing]
    return advice_standing(view, arms, advice.tasks, options)


def _passed_by(advice: Advice) -> str:
    """Return the sentence that the study's own reference cannot be used; "" if it can."""
    if advice.passed_by is None or advice.reference is None:
        return ""
    is_here = any(one.arm.name == advice.passed_by for one in advice.candidates)
    why = (
        f"is not shown to have learned {where_words(advice)}" if is_here else "this run leaves out"
    )
    return (
        f"The study measures by {advice.passed_by}, which {why}; {advice.reference.name} takes its "
        "place."
    )


def _why_it(view: StudyView, advice: Advice, options: parts.AdvicePart) -> str:
    """Return the words for why the chosen arm is preferred among the usable ones."""
    chosen, cost = advice.chosen, COSTS[options.cost].title
    assert chosen is not None
    others = [arm for arm in advice.near if arm.name != chosen.name]
    if all(is_dearer(view, arm, chosen, advice.tasks, options.cost) for arm in others):
        return f"is the cheapest in {cost}"
    counts = [total_cost(view, arm, advice.tasks, "parameters") for arm in others]
    few = "the fewest trainable parameters"
    if total_cost(view, chosen, advice.tasks, "parameters") in counts:
        few = "as few trainable parameters as any"
    return f"has {few} among those whose {cost} is not shown to differ from the lowest"


def _better_words(advice: Advice) -> str:
    """Return a sentence on the best arm if it is shown to be better than the reference."""
    better = [
        one
        for one in advice.candidates
        if one.difference and one.difference.low > 0 and not one.unlearned
    ]
    best = max(
        better, key=lambda one: one.difference.estimate if one.difference else 0.0, default=None
    )
    if best is None or best.arm == advice.chosen:
        return ""
    name = advice.reference.name if advice.reference else ""
    return f"The best score is that of {best.arm.name}: {_difference(best)} against {name}."


def _cost_words(view: StudyView, advice: Advice, chosen: Arm, base: Arm) -> str:
    """Return the sentence on the chosen arm's costs beside those of the reference."""
    phrases = {"time": "to train", "memory": "of memory", "disk": "on disk"}
    told = []
    for name in WEIGHED:
        own, other = (_amount(view, arm, advice.tasks, name) for arm in (chosen, base))
        if own is None or other is None:
            continue
        shown, instead = (
            cost_words(view, arm, advice.tasks, name, cost)
            for arm, cost in ((chosen, own), (base, other))
        )
        beside = f" instead of {instead}" if instead != shown else f", as {base.name} does"
        told.append(f"{shown} {phrases[name]}{beside}")
    return f"It takes {listed(told)}." if told else ""


def _amount(view: StudyView, arm: Arm, tasks: Sequence[Task], name: CostName) -> float | None:
    """Return a cost over the tasks: their sum, or the mean for memory, which becomes free again."""
    total = total_cost(view, arm, tasks, name)
    return total if total is None or name != "memory" else total / len(tasks)


def _by_task_table(view: StudyView, advices: Sequence[Advice], options: parts.AdvicePart) -> Table:
    rows: list[list[str]] = []
    for advice in advices:
        base, chosen = advice.reference, advice.chosen
        row = [advice.tasks[0].name]
        if base is None or chosen is None:
            rows.append([*row, *[NOTHING] * (3 + len(WEIGHED)), advice.lacking])
            continue
        candidate = advice.of(chosen)
        why = within_words(options.margin, base if advice.is_named else None)
        if len(advice.near) > 1:
            why += f"; of {len(advice.near)} such arms it {_why_it(view, advice, options)}"
        rows.append(
            [
                *row,
                chosen.name,
                _score(view, chosen, advice.tasks),
                NOTHING if candidate is None else _difference(candidate),
                *(_beside(view, advice.tasks, chosen, base, name) for name in WEIGHED),
                why,
            ]
        )
    titles = [COSTS[name].title for name in WEIGHED]
    return Table(
        title="What to use on each task",
        columns=["task", "use", "score", "difference", *titles, "why"],
        rows=rows,
        numbers=frozenset({"score", "difference", *titles}),
        units=UNITS,
        note="score: main metric. difference: to the best arm, or the one that the study "
        "measures by. In brackets: 95% intervals, and how many times the cost of that arm it is."
        + better_note([one.tasks[0] for one in advices]),
    )


def _arms_table(view: StudyView, advice: Advice, options: parts.AdvicePart) -> Table:
    base = advice.reference
    assert base is not None, "there are candidates"
    over = f"over {len(advice.tasks)} tasks" if len(advice.tasks) > 1 else advice.tasks[0].name
    titles = [COSTS[name].title for name in WEIGHED]
    less = f"difference from {base.name}"
    within = f"within {points_words(options.margin)}"

    def costs(arm: Arm) -> list[str]:
        return [_beside(view, advice.tasks, arm, base, name) for name in WEIGHED]

    def scored(arm: Arm) -> list[str]:
        return [view.label(arm), _score(view, arm, advice.tasks)]

    rows = [
        [*scored(one.arm), _difference(one), _finding(one, options.margin), *costs(one.arm)]
        for one in advice.candidates
    ]
    own = _standing(advice.num_failed, advice.unlearned, is_near=base in advice.near)
    rows.insert(0, [*scored(base), NOTHING, own or "not shown", *costs(base)])
    mean = ", the mean over the tasks" if len(advice.tasks) > 1 else ""
    sums = (
        " Times and sizes are sums over the tasks, memory is their mean."
        if len(advice.tasks) > 1
        else ""
    )
    grouped = group_note(view.records)
    return Table(
        title=f"All arms, {over}",
        columns=["arm", "score", less, within, *titles],
        rows=rows,
        numbers=frozenset({"score", less, *titles}),
        units=UNITS,
        note=f"score: main metric{mean}, with its 95% interval. {within}: whether the "
        f"arm could be shown to stay "
        f"{within_words(options.margin, base if advice.is_named else None)}, with "
        f"{1 - LEVEL:.0%} confidence for all arms together; the interval of a difference is "
        f"for its arm alone.{sums} In brackets beside a cost: its ratio to that of {base.name}."
        + better_note(advice.tasks)
        + (f" {grouped}" if grouped else ""),
    )


def _standing(num_failed: int, unlearned: LearningState | None, *, is_near: bool) -> str:
    """Return what is known of an arm without its difference to another one; "" for nothing."""
    if num_failed:
        return f"{num_failed} failed"
    if unlearned:
        return unlearned if unlearned == "did not learn" else NOT_SHOWN
    return "yes" if is_near else ""


def _finding(candidate: Candidate, margin: float) -> str:
    known = _standing(candidate.num_failed, candidate.unlearned, is_near=candidate.is_near)
    found = candidate.difference
    if known:
        return known
    if found is None:
        return "not comparable"
    return "no" if found.high < -margin else "not shown"


def _difference(candidate: Candidate) -> str:
    found = candidate.difference
    if found is None:
        return NOTHING
    if not found.noise.is_known:
        same = IDENTICAL if candidate.is_identical else "no noise"
        return Cell(f"{signed(found.estimate)} ({same})", value=found.estimate)
    if not found.has_interval:
        return Cell(signed(found.estimate), value=found.estimate)
    middle, low, high = (signed(value) for value in (found.estimate, found.low, found.high))
    return Cell(f"{middle} [{low}, {high}]", value=found.estimate, low=found.low, high=found.high)


def _beside(view: StudyView, tasks: Sequence[Task], arm: Arm, base: Arm, name: CostName) -> str:
    own, other = (_amount(view, one, tasks, name) for one in (arm, base))
    if own is None:
        return NOTHING
    is_known = not any(is_in_group(view, one, tasks, name) for one in (arm, base))
    share = f" ({_times(own / other)})" if other and is_known and arm.name != base.name else ""
    return Cell(f"{cost_words(view, arm, tasks, name, own)}{share}", value=own)


def _times(ratio: float) -> str:
    """Return a ratio in two digits.

    >>> _times(0.314), _times(8.76), _times(99.7), _times(27_345.0), _times(0.0000366)
    ('0.31x', '8.8x', '100x', '27,000x', '0.000037x')
    """
    short = float(f"{ratio:.2g}")
    shown = f"{short:,.0f}" if short >= 10 else np.format_float_positional(short, trim="-")
    return f"{shown}x"
