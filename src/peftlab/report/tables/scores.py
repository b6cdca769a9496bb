"""The tables of scores: of every metric, of the runs of each arm, and from papers."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.report.findings.evidence import least_seeds, tenths
from peftlab.report.findings.learning import (
    LEARNED_NOTE,
    MARK_NOTE,
    chance_note,
    has_learned,
    mark,
)
from peftlab.report.findings.limits import cut_note
from peftlab.report.findings.looks import difference_shown
from peftlab.report.findings.published import PublishedResult
from peftlab.report.findings.view import StudyView
from peftlab.report.findings.warnings import leak_note
from peftlab.report.pages.blocks import NOTHING, Cell, Table
from peftlab.stats.families import holm
from peftlab.stats.learned import Learned
from peftlab.stats.noise import LEVEL
from peftlab.stats.state import LearningState
from peftlab.stats.summary import Summary
from peftlab.study.arms import Arm
from peftlab.tasks.metrics.metric import POINTS
from peftlab.tasks.scores import greater_is_better, score_words, sign_of, unit_of
from peftlab.tasks.spec import Task

RUN_COLUMNS = (
    "runs", "mean", "sd", "median", "middle half", "min", "max", "best of all", "failed",
    "best constant", "chance level",
)  # fmt: skip
LEARNED = "learned"

STATES: dict[LearningState, str] = {
    "learned": "yes",
    "did not learn": "no",
    "cannot tell": "cannot tell",
}


def scores_table(view: StudyView, arms: Sequence[Arm]) -> Table:
    """Return a table with a row for each arm: mean and 95% interval of every metric, in points.

    A main score is marked if a test shows it to be the best (`best_arm`), and if the arm is not
    shown to have learned the task.
    """
    columns, best_word = ["arm"], _best_word(view, arms)
    for task in view.tasks:
        columns += [_head(task, metric) for metric in _metrics(task)]
        columns += [f"{task.name} {best_word}"] if best_word else []
    best = {task.name: best_arm(view, arms, task) for task in view.tasks}
    rows: list[list[str]] = []
    every: list[Summary] = []
    for arm in arms:
        row: list[str] = [view.label(arm)]
        for task in view.tasks:
            num_runs = len(view.runs(arm, task))
            for metric in _metrics(task):
                summary = view.summary(arm, task, metric)
                is_main = metric == task.main_metric
                is_best = is_main and arm == best[task.name]
                own_mark = mark(view, arm, task) if is_main else ""
                row.append(_cell(summary, metric, num_runs, is_best=is_best, own_mark=own_mark))
                every += [summary] if summary is not None else []
            if best_word:
                row.append(_flattered(view.summary(arm, task, best=True), num_runs))
        rows.append(row)
    note = f"Points, {view.rule}: mean over seeds{_covered(every)}"
    if best_word:
        note += (
            f" '{best_word}' is the main metric at the {best_word.removeprefix('best ')} where it "
            "was best on this same split, which flatters it."
        )
    note += f"{_on_metrics(view.tasks)}{_on_others(view)}"
    if any(best.values()):
        note += (
            " Bold: beats every other arm here, each test adjusted for their number (Holm), "
            f"p ≤ {LEVEL:g}."
        )
    if any(cell.mark for row in rows for cell in row if isinstance(cell, Cell)):
        note += f" {MARK_NOTE}{chance_note(view, arms)}"
    return Table(
        title=f"Scores {view.scored_words}",
        columns=columns,
        rows=rows,
        groups=[task.name for task in view.tasks],
        numbers=frozenset(columns[1:]),
        note=" ".join(
            filter(
                None,
                (
                    note,
                    _sentence(view.spec.split_words),
                    cut_note(view),
                    leak_note(view),
                    view.note(arms),
                ),
            )
        ),
    )


def _best_word(view: StudyView, arms: Sequence[Arm]) -> str:
    """Return the name of the column with the best score of a training; "" with folds.

    The best epochs of a run's folds differ, so their mean is not the score of any model.
    """
    if view.spec.folds is not None:
        return ""
    trials = (record.trial for task in view.tasks for arm in arms for record in view.of(arm, task))
    in_steps = any(trial.training.eval_strategy == "steps" for trial in trials)
    return "best evaluation" if in_steps else "best epoch"


def _head(task: Task, score: str) -> str:
    """Return a column's head: the task, the metric, and its unit if that is not points."""
    unit = unit_of(score)
    return f"{task.name} {score.replace('_', ' ')}{'' if unit == POINTS else f' ({unit})'}"


def _on_metrics(tasks: Sequence[Task]) -> str:
    """Return a sentence on the metrics in which lower is better; "" if there are none."""
    every = (metric for task in tasks for metric in task.metrics)
    losses = dict.fromkeys(name for name in every if not greater_is_better(name))
    return f" Lower is better: {', '.join(losses).replace('_', ' ')}." if losses else ""


def _on_others(view: StudyView) -> str:
    """Return a sentence on scores on the dev splits of other tasks; "" if there are none."""
    names = [other.name for task in view.tasks for other in task.also_on]
    if not names:
        return ""
    folds = "" if view.spec.folds is None else ", the mean over the models of all folds"
    return f" Scores 'on {' or '.join(names)}' are on the dev rows of that task{folds}."


def best_arm(view: StudyView, arms: Sequence[Arm], task: Task) -> Arm | None:
    """Return the arm that beats every other on the task, by tests adjusted for their number.

    It is None if there is no such arm, or if the arm is the only one, has fewer seeds than a
    verdict needs, or is not shown to have learned the task. The nearest rivals are tested first,
    and the first that is not beaten ends the search.
    """
    merits = {
        arm.name: sign_of(task.main_metric) * summary.mean
        for arm in arms
        if (summary := view.summary(arm, task)) is not None
    }
    ordered = sorted((arm for arm in arms if arm.name in merits), key=lambda arm: -merits[arm.name])
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
    """Return the words as a sentence; "" for none."""
    return f"{words[0].upper()}{words[1:]}." if words else ""


def _metrics(task: Task) -> tuple[str, ...]:
    """Return the task's own metrics, then those on the dev splits of other tasks."""
    return (*task.metrics, *task.further_metrics)


def _covered(every: Sequence[Summary]) -> str:
    """Return the end of a sentence on the noise that the intervals cover, if there are any."""
    kinds = sorted({summary.covers for summary in every if summary.has_interval})
    is_still = any(one.covers != "nothing" and not one.has_interval for one in every)
    without = (
        " A score has no interval where all runs and examples say the same." if is_still else ""
    )
    if not kinds:
        return f".{without}"
    noise, known = " or of ".join(kinds), ", as far as known" if len(kinds) > 1 else ""
    return f" and 95% interval, which holds the noise of {noise}{known}.{without}"


def _cell(
    summary: Summary | None, score: str, num_runs: int, *, is_best: bool, own_mark: str
) -> str:
    if summary is None:
        return NOTHING
    mean, low, high = (
        score_words(score, one, 1) for one in (summary.mean, summary.low, summary.high)
    )
    shown = f"{mean}{_part(summary, num_runs)}"
    if not summary.has_interval:
        return Cell(shown, value=summary.mean, mark=own_mark)
    return Cell(
        f"{shown} [{low}, {high}]",
        value=summary.mean,
        low=summary.low,
        high=summary.high,
        best=is_best,
        mark=own_mark,
    )


def _flattered(summary: Summary | None, num_runs: int) -> str:
    if summary is None:
        return NOTHING
    return Cell(f"{summary.mean:.1f}{_part(summary, num_runs)}", value=summary.mean)


def _part(summary: Summary, num_runs: int) -> str:
    """Return the words for the number of runs behind the score if some are missing."""
    return f" ({summary.num_values} of {num_runs})" if summary.num_values < num_runs else ""


def runs_table(view: StudyView, arms: Sequence[Arm]) -> Table | None:
    """Return a table of the main metric, a row for each arm and task; None without scores."""
    rows = [
        [
            view.label(arm),
            task.name,
            *_run_cells(summary, len(view.runs(arm, task))),
            *_learned_cells(view.learned(arm, task)),
        ]
        for task, arm, summary in _summaries(view, arms)
    ]
    if not rows:
        return None
    return Table(
        title="The runs of each arm",
        columns=["arm", "task", *RUN_COLUMNS, LEARNED],
        rows=rows,
        numbers=frozenset(RUN_COLUMNS),
        units={"failed": "%"},
        note=f"Main metric in points, {view.rule}.{_on_metrics(view.tasks)} {LEARNED_NOTE}"
        f"{chance_note(view, arms)}",
        meanings={
            "sd": "the standard deviation of the runs",
            "middle half": "the mean without the lowest and the highest quarter",
            "best of all": "what the best of so many runs is expected to score",
            "failed": "runs without a score, or whose score is no better than that of the best "
            "constant answer, which is the same for all examples",
            "chance level": "what the arm's own answers score in random order, where that is "
            "better than the best constant answer",
        },
    )


def _summaries(view: StudyView, arms: Sequence[Arm]) -> list[tuple[Task, Arm, Summary]]:
    return [
        (task, arm, summary)
        for task in view.tasks
        for arm in arms
        if (summary := view.summary(arm, task)) is not None
    ]


def _learned_cells(found: Learned | None) -> list[str]:
    """Return the best constant score, the chance level, and whether the arm has learned."""
    if found is None:
        return [NOTHING] * 3
    return [
        *(
            NOTHING if score is None else Cell(f"{score:.1f}", value=score)
            for score in (found.constant, found.chance)
        ),
        STATES[found.state],
    ]


def _run_cells(summary: Summary, num_runs: int) -> list[str]:
    part = f"{summary.num_values} of {num_runs}" if summary.num_values < num_runs else ""
    values = (
        summary.mean, summary.sd, summary.median, summary.iqm, summary.least, summary.greatest,
        summary.best_of[-1],
    )  # fmt: skip
    return [
        Cell(part or str(num_runs), value=summary.num_values),
        *(NOTHING if value is None else Cell(tenths(value), value=value) for value in values),
        Cell(f"{summary.failed_share:.0%}", value=100 * summary.failed_share),
    ]


def published_table(tasks: Sequence[Task], published: Sequence[PublishedResult]) -> Table | None:
    """Return a table of the published rows that have these tasks; None where there are none."""
    columns = {
        (task.name, metric): f"{task.name} {metric.replace('_', ' ')}"
        for task in tasks
        for metric in dict.fromkeys(
            one.scores[task.name].metric for one in published if task.name in one.scores
        )
    }
    rows = [
        [
            one.method,
            one.checkpoint,
            *(_published_cell(one, task, metric) for task, metric in columns),
            one.split,
            one.selection,
            one.source,
        ]
        for one in published
        if any(task in one.scores for task, _ in columns)
    ]
    if not rows:
        return None
    return Table(
        title="Published scores",
        columns=["method", "checkpoint", *columns.values(), "split", "selection", "source"],
        groups=[task.name for task in tasks],
        rows=rows,
        numbers=frozenset(columns.values()),
        note="Points, as the sources report them: other checkpoints, settings and rules of "
        "selection than this study's. They are here for orientation, not for comparison.",
    )


def _published_cell(one: PublishedResult, task: str, metric: str) -> str:
    score = one.scores.get(task)
    if score is None or score.metric != metric:
        return NOTHING
    return Cell(f"{score.value:.1f}", value=score.value)
