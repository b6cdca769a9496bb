"""The table of parameter counts: peft's count, and a count of each tensor once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from peftlab.core.measurements import ParameterCount
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Cell, Table
from peftlab.study.arms import Arm

REPORTED = {
    "trainable": "report: trainable",
    "total_peft_counting": "report: all",
    "percent": "report: %",
}


def parameters_table(
    view: StudyView, arms: Sequence[Arm], reported: Mapping[str, Mapping[str, JsonValue]]
) -> Table:
    """Return a table with the measured counts of each arm, and the reported figures beside them."""
    columns = [
        "arm", "trainable", "all (peft's counting)", "trainable %",
        "all (each tensor once)", "trainable % (once)", "backbone", "adapter", "head",
    ]  # fmt: skip
    shown = [key for key in REPORTED if any(key in row for row in reported.values())]
    columns += [REPORTED[key] for key in shown]
    rows = []
    for arm in arms:
        count = _count(view, arm)
        own = [NOTHING] * 8 if count is None else _cells(count)
        rows.append([arm.name, *own, *(_plain(reported.get(arm.name, {}).get(k)) for k in shown)])
    note = (
        f"Counted on {view.spec.model}. peft's print_trainable_parameters counts the head twice "
        "in 'all' where it trains a copy of it."
    )
    if shown:
        note += " The reported figures are those of google-bert/bert-base-uncased."
    return Table(
        title="Parameters", columns=columns, rows=rows, numbers=frozenset(columns[1:]), note=note
    )


def _count(view: StudyView, arm: Arm) -> ParameterCount | None:
    for task in view.tasks:
        for record in view.done(arm, task):
            if record.costs is not None:
                return record.costs.parameters
    return None


def _cells(count: ParameterCount) -> list[str]:
    return [
        _count_cell(count.trainable),
        _count_cell(count.total_peft_counting),
        _percent_cell(count.percent),
        _count_cell(count.total),
        _percent_cell(count.percent_of_total),
        _count_cell(count.backbone),
        _count_cell(count.adapter),
        _count_cell(count.head),
    ]


def _count_cell(count: int) -> Cell:
    return Cell(f"{count:,}", value=count)


def _percent_cell(percent: float) -> Cell:
    return Cell(f"{percent:.3g}", value=percent)


def _plain(value: JsonValue) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return _count_cell(value)
    return _percent_cell(value) if isinstance(value, float) else str(value)
