"""A study with folds goes from a new study file to the report and to an exported model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Peftlab = Callable[..., Any]


def write_rows(folder: Path) -> None:
    words = ("fine", "dull")
    rows = "".join(f"the lamp {n} was {words[n % 2]},{words[n % 2]}\n" for n in range(36))
    (folder / "train.csv").write_text(f"text,label\n{rows}")


def test_a_new_study_with_folds_is_run_reported_and_exported(
    peftlab: Peftlab, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    write_rows(tmp_path)
    path, place = tmp_path / "own.yaml", ("--workspace", tmp_path / "ws")
    data = ("--data", tmp_path / "train.csv", "--model", tiny_checkpoint)
    made = peftlab("new", path, *data, "--folds", "3")
    assert made.status == 0, made.err
    raw = yaml.safe_load(path.read_text())
    assert (raw["folds"], raw["seeds"]) == (3, [42])
    assert "dev" not in raw["data"]["label"]
    raw["engine"] = "padded"
    raw["training"] = {"num_train_epochs": 1, "learning_rate": 1e-2}
    raw["arms"] = {"bitfit": {"method": "bitfit"}, "head": {"method": "head"}}
    raw["claims"] = [{"say": "BitFit is better", "better": "bitfit", "than": "head"}]
    path.write_text(yaml.safe_dump(raw))

    planned = peftlab("run", path, *place, "--dry-run", "--json")
    trials = planned.json["trials"]
    assert sorted(trial["fold"] for trial in trials) == [1, 1, 2, 2, 3, 3]
    done = peftlab("run", path, *place, "--device", "cpu", "--json")
    assert done.status == 0, done.err
    found = done.json
    assert {(trial["fold"], trial["folds"], trial["dev"]) for trial in found} == {
        (number, 3, "3-fold cross-validation on train") for number in (1, 2, 3)
    }
    report = peftlab("report", path, *place, "--json").json
    assert report["verdicts"][0]["verdict"] in {"not distinguishable", "the models did not learn"}
    shown = " ".join(peftlab("report", path, *place).out.split())
    assert "own: scores by 3-fold cross-validation on train, last epoch" in shown
    page = Path(report["markdown"]).read_text()
    assert " on dev" not in page
    assert " of dev" not in page
    assert "best epoch" not in page, "the folds of a run have one each"
    assert "Scores by 3-fold cross-validation on train" in page
    assert "2 of 2 runs have all 3 folds" in page
    assert "Each cost is that of one training, on 2 of 3 folds: all folds of a seed take" in page
    results = json.loads((Path(report["markdown"]).parent / "results.json").read_text())
    assert [(one["num_values"], one["covers"]) for one in results["scores"]] == [(1, "folds")] * 2

    trial = next(one["id"] for one in found if one["fold"] == 2)
    exported = peftlab("export", trial, *place, "--output", tmp_path / "model")
    assert exported.status == 0, exported.err
    assert "the model of fold 2, trained on 2 of 3 parts of train" in exported.err
    refused = peftlab("submit", "own", *place, "--arm", "head", "--output", "g.zip")
    assert refused.status == 2
    assert "are folds, each trained on a part of train" in refused.err
    assert "STUDY" not in refused.err


def test_folds_and_a_file_of_dev_do_not_go_together(peftlab: Peftlab, tmp_path: Path) -> None:
    write_rows(tmp_path)
    rows = tmp_path / "train.csv"
    wrong = peftlab("new", tmp_path / "own.yaml", "--data", rows, "--dev", rows, "--folds", "3")
    assert wrong.status == 2
    assert "one of --folds and --dev" in wrong.err
