"""The line of a sweep goes through the scores at each value of the swept setting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.report.figures.sweep import draw_sweep, sweep_data
from peftlab.report.findings.view import StudyView
from tests.report.made_up import made_up

View = Callable[..., StudyView]


def test_a_point_is_the_mean_of_the_last_scores_at_a_value(hand_made: View) -> None:
    view = hand_made(
        {
            ("lora-r2", "demo-sentiment"): [[(None, 1, 10), (1, 1, 60)], [(None, 1, 80)]],
            ("lora-r8", "demo-sentiment"): [[], []],
            ("lora-r8", "demo-paraphrase"): [[(None, 1, 42)]],
            ("full", "demo-sentiment"): [[(None, 1, 99)]],
        }
    )
    shown = [
        (row["panel"], row["line"], row["arm"], row["value"], row["score"], row["parameters"])
        for row in sweep_data(view, view.arms, "r")
    ]
    assert shown == [
        ("demo-sentiment · accuracy", "lora", "lora-r2", 2, 70.0, None),
        ("demo-paraphrase · f1", "lora", "lora-r8", 8, 42.0, None),
    ]
    assert sweep_data(view, view.arms, "lora_alpha") == []


def test_a_line_joins_arms_that_differ_in_this_setting_alone(tmp_path: Path) -> None:
    arms = {
        "lora": {
            "method": "lora",
            "sweep": {"r": [2, 8], "target_modules": [["query"], ["query", "value"]]},
        }
    }
    names = ("lora-r2-target_modulesquery", "lora-r8-target_modulesquery")
    right = {name: 0.8 for one in names for name in (one, f"{one}+value")}
    view = made_up(tmp_path, right, arms=arms, tasks=["demo-sentiment"], seeds=[1])
    by_rank = sweep_data(view, view.arms, "r")
    assert len({row["line"] for row in by_rank}) == 2
    assert [row["value"] for row in by_rank] == [2, 2, 8, 8]
    by_modules = sweep_data(view, view.arms, "target_modules")
    assert [row["line"] for row in by_modules] == [
        "lora, r 2",
        "lora, r 2",
        "lora, r 8",
        "lora, r 8",
    ]
    assert {row["value"] for row in by_modules} == {"query", "query, value"}


def test_the_parameters_have_a_panel_where_they_differ(tmp_path: Path) -> None:
    right = {"full": 0.9, "lora-r2": 0.8, "lora-r16": 0.9, "bitfit": 0.8}
    view = made_up(tmp_path, right, seconds={"lora-r2": 5, "lora-r16": 9})
    rows = sweep_data(view, view.arms, "r")
    scores, parameters = draw_sweep(rows, key="r", name="x").specification["vconcat"]
    assert scores["spec"]["layer"]
    assert parameters["encoding"]["y"]["field"] == "parameters"
    same = [{**row, "parameters": 7.0} for row in rows]
    assert "vconcat" not in draw_sweep(same, key="r", name="x").specification


@pytest.mark.parametrize(
    ("values", "kind", "scale"),
    [
        ([2, 8, 32], "quantitative", "log"),
        ([2, 3], "quantitative", None),
        ([0, 8], "quantitative", None),
        (["true", "false"], "nominal", None),
        (["none", "all"], "nominal", None),
    ],
)
def test_the_axis_fits_the_values(values: list[Any], kind: str, scale: str | None) -> None:
    rows = [
        {
            "task": "t",
            "panel": "t · accuracy",
            "line": "a",
            "arm": f"a-r{value}",
            "value": value,
            "score": 50.0,
            "low": 49.0,
            "high": 51.0,
            "parameters": None,
        }
        for value in values
    ]
    figure = draw_sweep(rows, key="r", name="figure-01-sweep")
    place = figure.specification["spec"]["layer"][0]["encoding"]["x"]
    assert place["type"] == kind
    assert place.get("scale", {}).get("type") == scale
    assert f"a-r{values[0]} on t 50.0 [49.0, 51.0]" in figure.description
    assert figure.specification["data"]["values"] == rows
