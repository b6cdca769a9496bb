"""Loss curves summarise the losses of the records over the seeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from peftlab.report.figures.loss_curves import draw_loss_curves, loss_curves_data, unlike_note
from peftlab.report.findings.view import StudyView

View = Callable[..., StudyView]
SENTIMENT = "demo-sentiment"


def values(specification: Any) -> list[dict[str, Any]]:
    """Return the rows of a figure's data."""
    rows: list[dict[str, Any]] = specification["data"]["values"]
    return rows


def test_each_epoch_has_the_mean_and_the_range_over_the_seeds(hand_made: View) -> None:
    view = hand_made(
        {
            ("full", SENTIMENT): [
                [(None, 0.8, 50), (0.75, 0.5, 60)],
                [(None, 0.6, 50), (0.25, 0.4, 70)],
            ]
        }
    )
    common = {"task": SENTIMENT, "arm": "full", "seeds": 2}
    training = {"split": "training", "epoch": 1, "loss": 0.5, "min": 0.25, "max": 0.75}
    before = {"split": "validation", "epoch": 0, "loss": 0.7, "min": 0.6, "max": 0.8}
    after = {"split": "validation", "epoch": 1, "loss": 0.45, "min": 0.4, "max": 0.5}
    assert loss_curves_data(view, view.choose(["full"])) == [
        {**common, **{k: pytest.approx(v) if k == "loss" else v for k, v in row.items()}}
        for row in (training, before, after)
    ]


def test_a_trial_that_is_cut_short_gives_the_epochs_that_it_has(hand_made: View) -> None:
    view = hand_made(
        {("full", SENTIMENT): [[(None, 0.8, 50), (0.7, 0.6, 50)], [(None, 0.6, 50)], []]}
    )
    rows = loss_curves_data(view, view.arms)
    assert [(row["split"], row["epoch"], row["seeds"]) for row in rows] == [
        ("training", 1, 1),
        ("validation", 0, 2),
        ("validation", 1, 1),
    ]


def test_a_loss_that_is_not_finite_is_left_out(hand_made: View) -> None:
    nan = float("nan")
    view = hand_made(
        {
            ("full", SENTIMENT): [
                [(None, 0.8, 50), (nan, nan, 50)],
                [(None, 0.8, 50), (0.5, 0.4, 60)],
            ]
        }
    )
    rows = loss_curves_data(view, view.arms)
    assert [(row["split"], row["epoch"], row["loss"]) for row in rows] == [
        ("training", 1, 0.5),
        ("validation", 0, 0.8),
        ("validation", 1, 0.4),
    ]
    json.dumps(draw_loss_curves(rows, name="x").specification, allow_nan=False)


def test_nothing_measured_is_nothing_drawn(hand_made: View) -> None:
    view = hand_made({("full", SENTIMENT): [[]]})
    assert loss_curves_data(view, view.arms) == []


@pytest.mark.parametrize(
    ("last", "ticks"),
    [(0, [0]), (1, [0, 1]), (2, [0, 1, 2]), (10, list(range(11))), (30, list(range(0, 31, 3)))],
)
def test_the_axis_has_whole_epochs_and_no_more_than_eleven(
    last: int, ticks: list[int], hand_made: View
) -> None:
    view = hand_made({("full", SENTIMENT): [[(None, 0.5, 50)] * (last + 1)]})
    figure = draw_loss_curves(loss_curves_data(view, view.arms), name="x")
    layer = figure.specification["spec"]["layer"][-1]
    assert layer["encoding"]["x"]["axis"]["values"] == ticks


def test_one_seed_has_no_band_and_one_arm_no_colour_of_its_own(hand_made: View) -> None:
    one = hand_made({("full", SENTIMENT): [[(None, 0.8, 50), (0.75, 0.5, 60)]]})
    rows = loss_curves_data(one, one.arms)
    figure = draw_loss_curves(rows, name="figure-01")
    marks = [layer["mark"]["type"] for layer in figure.specification["spec"]["layer"]]
    assert marks == ["line"]
    assert figure.title == "Loss by epoch: full"
    assert "full on demo-sentiment 0.500" in figure.description
    two = hand_made({("full", SENTIMENT): [[(None, 0.8, 50)], [(None, 0.7, 50)]]})
    drawn = draw_loss_curves(loss_curves_data(two, two.arms), name="figure-01")
    marks = [layer["mark"]["type"] for layer in drawn.specification["spec"]["layer"]]
    assert marks == ["area", "line"]


def test_the_figure_carries_its_rows(hand_made: View) -> None:
    view = hand_made({("full", SENTIMENT): [[(None, 0.8, 50), (0.75, 0.5, 60)]]})
    rows = loss_curves_data(view, view.arms)
    assert values(draw_loss_curves(rows, name="x").specification) == rows


def test_the_axis_names_the_loss_of_every_kind_of_problem(hand_made: View) -> None:
    view = hand_made({("full", SENTIMENT): [[(None, 0.8, 50)]]})
    rows = loss_curves_data(view, view.arms)
    figure = draw_loss_curves(
        rows, name="x", problem_types=["single_label_classification", "regression", "regression"]
    )
    (layer,) = figure.specification["spec"]["layer"]
    assert layer["encoding"]["y"]["title"] == "loss (cross-entropy or squared error)"


def test_the_legends_stand_below_one_another_and_are_no_wider_than_the_panels() -> None:
    names = ["full", "bitfit", "bitfit-frozen-head-1e-5", *(f"lora-r{2**n}" for n in range(5))]
    row = {"task": "sst2", "split": "training", "epoch": 1, "loss": 0.5, "seeds": 1}
    for tasks, columns in ((["sst2"], 5), (["sst2", "cola", "mrpc"], 5)):
        rows = [{**row, "arm": name, "task": task} for name in names for task in tasks]
        specification = draw_loss_curves(rows, name="x").specification
        (layer,) = specification["spec"]["layer"]
        assert layer["encoding"]["color"]["legend"]["columns"] == columns
        assert specification["config"]["legend"]["layout"] == {"bottom": {"direction": "vertical"}}


def test_where_seeds_end_at_different_epochs_the_title_says_so(hand_made: View) -> None:
    short, long = [(None, 0.8, 50), (0.7, 0.6, 50)], [(None, 0.6, 50), (0.5, 0.4, 60)]
    same = hand_made({("full", SENTIMENT): [short, long]})
    figure = draw_loss_curves(loss_curves_data(same, same.choose(["full"])), name="loss")
    assert figure.title == "Loss by epoch: full"
    view = hand_made({("full", SENTIMENT): [short, [*long, (0.4, 0.3, 70)]]})
    figure = draw_loss_curves(loss_curves_data(view, view.choose(["full"])), name="loss")
    assert figure.title == "Loss by epoch: full; each point is of the seeds that got there"


@pytest.mark.parametrize("setting", ["class_weights", "label_smoothing_factor"])
def test_arms_whose_training_losses_are_not_plain_are_named(setting: str, hand_made: View) -> None:
    epochs = [[(None, 0.8, 50), (0.7, 0.6, 50)]]
    value = {"class_weights": "balanced", "label_smoothing_factor": 0.1}[setting]
    arms = {"full": {"method": "full"}, "even": {"method": "full", "training": {setting: value}}}
    view = hand_made({(arm, SENTIMENT): epochs for arm in arms}, {"arms": arms, "claims": []})
    assert unlike_note(view, view.arms) == (
        "; training losses of even have class weights or smoothed labels, validation losses have "
        "neither"
    )
    assert unlike_note(view, view.choose(["full"])) == ""
