"""Own files of several labels and of scores go from the study to the report and to predictions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peftlab.data.predictions import read_answers
from peftlab.data.source import open_ref
from peftlab.store.workspace import Workspace
from peftlab.tasks.registry import task_of

Peftlab = Callable[..., Any]
ROWS = [
    {
        "body": f"the {('lamp', 'chair', 'book')[n % 3]} was {('fine', 'dull')[n % 2]}",
        "tags": [["things"], ["things", "praise"], []][n % 3],
        "stars": n % 2 + n / 64,
    }
    for n in range(32)
]


def study(folder: Path, checkpoint: Path, label: str, ending: str) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "own.parquet")
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    raw = {
        "name": "own",
        "model": str(checkpoint),
        "data": {"own": {"train": f"own{ending}", "dev": 0.25, "text": "body", "label": label}},
        "seeds": [1, 2],
        "selection": {"split": "train", "fraction": 0.2},
        "training": {"num_train_epochs": 1, "learning_rate": 1e-2},
        "arms": {"full": {"method": "full"}, "lora": {"method": "lora"}},
        "claims": [{"say": "One is better", "better": "full", "than": "lora"}],
        "report": [
            {"scores": {"published": True}}, "seed-spread", "significance", "confusion",
            "disagreement", "loss-curves", "learning-rate",
        ],
    }  # fmt: skip
    path = folder / "own.yaml"
    path.write_text(json.dumps(raw))
    return path


@pytest.mark.parametrize(
    ("label", "ending", "executor", "metrics"),
    [
        ("tags", ".jsonl", "inline", ["f1_micro", "f1_macro", "subset_accuracy"]),
        ("stars", ".parquet", "inline", ["pearson", "spearman"]),
    ],
)
def test_a_study_of_another_kind_is_run_reported_and_predicted_from(
    label: str,
    ending: str,
    executor: str,
    metrics: list[str],
    peftlab: Peftlab,
    tiny_checkpoint: Path,
    tmp_path: Path,
) -> None:
    path = study(tmp_path, tiny_checkpoint, label, ending)
    place = ("--workspace", tmp_path / "ws")
    answer = peftlab("run", path, *place, "--device", "cpu", "--json")
    assert answer.status == 0, answer.err
    assert [one["status"] for one in answer.json] == ["done"] * 4
    assert {tuple(one["scores"]) for one in answer.json} == {tuple(metrics)}
    assert all(list(one["held_out_scores"]) == metrics for one in answer.json)
    said = f"25% of own{ending}, stratified, cut off by seed 42"
    assert {one["dev"] for one in answer.json} == {said}
    stored = read_answers(Path(answer.json[0]["artifacts"]["predictions"]))
    assert len(stored.row_ids) == 8
    assert stored.labels.shape == ((8, 2) if label == "tags" else (8,))

    report = peftlab("report", path, *place, "--json")
    assert report.status == 0, report.err
    (verdict,) = report.json["verdicts"]
    # On eight rows a tiny model may well give one answer to all.
    assert verdict["verdict"] in {"not enough runs", "the models did not learn"}
    assert verdict["p_value"] is None
    page = Path(report.json["html"]).read_text(encoding="utf-8")
    assert f"Dev of own is {said}." in page
    assert "confusion: there is nothing to show for these arms" in page

    rows = ("--file", tmp_path / f"own{ending}", "--output", tmp_path / "said.jsonl")
    predicted = peftlab("predict", answer.json[0]["id"], *rows, *place, "--device", "cpu")
    assert predicted.status == 0, predicted.err
    assert len((tmp_path / "said.jsonl").read_text().splitlines()) == len(ROWS)


def test_worker_processes_train_on_own_files_to_the_same_scores(
    peftlab: Peftlab, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    path = study(tmp_path, tiny_checkpoint, "tags", ".jsonl")
    one = ("--arms", "full", "--seeds", "1", "--device", "cpu", "--json")
    pool = ("--executor", "pool", "--workers", "1", "--threads", "1")
    (apart,) = peftlab("run", path, *one, *pool, "--workspace", tmp_path / "pool").json
    (here,) = peftlab("run", path, *one, "--workspace", tmp_path / "ws").json
    assert apart["status"] == here["status"] == "done"
    assert apart["id"] == here["id"]
    assert apart["scores"] == here["scores"]


def sorted_study(folder: Path, checkpoint: Path, **keys: Any) -> Path:
    """Return a study of files with rows sorted by label, with limits; every text names its row."""
    for split in ("train", "dev"):
        lines = [f"{split} {n},{'ab'[n >= 40]}\n" for n in range(80)]
        (folder / f"{split}.csv").write_text("body,mood\n" + "".join(lines))
    raw = {
        "name": "sorted",
        "model": str(checkpoint),
        "data": {
            "moods": {"train": "train.csv", "dev": "dev.csv", "text": "body", "label": "mood"}
        },
        "seeds": [1, 2],
        "max_train_samples": 16,
        "max_eval_samples": 12,
        "training": {"num_train_epochs": 1, "learning_rate": 1e-2},
        "arms": {"full": {"method": "full"}, "lora": {"method": "lora"}},
        "report": ["scores"],
        **keys,
    }
    path = folder / "sorted.yaml"
    path.write_text(json.dumps(raw))
    return path


def test_rows_of_sorted_files_are_drawn_once_for_all_trials_and_keep_their_places(
    peftlab: Peftlab, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    path, place = sorted_study(tmp_path, tiny_checkpoint), ("--workspace", tmp_path / "ws")
    assert peftlab("lint", path).status == 0
    plan = peftlab("run", path, "--dry-run", "--json", *place).json["trials"]
    assert {(one["num_train_examples"], one["num_eval_examples"]) for one in plan} == {(16, 12)}
    answer = peftlab("run", path, *place, "--device", "cpu", "--json")
    assert answer.status == 0, answer.err
    found = [read_answers(Path(one["artifacts"]["predictions"])) for one in answer.json]
    assert len(found) == 4
    for one in found:
        assert one.row_ids.tolist() == found[0].row_ids.tolist()
        assert one.labels.tolist() == [int(row >= 40) for row in one.row_ids]
        assert one.labels.sum() == 6
    tokens = {one["id"]: one["tokens"] for one in plan}
    assert len(set(tokens.values())) == 1
    page = (tmp_path / "ws" / "reports" / "sorted" / "report.md").read_text(encoding="utf-8")
    assert "16 of each task, each label its share, drawn by split\\_seed 42" in page
    with Workspace.open(tmp_path / "ws", create=False) as workspace:
        trial = workspace.trials("sorted")[0].trial
    dev = open_ref(trial.data).examples(task_of(trial), "dev")
    row_ids = found[0].row_ids.tolist()
    assert [dev[row].texts for row in row_ids] == [(f"dev {row}",) for row in row_ids]


def test_one_label_alone_is_refused_before_anything_is_trained(
    peftlab: Peftlab, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    path = sorted_study(tmp_path, tiny_checkpoint, max_eval_samples=1)
    words = "data: moods dev (dev.csv): the only row of dev has the label "
    linted = peftlab("lint", path)
    assert linted.status == 1
    assert f"error: {words}" in linted.out
    for options in ((), ("--dry-run",)):
        answer = peftlab("run", path, "--workspace", tmp_path / "ws", *options)
        assert answer.status == 2
        assert answer.err.count("\n") == 1
        assert f"sorted: {words}" in answer.err
