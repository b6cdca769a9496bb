"""A table is no wider than the page, and empty columns are not shown."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from peftlab.report.pages.blocks import Cell, Table
from peftlab.report.pages.page import Page, render_html, render_markdown
from peftlab.report.pages.table_csv import csv_text
from peftlab.report.pages.table_latex import latex_text
from peftlab.report.pages.table_parts import is_wide, split_table

METRICS = (
    "accuracy", "balanced accuracy", "precision macro", "recall macro", "f1 macro", "f1 weighted",
    "roc auc", "average precision", "log loss (nats)", "brier", "calibration error", "best epoch",
)  # fmt: skip


def of_metrics(names: tuple[str, ...], tasks: tuple[str, ...] = ("t",)) -> Table:
    columns = [f"{task} {name}" for task in tasks for name in names]
    cell = Cell("83.4 [80.1, 85.9]", value=83.4246, low=80.1, high=85.9)
    return Table(
        name="table-x", title="Scores", columns=["arm", *columns], groups=list(tasks),
        rows=[[arm, *[cell] * len(columns)] for arm in ("full", "lora")],
        numbers=frozenset(columns),
    )  # fmt: skip


def test_ten_metrics_fit_the_page_as_they_are() -> None:
    table = of_metrics(METRICS[:10])
    assert split_table(table) == [table]


def test_columns_for_which_there_is_no_room_stand_below_task_by_task() -> None:
    table = of_metrics(METRICS[:6], ("first", "second", "third"))
    parts = split_table(table)
    assert [part.columns for part in parts] == [
        ["arm", *(f"{task} {name}" for name in METRICS[:6])]
        for task in ("first", "second", "third")
    ]
    assert not any(map(is_wide, parts)), "each fits without small type"
    assert {row[0] for part in parts for row in part.rows} == {"full", "lora"}


@given(st.integers(1, 12), st.integers(1, 4))
def test_every_column_is_in_one_part(num_metrics: int, num_tasks: int) -> None:
    table = of_metrics(METRICS[:num_metrics], tuple(f"task-{n}" for n in range(num_tasks)))
    parts = split_table(table)
    assert [name for part in parts for name in part.columns[1:]] == [*table.columns[1:]]
    assert all(part.columns[0] == "arm" for part in parts)
    assert all(split_table(part) == [part] for part in parts), "each has room"


def test_a_table_in_parts_is_one_file_and_one_in_markdown() -> None:
    table = of_metrics(METRICS, ("first", "second"))
    page = Page(title="t", description="", facts={}, blocks=[table])
    html = render_html(page, {}, "")
    assert html.count("<table") == len(split_table(table)) > 1
    assert html.count("<caption>") == 1
    assert html.count("table-x.csv") == 1
    (head,) = (line for line in render_markdown(page).splitlines() if line.startswith("| arm"))
    assert head.count("|") == len(table.columns) + 1


def test_a_column_that_says_nothing_is_in_the_csv_alone() -> None:
    table = Table(
        name="table-x", title="Runs", columns=["arm", "mean", "sd"],
        rows=[["full", Cell("83.4", value=83.4246), "-"]], note="In points.",
        meanings={"mean": "over the runs", "sd": "their standard deviation"},
    )  # fmt: skip
    assert table.shown.columns == ["arm", "mean"]
    assert table.shown.notes == "In points. mean: over the runs."
    page = Page(title="t", description="", facts={}, blocks=[table])
    for text in (render_html(page, {}, ""), render_markdown(page), latex_text(table)):
        assert "over the runs" in text
        assert "standard deviation" not in text
    (row,) = csv.DictReader(io.StringIO(csv_text(table)))
    assert row == {"arm": "full", "mean": "83.4246", "sd": ""}
