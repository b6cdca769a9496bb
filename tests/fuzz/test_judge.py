"""The fuzzer detects every fault, and its payloads would do harm if they were run."""

from __future__ import annotations

import pickle
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from peftlab.core.errors import StorageError, UserError
from tests.fuzz import judge as judge_module
from tests.fuzz.judge import command, judge
from tests.fuzz.payloads import MODULE, PICKLE_NAMES, plant_module, plant_pickles, yaml_specials


def raise_(error: BaseException) -> Callable[[], object]:
    def call() -> None:
        raise error

    return call


class Panic(BaseException):
    """An error such as Rust's libraries raise."""


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), KeyError("x"), Panic("x"), SystemExit(1), AssertionError(), MemoryError()],
)
def test_an_error_that_is_not_ours_is_a_fault(error: BaseException, tmp_path: Path) -> None:
    fault = judge(raise_(error), watched=tmp_path, own=tmp_path / "own").fault
    assert type(error).__name__ in fault


def test_a_clear_line_is_no_fault(tmp_path: Path) -> None:
    for error in (UserError("bad", where="here"), StorageError("full", where="there")):
        verdict = judge(raise_(error), watched=tmp_path, own=tmp_path / "own")
        assert (verdict.line, verdict.fault) == (str(error), "")


@pytest.mark.parametrize("line", [" ", "a\nb", "\x1b[2Ja", "x" * 4000, "\ud800"])
def test_a_line_that_a_person_cannot_read_is_a_fault(line: str, tmp_path: Path) -> None:
    assert judge(lambda: line, watched=tmp_path, own=tmp_path / "own").fault


def test_a_file_is_a_fault_outside_and_none_inside(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    assert not judge((own / "file").touch, watched=tmp_path, own=own).fault
    assert "written outside" in judge((tmp_path / "file").touch, watched=tmp_path, own=own).fault
    assert not (tmp_path / "file").exists(), "else the next input would be blamed"


def test_what_takes_too_long_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_module, "SECONDS", 1)

    def forever() -> None:
        while True:
            pass

    assert "not done after 1 seconds" in judge(forever, watched=tmp_path, own=tmp_path).fault


def test_a_command_says_its_refusal_and_nothing_else() -> None:
    assert command(["run", "quickstrat"]).startswith("STUDY: unknown study 'quickstrat', did")
    assert command(["list", "tasks"]) == ""


def test_every_pickle_and_the_module_would_make_the_sentinel(tmp_path: Path) -> None:
    sentinel, folder = tmp_path / "sentinel", tmp_path / "folder"
    folder.mkdir()
    plant_pickles(folder, sentinel)
    plant_module(folder, sentinel)
    assert {path.name for path in folder.iterdir()} == {*PICKLE_NAMES, f"{MODULE}.py"}
    for name in PICKLE_NAMES:
        pickle.loads((folder / name).read_bytes())
        sentinel.unlink()
    runpy.run_path(str(folder / f"{MODULE}.py"))
    assert sentinel.exists()


def test_an_unsafe_loader_would_run_the_yaml(tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    commands = [text for text in yaml_specials(sentinel) if str(sentinel) in text]
    assert len(commands) == 3
    for text in commands:
        yaml.load(text, Loader=yaml.UnsafeLoader)
        sentinel.unlink()
