"""Bad input of every kind gives a result or one clear line, and does nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz.judge import command, judge
from tests.fuzz.kinds import KINDS
from tests.fuzz.payloads import yaml_specials
from tests.fuzz.run import Input, attempt, shares
from tests.fuzz.trees import NAMES, NUMBERS
from tests.fuzz.world import World

COUNT = 300
FEW = {
    "hub": 8,
    "setting": 120,
    "rows": 60,
    "model": 12,
    "adapter": 12,
    "database": 20,
    "predictions": 25,
}
COUNTS = dict(shares(COUNT, list(KINDS))) | FEW
REGRESSIONS = (
    Input(3, "model", 143),  # ids beyond the vocabulary
    Input(5, "study", 1321),  # a name too long for a file
    Input(5, "setting", 1127),  # !!timestamp of what is none
    Input(2026, "setting", 2556),  # !!int of nothing
    Input(2026, "model", 291),  # fewer layers than none
    Input(2026, "model", 1650),  # an id that no token has
    Input(2026, "model", 1875),  # layers without end
    Input(6, "database", 223),  # a message of SQLite that is not UTF-8
)


@pytest.mark.parametrize("name", KINDS)
def test_inputs_of_a_kind_are_used_or_refused_in_one_line(name: str, world: World) -> None:
    kind, outcomes = KINDS[name](world), Counter[str]()
    for index in range(COUNTS[name]):
        given = Input(2026, name, index)
        verdict = attempt(kind, given)
        assert not verdict.fault, f"python -m tests.fuzz {given}\n{verdict.fault}"
        outcomes["refused" if verdict.line else "used"] += 1
    assert outcomes["used"], "every input was refused: the good one may be bad"
    # A damaged checkpoint is passed over without a word.
    assert outcomes["refused"] or name == "checkpoint", "no input was bad enough to be refused"


@pytest.mark.parametrize("given", REGRESSIONS, ids=str)
def test_inputs_that_once_were_faults_are_none(given: Input, world: World) -> None:
    assert not attempt(KINDS[given.kind](world), given).fault


@pytest.mark.parametrize("place", ["description", "arms.full.r", "seeds", "model", "data"])
def test_no_yaml_in_the_place_of_a_value_runs_code(place: str, world: World) -> None:
    path = str(world.study_file)
    for special in yaml_specials(world.sentinel):
        arguments = ["lint", path, "--set", f"{place}={special}"]
        verdict = _judge(arguments, world)
        assert not verdict, f"{arguments}: {verdict}"


@pytest.mark.parametrize("key", ["name", "model", "data"])
def test_no_name_leads_out_of_the_workspace(key: str, world: World) -> None:
    workspace = world.work / "own"
    for value in (*NAMES, *map(str, NUMBERS[:5])):
        name = value.replace("\0", "").replace("\ud800", "").replace("\udfff", "")
        fault = _judge(
            ["run", str(world.study_file), "--dry-run", "--workspace", str(workspace), "--set",
             f'{key}="{name}"'],
            world,
        )  # fmt: skip
        assert not fault, f"{key}={value!r}: {fault}"


def _judge(arguments: list[str], world: World) -> str:
    own: Path = world.work / "own"
    return judge(lambda: command(arguments), watched=world.root, own=own).fault
