"""The report's parts by their kind: what each makes of its options and the study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from peftlab.core.registry import Registry
from peftlab.report.blocks import Block, Heading, Missing
from peftlab.report.figures.loss_curves import draw_loss_curves, loss_curves_data
from peftlab.report.figures.scores import draw_scores, scores_data
from peftlab.report.figures.sweep import draw_sweep, sweep_data
from peftlab.report.tables.parameters import parameters_table
from peftlab.report.tables.scores import scores_table
from peftlab.report.tables.settings import hyperparameters_table, method_config_table
from peftlab.report.view import StudyView
from peftlab.study import parts
from peftlab.study.expand import Arm

# (view, the part's options, the stem for files of its figure) -> blocks
Maker = Callable[[StudyView, Any, str], Sequence[Block]]
MAKERS = Registry[Maker]("report part")


def _section(view: StudyView, options: parts.Section, name: str) -> Sequence[Block]:
    return [Heading(title=options.title, text=options.text)]


def _loss_curves(view: StudyView, options: parts.LossCurves, name: str) -> Sequence[Block]:
    arms = view.choose(options.arms)
    rows = loss_curves_data(view, arms)
    return [*([draw_loss_curves(rows, name=name)] if rows else []), *_missing(view, arms)]


def _scores(view: StudyView, options: parts.Scores, name: str) -> Sequence[Block]:
    arms = view.choose(options.arms)
    rows = scores_data(view, arms)
    if not rows:
        return _missing(view, arms)
    return [draw_scores(rows, name=name), scores_table(view, arms), *_missing(view, arms)]


def _sweep(view: StudyView, options: parts.Sweep, name: str) -> Sequence[Block]:
    arms = view.choose([options.arms])
    rows = sweep_data(view, arms, options.of)
    drawn = [draw_sweep(rows, key=options.of, name=name)] if rows else []
    return [*drawn, *_missing(view, arms)]


def _parameters(view: StudyView, options: parts.Parameters, name: str) -> Sequence[Block]:
    arms = view.choose(options.arms)
    return [parameters_table(view, arms, options.reported)] if arms else []


def _hyperparameters(view: StudyView, options: parts.Hyperparameters, name: str) -> Sequence[Block]:
    arms = view.choose(options.arms)
    return [hyperparameters_table(view, arms)] if arms else []


def _method_config(view: StudyView, options: parts.MethodConfig, name: str) -> Sequence[Block]:
    table = method_config_table(view, view.choose(options.arms))
    return [table] if table else []


def _missing(view: StudyView, arms: Sequence[Arm]) -> list[Block]:
    lines = view.missing(arms)
    return [Missing(lines=lines)] if lines else []


MAKERS.add("section", _section)
MAKERS.add("loss-curves", _loss_curves)
MAKERS.add("scores", _scores)
MAKERS.add("hyperparameters", _hyperparameters)
MAKERS.add("method-config", _method_config)
MAKERS.add("parameters", _parameters)
MAKERS.add("sweep", _sweep)
