"""`peftlab submit`, from a GLUE folder in the real layout by way of training to the zip."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab import submit as peftlab_submit
from peftlab.cli.app import main
from tests.glue.layouts import write_mnli, write_others

Peftlab = Callable[..., Any]
STUDY = """
name: to-submit
model: {model}
data: {data}
tasks: [stsb, mnli, rte]
seeds: [7, 8]
training: {{num_train_epochs: 1, per_device_train_batch_size: 2, learning_rate: 1e-3}}
arms:
  head: {{method: head}}
"""


@pytest.fixture(scope="module")
def done(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with an arm that is done on a regression, on mnli and on rte."""
    folder = tmp_path_factory.mktemp("submit")
    write_mnli(folder / "glue")
    write_others(folder / "glue")
    write_rows_that_differ(folder / "glue")
    study = folder / "study.yaml"
    study.write_text(STUDY.format(model=tiny_checkpoint, data=folder / "glue"))
    workspace = folder / "workspace"
    line = ["run", str(study), "--workspace", str(workspace), "--device", "cpu"]
    assert main(line) == 0
    return workspace


def write_rows_that_differ(glue: Path) -> None:
    """Add a second row, with another label or score, to each split that is trained on or scored."""
    for file in ("STS-B/train", "STS-B/dev", "RTE/train", "RTE/dev", "MNLI/dev_matched",
                 "MNLI/dev_mismatched"):  # fmt: skip
        path = glue / f"{file}.tsv"
        header, row = path.read_text(encoding="utf-8").splitlines()
        number, *between, label = row.split("\t")
        assert number == "0"
        other = {"4.750": "1.250", "not_entailment": "entailment", "entailment": "neutral"}[label]
        second = "\t".join(["1", *between, other])
        path.write_text(f"{header}\n{row}\n{second}\n", encoding="utf-8")


def test_the_zip_has_a_file_a_task_and_mnlis_trial_answers_three(
    done: Path, peftlab: Peftlab, tmp_path: Path
) -> None:
    line = ("submit", "to-submit", "--arm", "head", "--workspace", done, "--device", "cpu")
    target = tmp_path / "glue.zip"
    answer = peftlab(*line, "--output", target, "--json")
    assert answer.status == 0, answer.err
    assert answer.json["seed"] == 7
    assert answer.json["missing"] == ["cola", "sst2", "mrpc", "qqp", "qnli", "wnli"]
    trials = answer.json["trials"]
    assert list(trials) == ["stsb", "mnli", "mnli-mm", "rte", "ax"]
    assert trials["mnli"] == trials["mnli-mm"] == trials["ax"]
    for file in ("CoLA.tsv", "QQP.tsv", "WNLI.tsv"):
        assert file in answer.err
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        assert names == ["STS-B.tsv", "MNLI-m.tsv", "MNLI-mm.tsv", "RTE.tsv", "AX.tsv"]
        for name in names:
            header, row = archive.read(name).decode().splitlines()
            assert header == "index\tprediction"
            assert row.startswith("0\t")
    other = peftlab(*line, "--output", tmp_path / "other.zip", "--seed", 8)
    assert (other.status, other.out) == (0, f"{tmp_path}/other.zip: 5 files, of seed 8\n")
    again = peftlab(*line, "--output", tmp_path / "again.zip")
    assert again.status == 0
    assert (tmp_path / "again.zip").read_bytes() == target.read_bytes()
    made = peftlab_submit("to-submit", "head", tmp_path / "a.zip", workspace=done, device="cpu")
    assert (made.path, made.seed, dict(made.trials)) == (tmp_path / "a.zip", 7, trials)
    assert made.path.read_bytes() == target.read_bytes()


def test_trials_of_mnli_are_scored_on_the_mismatched_rows_too(done: Path, peftlab: Peftlab) -> None:
    found = peftlab("list", "trials", "--workspace", done, "--json").json
    mnli = next(one for one in found if one["task"] == "mnli")
    assert list(mnli["scores"]) == ["accuracy", "accuracy_on_mnli-mm"]
    stsb = next(one for one in found if one["task"] == "stsb")
    assert list(stsb["scores"]) == ["pearson", "spearman"]
    report = peftlab("report", "to-submit", "--workspace", done, "--json")
    assert report.status == 0, report.err
    assert "mnli accuracy on mnli-mm" in Path(report.json["markdown"]).read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--arm", "hed"], "to-submit: --arm: unknown arm 'hed', did you mean 'head'?"),
        (["--arm", "head", "--seed", "9"], "--seed: the arm 'head' has no seed 9 (allowed: 7, 8)"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    options: list[str], words: str, done: Path, peftlab: Peftlab, tmp_path: Path
) -> None:
    target = tmp_path / "glue.zip"
    answer = peftlab("submit", "to-submit", *options, "--workspace", done, "--output", target)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.splitlines()[-1].endswith(words) or words in answer.err
    assert not target.exists()


def test_a_study_without_a_task_of_glue_has_nothing_to_submit(
    finished_workspace: Path, peftlab: Peftlab, tmp_path: Path
) -> None:
    answer = peftlab("submit", "small-study", "--arm", "bitfit", "--workspace",
                     finished_workspace, "--output", tmp_path / "glue.zip")  # fmt: skip
    assert answer.status == 2
    assert "submit: no trial of a task of GLUE is done (allowed: cola, sst2" in answer.err
    assert not (tmp_path / "glue.zip").exists()
