"""The parameter table holds the measured counts, with published ones beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from peftlab.report.findings.view import StudyView, make_view
from peftlab.report.tables.parameters import parameters_table
from peftlab.store.workspace import Workspace

View = Callable[..., StudyView]


def test_the_counts_are_those_of_the_records_and_the_reported_ones_stand_beside(
    finished_workspace: Path,
) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        view = make_view(opened, "small-study")
    reported = {
        "lora-r2": {"trainable": 296450, "total_peft_counting": 109780228, "percent": 0.27003951}
    }
    table = parameters_table(view, view.arms, reported)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(rows) == ["full", "bitfit", "lora-r2", "lora-r4"]
    # Rank r on query and value, 16 wide, in 2 layers; the head has 16 x 2 weights and 2 biases.
    for name, r in (("lora-r2", 2), ("lora-r4", 4)):
        adapter, head = 2 * 2 * r * (16 + 16), 34
        backbone = int(rows["full"]["backbone"].replace(",", ""))
        assert rows[name]["adapter"] == f"{adapter}"
        assert rows[name]["head"] == f"{head}"
        assert rows[name]["trainable"] == f"{adapter + head}"
        everything, counted = backbone + adapter + head, backbone + adapter + 2 * head
        assert rows[name]["all (each tensor once)"] == f"{everything:,}"
        assert rows[name]["all (peft's counting)"] == f"{counted:,}"
        assert rows[name]["trainable %"] == f"{100 * (adapter + head) / counted:.3g}"
        assert rows[name]["trainable % (once)"] == f"{100 * (adapter + head) / everything:.3g}"
    beside = ["report: trainable", "report: all", "report: %"]
    assert [rows["lora-r2"][column] for column in beside] == ["296,450", "109,780,228", "0.27"]
    assert [rows["full"][column] for column in beside] == ["-", "-", "-"]
    assert "The reported figures are those of google-bert/bert-base-uncased" in table.note
    assert table.numbers == set(table.columns) - {"arm"}


def test_without_reported_figures_there_are_no_columns_for_them(hand_made: View) -> None:
    view = hand_made({("full", "demo-sentiment"): [[]]})
    table = parameters_table(view, view.arms, {})
    assert not any(column.startswith("report") for column in table.columns)
    assert table.rows[0] == ["full", *["-"] * 8]
    assert "reported" not in table.note


def test_only_the_columns_that_were_reported_are_shown(hand_made: View) -> None:
    table = parameters_table(hand_made({}), hand_made({}).arms, {"full": {"percent": 100}})
    assert table.columns[-1] == "report: %"
    assert "report: all" not in table.columns
    assert table.rows[0][-1] == "100"
