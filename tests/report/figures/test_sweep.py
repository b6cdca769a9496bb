"""A sweep's line goes through the scores at each value of what was swept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from peftlab.report.figures.sweep import draw_sweep, sweep_data
from peftlab.report.view import StudyView

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
    assert sweep_data(view, view.arms, "r") == [
        {
            "task": "demo-sentiment (accuracy)",
            "arm": "lora-r2",
            "value": 2,
            "score": 70.0,
            "least": 60.0,
            "greatest": 80.0,
        },
        {
            "task": "demo-paraphrase (f1)",
            "arm": "lora-r8",
            "value": 8,
            "score": 42.0,
            "least": 42.0,
            "greatest": 42.0,
        },
    ]
    assert sweep_data(view, view.arms, "lora_alpha") == []


@pytest.mark.parametrize(
    ("values", "kind", "scale"),
    [
        ([2, 8, 32], "quantitative", "log"),
        ([2, 3], "quantitative", None),
        ([0, 8], "quantitative", None),
        ([True, False], "nominal", None),
        (["none", "all"], "nominal", None),
    ],
)
def test_the_axis_fits_the_values(values: list[Any], kind: str, scale: str | None) -> None:
    rows = [
        {"task": "t", "arm": f"a{v}", "value": v, "score": 50.0, "least": 49.0, "greatest": 51.0}
        for v in values
    ]
    figure = draw_sweep(rows, key="r", name="figure-01-sweep")
    place = figure.specification["layer"][0]["encoding"]["x"]
    assert place["type"] == kind
    assert place.get("scale", {}).get("type") == scale
    assert f"t at r {values[0]}: 50.0" in figure.description
    assert figure.specification["data"]["values"] == rows
