"""The arm to use is framed, and arms that are shown to be beaten in score and cost are pale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peftlab.report.figures.advice import advice_data, draw_advice
from peftlab.report.figures.pareto import draw_pareto, pareto_data
from peftlab.report.findings.beaten import beaten_by
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Figure, Heading
from peftlab.report.registry import MAKERS
from peftlab.report.tables.advice import advices_of
from peftlab.study.parts import PARTS, AdvicePart, CostName
from tests.report.made_up import costs, made_up

RIGHT = {"full": 0.9, "lora-r2": 0.75, "lora-r16": 0.9, "bitfit": 0.6}
SECONDS = {"full": 100.0, "lora-r2": 40.0, "lora-r16": 30.0, "bitfit": 10.0}
NEAR = {"margin": 5.0}


def figures_of(view: StudyView, kind: str, **options: object) -> list[Figure]:
    blocks = MAKERS.get(kind)(view, PARTS[kind].model_validate(options), f"figure-{kind}")
    return [block for block in blocks if isinstance(block, Figure)]


def framed(figure: Figure) -> set[str]:
    """Return the arms that the figure's data mark as the arms to use."""
    return {row["arm"] for row in figure.specification["data"]["values"] if row["use"]}


def test_a_point_has_its_mean_cost_and_what_it_scores(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seconds=SECONDS, tasks=["demo-sentiment"])
    rows = pareto_data(view, view.arms, "time", {})
    assert {row["arm"]: row["cost"] for row in rows} == SECONDS
    summaries = {arm.name: view.summary(arm, view.tasks[0]) for arm in view.arms}
    for row in rows:
        summary = summaries[row["arm"]]
        assert summary is not None
        assert (row["score"], row["low"], row["high"]) == (summary.mean, summary.low, summary.high)


def test_an_arm_is_beaten_where_another_is_shown_to_score_more_and_costs_less(
    tmp_path: Path,
) -> None:
    view = made_up(tmp_path, RIGHT, seconds=SECONDS, tasks=["demo-sentiment"])
    found = beaten_by(view, view.arms, view.tasks[0], "time")
    names = {name: [arm.name for arm in others] for name, others in found.items()}
    assert names == {"full": [], "lora-r2": ["lora-r16"], "lora-r16": [], "bitfit": []}
    figure = draw_pareto(pareto_data(view, view.arms, "time", {}), against="time", name="x")
    assert "Shown to be beaten in both: lora-r2 on demo-sentiment by lora-r16." in (
        figure.description
    )
    assert figure.title.endswith("another arm is shown to score more and to cost less")
    assert "for 1 min 40 s" in figure.description


def test_arms_that_cannot_be_told_apart_beat_none(tmp_path: Path) -> None:
    """A more expensive arm has a lower mean, but is not shown to be worse."""
    right = {"full": 0.89, "lora-r2": 0.9, "lora-r16": 0.9, "bitfit": 0.9}
    view = made_up(tmp_path, right, seconds=SECONDS, tasks=["demo-sentiment"], spread=0.03)
    rows = pareto_data(view, view.arms, "time", {})
    by_means = [
        row["arm"]
        for row in rows
        if any(one["cost"] < row["cost"] and one["score"] > row["score"] for one in rows)
    ]
    assert by_means, "by its mean one is beaten"
    assert not any(beaten_by(view, view.arms, view.tasks[0], "time").values())
    figure = draw_pareto(rows, against="time", name="x")
    assert "Shown to be beaten in both: none." in figure.description
    assert "pale" not in figure.title


def test_one_seed_shows_of_no_arm_that_it_is_beaten(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seconds=SECONDS, tasks=["demo-sentiment"], seeds=[1])
    assert not any(beaten_by(view, view.arms, view.tasks[0], "time").values())


def test_an_arm_of_which_runs_failed_beats_none(tmp_path: Path) -> None:
    view = made_up(
        tmp_path, RIGHT, seconds=SECONDS, tasks=["demo-sentiment"],
        seeds=[1, 2, 3, 4, 5, 6], failed=[("lora-r16", "demo-sentiment", 6)],
    )  # fmt: skip
    assert not beaten_by(view, view.arms, view.tasks[0], "time")["lora-r2"]


def test_figures_and_advice_name_the_same_arm(tmp_path: Path) -> None:
    view = made_up(
        tmp_path, RIGHT, seconds=SECONDS, tasks=["demo-sentiment"], report=[{"advice": NEAR}]
    )
    (found,) = advices_of(view, AdvicePart.model_validate(NEAR))
    assert found.chosen is not None
    assert found.chosen.name == "lora-r16"
    (heading, *_) = MAKERS.get("advice")(view, AdvicePart.model_validate(NEAR), "figure-advice")
    assert isinstance(heading, Heading)
    assert heading.title.endswith("lora-r16")
    (advised,) = figures_of(view, "advice", **NEAR)
    (by_time,) = figures_of(view, "pareto")
    (by_size,) = figures_of(view, "pareto", against="parameters")
    for figure in (advised, by_time, by_size):
        assert framed(figure) == {"lora-r16"}
        assert "the frame is around lora-r16, the arm to use" in figure.title
    assert "(chosen by its training time)" in by_size.title
    assert "chosen by" not in by_time.title
    used = [row for row in pareto_data(view, view.arms, "time", {}) if row["arm"] == "lora-r16"]
    assert [row["beaten_by"] for row in used] == [""]


def test_each_panel_frames_the_arm_to_use_on_its_task(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seconds=SECONDS, report=[{"advice": NEAR}])
    _, *by_task = advices_of(view, AdvicePart.model_validate(NEAR))
    expected = {one.tasks[0].name: one.chosen.name for one in by_task if one.chosen}
    assert expected
    (figure,) = figures_of(view, "pareto")
    values = figure.specification["data"]["values"]
    assert {row["task"]: row["arm"] for row in values if row["use"]} == expected
    assert "the frame is around the arm to use on the task" in figure.title


def test_nothing_is_framed_where_nothing_is_decided(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seconds=SECONDS, tasks=["demo-sentiment"], seeds=[1])
    for figure in (*figures_of(view, "advice"), *figures_of(view, "pareto")):
        assert not framed(figure)
        assert "frame" not in figure.title


def test_the_mark_of_the_arm_to_use_lies_over_no_other_marker(tmp_path: Path) -> None:
    """It is a frame around the arm's own marker, not text that could cover another marker."""
    view = made_up(tmp_path, RIGHT, seconds=SECONDS, tasks=["demo-sentiment"])
    (found,) = advices_of(view, AdvicePart.model_validate(NEAR))
    figure = draw_advice(advice_data(view, found, "time"), against="time", name="x")
    marks = [layer["mark"] for layer in figure.specification["layer"]]
    assert [mark["type"] for mark in marks] == ["rule", "point", "point"]
    assert not marks[-1].get("filled", False)


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
    figure = draw_pareto(pareto_data(view, view.arms, against, {}), against=against, name="x")
    assert figure.specification["spec"]["layer"][0]["encoding"]["x"]["title"] == axis


def test_a_cost_that_nobody_measured_shows_nothing(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, tasks=["demo-sentiment"], seeds=[1])
    assert pareto_data(view, view.arms, "flops", {}) == []


def test_an_arm_that_did_not_learn_is_cheap_and_pale(
    predicted: Callable[..., StudyView],
) -> None:
    right = np.random.default_rng(1).random((3, 200)) < 0.9
    constant = np.stack([np.arange(200) % 2 == 1] * 3)
    view = predicted(
        {("full", "demo-sentiment"): right, ("lora-r2", "demo-sentiment"): constant},
        {"tasks": ["demo-sentiment"], "seeds": [1, 2, 3]},
    )
    rows = pareto_data(with_costs(view), view.arms, "time", {})
    assert {row["arm"]: row["state"] for row in rows} == {
        "full": "learned",
        "lora-r2": "did not learn",
    }
    figure = draw_pareto(rows, against="time", name="x")
    assert figure.title.endswith("pale arms are not shown to have learned")
    assert "lora-r2 on demo-sentiment 50.0 for 1 s × did not learn" in figure.description


def with_costs(view: StudyView) -> StudyView:
    """Return the view with a second of training for each trial of lora, and more for the others."""
    by_place = {
        (arm, task): tuple(
            replace(record, costs=costs(9.0 if arm == "full" else 1.0)) for record in records
        )
        for (arm, task), records in view.by_place.items()
    }
    return replace(view, by_place=by_place)
