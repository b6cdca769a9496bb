"""The advice in words, and as a table of what each arm gives and takes beside the reference."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.findings.advice import Advice, Candidate, advise
from peftlab.report.findings.costs import COSTS, total_cost
from peftlab.report.findings.evidence import IDENTICAL, listed, signed
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Block, Cell, Heading, Table
from peftlab.study import parts
from peftlab.study.expand import Arm
from peftlab.study.parts import CostName
from peftlab.tasks.spec import Task

TITLE = "What to use"
NOT_SHOWN = "not shown to have learned"
WEIGHED: tuple[CostName, ...] = ("time", "memory", "disk")
UNITS = {COSTS[name].title: COSTS[name].unit for name in WEIGHED}


def advice_blocks(view: StudyView, options: parts.Advice) -> list[Block]:
    """A heading with the advice over all tasks, that on each (if any), and all arms compared."""
    advices = [
        advise(
            view,
            tasks,
            margin=options.margin,
            reference=options.reference,
            cost=options.cost,
        )
        for tasks in ([view.tasks] if len(view.tasks) == 1 else [view.tasks, *_each(view.tasks)])
    ]
    whole, *by_task = advices
    blocks: list[Block] = [Heading(title=TITLE, text=_words(view, whole, options))]
    if any(advice.chosen is not None for advice in by_task):
        blocks.append(_by_task_table(view, by_task, options))
    if whole.candidates:
        blocks.append(_arms_table(view, whole, options))
    return blocks


def _each(tasks: Sequence[Task]) -> list[tuple[Task]]:
    return [(task,) for task in tasks]


def _words(view: StudyView, advice: Advice, options: parts.Advice) -> str:
    """The advice in a few sentences."""
    over = f"Over all {len(advice.tasks)} tasks" if len(advice.tasks) > 1 else "Here"
    base, chosen = advice.reference, advice.chosen
    if base is None or chosen is None:
        shown = " What is measured so far is below." if advice.candidates else ""
        return f"Nothing can be recommended yet: {advice.lacking}.{shown}"
    points, cheap = _points(options.margin), COSTS[options.cost].title
    candidate = advice.of(chosen)
    if candidate is None:
        others = [one.arm.name for one in advice.candidates if one.is_not_worse]
        if others:
            why = f"{listed(others)} would lose no more than {points}, but save no {cheap}"
        elif all(one.unlearned for one in advice.candidates):
            why = "no other arm is shown to have learned"
        else:
            why = f"no other arm is shown to lose no more than {points}"
        said = f"{over}: use {base.name}; {why}."
    else:
        mean = ", mean over the tasks" if len(advice.tasks) > 1 else ""
        shown = (
            f"It loses no more than {points} against {base.name}: the difference is "
            f"{_difference(candidate)} (95% interval{mean})."
        )
        if candidate.is_identical:
            shown = f"It gives the same answer as {base.name} to every example with every seed."
        said = (
            f"{over}: use {chosen.name}. {shown} Of the arms that lose no more than {points} it is "
            f"the cheapest in {cheap}. {_cost_words(view, advice, chosen, base)}"
        )
    return " ".join(filter(None, (said.rstrip(), _better_words(advice), _left_out(advice))))


def _left_out(advice: Advice) -> str:
    """Return a sentence on the arms that are not recommended, whatever they score."""
    names = [one.arm.name for one in advice.candidates if one.unlearned]
    if not names:
        return ""
    where = advice.tasks[0].name if len(advice.tasks) == 1 else "every task"
    verb = "is" if len(names) == 1 else "are"
    return f"{listed(names)} {verb} left out: not shown to have learned {where}."


def _better_words(advice: Advice) -> str:
    """What to know of the best arm, where it is shown to be better than the reference."""
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
    """What the chosen arm takes beside the reference."""
    phrases = {"time": "to train", "memory": "of memory", "disk": "on disk"}
    told = []
    for name in WEIGHED:
        own, other = (_amount(view, arm, advice.tasks, name) for arm in (chosen, base))
        if own is not None and other is not None:
            show = COSTS[name].show
            told.append(f"{show(own)} {phrases[name]} instead of {show(other)}")
    return f"It takes {listed(told)}." if told else ""


def _amount(view: StudyView, arm: Arm, tasks: Sequence[Task], name: CostName) -> float | None:
    """A cost over the tasks: the sum, or for memory, which is free again, the mean."""
    total = total_cost(view, arm, tasks, name)
    return total if total is None or name != "memory" else total / len(tasks)


def _by_task_table(view: StudyView, advices: Sequence[Advice], options: parts.Advice) -> Table:
    rows: list[list[str]] = []
    for advice in advices:
        base, chosen = advice.reference, advice.chosen
        row = [advice.tasks[0].name]
        if base is None or chosen is None:
            rows.append([*row, *[NOTHING] * (2 + len(WEIGHED)), advice.lacking])
            continue
        candidate = advice.of(chosen)
        if candidate is None:
            why = f"no cheaper arm is shown to lose no more than {_points(options.margin)}"
        else:
            why = f"loses no more than {_points(options.margin)} against {base.name}"
        rows.append(
            [
                *row,
                chosen.name,
                NOTHING if candidate is None else _difference(candidate),
                *(_beside(view, advice.tasks, chosen, base, name) for name in WEIGHED),
                why,
            ]
        )
    titles = [COSTS[name].title for name in WEIGHED]
    return Table(
        title="What to use on each task",
        columns=["task", "use", "difference in points", *titles, "why"],
        rows=rows,
        numbers=frozenset({"difference in points", *titles}),
        units=UNITS,
        note="In brackets: the 95% interval of the difference, and how many times as much as the "
        "reference takes.",
    )


def _arms_table(view: StudyView, advice: Advice, options: parts.Advice) -> Table:
    base = advice.reference
    assert base is not None, "there are candidates"
    over = f"over {len(advice.tasks)} tasks" if len(advice.tasks) > 1 else advice.tasks[0].name
    titles = [COSTS[name].title for name in WEIGHED]
    score = f"less {base.name}, in points"
    rows = [
        [
            view.label(one.arm),
            _difference(one),
            _finding(one, options.margin),
            *(_beside(view, advice.tasks, one.arm, base, name) for name in WEIGHED),
        ]
        for one in advice.candidates
    ]
    return Table(
        title=f"The arms beside {base.name}, {over}",
        columns=["arm", score, f"loses no more than {_points(options.margin)}", *titles],
        rows=rows,
        numbers=frozenset({score, *titles}),
        units=UNITS,
        note=f"An arm loses no more than {_points(options.margin)} if the lower end of the 95% "
        f"interval of its difference lies above -{options.margin:g}; each interval is for its arm "
        "alone. Times and sizes are sums over the tasks, memory is their mean; in brackets how "
        f"many times as much as {base.name} takes.",
    )


def _finding(candidate: Candidate, margin: float) -> str:
    found = candidate.difference
    if candidate.num_failed:
        return f"{candidate.num_failed} failed"
    if candidate.unlearned:
        return candidate.unlearned if candidate.unlearned == "did not learn" else NOT_SHOWN
    if candidate.is_not_worse:
        return "yes"
    if found is None:
        return "not comparable"
    return "no" if found.high < -margin else "not shown"


def _difference(candidate: Candidate) -> str:
    found = candidate.difference
    if found is None:
        return NOTHING
    if not found.noise.is_known:
        same = IDENTICAL if candidate.is_identical else "no noise"
        return Cell(f"{signed(found.estimate, 2)} ({same})", value=found.estimate)
    middle, low, high = (signed(value, 2) for value in (found.estimate, found.low, found.high))
    return Cell(f"{middle} [{low}, {high}]", value=found.estimate, low=found.low, high=found.high)


def _beside(view: StudyView, tasks: Sequence[Task], arm: Arm, base: Arm, name: CostName) -> str:
    own, other = (_amount(view, one, tasks, name) for one in (arm, base))
    if own is None:
        return NOTHING
    share = f" ({own / other:.2g}x)" if other and arm.name != base.name else ""
    return Cell(f"{COSTS[name].show(own)}{share}", value=own)


def _points(margin: float) -> str:
    return f"{margin:g} point{'' if margin == 1 else 's'}"
