"""The front holds the arms that no other one beats in both cost and score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftlab.report.figures.pareto import draw_pareto, front, pareto_data
from peftlab.report.findings.view import StudyView
from peftlab.study.parts import CostName
from tests.report.made_up import costs, made_up

RIGHT = {"full": 0.9, "lora-r2": 0.75, "lora-r16": 0.88, "bitfit": 0.8}
SECONDS = {"full": 100.0, "lora-r2": 40.0, "lora-r16": 50.0, "bitfit": 30.0}
POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8)


@given(POINTS)
def test_the_front_is_what_a_sweep_by_cost_finds(points: list[tuple[float, float]]) -> None:
    expected, highest = set(), float("-inf")
    for cost in sorted({cost for cost, _ in points}):
        best = max(score for own, score in points if own == cost)
        if best > highest:
            expected.add((cost, best))
            highest = best
    assert {point for point, is_on in zip(points, front(points), strict=True) if is_on} == expected


def test_a_point_has_its_mean_cost_and_what_it_scores(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seconds=SECONDS, tasks=["demo-sentiment"])
    rows = pareto_data(view, view.arms, "time")
    assert {row["arm"]: row["cost"] for row in rows} == SECONDS
    assert [row["arm"] for row in rows if row["front"]] == ["full", "lora-r16", "bitfit"]
    figure = draw_pareto(rows, against="time", name="x")
    assert "Beaten by none in both: full, lora-r16, bitfit on demo-sentiment" in figure.description
    assert "for 1 min 40 s" in figure.description


@pytest.mark.parametrize(
    ("against", "axis"),
    [
        ("parameters", "trainable parameters"),
        ("time", "training time (s)"),
        ("memory", "peak memory (MB)"),
        ("disk", "size on disk (MB)"),
    ],
)
def test_the_axis_is_the_cost_that_was_asked_for(
    against: CostName, axis: str, tmp_path: Path
) -> None:
    view = made_up(tmp_path, RIGHT, seconds=SECONDS, tasks=["demo-sentiment"], seeds=[1])
    figure = draw_pareto(pareto_data(view, view.arms, against), against=against, name="x")
    assert figure.specification["spec"]["layer"][0]["encoding"]["x"]["title"] == axis


def test_a_cost_that_nobody_measured_shows_nothing(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, tasks=["demo-sentiment"], seeds=[1])
    assert pareto_data(view, view.arms, "flops") == []


def test_an_arm_that_did_not_learn_is_cheap_and_never_on_the_front(
    predicted: Callable[..., StudyView],
) -> None:
    right = np.random.default_rng(1).random((3, 200)) < 0.9
    constant = np.stack([np.arange(200) % 2 == 1] * 3)
    view = predicted(
        {("full", "demo-sentiment"): right, ("lora-r2", "demo-sentiment"): constant},
        {"tasks": ["demo-sentiment"], "seeds": [1, 2, 3]},
    )
    rows = pareto_data(with_costs(view), view.arms, "time")
    assert {row["arm"]: row["front"] for row in rows} == {"full": True, "lora-r2": False}
    figure = draw_pareto(rows, against="time", name="x")
    assert figure.title.endswith("without those that did not learn")
    assert "lora-r2 on demo-sentiment 50.0 for 1 s × did not learn" in figure.description


def with_costs(view: StudyView) -> StudyView:
    """The view with a second of training for each trial of lora, more for the others."""
    by_place = {
        (arm, task): tuple(
            replace(record, costs=costs(9.0 if arm == "full" else 1.0)) for record in records
        )
        for (arm, task), records in view.by_place.items()
    }
    return replace(view, by_place=by_place)
