"""`peftlab predict` gives a row the trial's own answer, in every format of input and output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab.data.demo.source import DemoSource
from peftlab.data.predictions import read_predictions
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.tasks.problem import probabilities
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
    assert head == "sentence\tprediction\tpredicted_label\tp(negative)\tp(positive)"
    shares = [f"{round(p, 6)}" for p in row["probabilities"].values()]
    number = str(["negative", "positive"].index(row["label"]))
    assert line.split("\t") == ["a warm film", number, row["label"], *shares]


@pytest.mark.parametrize("task", ["demo-sentiment", "demo-paraphrase"])
def test_a_file_of_dev_rows_gets_the_stored_predictions(
    task: str, peftlab: Peftlab, finished_workspace: Path, tmp_path: Path
) -> None:
    rows = [example.texts for example in DemoSource().examples(TASKS.get(task), "dev")[:24]]
    source, target = tmp_path / "in.txt", tmp_path / "out.tsv"
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
            probabilities(stored.logits, "single_label_classification"),
            atol=1e-5,
        )
        assert [row["label"] for row in answer.json] == [labels[k] for k in stored.predicted]
    written = peftlab(*arguments, "--file", source, "--output", target)
    assert (written.status, written.out) == (0, "")
    head, *lines = target.read_text().splitlines()
    names = TASKS.get(task).texts
    added = ["prediction", "predicted_label", *(f"p({label})" for label in labels)]
    assert head.split("\t") == [*names, *added]
    fields = [line.split("\t") for line in lines]
    assert [tuple(own[: len(names)]) for own in fields] == rows
    assert [own[len(names) + 1] for own in fields] == [row["label"] for row in answer.json]


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
    (tmp_path / "in.txt").write_text("a\tb\na\tb\tc\n")
    place = ("--workspace", finished_workspace, "--file", tmp_path / "in.txt")
    answer = peftlab("predict", trial, *place)
    assert answer.status == 2
    assert answer.err == (
        f"peftlab: {tmp_path}/in.txt:2: 3 fields where there must be 2 "
        "(allowed: sentence1 | sentence2)\n"
    )


def test_tabs_and_line_ends_in_a_text_stay_in_its_field(
    peftlab: Peftlab, finished_workspace: Path, tmp_path: Path
) -> None:
    trial = trials_on(finished_workspace, "demo-sentiment")[0].trial.id
    text = "a\twarm\nand\r\nfunny \\/ film"
    arguments = ("predict", trial, f"--text={text}", "--workspace", finished_workspace)
    for out in (peftlab(*arguments).out, _written(peftlab, tmp_path / "out.tsv", *arguments)):
        head, line = out.split("\n")[:-1]
        fields = line.split("\t")
        assert len(fields) == len(head.split("\t"))
        assert fields[0] == r"a\twarm\nand\r\nfunny \/ film"
    assert peftlab(*arguments, "--json").json[0]["texts"] == [text]


def test_each_row_of_a_table_is_answered_by_the_trial_that_it_names(
    peftlab: Peftlab, finished_workspace: Path, tmp_path: Path
) -> None:
    trials = [record.trial.id for record in trials_on(finished_workspace, "demo-sentiment")[:4]]
    rows = [example.texts for example in DemoSource().examples(TASKS.get("demo-sentiment"), "dev")]
    source, target = tmp_path / "in.csv", tmp_path / "out.jsonl"
    lines = [f'{i},"{rows[i][0]}",{trials[i % 4][:8]}' for i in range(12)]
    source.write_text("\n".join(["number,sentence,trial", *lines]) + "\n")
    place = ("--workspace", finished_workspace, "--file", source)
    told = peftlab("predict", *place, "--output", target, "--json").json
    assert told == {"output": str(target), "rows": 12, "trials": trials}
    answers = [json.loads(line) for line in target.read_text().splitlines()]
    assert [answer["number"] for answer in answers] == [str(i) for i in range(12)]
    assert [answer["trial"] for answer in answers] == [trials[i % 4][:8] for i in range(12)]
    for k, trial in enumerate(trials):
        for i in range(k, 12, 4):
            (alone,) = peftlab("predict", trial, "--text", rows[i][0], *place[:2], "--json").json
            assert answers[i]["predicted_label"] == alone["label"]
            assert answers[i]["p(positive)"] == pytest.approx(
                alone["probabilities"]["positive"], abs=2e-6
            )
    objects = peftlab("predict", *place, "--json").json
    assert [one["trial"] for one in objects] == [trials[i % 4] for i in range(12)]


def _written(peftlab: Peftlab, target: Path, *arguments: object) -> str:
    assert peftlab(*arguments, "--output", target).out == ""
    return target.read_bytes().decode()
