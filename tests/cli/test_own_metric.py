"""A user's own metric runs only with a flag, and scores name the source that gave them."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.process import TRUST_METRICS
from peftlab.store.workspace import Workspace
from peftlab.tasks.metrics import own

Peftlab = Callable[..., Any]
SOURCE = """
import numpy as np

def share_right(labels, predictions):
    return np.mean(labels == predictions)

def nearness(labels, logits):
    return 1 / (1 + np.exp(logits).mean())

nearness.reads = "logits"

def too_much(labels, predictions):
    return 2.0

def fails(labels, predictions):
    raise KeyError("no such class")

def word(labels, predictions):
    return "good"

def nothing(labels, predictions):
    return None
"""


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The folder in which commands run, with the metric's file, which is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(TRUST_METRICS, "0")
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "quality.py").write_text(SOURCE)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    sys.modules.pop("quality", None)
    own._imported.cache_clear()


def study(folder: Path, checkpoint: Path, metrics: list[str]) -> Path:
    rows = [f"thing {n} was {('fine', 'dull')[n % 2]},{'ab'[n % 2]}\n" for n in range(40)]
    (folder / "own.csv").write_text("body,mood\n" + "".join(rows))
    raw = {
        "name": "own",
        "model": str(checkpoint),
        "data": {
            "own": {
                "train": "own.csv", "dev": 0.25, "text": "body", "label": "mood",
                "metrics": metrics,
            }
        },
        "seeds": [1],
        "training": {"num_train_epochs": 1, "learning_rate": 1e-2},
        "arms": {"full": {"method": "full"}},
        "report": ["scores"],
    }  # fmt: skip
    path = folder / "own.yaml"
    path.write_text(json.dumps(raw))
    return path


def test_a_study_alone_runs_no_code(peftlab: Peftlab, here: Path, tiny_checkpoint: Path) -> None:
    path = study(here, tiny_checkpoint, ["quality:share_right"])
    (here / "quality.py").write_text("raise SystemExit('it was imported')")
    answer = peftlab("run", path, "--workspace", here / "ws", "--dry-run")
    assert answer.status == 2
    assert answer.err.count("\n") == 1
    assert "--trust-metrics" in answer.err


@pytest.mark.parametrize("executor", [(), ("--executor", "pool", "--workers", "1")])
def test_under_the_flag_it_scores_and_its_source_is_stored_and_shown(
    executor: tuple[str, ...], peftlab: Peftlab, here: Path, tiny_checkpoint: Path
) -> None:
    metrics = ["quality:share_right", "quality:nearness", "accuracy"]
    path, place = study(here, tiny_checkpoint, metrics), ("--workspace", here / "ws")
    answer = peftlab("--trust-metrics", "run", path, *place, "--device", "cpu", "--json", *executor)
    assert answer.status == 0, answer.err
    scores = answer.json[0]["scores"]
    assert list(scores) == metrics
    assert scores["quality:share_right"] == pytest.approx(scores["accuracy"])
    digest = hashlib.sha256(SOURCE.encode()).hexdigest()
    page = (here / "ws" / "reports" / "own" / "report.md").read_text(encoding="utf-8")
    assert digest in page.replace("\\", "")
    with Workspace.open(here / "ws", create=False) as workspace:
        (record,) = workspace.trials("own")
    assert record.trial.definition is not None
    assert dict(record.trial.definition.metric_sources)["quality:share_right"] == digest


def test_scores_by_another_source_are_not_mixed(
    peftlab: Peftlab, here: Path, tiny_checkpoint: Path
) -> None:
    path = study(here, tiny_checkpoint, ["quality:share_right"])
    run = ("--trust-metrics", "run", path, "--workspace", here / "ws", "--device", "cpu", "--json")
    first = peftlab(*run)
    assert first.status == 0, first.err
    (here / "quality.py").write_text(SOURCE + "# changed\n")
    forget()
    report = peftlab("--trust-metrics", "report", "own", "--workspace", here / "ws")
    assert report.status == 2
    assert "has changed" in report.err
    second = peftlab(*run)
    assert second.status == 0, second.err
    assert second.json[0]["id"] != first.json[0]["id"]


def test_a_page_by_an_unchanged_source_is_not_made_again(
    peftlab: Peftlab, here: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study(here, tiny_checkpoint, ["quality:share_right"])
    place = ("--workspace", here / "ws")
    assert peftlab("--trust-metrics", "run", path, *place, "--device", "cpu").status == 0
    made: list[str] = []
    monkeypatch.setattr(
        "peftlab.report.write.make_view", lambda workspace, study: made.append(study)
    )
    assert peftlab("--trust-metrics", "report", "own", *place).status == 0
    assert made == []
    monkeypatch.setenv(TRUST_METRICS, "0")
    answer = peftlab("report", "own", *place)
    assert (answer.status, made) == (2, [])
    assert "--trust-metrics" in answer.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("quality:fails", "the metric 'quality:fails' failed: KeyError: 'no such class' (tried on"),
        ("quality:too_much", "the metric 'quality:too_much' returned 2 (tried on 8 made-up rows)"),
        ("quality:word", "the metric 'quality:word' returned 'good' (tried on"),
        ("quality:nothing", "the metric 'quality:nothing' returned None (tried on"),
        ("quality:absent", "cannot import the metric 'quality:absent'"),
        ("nowhere:own", "cannot import the metric 'nowhere:own'"),
    ],
)
def test_what_is_wrong_with_it_is_one_line(
    name: str, words: str, peftlab: Peftlab, here: Path, tiny_checkpoint: Path
) -> None:
    path = study(here, tiny_checkpoint, [name])
    for further in ((), ("--dry-run",)):
        answer = peftlab("--trust-metrics", "run", path, "--workspace", here / "ws", *further)
        assert answer.status == 2
        assert words in answer.err
        assert "data.own.metrics: " in answer.err
        assert answer.err.count("\n") == 1
    assert not (here / "ws").exists()


def test_a_metric_by_which_no_task_can_be_compared_is_refused_as_the_main_one(
    peftlab: Peftlab, here: Path, tiny_checkpoint: Path
) -> None:
    for name in ("log_loss", "calibration_error", "recall"):
        answer = peftlab("lint", study(here, tiny_checkpoint, [name, "accuracy"]))
        assert answer.status != 0
        assert f"'{name}' cannot be the main metric" in answer.out + answer.err
