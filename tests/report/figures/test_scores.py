"""Bars are the last epoch's main scores of the trials that are done."""

from __future__ import annotations

from collections.abc import Callable

from peftlab.report.figures.scores import draw_scores, scores_data
from peftlab.report.view import StudyView

View = Callable[..., StudyView]


def test_a_bar_is_the_mean_of_the_last_scores_with_their_range(hand_made: View) -> None:
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
    common = {"task": "demo-sentiment", "metric": "accuracy"}
    assert scores_data(view, view.arms) == [
        {**common, "arm": "full", "score": 75.0, "least": 70.0, "greatest": 80.0, "seeds": 2},
        {**common, "arm": "lora-r2", "score": 55.0, "least": 55.0, "greatest": 55.0, "seeds": 1},
        {
            "task": "demo-paraphrase",
            "metric": "f1",
            "arm": "full",
            "score": 40.0,
            "least": 40.0,
            "greatest": 40.0,
            "seeds": 1,
        },
    ]


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
        "lora-r8 on demo-sentiment 81.3; full on demo-sentiment 50.0"
    )
    bars = figure.specification["layer"][0]["encoding"]
    assert bars["color"]["scale"]["domain"] == ["lora-r8", "full"]
    carried = figure.specification["data"]["values"]
    assert [row["score"] for row in carried] == [81.26, 50]
    assert {row["place"] for row in carried} == {"demo-sentiment (accuracy"}
