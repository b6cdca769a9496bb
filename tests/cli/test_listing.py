"""`peftlab list` names everything there is, for people and as JSON with stable keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.methods.registry import METHODS
from peftlab.models.builtin import BUILTIN
from peftlab.models.families import FAMILIES
from peftlab.store.workspace import Workspace
from peftlab.study.load import builtin_studies
from peftlab.tasks.registry import TASKS

Peftlab = Callable[..., Any]
METHOD_KEYS = [
    "name", "title", "paper", "learning_rate", "trains_head", "is_identity_at_start", "packs",
    "why_not_packed", "merges", "merges_if", "why_row_by_row", "settings",
]  # fmt: skip
TRIAL_KEYS = [
    "id", "study", "arm", "task", "model", "method", "seed", "status", "scores", "best_scores",
    "num_train_examples", "num_eval_examples", "epochs", "costs", "engine", "error", "artifacts",
    "rule", "reported_epoch", "held_out_scores", "dev",
    "outdated", "fold", "folds", "train_size",
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "names", "keys"),
    [
        (
            "tasks",
            TASKS.names(),
            [
                "name",
                "title",
                "labels",
                "metrics",
                "num_train",
                "num_dev",
                "problem_type",
                "answered_by",
            ],
        ),
        ("methods", METHODS.names(), METHOD_KEYS),
        (
            "models",
            list(BUILTIN),
            ["name", "title", "architecture", "way", "why_padded", "available"],
        ),
    ],
)
def test_a_list_names_every_entry(
    what: str, names: list[str], keys: list[str], peftlab: Peftlab
) -> None:
    answer = peftlab("list", what, "--json")
    assert answer.status == 0
    assert answer.err == ""
    assert [entry["name"] for entry in answer.json] == names
    assert all(list(entry) == keys for entry in answer.json)
    table = peftlab("list", what)
    assert table.err == ""
    assert all(name in table.out for name in names)


def test_architectures_are_listed_with_how_they_are_computed_and_why(peftlab: Peftlab) -> None:
    found = {
        entry["model_type"]: entry for entry in peftlab("list", "architectures", "--json").json
    }
    assert [*found] == FAMILIES.names()
    assert [*found["bert"]] == ["model_type", "title", "way", "pooling", "why_padded", "output"]
    assert found["gpt2"]["way"] == "packed, stock blocks"
    assert found["gpt2"]["pooling"] == "last token"
    assert found["mpnet"]["way"] == "padded"
    table = peftlab("list", "architectures").out
    assert "its attention, with a bias for each distance, is its own" in table


def test_the_docs_have_the_table_of_architectures() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs" / "models.md"
    rows = [
        line for line in docs.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    assert rows == [
        f"| `{f.model_type}` | {f.title} | {f.pooling} | {f.way} | {f.why_padded} |"
        for f in FAMILIES
    ]


def test_studies_are_those_that_are_built_in_and_those_of_the_workspace(
    peftlab: Peftlab, finished_workspace: Path, tmp_path: Path
) -> None:
    rows = peftlab("list", "studies", "--workspace", finished_workspace, "--json").json
    builtin = [row["name"] for row in rows if row["builtin"]]
    assert builtin == list(builtin_studies())
    assert [row["name"] for row in rows if row["in_workspace"]] == ["small-study"]
    assert all(list(r) == ["name", "description", "builtin", "in_workspace"] for r in rows)
    without = peftlab("list", "studies", "--workspace", tmp_path / "none", "--json").json
    assert [row["name"] for row in without] == builtin
    assert not (tmp_path / "none").exists()


def test_a_workspace_without_a_trial_says_so(tmp_path: Path, peftlab: Peftlab) -> None:
    Workspace.open(tmp_path / "empty").close()
    answer = peftlab("list", "trials", "--workspace", str(tmp_path / "empty"))
    assert (answer.status, answer.out) == (0, "no trial has been run here yet\n")


def test_trials_are_listed_with_their_stable_keys(
    peftlab: Peftlab, finished_workspace: Path
) -> None:
    answer = peftlab("list", "trials", "--workspace", finished_workspace, "--json")
    assert answer.status == 0
    assert answer.err == ""
    with Workspace.open(finished_workspace, create=False) as opened:
        records = opened.trials()
    assert [trial["id"] for trial in answer.json] == [record.trial.id for record in records]
    for trial, record in zip(answer.json, records, strict=True):
        assert list(trial) == TRIAL_KEYS
        assert trial["study"] == ["small-study"]
        assert trial["arm"] == list(record.arms["small-study"])
        assert trial["status"] == "done"
        assert trial["error"] is None
        assert next(iter(trial["scores"])) == TASKS.get(trial["task"]).main_metric
        assert trial["scores"] == dict(record.evaluations[-1].scores)
        assert (trial["num_train_examples"], trial["num_eval_examples"]) == (32, 24)
        assert trial["epochs"] == 2
        assert trial["engine"] == "packed"
        assert Path(trial["artifacts"]["model"]).is_dir()
        assert Path(trial["artifacts"]["predictions"]).is_file()
        for cost in (
            "train_seconds", "train_examples_per_second", "train_tokens_per_second",
            "padding_avoided", "peak_memory_bytes", "artifact_bytes", "parameters",
        ):  # fmt: skip
            assert trial["costs"][cost], cost


def test_the_trials_of_a_study_are_found_by_its_name_and_by_its_file(
    peftlab: Peftlab, finished_workspace: Path, study_file: Path
) -> None:
    place = ("--workspace", finished_workspace)
    every = peftlab("list", "trials", *place, "--json").json
    for name in ("small-study", study_file):
        assert peftlab("list", "trials", "--study", name, *place, "--json").json == every
    table = peftlab("list", "trials", *place).out
    for trial in every:
        metric, value = next(iter(trial["scores"].items()))
        line = next(line for line in table.splitlines() if trial["id"] in line)
        assert f"{metric} {value:.1f}" in line
        assert trial["arm"][0] in line
