"""A few kills of each kind change nothing, and the means of killing work."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.kills.blow import drawn
from tests.kills.readings import differences, read
from tests.kills.scenes import COMMANDS, SCENES, shares
from tests.warm import process

MOMENTS = {"driver: os.rename in artifacts": 3, "worker: Steps.take": 6}
FEW = ["--count", "3", "--seed", "3", "--only", "writing-pool"]


def test_a_run_that_is_killed_and_given_again_leaves_what_it_leaves_otherwise() -> None:
    done = process.run("-m", "tests.kills", *FEW)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all equal" in done.stdout


def test_the_same_seed_gives_the_same_blows_at_moments_that_come() -> None:
    blows = [drawn(Random(seed), MOMENTS, 2.0, of_pool=True) for seed in range(200)]
    assert blows == [drawn(Random(seed), MOMENTS, 2.0, of_pool=True) for seed in range(200)]
    assert {blow.victim for blow in blows} == {"driver", "worker", "all"}
    for blow in blows:
        if blow.moment:
            assert 1 <= blow.number <= MOMENTS[blow.moment]
            assert not (blow.moment.startswith("driver") and blow.victim == "worker")
        else:
            assert 0 <= blow.seconds <= 2.0


def test_two_hundred_kills_reach_every_stage_and_executor() -> None:
    counts = dict(shares(200, list(SCENES)))
    assert sum(counts.values()) == 200
    for stage in ("encoding", "training", "evaluation", "writing", "tune"):
        assert counts[f"{stage}-inline"] >= 15
        assert counts[f"{stage}-pool"] >= 5
    assert min(counts["report"], counts["export"], counts["export-merge"]) >= 10
    named = {name for scene in SCENES.values() for name in scene.commands}
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("change", ["left over", "missing", "different"])
def test_every_difference_is_told(change: str, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "model.bin").write_bytes(b"weights")
    wanted = read(tmp_path, is_timed=True)
    assert differences(read(tmp_path, is_timed=True), wanted) == []
    name = "workspace/model.bin"
    match change:
        case "left over":
            name = "workspace/.writing-1234"
            (tmp_path / name).touch()
        case "missing":
            (tmp_path / name).unlink()
        case _:
            (tmp_path / name).write_bytes(b"Weights")
    assert differences(read(tmp_path, is_timed=True), wanted) == [f"{change}: {name}"]
