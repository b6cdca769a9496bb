"""The registry of the report's parts: each kind makes blocks from its options and the study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from peftlab.core.registry import Registry
from peftlab.report.figures.advice import advice_data, draw_advice
from peftlab.report.figures.confusion import confusion_data, draw_confusion
from peftlab.report.figures.learning_rate import draw_learning_rate, learning_rate_data
from peftlab.report.figures.loss_curves import draw_loss_curves, loss_curves_data, unlike_note
from peftlab.report.figures.pareto import draw_pareto, pareto_data
from peftlab.report.figures.scores import draw_scores, published_data, scores_data
from peftlab.report.figures.seed_spread import draw_seed_spread, seed_spread_data
from peftlab.report.figures.significance import draw_significance, significance_data
from peftlab.report.figures.sweep import draw_sweep, sweep_data
from peftlab.report.figures.train_sizes import draw_train_sizes, train_sizes_data
from peftlab.report.figures.tuning import draw_tuning, tuning_data
from peftlab.report.findings.better_words import of_losses
from peftlab.report.findings.learning import losses_words, remarks
from peftlab.report.findings.published import published_scores
from peftlab.report.findings.train_sizes import views_by_size
from peftlab.report.findings.view import StudyView, leading
from peftlab.report.pages.blocks import Block, Figure, Heading, Missing, Warnings
from peftlab.report.tables.advice import advice_blocks, advices_by_task, advices_of
from peftlab.report.tables.classes import classes_tables
from peftlab.report.tables.comparisons import comparisons_table
from peftlab.report.tables.costs import costs_table
from peftlab.report.tables.disagreement import disagreement_table
from peftlab.report.tables.parameters import parameters_table
from peftlab.report.tables.scores import published_table, runs_table, scores_table
from peftlab.report.tables.settings import hyperparameters_table, method_config_table, tuning_table
from peftlab.report.tables.train_sizes import best_by_size_table, expected_table
from peftlab.study import parts
from peftlab.study.arms import Arm
from peftlab.study.declarations import advice_options

# (view, the part's options, the stem for files of its figure) -> blocks
Maker = Callable[[StudyView, Any, str], Sequence[Block]]
MAKERS = Registry[Maker]("report part")
MOST_CURVES, MOST_PAIRED, MOST_TESTED, MOST_MATRICES, MOST_ASKED = 8, 12, 4, 6, 6
"""The numbers of arms to show in parts that have no room for more, if the study names none."""


def _advice(view: StudyView, options: parts.AdvicePart, name: str) -> Sequence[Block]:
    if len(view.arms) < 2:
        return []
    advices = advices_of(view, options)
    heading, *tables = advice_blocks(view, options, advices)
    rows = advice_data(view, advices[0], options.cost)
    if not rows:
        return [heading, *tables]
    num_tasks = len(advices[0].tasks)
    figure = draw_advice(
        rows,
        against=options.cost,
        name=name,
        axis=f"mean score over {num_tasks} tasks" if num_tasks > 1 else "score",
        every=_names(view),
        scored=view.scored_words,
    )
    return [heading, figure, *tables]


def _section(view: StudyView, options: parts.SectionPart, name: str) -> Sequence[Block]:
    return [Heading(title=options.title, text=options.text)]


def _scores(view: StudyView, options: parts.ScoresPart, name: str) -> Sequence[Block]:
    arms = view.choose(options.arms)
    rows = scores_data(view, arms)
    if not rows:
        return _missing(view, arms)
    # A user's own task may have the name of a task in papers.
    known = published_scores() if options.published and not view.spec.own_data else ()
    figure = draw_scores(
        rows,
        name=name,
        every=_names(view),
        published=published_data(view, known),
        scored=view.scored_words,
    )
    table = published_table(view.tasks, known)
    told = [remark.words for remark in remarks(view, arms)]
    unlearned = [Warnings(title="Not shown to have learned", lines=told)] if told else []
    lost = losses_words(view, arms, view.tasks)
    unlearned += [Warnings(title="Runs that failed or collapsed", lines=lost)] if lost else []
    return [
        figure,
        scores_table(view, arms),
        *unlearned,
        *([table] if table else []),
        *_missing(view, arms),
    ]


def _train_sizes(view: StudyView, options: parts.TrainSizesPart, name: str) -> Sequence[Block]:
    if not view.smaller:
        return []
    arms = view.choose(options.arms)
    rows = train_sizes_data(view, arms)
    drawn = (
        [draw_train_sizes(rows, name=name, every=_names(view), scored=view.scored_words)]
        if rows
        else []
    )
    tables = [expected_table(view, arms)]
    if len(view.arms) > 1:
        tables.insert(0, best_by_size_table(view, advice_options(view.spec)[0]))
    lines = [line for own in views_by_size(view) for line in own.missing(arms)]
    missing = [Missing(lines=lines)] if lines else []
    return [*drawn, *(table for table in tables if table.rows), *missing]


def _seed_spread(view: StudyView, options: parts.SeedSpreadPart, name: str) -> Sequence[Block]:
    arms = view.choose(options.arms)
    rows = seed_spread_data(view, arms)
    drawn = (
        [draw_seed_spread(rows, name=name, every=_names(view), scored=view.scored_words)]
        if rows
        else []
    )
    table = runs_table(view, arms)
    return [*drawn, *([table] if table else []), *_missing(view, arms)]


def _significance(view: StudyView, options: parts.SignificancePart, name: str) -> Sequence[Block]:
    shown = leading(view, options.arms, MOST_PAIRED)
    rows = significance_data(view, shown.arms)
    drawn = (
        [_titled(draw_significance(rows, name=name, of_losses=of_losses(view.tasks)), shown.note)]
        if rows
        else []
    )
    # Each further test of two arms takes a tenth of a second for 34 seeds.
    tested = leading(view, options.arms, MOST_TESTED)
    table = comparisons_table(view, tested.arms)
    named = [replace(table, title=f"{table.title}{tested.note}")] if table else []
    return [*drawn, *named, *_missing(view, shown.arms)]


def _costs(view: StudyView, options: parts.CostsPart, name: str) -> Sequence[Block]:
    arms = view.choose(options.arms)
    table = costs_table(view, arms)
    return [*([table] if table else []), *_missing(view, arms)]


def _pareto(view: StudyView, options: parts.ParetoPart, name: str) -> Sequence[Block]:
    arms = view.choose(options.arms)
    advice = advice_options(view.spec)[0]
    rows = pareto_data(view, arms, options.against, _to_use(view, advice))
    if not rows:
        return _missing(view, arms)
    figure = draw_pareto(
        rows,
        against=options.against,
        chosen_by=advice.cost,
        name=name,
        every=_names(view),
        scored=view.scored_words,
    )
    return [figure, *_missing(view, arms)]


def _to_use(view: StudyView, options: parts.AdvicePart) -> dict[str, Arm]:
    """Return the arm to use on each task for which the advice names one."""
    advices = advices_by_task(view, options) if len(view.arms) > 1 else []
    return {one.tasks[0].name: one.chosen for one in advices if one.chosen is not None}


def _loss_curves(view: StudyView, options: parts.LossCurvesPart, name: str) -> Sequence[Block]:
    shown = leading(view, options.arms, MOST_CURVES)
    rows = loss_curves_data(view, shown.arms)
    if not rows:
        return _missing(view, shown.arms)
    kinds = [task.problem_type for task in view.tasks]
    figure = draw_loss_curves(rows, name=name, every=_names(view), problem_types=kinds)
    note = f"{unlike_note(view, shown.arms)}{shown.note}"
    return [_titled(figure, note), *_missing(view, shown.arms)]


def _learning_rate(view: StudyView, options: parts.LearningRatePart, name: str) -> Sequence[Block]:
    arms = view.choose(options.arms)
    rows = learning_rate_data(view, arms)
    drawn = [draw_learning_rate(rows, name=name, scored=view.scored_words)] if rows else []
    return [*drawn, *_missing(view, arms)]


def _sweep(view: StudyView, options: parts.SweepPart, name: str) -> Sequence[Block]:
    arms = view.choose([options.arms])
    rows = sweep_data(view, arms, options.of)
    drawn = [draw_sweep(rows, key=options.of, name=name, scored=view.scored_words)] if rows else []
    return [*drawn, *_missing(view, arms)]


def _tuning(view: StudyView, options: parts.TuningPart, name: str) -> Sequence[Block]:
    arms = view.choose(options.arms)
    table = tuning_table(view, arms)
    if table is None:
        return [Missing(lines=["no search has tried a setting yet (peftlab tune)"])]
    rows = tuning_data(view, arms)
    return [*([draw_tuning(rows, name=name, every=_names(view))] if rows else []), table]


def _classes(view: StudyView, options: parts.ClassesPart, name: str) -> Sequence[Block]:
    shown = leading(view, options.arms, MOST_ASKED)
    tables = [table for task in view.tasks for table in classes_tables(view, shown.arms, task)]
    found = [replace(table, title=f"{table.title}{shown.note}") for table in tables]
    return [*found, *_missing(view, shown.arms)]


def _confusion(view: StudyView, options: parts.ConfusionPart, name: str) -> Sequence[Block]:
    shown = leading(view, options.arms, MOST_MATRICES)
    rows = confusion_data(view, shown.arms)
    if not rows:
        return _missing(view, shown.arms)
    figure = draw_confusion(rows, name=name, scored=view.scored_words)
    return [_titled(figure, shown.note), *_missing(view, shown.arms)]


def _disagreement(view: StudyView, options: parts.DisagreementPart, name: str) -> Sequence[Block]:
    shown = leading(view, options.arms, MOST_ASKED)
    tables = [disagreement_table(view, shown.arms, task, options.examples) for task in view.tasks]
    found = [replace(table, title=f"{table.title}{shown.note}") for table in tables if table]
    return [*found, *_missing(view, shown.arms)]


def _parameters(view: StudyView, options: parts.ParametersPart, name: str) -> Sequence[Block]:
    arms = view.choose(options.arms)
    return [parameters_table(view, arms, options.reported)] if arms else []


def _hyperparameters(
    view: StudyView, options: parts.HyperparametersPart, name: str
) -> Sequence[Block]:
    arms = view.choose(options.arms)
    return [hyperparameters_table(view, arms)] if arms else []


def _method_config(view: StudyView, options: parts.MethodConfigPart, name: str) -> Sequence[Block]:
    table = method_config_table(view, view.choose(options.arms))
    return [table] if table else []


def _titled(figure: Figure, note: str) -> Figure:
    return replace(figure, title=f"{figure.title}{note}")


def _names(view: StudyView) -> list[str]:
    """Return the names of all arms, so that an arm has the same colour in each figure."""
    return [view.label(arm) for arm in view.arms]


def _missing(view: StudyView, arms: Sequence[Arm]) -> list[Block]:
    lines = view.missing(arms)
    return [Missing(lines=lines)] if lines else []


_BY_KIND: dict[str, Maker] = {
    "advice": _advice,
    "section": _section,
    "scores": _scores,
    "train-sizes": _train_sizes,
    "seed-spread": _seed_spread,
    "significance": _significance,
    "costs": _costs,
    "pareto": _pareto,
    "loss-curves": _loss_curves,
    "learning-rate": _learning_rate,
    "sweep": _sweep,
    "tuning": _tuning,
    "classes": _classes,
    "confusion": _confusion,
    "disagreement": _disagreement,
    "parameters": _parameters,
    "hyperparameters": _hyperparameters,
    "method-config": _method_config,
}
for _kind, _maker in _BY_KIND.items():
    MAKERS.add(_kind, _maker)
