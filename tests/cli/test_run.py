"""`peftlab run` trains open trials, keeps done ones, and ends with the right exit status."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Peftlab = Callable[..., Any]
ONE = ("--tasks", "demo-sentiment", "--arms", "full", "--seeds", "3")
QUICK = ("--set", "max_train_samples=32", "--set", "training.num_train_epochs=1")


def test_progress_goes_to_stderr_and_the_table_to_stdout(
    peftlab: Peftlab, study_file: Path, tmp_path: Path
) -> None:
    place = ("--workspace", tmp_path / "new")
    answer = peftlab("run", study_file, *ONE, *QUICK, *place)
    assert answer.status == 0
    assert "study small-study: 1 trial, 1 to run" in answer.err
    assert "[1/1] full on demo-sentiment, seed 3: done in" in answer.err
    (trial,) = peftlab("list", "trials", *place, "--json").json
    row = next(line for line in answer.out.splitlines() if line.split()[:1] == ["full"])
    assert row.split()[1] == f"{trial['scores']['accuracy']:.1f}"
    report = tmp_path / "new" / "reports" / "small-study" / "report.html"
    assert answer.out.endswith(f"report: {report}\n")
    assert report.is_file()


def test_a_finished_study_is_not_run_again(
    peftlab: Peftlab, workspace: Path, study_file: Path
) -> None:
    before = peftlab("list", "trials", "--workspace", workspace, "--json").json
    answer = peftlab("run", study_file, "--workspace", workspace, "--json")
    assert answer.status == 0
    assert answer.json == before
    assert answer.err == "study small-study: 16 trials, 0 to run\n"
    pooled = peftlab("run", study_file, "--workspace", workspace, "--executor", "pool")
    assert pooled.err == answer.err
    unknown = peftlab("run", study_file, "--workspace", workspace, "--executor", "pol")
    assert (unknown.status, unknown.out) == (2, "")
    assert "unknown executor 'pol', did you mean 'pool'?" in unknown.err


def test_what_a_run_that_was_killed_at_its_very_end_has_left_goes_with_the_next(
    peftlab: Peftlab, workspace: Path, study_file: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(workspace, tmp_path / "own"))
    left = next((own / "artifacts").iterdir()) / "checkpoints"
    left.mkdir()
    (left / "step").write_text("spent")
    (own / ".holder.json").write_text("{}")
    assert "0 to run" in peftlab("run", study_file, "--workspace", own).err
    assert not left.exists()
    assert not (own / ".holder.json").exists()


def test_run_and_report_print_the_same_scores_and_verdicts(
    peftlab: Peftlab, workspace: Path, study_file: Path
) -> None:
    reported = peftlab("report", study_file, "--workspace", workspace)
    kept = peftlab("run", study_file, "--workspace", workspace)
    assert kept.out == reported.out
    assert ": LoRA beats full fine-tuning\n" in kept.out
    (workspace / "reports" / "small-study" / "results.json").write_text("{}")
    assert peftlab("run", study_file, "--workspace", workspace).out == reported.out


def test_a_failed_trial_is_status_1_and_is_tried_again_only_when_asked(
    peftlab: Peftlab, study_file: Path, tmp_path: Path
) -> None:
    arguments = ("run", study_file, *ONE, *QUICK, "--workspace", tmp_path / "new", "--json")
    diverging = (*arguments, "--set", "training.learning_rate=1e38")
    answer = peftlab(*diverging)
    assert answer.status == 1
    (trial,) = answer.json
    assert trial["status"] == "failed"
    assert trial["artifacts"]["model"] is None
    cause = trial["error"].splitlines()[0]
    assert f"failed: {trial['id']} (demo-sentiment): {cause}" in answer.err.splitlines()
    assert "Traceback" not in answer.err
    again = peftlab(*diverging)
    assert (again.status, again.json) == (1, answer.json)
    assert again.err.splitlines()[0] == "study small-study: 1 trial, 0 to run"
    plan = ("1 distinct trial, 0 done, 1 failed, ", " to run; time for them: about ")
    assert "0".join(plan) + "0 s\n" in peftlab(*diverging[:-3], *diverging[-2:], "--dry-run").out
    dry = peftlab(*diverging[:-3], *diverging[-2:], "--dry-run", "--retry-failed")
    assert "1".join(plan) in dry.out
    retried = peftlab(*diverging, "--retry-failed")
    assert retried.status == 1
    assert "1 to run" in retried.err
    # Another learning rate is another trial: the study is mended.
    assert peftlab(*arguments).status == 0


def test_a_dry_run_plans_every_trial_and_trains_none(
    peftlab: Peftlab, study_file: Path, finished_workspace: Path, tmp_path: Path
) -> None:
    arguments = ("run", study_file, "--workspace", tmp_path / "new", "--dry-run")
    answer = peftlab(*arguments, "--json")
    assert (answer.status, answer.err) == (0, "")
    assert list(answer.json) == ["study", "trials"]
    assert answer.json["study"] == "small-study"
    done = peftlab("list", "trials", "--workspace", finished_workspace, "--json").json
    assert [trial["id"] for trial in answer.json["trials"]] == [trial["id"] for trial in done]
    for planned, trained in zip(answer.json["trials"], done, strict=True):
        assert planned["status"] == "pending"
        assert planned["arm"] == trained["arm"]
        assert planned["trainable"] == trained["costs"]["parameters"]["trainable"]
        assert planned["steps"] == 2 * 4
        assert (planned["num_train_examples"], planned["num_eval_examples"]) == (32, 24)
        assert planned["tokens"] > 0
        assert planned["estimated_seconds"] > 0
    assert peftlab("list", "trials", "--workspace", tmp_path / "new", "--json").json == []
    table = peftlab(*arguments).out
    assert all(trial["id"] in table for trial in done)
    assert "16 distinct trials, 0 done" in table


def test_a_dry_run_shows_groups_and_that_their_time_is_unknown(
    peftlab: Peftlab, study_file: Path, tmp_path: Path
) -> None:
    arguments = (
        "run",
        study_file,
        "--workspace",
        tmp_path / "new",
        "--dry-run",
        "--set",
        "group=3",
    )
    answer = peftlab(*arguments, "--json")
    groups = {(one["method"], one["group"], one["together"]) for one in answer.json["trials"]}
    assert {("full", None, 1), ("lora", 1, 3)} <= groups
    num_grouped = sum(one["group"] == 1 for one in answer.json["trials"])
    shown = peftlab(*arguments).out
    assert "one after another; what groups save is unknown\n" in shown
    words = f"group 1: {num_grouped} trials, of which up to 3 train in one step\n"
    assert shown.endswith(words)
    off = peftlab(*arguments[:-1], "group=off").out
    assert "group" not in off


def test_a_dry_run_says_what_is_done_already(
    peftlab: Peftlab, study_file: Path, finished_workspace: Path
) -> None:
    arguments = ("run", study_file, "--workspace", finished_workspace, "--dry-run")
    answer = peftlab(*arguments, "--seeds", "2,3", "--json")
    seeds = {(trial["seed"], trial["status"]) for trial in answer.json["trials"]}
    assert seeds == {(2, "done"), (3, "pending")}


@pytest.mark.parametrize(("task", "num_train", "num_dev"), [("cola", 8551, 1043)])
def test_a_dry_run_on_the_real_files_knows_their_sizes(
    task: str,
    num_train: int,
    num_dev: int,
    peftlab: Peftlab,
    glue_folder: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
) -> None:
    options = ("--data", glue_folder, "--model", tiny_checkpoint, "--arms", "lora-r8")
    place = ("--workspace", tmp_path / "new")
    answer = peftlab("run", "glue-peft", *options, *place, "--tasks", task, "--dry-run", "--json")
    (trial,) = answer.json["trials"]
    assert (trial["num_train_examples"], trial["num_eval_examples"]) == (num_train, num_dev)
    assert trial["steps"] == 5 * -(-num_train // 16)
    assert trial["training"]["learning_rate"] == 1e-3
    assert trial["method_config"]["r"] == 8


def test_a_study_runs_in_a_pool_of_workers(
    peftlab: Peftlab, study_file: Path, tmp_path: Path
) -> None:
    place = ("--workspace", tmp_path / "new")
    two = ("--tasks", "demo-sentiment", "--arms", "full", "--seeds", "3,4")
    pool = ("--executor", "pool", "--workers", 2, "--threads", 1)
    answer = peftlab("run", study_file, *two, *QUICK, *place, *pool)
    assert answer.status == 0
    assert "2 workers, 1 thread each\n" in answer.err
    trials = peftlab("list", "trials", *place, "--json").json
    assert [trial["status"] for trial in trials] == ["done", "done"]
    assert [trial["costs"]["threads"] for trial in trials] == [1, 1]


@pytest.mark.parametrize(
    ("executor", "url", "words"),
    [
        ("pool", "s3://bucket/folder", "(try: --executor ray)"),
        ("ray", "s4://bucket/folder", "Protocol not known: s4"),
        ("ray", "folder", "the nodes cannot share this location"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_line(
    executor: str, url: str, words: str, peftlab: Peftlab, study_file: Path, tmp_path: Path
) -> None:
    place = ("--workspace", tmp_path / "new", "--executor", executor, "--artifacts", url)
    answer = peftlab("run", study_file, *ONE, *QUICK, *place)
    assert answer.status == 2
    assert "Traceback" not in answer.err
    line = answer.err.splitlines()[-1]
    assert f"--artifacts {url}" in line
    assert words in line


def test_a_second_run_of_a_workspace_is_told_of_the_first(
    peftlab: Peftlab, study_file: Path, tmp_path: Path
) -> None:
    from peftlab.store.lock import held

    folder = tmp_path / "new"
    folder.mkdir()
    with held(folder, study="the-first"):
        answer = peftlab("run", study_file, *ONE, *QUICK, "--workspace", folder)
    assert answer.status == 2
    (line,) = [line for line in answer.err.splitlines() if line.startswith("peftlab:")]
    assert "another run holds this workspace: study the-first, process" in line


@pytest.mark.parametrize("words", ["often", "0 steps", "3 hours"])
def test_when_to_save_is_said_in_words_that_are_known(
    words: str, peftlab: Peftlab, study_file: Path
) -> None:
    answer = peftlab("run", study_file, "--set", f"checkpoint_every={words}", "--dry-run")
    assert answer.status == 2
    assert (
        "checkpoint_every: must be of the form '200 steps', '1 epoch' or '60 seconds'" in answer.err
    )


@pytest.mark.parametrize("command", ["run", "lint"])
def test_a_tracker_that_is_not_known_is_refused_before_anything_is_stored(
    command: str, peftlab: Peftlab, study_file: Path, tmp_path: Path
) -> None:
    place = ("--workspace", tmp_path / "new") if command == "run" else ()
    answer = peftlab(command, study_file, "--set", "track=[tensorbord]", *place)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("peftlab: small-study: track: unknown tracker 'tensorbord', did ")
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "new").exists()
