"""A study with train_sizes goes from its file to the plan, the report, an export and a zip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Peftlab = Callable[..., Any]
SIZES = [6, 12, 24, "all"]


def written(folder: Path, checkpoint: Path, **keys: Any) -> Path:
    words = ("fine", "dull")
    for name, size in (("train", 48), ("dev", 40)):
        rows = "".join(
            f"the {name} lamp {n} was {words[n % 2]},{words[n % 2]}\n" for n in range(size)
        )
        (folder / f"{name}.csv").write_text(f"text,label\n{rows}")
    raw = {
        "name": "own", "model": str(checkpoint), "engine": "padded",
        "data": {
            "mood": {"train": "train.csv", "dev": "dev.csv", "text": "text", "label": "label"}
        },
        "train_sizes": SIZES, "seeds": [1, 2],
        "training": {"num_train_epochs": 1, "learning_rate": 1e-2},
        "arms": {"bitfit": {"method": "bitfit"}, "head": {"method": "head"}},
        "claims": [{"say": "BitFit is better", "better": "bitfit", "than": "head"}],
    }  # fmt: skip
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(raw | keys))
    return path


def test_a_study_with_train_sizes_is_planned_run_reported_and_exported(
    peftlab: Peftlab, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    path, place = written(tmp_path, tiny_checkpoint), ("--workspace", tmp_path / "ws")
    trials = peftlab("run", path, *place, "--dry-run", "--json").json["trials"]
    assert [(one["train_size"], one["num_train_examples"]) for one in trials[:8:2]] == [
        (6, 6), (12, 12), (24, 24), (None, 48),
    ]  # fmt: skip
    assert len(trials) == 16
    assert "rows" in peftlab("run", path, *place, "--dry-run").out
    done = peftlab("run", path, *place, "--device", "cpu", "--json")
    assert done.status == 0, done.err
    assert {one["num_train_examples"] for one in done.json} == {6, 12, 24, 48}
    again = peftlab("run", path, *place)
    assert "0 to run" in again.err

    report = peftlab("report", path, *place, "--json").json
    page = Path(report["markdown"]).read_text()
    assert "How much data is enough" in page
    assert "Score against the number of training rows" in page
    assert "Which arm is best on how many rows" in page
    assert "What twice the rows would bring" in page
    assert "6, 12, 24, all; whatever names none is of the largest" in page
    (verdict,) = report["verdicts"]
    assert verdict["num_seeds"] == 2, "a claim is of the trials on all rows"
    shown = peftlab("list", "trials", *place).out
    assert "rows" in shown
    assert "all" in shown

    few = next(one["id"] for one in done.json if one["train_size"] == 12)
    exported = peftlab("export", few, *place, "--output", tmp_path / "model")
    assert "the model of 12 training rows" in exported.err


def test_a_study_to_which_sizes_are_added_keeps_its_trials(
    peftlab: Peftlab, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    place = ("--workspace", tmp_path / "ws")
    path = written(tmp_path, tiny_checkpoint, train_sizes=None, seeds=[1])
    first = peftlab("run", path, *place, "--device", "cpu", "--json").json
    written(tmp_path, tiny_checkpoint, train_sizes=[6, "all"], seeds=[1])
    planned = peftlab("run", path, *place, "--dry-run", "--json").json["trials"]
    assert {one["id"] for one in planned if one["status"] == "done"} == {one["id"] for one in first}
    assert [one["train_size"] for one in planned if one["status"] != "done"] == [6, 6]
