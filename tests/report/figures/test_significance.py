"""An arm beats another where a paired test says so, adjusted for all pairs and tasks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from peftlab.report.figures.significance import (
    BEATS,
    LOSES,
    OPEN,
    UNLEARNED,
    UNTESTED,
    draw_significance,
    significance_data,
)
from peftlab.report.findings.evidence import IDENTICAL
from peftlab.report.findings.view import StudyView
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


def test_arms_that_did_not_learn_or_answer_the_same_are_not_tested(
    predicted: Callable[..., StudyView],
) -> None:
    """Nor do they make the tests of the others stricter."""
    good = np.random.default_rng(1).random((3, 200)) < 0.9
    constant = np.stack([np.arange(200) % 2 == 1] * 3)
    trials = {
        (arm, "demo-sentiment"): rows
        for arm, rows in (("full", good), ("again", good), ("lora-r2", constant),
                          ("lora-r8", constant))
    }  # fmt: skip
    arms = {
        "full": {"method": "full"},
        "again": {"method": "bitfit"},
        "lora": {"method": "lora", "sweep": {"r": [2, 8]}},
    }
    changes = {"arms": arms, "tasks": ["demo-sentiment"], "seeds": [1, 2, 3]}
    view = predicted(trials, changes)
    rows = {(row["arm"], row["other"]): row for row in significance_data(view, view.arms)}
    assert rows["full", "again"]["outcome"] == IDENTICAL
    assert rows["lora-r2", "lora-r8"]["outcome"] == UNLEARNED
    assert rows["full", "lora-r2"]["outcome"] == BEATS
    tested = [row["p_holm"] for row in rows.values() if row["p_holm"] is not None]
    assert len(tested) == 2 * 4
    figure = draw_significance([*rows.values()], name="x")
    shown = {row["shown"] for row in figure.specification["data"]["values"]}
    assert {"0.0 =", "0.0 ×"} <= shown
