"""`peftlab tune` by the command line, killed and run again, and what its report shows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from peftlab.store.reader import DATABASE
from tests.warm.process import WarmPopen

SMALL = (
    "--arms", "lora", "--tasks", "demo-paraphrase", "--seeds", "1", "--device", "cpu",
    "--set", "tune.space={learning_rate: {low: 1e-3, high: 3e-2, log: true}, lora_dropout: 0.1}",
    "--set", "training.num_train_epochs=3", "--set", "arms.lora={method: lora}",
    "--set", "claims=[]", "--set", "report=[{scores: {}}]",
)  # fmt: skip


def without_times(answer: dict[str, Any]) -> list[Any]:
    searches = answer["searches"]
    for one in searches:
        for setting in (*one["settings"], one["best"]):
            del setting["seconds"]
    return list(searches)


def test_it_is_killed_and_run_again_to_the_same_total_and_the_same_best(
    peftlab: Callable[..., Any], study_file: Path, tmp_path: Path
) -> None:
    whole = peftlab(
        "tune", study_file, *SMALL, "--trials", 4, "--json", "--workspace", tmp_path / "a"
    )
    assert whole.status == 0, whole.err
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "peftlab", "tune", str(study_file), *SMALL, "--trials", "4"]
    process = WarmPopen(
        [*command, "--workspace", str(killed)], env=os.environ, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not _ended(killed):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    before = _ended(killed)
    assert 0 < len(before) < 4
    again = peftlab("tune", study_file, *SMALL, "--trials", 4, "--json", "--workspace", killed)
    assert without_times(again.json) == without_times(whole.json)
    after = _ended(killed)
    assert len(after) == 4
    assert {trial: after[trial] for trial in before} == before


def _ended(folder: Path) -> dict[str, str]:
    """Return the start times of the trials that have ended, by id."""
    if not (folder / DATABASE).is_file():
        return {}
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        if database.execute("PRAGMA user_version").fetchone() == (0,):
            return {}
        return dict(
            database.execute("SELECT id, started_at FROM trials WHERE status IN ('done', 'pruned')")
        )


@pytest.fixture(scope="module")
def tuned(study_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which two settings were tried."""
    from peftlab.cli.app import main

    folder = tmp_path_factory.mktemp("tuned")
    command = ["tune", str(study_file), *SMALL, "--trials", "2", "--workspace", str(folder)]
    assert main(command) == 0
    return folder


@pytest.fixture
def workspace(tuned: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(tuned, tmp_path / "tuned"))


def test_what_is_found_is_a_study_with_a_report(
    peftlab: Callable[..., Any], workspace: Path
) -> None:
    answer = peftlab("report", "small-study-tuned", "--workspace", workspace, "--json")
    page = Path(answer.json["markdown"]).read_text()
    assert "The best setting found" in page
    assert "best epoch on 10% of train, held out" in page
    status = peftlab("status", "small-study-tuned", "--workspace", workspace, "--json")
    assert status.json[0]["trials"] == 2
    trials = peftlab("list", "trials", "--workspace", workspace, "--json")
    assert {one["rule"] for one in trials.json} == {"best epoch on 10% of train, held out"}
    assert {name for one in trials.json for name in one["arm"]} == {"lora", "lora#0", "lora#1"}


def test_the_same_command_again_trains_nothing_and_says_the_same(
    peftlab: Callable[..., Any], study_file: Path, workspace: Path
) -> None:
    answer = peftlab("tune", study_file, *SMALL, "--trials", 2, "--workspace", workspace)
    assert answer.status == 0
    assert answer.err.splitlines() == [
        "study small-study-tuned: 2 settings for 1 search, 1 seed a setting"
    ]
    assert "chosen on held-out rows, then seen on dev" in answer.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--executor", "rey"], "--executor: unknown executor 'rey', did you mean 'ray'?"),
        (["--trials", "2", "--seconds", "3"], "--seconds: a budget is either trials or seconds"),
        (["--set", "tune.space={q: 1}"], "small-study-tuned: tune.space: unknown setting 'q'"),
        (["--set", "max_train_samples=2"], "selection.fraction = 0.1 holds out 0 of the 2 rows of"),
        (["--set", f"name={'x' * 60}"], "is too long a name for what is found"),
        (["--trials", "0"], "--trials"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    message: str,
    peftlab: Callable[..., Any],
    study_file: Path,
    tmp_path: Path,
) -> None:
    answer = peftlab("tune", study_file, *arguments, "--workspace", tmp_path / "w")
    assert answer.status == 2
    assert message in answer.err
    assert answer.err.count("\n") == 1


def test_without_optuna_it_says_what_to_install(
    peftlab: Callable[..., Any], study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    answer = peftlab("tune", study_file)
    words = "searching needs the package optuna (try: pip install 'peftlab[tune]')"
    assert (answer.status, answer.err) == (2, f"peftlab: tune: {words}\n")


def test_an_arm_without_a_setting_that_could_be_trained_is_status_1(
    peftlab: Callable[..., Any], study_file: Path, tmp_path: Path
) -> None:
    wild = (
        "--set", "tune.space={learning_rate: 1e30}", "--set", "training.max_grad_norm=0",
        "--set", "training.warmup_steps=0", "--set", "report=[]", "--set", "claims=[]",
    )  # fmt: skip
    choice = ("--arms", "full", "--tasks", "demo-paraphrase", "--seeds", "1", "--trials", "1")
    answer = peftlab(
        "tune", study_file, *choice, *wild, "--json", "--workspace", tmp_path, "--device", "cpu"
    )
    assert answer.status == 1, answer.err
    (search,) = answer.json["searches"]
    assert search["best"] is None
    assert [one["status"] for one in search["settings"]] == ["failed"]
    assert json.dumps(search)
