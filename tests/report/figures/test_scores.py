"""Points are the reported main scores of the trials that are done, lines their intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab.report.figures.scores import draw_scores, published_data, scores_data
from peftlab.report.figures.seed_spread import draw_seed_spread, seed_spread_data
from peftlab.report.findings.published import published_scores
from peftlab.report.findings.view import StudyView
from tests.report.made_up import made_up

View = Callable[..., StudyView]
RIGHT = {"full": 0.9, "lora-r2": 0.8, "lora-r16": 0.88, "bitfit": 0.85}


def test_a_point_is_the_mean_of_the_last_scores(hand_made: View) -> None:
    view = hand_made(
        {
            ("full", "demo-sentiment"): [
                [(None, 1, 50), (1, 1, 90), (1, 1, 80)],
                [(None, 1, 50), (1, 1, 60), (1, 1, 70)],
            ],
            ("lora-r2", "demo-sentiment"): [[(None, 1, 55)], []],
            ("lora-r8", "demo-sentiment"): [[], []],
            ("full", "demo-paraphrase"): [[(None, 1, 40)]],
        }
    )
    shown = [
        (row["panel"], row["arm"], row["score"], row["seeds"])
        for row in scores_data(view, view.arms)
    ]
    assert shown == [
        ("demo-sentiment · accuracy", "full", 75.0, 2),
        ("demo-sentiment · accuracy", "lora-r2", 55.0, 1),
        ("demo-paraphrase · f1", "full", 40.0, 1),
    ]


def test_the_interval_is_the_summary_s(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, tasks=["demo-sentiment"])
    for arm, row in zip(view.arms, scores_data(view, view.arms), strict=True):
        summary = view.summary(arm, view.tasks[0])
        assert summary is not None
        assert (row["low"], row["high"]) == (summary.low, summary.high)
        assert row["low"] < row["score"] < row["high"]


def test_the_figure_says_its_scores_in_words_and_keeps_the_order_of_the_arms(
    hand_made: View,
) -> None:
    view = hand_made(
        {
            ("lora-r8", "demo-sentiment"): [[(None, 1, 81.26)]],
            ("full", "demo-sentiment"): [[(None, 1, 50)]],
        }
    )
    rows = scores_data(view, view.choose(["lora-r8", "full"]))
    figure = draw_scores(rows, name="figure-03-scores")
    assert figure.name == "figure-03-scores"
    assert figure.description.endswith(
        "lora-r8 on demo-sentiment 81.3 ? cannot tell; full on demo-sentiment 50.0 ? cannot tell"
    )
    points = figure.specification["spec"]["layer"][1]["encoding"]
    assert points["y"]["sort"] == ["lora-r8", "full"]
    assert [row["score"] for row in figure.specification["data"]["values"]] == [81.26, 50]


def test_an_arm_has_the_same_colour_wherever_it_is_shown(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, tasks=["demo-sentiment"])
    every = [view.label(arm) for arm in view.arms]

    def colour(arms: Any, name: str) -> str:
        figure = draw_scores(scores_data(view, arms), name="x", every=every)
        scale = figure.specification["spec"]["layer"][0]["encoding"]["color"]["scale"]
        return str(dict(zip(scale["domain"], scale["range"], strict=True))[name])

    few = [arm for arm in view.arms if arm.name in ("lora-r16", "bitfit")]
    assert colour(few, "bitfit") == colour(view.arms, "bitfit")
    assert colour(few, "bitfit") != colour(few, "lora-r16")


def test_published_scores_of_the_same_metric_stand_below_with_their_rule(
    hand_made: View,
) -> None:
    view = hand_made(
        {("full", task): [[(None, 1, 80)]] for task in ("sst2", "mrpc")},
        {"tasks": ["sst2", "mrpc"], "data": "hub"},
    )
    rows = published_data(view, published_scores())
    assert {
        "LoRA r=8 (UniPELT, best on dev)",
        "BitFit (LoRA paper, rule not said)",
    } <= {row["arm"] for row in rows}
    of_mrpc = [row for row in rows if row["task"] == "mrpc"]
    assert not [row for row in of_mrpc if "LoRA paper" in row["arm"]], "these are accuracies"
    figure = draw_scores(scores_data(view, view.arms), name="x", published=rows)
    assert "LoRA r=8 (UniPELT, best on dev) on mrpc 90.0" in figure.description
    (layer,) = (
        layer
        for layer in figure.specification["spec"]["layer"]
        if "rule" in [one["field"] for one in layer["encoding"].get("tooltip", ())]
    )
    assert layer["mark"]["shape"] == "diamond"
    (rule,) = {row["rule"] for row in rows if row["arm"] == "LoRA r=8 (UniPELT, best on dev)"}
    for word in ("BERT-base", "dev", "best on dev", "2110.07577"):
        assert word in rule


@pytest.mark.parametrize("tasks", [("demo-sentiment",), ("demo-sentiment", "demo-paraphrase")])
def test_there_is_a_panel_a_task(tasks: tuple[str, ...], tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, tasks=tasks)
    specification = draw_scores(scores_data(view, view.arms), name="x").specification
    assert len(specification["facet"]["sort"]) == len(tasks) == specification["columns"]


def test_what_is_not_shown_to_have_learned_is_drawn_and_told_apart(
    predicted: View,
) -> None:
    right = np.random.default_rng(1).random((3, 200)) < 0.9
    constant = np.stack([np.arange(200) % 2 == 1] * 3)
    view = predicted(
        {("full", "demo-sentiment"): right, ("lora-r2", "demo-sentiment"): constant},
        {"tasks": ["demo-sentiment"], "seeds": [1, 2, 3]},
    )
    rows = scores_data(view, view.arms)
    assert [row["state"] for row in rows] == ["learned", "did not learn"]
    assert {row["bar"] for row in rows} == {50.0}
    assert not any(row["is_chance"] for row in rows)
    figure = draw_scores(rows, name="x")
    assert figure.title == (
        "Scores by task and arm; the dashed line is the best constant answer; a cross did not learn"
    )
    assert figure.description.endswith("× did not learn")
    learned = draw_scores(rows[:1], name="x")
    assert "did not learn" not in learned.title + learned.description
    assert len(figure.specification["spec"]["layer"]) == (
        len(learned.specification["spec"]["layer"]) + 1
    )


def test_the_dashed_line_is_the_bar_that_the_arm_is_judged_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = made_up(tmp_path, RIGHT, tasks=["demo-sentiment"])
    judged = StudyView.learned

    def by_chance(own: StudyView, arm: Any, task: Any) -> Any:
        found = judged(own, arm, task)
        return replace(found, chance=54.5) if found and arm.name == "full" else found

    monkeypatch.setattr(StudyView, "learned", by_chance)
    rows = scores_data(view, view.arms)
    assert [row["bar"] for row in rows] == [54.5, *[pytest.approx(50.5)] * 3]
    figure = draw_scores(rows, name="x")
    assert (
        "the dashed line is the bar for having learned: the best constant answer, or the arm's own "
        "answers in random order where they score more"
    ) in figure.title
    (line,) = (
        layer
        for layer in figure.specification["spec"]["layer"]
        if layer["encoding"]["x"].get("aggregate") == "max"
    )
    assert line["encoding"]["x"]["field"] == "bar"
    assert line["encoding"]["y"]["field"] == "arm", "each arm has a line of its own"
    alone = draw_scores(rows[:1], name="x")
    assert "the dashed line is the arm's own answers in random order" in alone.title
    spread = seed_spread_data(view, view.arms)
    assert {row["arm"]: row["bar"] for row in spread}["full"] == 54.5
    assert draw_seed_spread(spread, name="x").title.endswith("where they score more")
