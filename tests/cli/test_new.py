"""`peftlab new` writes a study of a user's own file that lints and runs unchanged."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Peftlab = Callable[..., Any]
TEXTS = {
    "refund": "I want my money back for the {}",
    "delivery": 'where is the {}, "soon" is no answer',
    "praise": "the {} is lovely,\nthank you",
}
THINGS = ("lamp", "chair", "kettle", "phone", "jacket", "book")


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with complaints.csv of three classes."""
    labels = ["refund", "delivery", "refund", "praise"]
    with (tmp_path / "complaints.csv").open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "what they wrote", "kind of thing"])
        for n in range(48):
            label = labels[n % 4]
            writer.writerow([n, TEXTS[label].format(THINGS[n % len(THINGS)]), label])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_study_of_a_private_file_is_written_linted_and_run(
    peftlab: Peftlab, private: Path, tiny_checkpoint: Path
) -> None:
    answer = peftlab("new", "mine.yaml", "--data", "complaints.csv", "--model", tiny_checkpoint)
    assert answer.status == 0, answer.err
    assert "48 rows are few: scores on 10 of them are noisy" in answer.out
    guesses = {line.split()[0]: line for line in answer.out.splitlines() if line.strip()}
    assert "what they wrote" in guesses["text"]
    assert "fewest distinct values (3)" in guesses["label"]
    assert "delivery, praise, refund" in guesses["labels"]
    written = (private / "mine.yaml").read_text()
    assert "  complaints:\n    train: complaints.csv" in written
    assert "guessed: the longest texts" in written

    lint = peftlab("lint", "mine.yaml", "--json")
    assert lint.status == 0, lint.out
    assert {finding["level"] for finding in lint.json} <= {"note", "warning"}
    quick = ("--set", "training.num_train_epochs=1", "--arms", "full,lora", "--workspace", "ws")
    run = peftlab("run", "mine.yaml", "--seeds", "1,2", *quick, "--json")
    assert run.status == 0, run.err
    assert [(one["task"], one["status"]) for one in run.json] == [("complaints", "done")] * 4
    assert {tuple(one["scores"]) for one in run.json} == {("accuracy", "f1_macro")}
    assert {(one["num_train_examples"], one["num_eval_examples"]) for one in run.json} == {(38, 10)}
    page = (private / "ws" / "reports" / "mine" / "report.html").read_text(encoding="utf-8")
    assert "20% of complaints.csv, stratified, cut off by seed 42" in page
    again = peftlab("run", "mine.yaml", "--seeds", "1,2", *quick)
    assert "4 trials, 0 to run" in again.err

    trial = run.json[0]["id"]
    place = ("--workspace", "ws", "--device", "cpu", "--json")
    (said,) = peftlab("predict", trial, "--text", "my money back", *place).json
    assert set(said["probabilities"]) == {"delivery", "praise", "refund"}


def test_a_file_that_is_there_is_kept_unless_forced(peftlab: Peftlab, private: Path) -> None:
    study = private / "mine.yaml"
    study.write_text("mine: own\n")
    answer = peftlab("new", study, "--data", "complaints.csv")
    assert (answer.status, study.read_text()) == (2, "mine: own\n")
    assert "this file already exists (try: --force, or another name)" in answer.err
    assert peftlab("new", study, "--data", "complaints.csv", "--force").status == 0
    assert study.read_text().startswith("# A study of complaints.csv")


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("rows", "guessed"),
    [
        (
            [{"premise": f"p {n}", "hypothesis": f"h {n}", "label": n % 3} for n in range(30)],
            {"text": ["premise", "hypothesis"], "label": "label", "labels": ["0", "1", "2"]},
        ),
        (
            [{"n": n, "review": f"film {n}", "stars": n / 4} for n in range(30)],
            {"text": "review", "label": "stars", "problem_type": "regression"},
        ),
        (
            [{"body": f"some {n}", "tags": ["a", "b"][: n % 3]} for n in range(30)],
            {"label": "tags", "problem_type": "multi_label_classification", "labels": ["a", "b"]},
        ),
        (
            [{"body": f"some {n}", "topic": ["a; b", "b", "c"][n % 3]} for n in range(30)],
            {"separator": ";", "problem_type": "multi_label_classification"},
        ),
        (
            [{"body": f"some {n}", "rude": n % 2, "loud": n % 3 % 2} for n in range(30)],
            {"label": ["rude", "loud"], "problem_type": "multi_label_classification"},
        ),
        (
            [{"body": f"some {n}", "yes": "no" if n % 10 else "on"} for n in range(30)],
            {"label": "yes", "labels": ["no", "on"], "metrics": ["f1_macro", "accuracy"]},
        ),
    ],
)
def test_columns_and_kinds_are_guessed_and_read_back(
    rows: list[dict[str, Any]],
    guessed: dict[str, Any],
    peftlab: Peftlab,
    private: Path,
    tiny_checkpoint: Path,
) -> None:
    data = write(private / "own.jsonl", rows)
    answer = peftlab("new", "own.yaml", "--data", data, "--model", tiny_checkpoint, "--json")
    assert answer.status == 0, answer.err
    found = {guess["key"]: guess["value"] for guess in answer.json["guesses"]}
    assert {key: found[key] for key in guessed} == guessed
    assert peftlab("lint", "own.yaml").status == 0


def test_files_beside_train_are_found_and_what_is_said_is_taken(
    peftlab: Peftlab, private: Path
) -> None:
    rows = [{"body": f"some {n}", "other": f"thing {n}", "mood": "ab"[n % 2]} for n in range(30)]
    for name in ("train", "validation", "test"):
        write(private / f"{name}.jsonl", rows)
    answer = peftlab("new", "own.yaml", "--data", "train.jsonl", "--text", "other", "--json")
    found = {guess["key"]: guess["value"] for guess in answer.json["guesses"]}
    assert (found["dev"], found["test"], found["text"]) == (
        "validation.jsonl", "test.jsonl", "other",
    )  # fmt: skip
    assert "  mood:\n    train: train.jsonl" in (private / "own.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("mine.txt", "--data", "complaints.csv"), "mine.txt: a study file has the ending .yaml"),
        (("no/mine.yaml", "--data", "complaints.csv"), "no such folder"),
        (("mine.yaml", "--data", "none.csv"), "none.csv: cannot read the file"),
        (("mine.yaml", "--data", "mine.doc"), "mine.doc: the ending '.doc' is no format"),
        (
            ("mine.yaml", "--data", "complaints.csv", "--label", "kind"),
            "complaints.csv: unknown column 'kind'",
        ),
        (("mine.yaml", "--data", "ids.csv"), "ids.csv: no column looks like a label"),
        (("mine.yaml", "--data", "gap.csv"), "gap.csv:4: column 'label': no label"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    arguments: tuple[str, ...], line: str, peftlab: Peftlab, private: Path
) -> None:
    (private / "ids.csv").write_text("id,body\n1,one thing\n2,another\n")
    (private / "gap.csv").write_text("label,body\na,one\nb,two\n,three\na,four\nb,five\n")
    answer = peftlab("new", *arguments)
    assert (answer.status, len(answer.err.splitlines())) == (2, 1)
    assert line in answer.err
    assert not (private / "mine.yaml").exists()


def test_rows_of_dev_that_stand_in_train_are_told(peftlab: Peftlab, private: Path) -> None:
    (private / "link.csv").symlink_to("complaints.csv")
    for dev in ("complaints.csv", "link.csv"):
        said = ("--data", "complaints.csv", "--dev", dev, "--force")
        answer = peftlab("new", "mine.yaml", *said, "--json")
        assert answer.status == 0, answer.err
        (hint,) = [one for one in answer.json["hints"] if "are in train" in one]
        assert "dev is the file of train itself: 48 of 48 rows of dev are in train" in hint


def test_a_row_without_a_label_names_the_option_that_drops_it(
    peftlab: Peftlab, tmp_path: Path
) -> None:
    rows = "".join(f"the lamp {n} was fine,{'ab'[n % 2]}\n" for n in range(40))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}a lamp,\n")
    given = ("new", tmp_path / "t.yaml", "--data", tmp_path / "t.csv", "--model", "minilm")
    refused = peftlab(*given)
    assert refused.status == 2
    assert "t.csv:42: column 'label': no label" in refused.err
    assert refused.err.endswith("or --missing drop)\n")
    made = peftlab(*given, "--missing", "drop")
    assert made.status == 0, made.err
    assert "1 row of train without a text or a label was dropped (missing: drop)" in made.out
    (tmp_path / "t.csv").write_text(f"text,label\n{rows},a\n")
    refused = peftlab("new", tmp_path / "u.yaml", *given[2:])
    assert "t.csv:42: column 'text': no text" in refused.err
    assert refused.err.endswith("or --missing drop)\n")
