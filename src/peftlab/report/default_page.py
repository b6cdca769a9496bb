"""The default parts of a page, chosen by what the study compares."""

from __future__ import annotations

from peftlab.report.figures.learning_rate import groups_by_learning_rate
from peftlab.report.findings.view import StudyView
from peftlab.study import parts
from peftlab.study.spec import ReportPart
from peftlab.study.tuning.attempts import attempts


def page_parts(view: StudyView) -> tuple[ReportPart, ...]:
    """Return the parts that the study names, or else the ones that apply to it."""
    return view.spec.report or tuple(_default_parts(view))


def _default_parts(view: StudyView) -> list[ReportPart]:
    several_arms, several_seeds = len(view.arms) > 1, len(view.spec.seeds) > 1
    found = [_section("Scores"), _part("scores")]
    if view.smaller:
        found += [_section("How much data is enough"), _part("train-sizes")]
    is_tuned = bool(attempts(view.spec, view.records))
    if is_tuned:
        found.append(_part("tuning"))
    if several_seeds:
        found.append(_part("seed-spread"))
    if several_arms:
        found.append(_part("significance"))
    if any(task.labels for task in view.tasks):
        found += [_section("Class by class"), _part("classes")]
    found += [_section("What it costs"), _part("costs")]
    if several_arms:
        found += [_part("pareto", against="time"), _part("pareto", against="parameters")]
    found += [_section("How it learns"), _part("loss-curves")]
    if any(groups_by_learning_rate(view, view.arms, task) for task in view.tasks):
        found.append(_part("learning-rate"))
    # The arms of several studies side by side are not those of the spec.
    swept = {
        (arm.base, key) for arm in view.arms for key in arm.swept if arm.base in view.spec.arms
    }
    found += [
        _part("sweep", of=key, arms=base)
        for base, key in sorted(swept)
        if len({str(arm.swept[key]) for arm in view.arms if arm.base == base}) > 1
    ]
    if several_arms:
        found += [_section("Where the methods disagree"), _part("disagreement")]
    found += [_section("Settings"), _part("parameters")]
    if not is_tuned:  # the study file does not have the settings that were found
        found += [_part("hyperparameters"), _part("method-config")]
    return found


def _section(title: str) -> ReportPart:
    return ReportPart(kind="section", options=parts.SectionPart(title=title))


def _part(kind: str, **options: str) -> ReportPart:
    return ReportPart(kind=kind, options=parts.PARTS[kind].model_validate(options))
