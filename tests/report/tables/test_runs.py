"""The table of runs is their summary, failures among it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from peftlab.report.findings.view import StudyView
from peftlab.report.tables.runs import runs_table

Predicted = Callable[..., StudyView]
SENTIMENT = "demo-sentiment"


def right(number: int) -> np.ndarray:
    """Of 20 examples, every second of which has the label 1."""
    return np.arange(20) < number


def test_a_row_is_the_summary_of_an_arms_runs(predicted: Predicted) -> None:
    rows = [right(16), right(18), None, right(10)]
    view = predicted({("full", SENTIMENT): rows}, {"seeds": [1, 2, 3, 4]})
    table = runs_table(view, view.arms)
    assert table is not None
    (cells,) = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert cells["runs"] == "3 of 4"
    assert (cells["mean"], cells["median"]) == ("73.33", "80.00")
    assert (cells["least"], cells["greatest"]) == ("50.00", "90.00")
    # The failed one, and that which scores what one answer for all would.
    assert cells["failed"] == "50%"
    # (90 (1 - 8/27) + 80 (8/27 - 1/27) + 50 / 27), of three drawn with replacement.
    assert cells["best of all"] == f"{(90 * 19 + 80 * 7 + 50) / 27:.2f}"


def test_a_row_says_whether_the_arm_learned_and_what_it_is_measured_by(
    predicted: Predicted,
) -> None:
    ones = np.arange(20) % 2 == 1
    trials = {
        ("full", SENTIMENT): [right(20)] * 3,
        ("lora-r2", SENTIMENT): [ones] * 3,
        ("lora-r8", SENTIMENT): [right(12), right(8), right(10)],
    }
    view = predicted(trials, {"seeds": [1, 2, 3]})
    table = runs_table(view, view.arms)
    assert table is not None
    cells = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [one["learned"] for one in cells] == ["yes", "no", "cannot tell"]
    assert {one["best constant"] for one in cells} == {"50.00"}


def test_one_run_has_no_deviation_and_none_no_table(predicted: Predicted) -> None:
    view = predicted({("full", SENTIMENT): [right(16)]}, {"seeds": [1]})
    table = runs_table(view, view.arms)
    assert table is not None
    assert table.rows[0][table.columns.index("sd")] == "-"
    nothing = predicted({("full", SENTIMENT): [None]}, {"seeds": [1]})
    assert runs_table(nothing, nothing.arms) is None
