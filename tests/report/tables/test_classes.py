"""The scores of each class agree with scikit-learn, and the worst of many classes come first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from peftlab.data.predictions import Predictions, read_predictions, write_predictions
from peftlab.report.findings.class_numbers import ClassNumbers, class_numbers
from peftlab.report.findings.classes import class_scores, classes_json
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Cell
from peftlab.report.tables.classes import MOST_CLASSES, classes_tables
from peftlab.stats.outcomes import Outcomes
from peftlab.store.records import TrialRecord
from peftlab.tasks.registry import TASKS
from tests.report.made_up import made_up, with_places

ARMS = {"full": {"method": "full"}, "bitfit": {"method": "bitfit"}}
TASK = "demo-sentiment"


@contextmanager
def with_many_classes(view: StudyView, num_classes: int) -> Iterator[StudyView]:
    """Give the task many classes, with logits that are right two times in three.

    Class 3 is never answered.
    """
    task = view.tasks[0]
    generator = np.random.default_rng(5)

    def with_classes(record: TrialRecord) -> TrialRecord:
        assert record.predictions_path is not None
        old = read_predictions(record.predictions_path)
        labels = np.arange(len(old.labels)) % num_classes
        others = generator.integers(0, num_classes, len(labels))
        predicted = np.where(generator.random(len(labels)) < 0.67, labels, others)
        predicted = np.where(predicted == 3, 4, predicted)
        logits = np.eye(num_classes, dtype=np.float32)[predicted]
        own = Predictions(row_ids=old.row_ids, labels=labels, logits=logits)
        write_predictions(record.predictions_path, own)
        scores = {"accuracy": 100 * float((predicted == labels).mean()), "f1": 0.0, "f1_macro": 0.0}
        return replace(
            record, evaluations=tuple(replace(e, scores=scores) for e in record.evaluations)
        )

    names = tuple(f"class {place}" for place in range(num_classes))
    many = replace(task, labels=names, metrics=("accuracy", "f1_macro"))
    by_place = {place: tuple(map(with_classes, found)) for place, found in view.by_place.items()}
    with TASKS.temporarily(TASK, many):
        yield replace(with_places(view, by_place), tasks=(many,))


def test_the_scores_of_a_class_are_those_of_scikit_learn(tmp_path: Path) -> None:
    view = made_up(tmp_path, {"full": 0.9, "bitfit": 0.7}, arms=ARMS, tasks=[TASK], seeds=[1, 2])
    (table,) = classes_tables(view, view.arms, view.tasks[0])
    assert len(table.rows) == 4
    for arm in view.arms:
        read = [
            read_predictions(record.predictions_path)
            for record in view.done(arm, view.tasks[0])
            if record.predictions_path
        ]
        every = [precision_recall_fscore_support(o.labels, o.logits.argmax(axis=1)) for o in read]
        means = np.mean(every, axis=0)
        own = class_scores(view, [arm], view.tasks[0])
        for place, one in enumerate(own):
            assert one.label == view.tasks[0].labels[place]
            found = [one.precision / 100, one.recall / 100, one.f1 / 100, one.support]
            assert found == pytest.approx(means[:, place])
    assert classes_json(view)[0] == {
        "arm": "full", "task": TASK, "label": view.tasks[0].labels[0],
        "precision": own_json(view, "precision"), "recall": own_json(view, "recall"),
        "f1": own_json(view, "f1"), "support": own_json(view, "support"),
    }  # fmt: skip
    for row in table.rows:
        assert row[4].low < row[4].value < row[4].high


def own_json(view: StudyView, name: str) -> float:
    return float(getattr(class_scores(view, view.arms, view.tasks[0])[0], name))


def test_of_many_classes_the_worst_come_first(tmp_path: Path) -> None:
    made = made_up(tmp_path, {"full": 0.9, "bitfit": 0.7}, arms=ARMS, tasks=[TASK], seeds=[1])
    with with_many_classes(made, 25) as view:
        worst, every = classes_tables(view, view.arms, view.tasks[0])
    assert (len(worst.rows), len(every.rows)) == (2 * MOST_CLASSES, 2 * 25)
    assert [row[0] for row in worst.rows[:2]] == ["class 3"] * 2
    means = [np.mean([row[4].value for row in every.rows[n : n + 2]]) for n in range(0, 50, 2)]
    shown = [np.mean([row[4].value for row in worst.rows[n : n + 2]]) for n in range(0, 20, 2)]
    assert shown == pytest.approx(sorted(means)[:MOST_CLASSES])
    assert "of 25 classes" in worst.title


def test_the_tables_and_the_json_share_one_computation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = made_up(tmp_path, {"full": 0.9, "bitfit": 0.7}, arms=ARMS, tasks=[TASK])
    computed: list[int] = []

    def counting(outcomes: Outcomes, num_classes: int) -> tuple[ClassNumbers, ...]:
        computed.append(num_classes)
        return class_numbers(outcomes, num_classes)

    monkeypatch.setattr("peftlab.report.findings.statistics.class_numbers", counting)
    (table,) = classes_tables(view, view.arms, view.tasks[0])
    rows = classes_json(view)
    assert computed == [2] * len(view.arms), "once for each arm"
    for shown, row in zip(table.rows, rows, strict=True):
        cell = shown[table.columns.index("F1")]
        assert isinstance(cell, Cell)
        assert (shown[0], shown[1], cell.value) == (row["label"], row["arm"], row["f1"])
