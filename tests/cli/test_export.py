"""`peftlab export` writes a folder, says what is in it, and refuses meaningless options."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from peftlab.store.workspace import Workspace

Peftlab = Callable[..., Any]


@pytest.fixture
def trials(finished_workspace: Path) -> dict[str, str]:
    """Return the ids of trials by their method."""
    with Workspace.open(finished_workspace, create=False) as opened:
        return {record.trial.method: record.trial.id for record in opened.trials()}


def test_a_folder_is_written_and_what_it_is_put_on_is_remarked(
    peftlab: Peftlab, trials: dict[str, str], finished_workspace: Path, tmp_path: Path
) -> None:
    place = ("--workspace", finished_workspace, "--output")
    answer = peftlab("export", trials["lora"][:8], *place, tmp_path / "adapter")
    assert (answer.status, answer.out) == (0, f"peft folder: {tmp_path}/adapter\n")
    assert answer.err.startswith("remark: this adapter's base is ")
    answer = peftlab("export", trials["bitfit"], *place, tmp_path / "whole", "--json")
    assert (answer.status, answer.err) == (0, "")
    assert answer.json["kind"] == "transformers"
    assert answer.json["base_model"] is None
    assert {"README.md", "config.json", "model.safetensors"} <= set(answer.json["files"])
    again = peftlab("export", trials["full"], *place, tmp_path / "whole")
    assert again.status == 2
    assert "the folder is not empty (allowed: a folder that is new or empty" in again.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{lora}", "no destination was given (try: --output DIR, or --push"),
        ("{lora} --output {here} --private", "--private: only --push creates a repository"),
        ("{lora} --push a/b/c", "--push: 'a/b/c' is not a repository name"),
        ("{lora} --push me/mine", "--push: the adapter's base is "),
        ("zz --output {here}", "no trial has an id that begins with 'zz'"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    line: str,
    words: str,
    peftlab: Peftlab,
    trials: dict[str, str],
    finished_workspace: Path,
    tmp_path: Path,
) -> None:
    words_of_line = [word.format(here=tmp_path / "out", **trials) for word in line.split()]
    answer = peftlab("export", *words_of_line, "--workspace", finished_workspace)
    assert (answer.status, answer.out) == (2, "")
    assert words in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_was_moved_is_found_where_the_line_says(
    peftlab: Peftlab, trials: dict[str, str], workspace: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(workspace / "results.sqlite")) as opened, opened:
        moved = (str(tiny_checkpoint), "/was/here/once")
        opened.execute("UPDATE trials SET trial = replace(trial, ?, ?)", moved)
    place = ("--workspace", workspace)
    texts = ("--text", "the film was a joy", "--text", "it was a joy")
    asked = ("predict", trials["full"], *texts, "--json", *place)
    exported = ("export", trials["lora"], "--output", tmp_path / "out", "--merge", *place)
    for line in (asked, exported):
        answer = peftlab(*line)
        assert (answer.status, answer.out) == (2, "")
        assert "the checkpoint '/was/here/once' no longer exists (try: --model FOLDER" in answer.err
        assert answer.err.count("\n") == 1
        answer = peftlab(*line, "--model", tiny_checkpoint.parent)
        assert (answer.status, answer.err) == (0, "")
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_with_a_folder_to_write_to_nothing_is_made_elsewhere(
    peftlab: Peftlab,
    trials: dict[str, str],
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(**_: object) -> None:
        raise AssertionError("which nobody would remove after a kill")

    monkeypatch.setattr("peftlab.api.trial.TemporaryDirectory", refused)
    place = ("--workspace", workspace, "--output", tmp_path / "out")
    assert peftlab("export", trials["lora"], *place).status == 0
