"""The rows behind the figures of seeds, learning rates, confusions and searches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peftlab.core.selection import Selection
from peftlab.data.predictions import read_predictions
from peftlab.report.figures.confusion import confusion_data
from peftlab.report.figures.learning_rate import groups_by_learning_rate, learning_rate_data
from peftlab.report.figures.seed_spread import draw_seed_spread, seed_spread_data
from peftlab.report.figures.tuning import DEV, HELD_OUT, draw_tuning, tuning_data
from peftlab.report.findings.view import StudyView
from peftlab.store.records import TrialRecord
from tests.report.made_up import made_up

RIGHT = {"full": 0.9, "lora-r2": 0.8, "lora-r16": 0.88, "bitfit": 0.85}


def test_every_seed_has_its_point_and_one_answer_for_all_its_line(tmp_path: Path) -> None:
    view = made_up(
        tmp_path, RIGHT, tasks=["demo-sentiment"], pending=[("full", "demo-sentiment", 2)]
    )
    rows = seed_spread_data(view, view.arms)
    assert [row["seed"] for row in rows if row["arm"] == "full"] == [1, 3, 4, 5]
    first = view.done(view.arms[0], view.tasks[0])[0]
    assert rows[0]["score"] == first.scores["accuracy"]
    path = first.predictions_path
    assert path is not None
    labels = read_predictions(path).labels
    assert rows[0]["bar"] == pytest.approx(100 * max(labels.mean(), 1 - labels.mean()))
    scores = sorted(row["score"] for row in rows if row["arm"] == "bitfit")
    words = f"bitfit on demo-sentiment: {scores[2]:.1f} in the middle, {scores[0]:.1f} to"
    assert words in draw_seed_spread(rows, name="x").description


def test_a_group_differs_by_the_learning_rate_alone(tmp_path: Path) -> None:
    arms = {
        "bitfit": {"method": "bitfit", "training": {"learning_rate": 1e-3}},
        "bitfit-low": {"method": "bitfit", "training": {"learning_rate": 1e-5}},
        "longer": {"method": "bitfit", "training": {"learning_rate": 1e-4, "num_train_epochs": 9}},
        "lora": {"method": "lora", "sweep": {"r": [2, 8], "learning_rate": [1e-4, 1e-3]}},
    }
    names = [f"lora-r{r}-learning_rate{rate}" for r in (2, 8) for rate in ("0.0001", "0.001")]
    right = dict.fromkeys([*names, "bitfit", "bitfit-low", "longer"], 0.8)
    view = made_up(tmp_path, right, arms=arms, seeds=[1], tasks=["demo-sentiment"])
    groups = groups_by_learning_rate(view, view.arms, view.tasks[0])
    assert {name: [arm.name for arm in group.values()] for name, group in groups.items()} == {
        "bitfit": ["bitfit-low", "bitfit"],
        "lora, r 2": names[:2],
        "lora, r 8": names[2:],
    }
    rows = learning_rate_data(view, view.arms)
    assert [row["learning_rate"] for row in rows] == [1e-5, 1e-3] + 2 * [1e-4, 1e-3]


def test_a_confusion_matrix_counts_the_answers_of_all_seeds(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, tasks=["demo-sentiment"], seeds=[1, 2])
    rows = [row for row in confusion_data(view, view.arms) if row["arm"] == "lora-r2"]
    expected = np.zeros((2, 2), dtype=int)
    for record in view.done(view.arms[1], view.tasks[0]):
        assert record.predictions_path is not None
        read = read_predictions(record.predictions_path)
        for label, answer in zip(read.labels, read.predicted, strict=True):
            expected[label, answer] += 1
    assert [row["count"] for row in rows] == expected.ravel().tolist()
    assert [row["label"] for row in rows] == ["negative", "negative", "positive", "positive"]
    for first, second in ((0, 1), (2, 3)):
        assert rows[first]["share"] + rows[second]["share"] == pytest.approx(1)


def searched(view: StudyView) -> StudyView:
    """Return the view after a search that has tried three settings of bitfit on one task."""

    def tried(record: TrialRecord, number: int, held_out: float) -> TrialRecord:
        last = replace(record.evaluations[-1], held_out_scores={"accuracy": held_out})
        trial = record.trial.model_copy(update={"selection": Selection()})
        names = (f"bitfit#{number}",)
        return replace(
            record,
            trial=trial,
            evaluations=(*record.evaluations[:-1], last),
            arms={"made-up": names},
        )

    records = view.done(view.arms[-1], view.tasks[0])
    found = [
        tried(one, place, score)
        for place, (one, score) in enumerate(zip(records, (60, 80, 70), strict=True))
    ]
    return replace(view, records=tuple(found))


def test_the_best_setting_so_far_is_that_of_the_held_out_rows(tmp_path: Path) -> None:
    view = searched(made_up(tmp_path, RIGHT, tasks=["demo-sentiment"], seeds=[1, 2, 3]))
    rows = tuning_data(view, view.arms)
    held_out = [row for row in rows if row["split"] == HELD_OUT]
    assert [row["settings"] for row in held_out] == [1, 2, 3]
    assert [row["score"] for row in held_out] == [60, 80, 80]
    assert [row["own"] for row in held_out] == [60, 80, 70]
    of_best = view.records[1].scores["accuracy"]
    dev = [row["score"] for row in rows if row["split"] == DEV]
    assert dev[1:] == [of_best, of_best], "looked at, not chosen by"
    assert [row["seconds"] for row in held_out] == [11, 22, 33]
    figure = draw_tuning(rows, name="x")
    assert (
        "bitfit on demo-sentiment 80.0 on held-out rows of train after 3 settings"
        in figure.description
    )
    assert [
        one["spec"]["layer"][1]["encoding"]["x"]["field"] for one in figure.specification["vconcat"]
    ] == ["settings", "seconds"]
    assert tuning_data(view, view.arms[:1]) == []
