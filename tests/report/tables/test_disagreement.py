"""The examples on which arms disagree are those of the data, with every arm's probability."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peftlab.data.demo.source import DemoSource
from peftlab.data.predictions import Predictions, read_predictions
from peftlab.report.findings.view import StudyView
from peftlab.report.tables.disagreement import disagreement_table, disagreements
from peftlab.tasks.registry import TASKS
from tests.report.made_up import made_up

RIGHT = {"full": 0.9, "lora-r2": 0.6, "lora-r16": 0.88, "bitfit": 0.85}
PARAPHRASE = TASKS.get("demo-paraphrase")


def view_of(folder: Path) -> StudyView:
    return made_up(folder, RIGHT, tasks=["demo-paraphrase"], seeds=[1, 2])


def test_the_rows_are_those_that_some_get_right_and_others_wrong(tmp_path: Path) -> None:
    view = view_of(tmp_path)
    found = disagreements(view, view.arms, PARAPHRASE)
    assert found is not None
    means = []
    for arm in view.arms:
        logits = [
            read_predictions(record.predictions_path).logits.astype(float)
            for record in view.done(arm, PARAPHRASE)
            if record.predictions_path
        ]
        means.append(np.mean([np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in logits], axis=0))
    labels = [row.label for row in DemoSource().examples(PARAPHRASE, "dev")]
    expected = set()
    for row in range(found.num_examples):
        right = [int(mean[row].argmax()) == labels[row] for mean in means]
        if any(right) and not all(right):
            expected.add(row)
    assert {one.row_id for one in found.examples} == expected
    spreads = [np.ptp(list(one.probabilities.values())) for one in found.examples]
    assert spreads == sorted(spreads, reverse=True)
    first = found.examples[0]
    assert first.label == labels[first.row_id]
    for mean, name in zip(means, found.arms, strict=True):
        assert first.probabilities[name] == pytest.approx(mean[first.row_id, first.label])
        assert (name in first.wrong) == (mean[first.row_id, first.label] < 0.5)


def test_the_table_shows_the_very_sentences(tmp_path: Path) -> None:
    view = view_of(tmp_path)
    table = disagreement_table(view, view.arms, PARAPHRASE, 5)
    assert table is not None
    assert table.columns[:5] == ["row", "sentence1", "sentence2", "label", "answered wrong by"]
    assert len(table.rows) == 5
    examples = DemoSource().examples(PARAPHRASE, "dev")
    for row in table.rows:
        example = examples[int(row[0])]
        assert tuple(row[1:3]) == example.texts
        assert row[3] == PARAPHRASE.labels[int(example.label or 0)]
    assert f"of {len(read_first(view).labels)} examples" in table.note


def test_where_the_data_are_gone_or_others_it_says_so(tmp_path: Path, glue_folder: Path) -> None:
    mrpc, folder = TASKS.get("mrpc"), tmp_path / "glue"
    shutil.copytree(glue_folder / "MRPC", folder / "MRPC")
    view = view_of(tmp_path / "trials")
    from peftlab.data.source import open_source

    ref = open_source(str(folder)).ref(mrpc)
    moved = {
        place: tuple(
            replace(one, trial=one.trial.model_copy(update={"task": "mrpc", "data": ref}))
            for one in records
        )
        for place, records in view.by_place.items()
    }
    view = replace(view, by_place=moved)
    shown = disagreement_table(view, view.arms, PARAPHRASE, 3)
    assert shown is not None
    assert "sentence1" in shown.columns
    with (folder / "MRPC" / "dev.tsv").open("a") as stream:
        stream.write("1\t1\t2\tone\tother\n")
    changed = disagreement_table(view, view.arms, PARAPHRASE, 3)
    shutil.rmtree(folder)
    gone = disagreement_table(view, view.arms, PARAPHRASE, 3)
    for table, cause in ((changed, "the data have changed since"), (gone, "missing")):
        assert table is not None
        assert "The sentences are not shown" in table.note
        assert cause in table.note
        assert "sentence1" not in table.columns
        assert [row[0] for row in table.rows] == [row[0] for row in shown.rows]


def test_arms_that_agree_or_stand_alone_make_no_table(tmp_path: Path) -> None:
    view = view_of(tmp_path)
    assert disagreement_table(view, view.arms[:1], PARAPHRASE, 5) is None
    assert disagreement_table(view, [view.arms[0], view.arms[0]], PARAPHRASE, 5) is None


def read_first(view: StudyView) -> Predictions:
    path = view.done(view.arms[0], PARAPHRASE)[0].predictions_path
    assert path is not None
    return read_predictions(path)
