"""`peftlab predict` says of a row what the trial said of it, in every form of in and output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab.data.demo.source import DemoSource
from peftlab.data.predictions import read_predictions
from peftlab.outputs.predict import softmax
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.tasks.registry import TASKS

Peftlab = Callable[..., Any]


def trials_on(workspace: Path, task: str) -> list[TrialRecord]:
    with Workspace.open(workspace, create=False) as opened:
        return [record for record in opened.trials() if record.trial.task == task]


def test_one_text_gets_a_label_and_probabilities_that_sum_to_1(
    peftlab: Peftlab, finished_workspace: Path
) -> None:
    trial = trials_on(finished_workspace, "demo-sentiment")[0].trial.id
    arguments = ("predict", trial[:6], "--text", "a warm film", "--workspace", finished_workspace)
    answer = peftlab(*arguments, "--json")
    assert (answer.status, answer.err) == (0, "")
    (row,) = answer.json
    assert list(row) == ["texts", "label", "probabilities"]
    assert row["texts"] == ["a warm film"]
    assert list(row["probabilities"]) == ["negative", "positive"]
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-12)
    assert row["label"] == max(row["probabilities"], key=row["probabilities"].get)
    head, line = peftlab(*arguments).out.splitlines()
    assert head == "label\tp(negative)\tp(positive)\ttext1"
    probabilities = [f"{p:.4f}" for p in row["probabilities"].values()]
    assert line.split("\t") == [row["label"], *probabilities, "a warm film"]


@pytest.mark.parametrize("task", ["demo-sentiment", "demo-paraphrase"])
def test_a_file_of_dev_rows_gets_the_stored_predictions(
    task: str, peftlab: Peftlab, finished_workspace: Path, tmp_path: Path
) -> None:
    rows = [example.texts for example in DemoSource().examples(TASKS.get(task), "dev")[:24]]
    source, target = tmp_path / "in.tsv", tmp_path / "out.tsv"
    source.write_text("".join("\t".join(texts) + "\n" for texts in rows))
    for record in trials_on(finished_workspace, task):
        arguments = ("predict", record.trial.id, "--workspace", finished_workspace)
        answer = peftlab(*arguments, "--file", source, "--json")
        assert [tuple(row["texts"]) for row in answer.json] == rows
        assert record.predictions_path is not None
        stored = read_predictions(record.predictions_path)
        labels = TASKS.get(task).labels
        np.testing.assert_allclose(
            [list(row["probabilities"].values()) for row in answer.json],
            softmax(stored.logits),
            atol=1e-5,
        )
        assert [row["label"] for row in answer.json] == [labels[k] for k in stored.predicted]
    written = peftlab(*arguments, "--file", source, "--output", target)
    assert (written.status, written.out) == (0, "")
    head, *lines = target.read_text().splitlines()
    assert head.split("\t")[3:] == [f"text{i + 1}" for i in range(len(rows[0]))]
    assert [tuple(line.split("\t")[3:]) for line in lines] == rows
    assert [line.split("\t")[0] for line in lines] == [row["label"] for row in answer.json]


def test_a_pair_is_given_by_two_texts_and_their_order_counts(
    peftlab: Peftlab, finished_workspace: Path, tmp_path: Path
) -> None:
    trial = trials_on(finished_workspace, "demo-paraphrase")[0].trial.id
    arguments = ("predict", trial, "--workspace", finished_workspace, "--json")
    first, second = "--text=the film ran late.", "--text=nobody saw it"
    (row,) = peftlab(*arguments, first, second).json
    assert row["texts"] == ["the film ran late.", "nobody saw it"]
    (turned,) = peftlab(*arguments, second, first).json
    assert turned["probabilities"] != row["probabilities"]


def test_a_file_with_windows_line_ends_and_no_last_one_has_the_same_rows(
    peftlab: Peftlab, finished_workspace: Path, tmp_path: Path
) -> None:
    trial = trials_on(finished_workspace, "demo-sentiment")[0].trial.id
    (tmp_path / "in.txt").write_bytes("a café\r\n\r\nthe end".encode())
    place = ("--workspace", finished_workspace, "--file", tmp_path / "in.txt")
    rows = peftlab("predict", trial, *place, "--json").json
    assert [row["texts"] for row in rows] == [["a café"], [""], ["the end"]]


def test_a_row_with_too_many_tabs_is_named(
    peftlab: Peftlab, finished_workspace: Path, tmp_path: Path
) -> None:
    trial = trials_on(finished_workspace, "demo-paraphrase")[0].trial.id
    (tmp_path / "in.tsv").write_text("a\tb\na\tb\tc\n")
    place = ("--workspace", finished_workspace, "--file", tmp_path / "in.tsv")
    answer = peftlab("predict", trial, *place)
    assert answer.status == 2
    assert answer.err == (
        "peftlab: row 2: a row of the task 'demo-paraphrase' has 2 text(s), this one has 3\n"
    )


def test_tabs_and_line_ends_in_a_text_stay_in_its_field(
    peftlab: Peftlab, finished_workspace: Path, tmp_path: Path
) -> None:
    trial = trials_on(finished_workspace, "demo-sentiment")[0].trial.id
    text = "a\twarm\nand\r\nfunny \\ film"
    arguments = ("predict", trial, f"--text={text}", "--workspace", finished_workspace)
    for out in (peftlab(*arguments).out, _written(peftlab, tmp_path / "out.tsv", *arguments)):
        head, line = out.split("\n")[:-1]
        fields = line.split("\t")
        assert len(fields) == len(head.split("\t"))
        assert fields[-1] == r"a\twarm\nand\r\nfunny \\ film"
    assert peftlab(*arguments, "--json").json[0]["texts"] == [text]


def _written(peftlab: Peftlab, target: Path, *arguments: object) -> str:
    assert peftlab(*arguments, "--output", target).out == ""
    return target.read_bytes().decode()
