"""The table of costs has the measured costs, as means over seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

from peftlab.report.findings.costs import COSTS, is_dearer, is_in_group, mean_cost, total_cost
from peftlab.report.findings.view import StudyView
from peftlab.report.tables.costs import costs_table
from peftlab.report.tables.trials import TOGETHER, trials_table
from peftlab.store.records import TrialRecord
from peftlab.study.parts import CostName
from tests.report.made_up import made_up, with_places

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


def grouped(view: StudyView, chosen: Callable[[TrialRecord], bool], seconds: float) -> StudyView:
    """The view with the chosen trials in a group of eight, of whose time each has this share."""

    def share(record: TrialRecord) -> TrialRecord:
        if record.costs is None or not chosen(record):
            return record
        costs = replace(record.costs, together=8, train_seconds=seconds, peak_memory_bytes=10**6)
        return replace(record, costs=costs)

    return with_places(
        view, {place: tuple(map(share, own)) for place, own in view.by_place.items()}
    )


def test_costs_are_those_of_trials_alone_and_others_say_that_they_are_shares(
    tmp_path: Path,
) -> None:
    made = made_up(tmp_path, RIGHT, seeds=[1, 2])
    view = grouped(
        made, lambda one: one.trial.method == "bitfit" or one.trial.seed == 2, seconds=0.25
    )
    full, bitfit = view.arms[0], view.arms[-1]
    assert mean_cost(view, full, view.tasks[0], "time") == 10
    assert not is_in_group(view, full, view.tasks, "time")
    assert mean_cost(view, bitfit, view.tasks[0], "time") == 0.25
    assert is_in_group(view, bitfit, view.tasks, "time")
    assert not is_in_group(view, bitfit, view.tasks, "disk"), "which no group shares"
    table = costs_table(view, view.arms)
    assert table is not None
    assert list(table.rows[0][3:]) == ["10 s", "1,100 MB", "1.0 MB"]
    assert list(table.rows[-1][3:]) == ["0.25 s (in a group)", "1.0 MB (in a group)", "1.0 MB"]
    assert "10 trials trained in groups of up to 8 in one step: their seconds" in table.note
    assert "in groups" not in (costs_table(made, made.arms) or table).note


def test_a_share_of_a_groups_time_shows_no_arm_to_be_dearer(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seconds={"full": 90})
    full, bitfit = view.arms[0], view.arms[-1]
    assert is_dearer(view, full, bitfit, view.tasks, "time")
    shares = grouped(view, lambda one: one.trial.method == "bitfit", seconds=0.1)
    assert not is_dearer(shares, full, bitfit, shares.tasks, "time")
    assert is_dearer(shares, full, bitfit, shares.tasks, "disk")


def test_the_table_of_trials_says_how_many_shared_a_step(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seeds=[1])
    assert TOGETHER not in trials_table(view).columns
    table = trials_table(grouped(view, lambda one: one.trial.method == "bitfit", seconds=1.0))
    place = list(table.columns).index(TOGETHER)
    assert {(row[1], row[place]) for row in table.rows} >= {("full", "1"), ("bitfit", "8")}
    assert "2 trials trained in groups of up to 8" in table.note
