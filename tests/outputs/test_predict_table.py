"""Many trials on one base give every row the answers that each gives alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from peftlab.api.trial import predict_file
from peftlab.core.errors import UserError
from peftlab.data.demo.source import DemoSource
from peftlab.data.row_files import Row, read_rows
from peftlab.engine.predict import Predictor
from peftlab.outputs.predict_table import (
    Question,
    answers_by_part,
    as_row,
    question_of,
    write_answers,
)
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.tasks.registry import TASKS


def every_trial(workspace: Path, *tasks: str) -> list[TrialRecord]:
    with Workspace.open(workspace, create=False) as opened:
        return [record for record in opened.trials() if record.trial.task in tasks]


def dev_rows(task: str, number: int = 24) -> list[tuple[str, ...]]:
    return [example.texts for example in DemoSource().examples(TASKS.get(task), "dev")[:number]]


def test_trials_of_one_checkpoint_share_memory_and_say_what_they_say_alone(
    finished_workspace: Path,
) -> None:
    records = every_trial(finished_workspace, "demo-sentiment", "demo-paraphrase")
    assert {record.trial.method for record in records} == {"full", "bitfit", "lora"}
    predictor = Predictor()
    for _ in range(2):  # the second time from memory
        for record in records:
            rows = dev_rows(record.trial.task)
            together = predictor.logits(record, rows)
            assert np.array_equal(together, Predictor().logits(record, rows)), record.trial.id
    own = {record.trial.id: predictor._loaded[record.trial.id] for record in records}
    addresses = {
        trial_id: {name: parameter.data_ptr() for name, parameter in loaded.base.named_parameters()}
        for trial_id, loaded in own.items()
    }
    embedding = "embeddings.word_embeddings.weight"
    frozen = [
        next(address for name, address in own.items() if name.endswith(embedding))
        for record in records
        if record.trial.method != "full"
        for own in [addresses[record.trial.id]]
    ]
    assert len(frozen) > 4
    assert len(set(frozen)) == 1
    heads = {
        next(
            address
            for name, address in own.items()
            if "classifier" in name and "original" not in name
        )
        for own in addresses.values()
    }
    assert len(heads) == len(records)


def test_rows_of_mixed_trials_have_their_own_adapter_and_head(finished_workspace: Path) -> None:
    records = every_trial(finished_workspace, "demo-sentiment", "demo-paraphrase")
    rows: list[Row] = []
    for index in range(48):
        record = records[(index * 7) % len(records)]
        names = TASKS.get(record.trial.task).texts
        texts = dev_rows(record.trial.task)[index % 24]
        rows.append({"by": record.trial.id, "n": index, **dict(zip(names, texts, strict=True))})
    question = Question(trials={r.trial.id: r for r in records}, trial_column="by")
    found = [
        answer
        for part in answers_by_part(question, [rows[:30], rows[30:]], predictor=Predictor())
        for answer in part
    ]
    assert [answer.row["n"] for answer in found] == list(range(48))
    for answer in found:
        record = answer.record
        assert record.trial.id == answer.row["by"]
        (alone,) = Predictor().logits(record, [answer.texts])
        probabilities = np.exp(alone) / np.exp(alone).sum()
        np.testing.assert_allclose(
            list(answer.prediction.probabilities.values()), probabilities, atol=1e-6
        )


def test_a_table_under_several_trials_has_a_row_for_each(
    finished_workspace: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.parquet"
    source.write_text('{"n": 1, "review": "a warm film"}\n{"n": 2, "review": "it was a bore"}\n')
    first, second = every_trial(finished_workspace, "demo-sentiment")[:2]
    with Workspace.open(finished_workspace, create=False) as opened:
        question = question_of(
            opened, source, [first.trial.id, second.trial.id], columns=["review"]
        )
    parts = read_rows(source, size=1)
    done = write_answers(question, parts, target, predictor=Predictor(), where="in", like=source)
    assert list(done) == [1, 2]
    rows = [row for part in read_rows(target) for row in part]
    assert list(rows[0]) == [
        "n", "review", "trial", "prediction", "predicted_label", "p(negative)", "p(positive)",
    ]  # fmt: skip
    assert [(row["n"], row["trial"]) for row in rows] == [
        (n, record.trial.id) for n in (1, 2) for record in (first, second)
    ]
    for row in rows:
        assert row["p(negative)"] + row["p(positive)"] == pytest.approx(1, abs=2e-6)
        assert row["predicted_label"] == ("positive" if row["prediction"] else "negative")
        assert row["prediction"] == (row["p(positive)"] > 0.5)


def test_labels_that_a_trial_does_not_have_are_left_empty(finished_workspace: Path) -> None:
    records = [
        every_trial(finished_workspace, task)[0] for task in ("demo-sentiment", "demo-paraphrase")
    ]
    question = Question(trials={r.trial.id: r for r in records}, trial_column="trial")
    rows: list[Row] = [
        {"trial": records[0].trial.id, "sentence": "a"},
        {"trial": records[1].trial.id, "sentence1": "a", "sentence2": "b"},
    ]
    (part,) = answers_by_part(question, [rows], predictor=Predictor())
    first, second = (as_row(answer, question) for answer in part)
    assert list(question.added)[2:] == [
        "p(negative)", "p(positive)", "p(not_equivalent)", "p(equivalent)",
    ]  # fmt: skip
    assert first["p(equivalent)"] is None
    assert second["p(negative)"] is None
    assert second["p(equivalent)"] + second["p(not_equivalent)"] == pytest.approx(1, abs=2e-6)


@pytest.mark.parametrize(
    ("content", "columns", "words"),
    [
        ('{"text": "a"}', None, "row 1: unknown column 'sentence' (allowed: text)"),
        ('{"sentence": "a"}', ["sentenc"], "did you mean 'sentence'?"),
        ('{"sentence": "a"}\n{"sentence": 3}', None, "row 2: column 'sentence': 3 is not text"),
        ('{"sentence": "a", "prediction": 1}', None, "the column 'prediction' is there already"),
        ('{"sentence": "a", "b": "c"}', ["sentence", "b"], "has 1 text, this one has 2"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(
    content: str, columns: list[str] | None, words: str, finished_workspace: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(content)
    trial = every_trial(finished_workspace, "demo-sentiment")[0].trial.id
    with Workspace.open(finished_workspace, create=False) as opened:
        question = question_of(opened, source, [trial], columns=columns)
    target = tmp_path / "out.csv"
    with pytest.raises(UserError) as caught:
        list(
            write_answers(
                question, read_rows(source), target, predictor=Predictor(), where=str(source)
            )
        )
    assert words in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize("way", ["same", "dotted", "symbolic", "hard"])
def test_the_file_that_is_read_is_never_replaced(way: str, tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("sentence\na warm film\n")
    match way:
        case "same":
            target = source
        case "dotted":
            target = tmp_path / ".." / tmp_path.name / "in.csv"
        case "symbolic":
            target.symlink_to(source)
        case "hard":
            target.hardlink_to(source)
    writing = write_answers(
        Question(trials={}), read_rows(source), target,
        predictor=Predictor(device="cpu"), where="in", like=source,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"this would replace the file that is read \(try: "):
        next(writing)
    assert source.read_text() == "sentence\na warm film\n"
    assert {path.name for path in tmp_path.iterdir()} <= {"in.csv", "out.csv"}


def test_texts_of_a_table_are_written_so_that_no_spreadsheet_runs_them(
    finished_workspace: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.csv"
    source.write_text('{"sentence": "=1+1", "n": -1}\n{"sentence": "-0.5", "n": 2}\n')
    trial = every_trial(finished_workspace, "demo-sentiment")[0].trial.id
    assert predict_file(source, target, [trial], workspace=finished_workspace, device="cpu") == 2
    rows = [row for part in read_rows(target) for row in part]
    assert [(row["sentence"], row["n"]) for row in rows] == [("'=1+1", "-1"), ("-0.5", "2")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("sentence\na\n", r"row 1: unknown column 'trial' \(allowed: sentence\)$"),
        ("sentence,trial\na,zz\n", "no trial has an id that begins with 'zz'"),
        ("sentence,trial\na,\n", "a trial's id is needed"),
    ],
)
def test_a_row_that_names_no_trial_is_refused(
    content: str, words: str, finished_workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(content)
    with (
        Workspace.open(finished_workspace, create=False) as opened,
        pytest.raises(UserError, match=words),
    ):
        question_of(opened, tmp_path / "in.csv", [])
