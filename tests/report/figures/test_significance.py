"""An arm beats another where a paired test says so, adjusted for all pairs and tasks."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from peftlab.report.figures.significance import BEATS, LOSES, OPEN, UNTESTED, significance_data
from peftlab.stats.families import holm
from tests.report.made_up import made_up

RIGHT = {"full": 0.9, "lora-r2": 0.7, "lora-r16": 0.9, "bitfit": 0.7}


def test_the_outcome_is_that_of_holm_s_method_over_all_pairs_and_tasks(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT)
    rows = {
        (row["task"], row["arm"], row["other"]): row for row in significance_data(view, view.arms)
    }
    places = [(task, *pair) for task in view.tasks for pair in itertools.combinations(view.arms, 2)]
    found = [view.statistics.difference(a.name, b.name, [task]) for task, a, b in places]
    adjusted = holm([one.p_value for one in found if one is not None])
    assert len(adjusted) == len(places) == len(rows) / 2
    for (task, arm, other), one, p_holm in zip(places, found, adjusted, strict=True):
        assert one is not None
        row, mirrored = rows[task.name, arm.name, other.name], rows[task.name, other.name, arm.name]
        assert (row["difference"], row["low"], row["high"]) == (one.estimate, one.low, one.high)
        assert (mirrored["difference"], mirrored["low"]) == (-one.estimate, -one.high)
        assert row["p_holm"] == mirrored["p_holm"] == pytest.approx(p_holm)
    assert rows["demo-sentiment", "full", "bitfit"]["outcome"] == BEATS
    assert rows["demo-sentiment", "bitfit", "full"]["outcome"] == LOSES
    assert rows["demo-sentiment", "lora-r2", "bitfit"]["outcome"] == OPEN


def test_with_two_seeds_nothing_beats_anything(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seeds=[1, 2])
    rows = significance_data(view, view.arms)
    assert {row["outcome"] for row in rows} == {UNTESTED}
    assert {row["p_holm"] for row in rows} == {None}
