"""`peftlab choose` spends a budget on a file: it searches, adds seeds, answers and exports."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.api import choose as api
from peftlab.api.choose import Budget, budget_words
from peftlab.core.errors import PeftlabError
from peftlab.store.workspace import Workspace
from peftlab.study.load import load_study
from tests.cli.test_interrupts import heard, start, stop, wait_for  # noqa: F401  a fixture

Peftlab = Callable[..., Any]
ARMS = ["probe", "bitfit", "ia3", "lora", "top-layers", "full"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of 60 rows and a dev beside it, of two labels that one word tells apart."""
    words = ("fine", "dull")
    for name, size in (("train", 60), ("dev", 40)):
        lines = "".join(
            f"the {name} lamp {n} was {words[n % 2]},{words[n % 2]}\n" for n in range(size)
        )
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{lines}")
    return tmp_path / "train.csv"


def arguments(rows: Path, checkpoint: Path, budget: str) -> list[Any]:
    return [
        "choose", "--data", rows, "--model", checkpoint, "--budget", budget, "--device", "cpu",
        "--study", rows.parent / "mine.yaml", "--workspace", rows.parent / "ws",
    ]  # fmt: skip


def test_a_dry_run_says_how_the_budget_is_spent_and_trains_nothing(
    peftlab: Peftlab, rows: Path, tiny_checkpoint: Path
) -> None:
    given = arguments(rows, tiny_checkpoint, "30 minutes")
    said = peftlab(*given, "--dry-run")
    assert said.status == 0, said.err
    for arm in ARMS:
        assert f"{arm}: about" in said.out
    assert "on rows held out of train" in said.out
    assert not (rows.parent / "mine.yaml").exists()
    planned = peftlab(*given, "--dry-run", "--json").json
    assert [*planned["seconds_by_arm"]] == ARMS
    assert planned["budget"] == 1800


def test_it_searches_on_held_out_rows_then_adds_seeds_answers_and_exports(
    peftlab: Peftlab, rows: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MOST_SETTINGS", 1)
    monkeypatch.setattr(api, "MAX_SEEDS", 2)
    done = peftlab(*arguments(rows, tiny_checkpoint, "1 hour"), "--json")
    assert done.status == 0, done.err
    found = done.json
    assert len(found["sentences"]) == 3
    assert found["sentences"][0].startswith(f"Use {found['arm']}")
    assert found["arm"] in ARMS
    assert Path(found["report"]).is_file()
    assert (Path(found["model"]) / "README.md").is_file()
    spec = load_study(str(rows.parent / "mine.yaml"))
    assert [*spec.arms] == ARMS
    assert spec.decide is not None

    listed = peftlab(
        "list", "trials", "--study", "mine", "--workspace", rows.parent / "ws", "--json"
    )
    assert {one["seed"] for one in listed.json} == {42, 43}
    tried = peftlab(
        "list", "trials", "--study", "mine-tuned", "--workspace", rows.parent / "ws", "--json"
    ).json
    assert {one["seed"] for one in tried} == {7}
    assert all(one["held_out_scores"] for one in tried)
    chosen = next(one for one in listed.json if one["id"] == found["trial"])
    assert chosen["seed"] == 42, "the first seed, not the one that is best on dev"

    again = peftlab(*arguments(rows, tiny_checkpoint, "1 hour"), "--json")
    assert again.status == 0, again.err
    assert again.json["sentences"] == found["sentences"]


def test_a_budget_that_ends_in_the_middle_still_gives_an_answer(
    peftlab: Peftlab, rows: Path, tiny_checkpoint: Path
) -> None:
    done = peftlab(*arguments(rows, tiny_checkpoint, "1 s"), "--json")
    assert done.status == 0, done.err
    assert done.json["decided"] is False
    assert done.json["sentences"]
    assert "the budget is out" in done.err


def test_who_stops_it_is_told_what_is_best_so_far(
    peftlab: Peftlab, rows: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*given: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "MOST_SETTINGS", 1)
    monkeypatch.setattr(api, "carry_out_until_decided", stopped)
    ended = peftlab(*arguments(rows, tiny_checkpoint, "1 hour"))
    assert ended.status == 130
    assert "stopped; what can be said so far:" in ended.err
    assert "on rows held out of train" in ended.err
    assert "peftlab export" in ended.err


def test_ctrl_c_leaves_what_can_be_said_so_far(rows: Path, tiny_checkpoint: Path) -> None:
    process = start(*arguments(rows, tiny_checkpoint, "1 hour"))
    workspace = rows.parent / "ws"
    wait_for(lambda: trials_done(workspace), process)
    said = "\n".join(stop(process, signal.SIGINT))
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "stopped; what can be said so far:" in said
    assert trials_done(workspace)


def trials_done(workspace: Path) -> set[str]:
    """Return the ids of the trials that are done; none before there is a workspace."""
    try:
        with Workspace.open(workspace, create=False) as opened:
            return {one.trial.id for one in opened.trials() if one.status == "done"}
    except PeftlabError:
        return set()


def test_a_file_of_somebody_else_is_left_alone(
    peftlab: Peftlab, rows: Path, tiny_checkpoint: Path
) -> None:
    (rows.parent / "mine.yaml").write_text("name: mine\n")
    refused = peftlab(*arguments(rows, tiny_checkpoint, "1 s"))
    assert refused.status == 2
    assert "this file already exists, and is not of this command" in refused.err
    wrong = peftlab("choose", "--data", rows, "--budget", "a while")
    assert wrong.status == 2
    assert "--budget: no duration such as 30 minutes" in wrong.err


def test_the_parts_of_a_budget_follow_from_what_a_training_takes() -> None:
    planned = Budget(seconds=1000.0, by_arm={"a": 10.0, "b": 40.0})
    assert (planned.of_seed, planned.num_settings, planned.num_seeds) == (50.0, 6, 13)
    small = Budget(seconds=40.0, by_arm={"a": 10.0, "b": 40.0})
    assert (small.num_settings, small.num_seeds) == (1, 0)
    assert "too small" in budget_words(small)[-1]
    unknown = Budget(seconds=40.0, by_arm={"a": 10.0, "b": None})
    assert unknown.num_seeds is None
    assert "not known" in budget_words(unknown)[-1]
