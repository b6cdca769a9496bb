"""A study adds seeds to what is not decided, and to nothing else, until its rule says to stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Peftlab = Callable[..., Any]


def written(folder: Path, checkpoint: Path, **keys: Any) -> Path:
    words = ("fine", "dull")
    for name, size in (("train", 40), ("dev", 60)):
        rows = "".join(
            f"the {name} lamp {n} was {words[n % 2]},{words[n % 2]}\n" for n in range(size)
        )
        (folder / f"{name}.csv").write_text(f"text,label\n{rows}")
    of_files = {"train": "train.csv", "dev": "dev.csv", "text": "text", "label": "label"}
    raw = {
        "name": "own", "model": str(checkpoint), "engine": "padded",
        "data": {"mood": of_files}, "seeds": [1, 2],
        "training": {"num_train_epochs": 1, "learning_rate": 1e-2},
        "arms": {
            "bitfit": {"method": "bitfit"}, "head": {"method": "head"},
            "slow": {"method": "head", "training": {"learning_rate": 1e-7}},
        },
        "claims": [{"say": "BitFit is better", "better": "bitfit", "than": "head"}],
        "decide": {"max_seeds": 4},
    }  # fmt: skip
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(raw | keys))
    return path


def test_seeds_are_added_until_the_most_and_the_report_says_by_which_rule(
    peftlab: Peftlab, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    path, place = written(tmp_path, tiny_checkpoint), ("--workspace", tmp_path / "ws")
    planned = peftlab("run", path, *place, "--until-decided", "--dry-run")
    assert "one seed at a time" in planned.err
    assert "up to 4 seeds of an arm" in planned.err
    done = peftlab("run", path, *place, "--until-decided", "--device", "cpu", "--json")
    assert done.status == 0, done.err
    seeds: dict[str, set[int]] = {}
    for one in done.json:
        for arm in one["arm"]:
            seeds.setdefault(arm, set()).add(one["seed"])
    assert seeds["bitfit"] == seeds["head"] == {1, 2, 3, 4}
    assert "round 0: " in done.err
    assert "stopped: " in done.err

    report = peftlab("report", path, *place, "--json").json
    (verdict,) = report["verdicts"]
    assert verdict["test"] == "always-valid"
    page = Path(report["markdown"]).read_text()
    assert "Until it is decided" in page
    assert "up to 4 of an arm" in page
    assert "How the differences went as seeds were added" in page

    again = peftlab("run", path, *place)
    assert "0 to run" in again.err, "a plain run keeps the seeds that were added"
    assert len(peftlab("run", path, *place, "--dry-run", "--json").json["trials"]) == len(done.json)


def test_no_round_is_begun_that_the_budget_does_not_allow(
    peftlab: Peftlab, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    path = written(tmp_path, tiny_checkpoint, decide={"budget": "0.0001 s"})
    done = peftlab("run", path, "--workspace", tmp_path / "ws", "--until-decided", "--json")
    assert {one["seed"] for one in done.json} == {1, 2}
    assert "more than is left of the budget" in done.err
    assert "BitFit is better: open" in done.err


@pytest.mark.parametrize(
    ("decide", "report", "words"),
    [
        ({"budget": "soon"}, [], "decide.budget: no duration such as 30 minutes"),
        ({"budget": "0 s"}, [], "decide.budget: a duration is more than nothing"),
        ({"max_seeds": 1}, [], "decide.max_seeds: must be at least 2"),
        ({"most": 3}, [], "decide: unknown key 'most'"),
        ({"margin": 2}, [{"advice": {"margin": 1}}], "decide.margin is 2, and that of the"),
    ],
)
def test_rules_that_cannot_be_are_refused_in_one_line(
    peftlab: Peftlab, tiny_checkpoint: Path, tmp_path: Path, decide: Any, report: Any, words: str
) -> None:
    path = written(tmp_path, tiny_checkpoint, decide=decide, report=report)
    refused = peftlab("run", path, "--workspace", tmp_path / "ws", "--dry-run")
    assert refused.status == 2
    assert words in refused.err


def test_lint_says_where_the_rule_stops_before_it_can_decide(
    peftlab: Peftlab, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    said = peftlab("lint", written(tmp_path, tiny_checkpoint), "--json").json
    (found,) = [one for one in said if one["rule"] == "few-seeds"]
    assert "with 4 seeds nothing can be decided" in found["message"]
    enough = written(tmp_path, tiny_checkpoint, decide={"max_seeds": 8})
    assert not [one for one in peftlab("lint", enough, "--json").json if one["rule"] == "few-seeds"]
