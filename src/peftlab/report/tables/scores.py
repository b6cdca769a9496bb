"""The table of scores: every metric by its rule and, named as that, of the best epoch on dev."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.findings.evidence import least_seeds
from peftlab.report.findings.leaks import leak_note
from peftlab.report.findings.learning import MARK_NOTE, has_learned, mark
from peftlab.report.findings.looks import difference_shown
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Cell, Table
from peftlab.stats.families import holm
from peftlab.stats.noise import LEVEL
from peftlab.stats.summary import Summary
from peftlab.study.arms import Arm
from peftlab.tasks.spec import Task


def scores_table(view: StudyView, arms: Sequence[Arm]) -> Table:
    """A row an arm; for each task its metrics, in points, as mean [95% interval] over the seeds.

    A main score is marked as the best where a test says so (`best_arm`), and where the arm is not
    shown to have learned the task.
    """
    columns = ["arm"]
    for task in view.tasks:
        columns += [f"{task.name} {metric.replace('_', ' ')}" for metric in _metrics(task)]
        columns.append(f"{task.name} best epoch")
    best = {task.name: best_arm(view, arms, task) for task in view.tasks}
    rows: list[list[str]] = []
    every: list[Summary] = []
    for arm in arms:
        row: list[str] = [view.label(arm)]
        for task in view.tasks:
            num_runs = len(view.of(arm, task))
            for metric in _metrics(task):
                summary = view.summary(arm, task, metric)
                is_main = metric == task.main_metric
                is_best = is_main and arm == best[task.name]
                own_mark = mark(view, arm, task) if is_main else ""
                row.append(_cell(summary, num_runs, is_best=is_best, own_mark=own_mark))
                every += [summary] if summary is not None else []
            row.append(_flattered(view.summary(arm, task, best=True), num_runs))
        rows.append(row)
    note = (
        f"Points, {view.rule}: mean over seeds{_covered(every)} "
        "'best epoch' is the main metric at the epoch where it was highest on this same split: "
        "it flatters."
    )
    if any(best.values()):
        note += (
            " Bold: beats every other arm here, each test adjusted for their number (Holm), "
            f"p ≤ {LEVEL:g}."
        )
    if any(cell.mark for row in rows for cell in row if isinstance(cell, Cell)):
        note += f" {MARK_NOTE}"
    return Table(
        title="Scores on dev",
        columns=columns,
        rows=rows,
        numbers=frozenset(columns[1:]),
        note=" ".join(
            filter(None, (note, _sentence(view.spec.split_words), leak_note(view), view.note(arms)))
        ),
    )


def best_arm(view: StudyView, arms: Sequence[Arm], task: Task) -> Arm | None:
    """The arm that beats every other one on the task, by tests that are adjusted for their number.

    None where there is no such arm, where it stands alone, has fewer seeds than a verdict takes, or
    is not shown to have learned the task. The nearest rivals are tested first, and the first one
    that is not beaten ends it.
    """
    means = {
        arm.name: summary.mean for arm in arms if (summary := view.summary(arm, task)) is not None
    }
    ordered = sorted((arm for arm in arms if arm.name in means), key=lambda arm: -means[arm.name])
    if not ordered or not has_learned(view, ordered[0], [task]):
        return None
    p_values = []
    for rival in ordered[1:]:
        found = difference_shown(view, ordered[0].name, rival.name, [task])
        if found is None or found.num_seeds < least_seeds(found) or found.p_value > LEVEL:
            return None
        p_values.append(found.p_value)
    is_best = bool(p_values) and max(holm(p_values)) <= LEVEL
    return ordered[0] if is_best else None


def _sentence(words: str) -> str:
    """The words as one; "" for none."""
    return f"{words[0].upper()}{words[1:]}." if words else ""


def _metrics(task: Task) -> tuple[str, ...]:
    """Its own, then those on the dev splits of other tasks."""
    return (*task.metrics, *task.further_metrics)


def _covered(every: Sequence[Summary]) -> str:
    """Which noise the intervals hold, and where there are none; the end of a sentence."""
    kinds = sorted({summary.covers for summary in every if summary.has_interval})
    is_still = any(one.covers != "nothing" and not one.has_interval for one in every)
    without = (
        " A score has no interval where all runs and examples say the same." if is_still else ""
    )
    if not kinds:
        return f".{without}"
    noise, known = " or of ".join(kinds), ", as far as known" if len(kinds) > 1 else ""
    return f" and 95% interval, which holds the noise of {noise}{known}.{without}"


def _cell(summary: Summary | None, num_runs: int, *, is_best: bool, own_mark: str) -> str:
    if summary is None:
        return NOTHING
    shown = f"{summary.mean:.2f}{_part(summary, num_runs)}"
    if not summary.has_interval:
        return Cell(shown, value=summary.mean, mark=own_mark)
    return Cell(
        f"{shown} [{summary.low:.2f}, {summary.high:.2f}]",
        value=summary.mean,
        low=summary.low,
        high=summary.high,
        best=is_best,
        mark=own_mark,
    )


def _flattered(summary: Summary | None, num_runs: int) -> str:
    if summary is None:
        return NOTHING
    return Cell(f"{summary.mean:.2f}{_part(summary, num_runs)}", value=summary.mean)


def _part(summary: Summary, num_runs: int) -> str:
    """How many runs it is of, where some are missing."""
    return f" ({summary.num_values} of {num_runs})" if summary.num_values < num_runs else ""
