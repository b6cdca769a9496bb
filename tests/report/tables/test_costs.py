"""The table of costs has the measured costs, as means over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from peftlab.report.findings.costs import COSTS, mean_cost, total_cost
from peftlab.report.tables.costs import costs_table
from peftlab.study.parts import CostName
from tests.report.made_up import made_up

RIGHT = {"full": 0.9, "lora-r2": 0.8, "lora-r16": 0.88, "bitfit": 0.85}
EVERY = [
    ("lora-r2", task, seed) for task in ("demo-sentiment", "demo-paraphrase") for seed in (1, 2)
]


def test_every_cost_that_a_study_can_name_is_known() -> None:
    assert tuple(COSTS) == get_args(CostName)


def test_a_row_is_an_arm_on_a_task_and_unmeasured_costs_have_no_column(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seeds=[1, 2], seconds={"full": 90}, pending=EVERY)
    table = costs_table(view, view.arms)
    assert table is not None
    assert list(table.columns) == [
        "arm", "task", "trainable parameters", "training time", "peak memory", "size on disk",
    ]  # fmt: skip
    assert len(table.rows) == 3 * 2
    assert list(table.rows[0]) == [
        "full", "demo-sentiment", "90,770", "1 min 30 s", "1,900 MB", "9.0 MB",
    ]  # fmt: skip
    assert costs_table(view, view.arms[1:2]) is None


def test_a_total_is_known_where_each_part_is(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seeds=[1, 2], pending=EVERY[:2])
    full, lora = view.arms[:2]
    assert total_cost(view, full, view.tasks, "time") == 20
    assert mean_cost(view, lora, view.tasks[1], "time") == 10
    assert total_cost(view, lora, view.tasks, "time") is None
