"""The table of comparisons says what every test does, and nothing where one cannot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from peftlab.report.findings.view import StudyView
from peftlab.report.tables.comparisons import comparisons_table

Predicted = Callable[..., StudyView]
SENTIMENT = "demo-sentiment"


def rows(share: float, num_seeds: int, chance: int) -> np.ndarray:
    return np.random.default_rng(chance).random((num_seeds, 300)) < share


def cells(predicted: Predicted, num_seeds: int) -> dict[str, str]:
    trials = {
        ("full", SENTIMENT): rows(0.9, num_seeds, 1),
        ("lora-r2", SENTIMENT): rows(0.7, num_seeds, 2),
    }
    view = predicted(trials, {"seeds": list(range(num_seeds))})
    table = comparisons_table(view, view.arms)
    assert table is not None
    (row,) = table.rows
    return dict(zip(table.columns, row, strict=True))


def test_many_seeds_have_every_test_but_mcnemars(predicted: Predicted) -> None:
    found = cells(predicted, 6)
    assert found["arms"] == "full - lora-r2"
    assert found["difference"].startswith("+")
    assert found["p"] == found["p (swaps)"] == "< 0.001"
    assert found["p (flips)"] == "0.031"
    assert (found["p (McNemar)"], found["wins"], found["dominance"]) == ("-", "100%", "0.00")


def test_one_seed_has_the_tests_of_the_trained_models_alone(predicted: Predicted) -> None:
    found = cells(predicted, 1)
    assert found["p (McNemar)"] == "< 0.001"
    assert [found[name] for name in ("p", "p (flips)", "effect size", "wins", "dominance")] == (
        ["-"] * 5
    )


def test_the_same_answers_have_neither_interval_nor_test(predicted: Predicted) -> None:
    same = rows(0.9, 6, 1)
    view = predicted({("full", SENTIMENT): same, ("lora-r2", SENTIMENT): same}, {"seeds": range(6)})
    table = comparisons_table(view, view.arms)
    assert table is not None
    (row,) = table.rows
    assert row[2:] == ["0.00 (same answers)", "6", *["-"] * 7]
    assert "same answers: to every example with every seed" in table.note


def test_arms_that_cannot_be_compared_have_no_row(predicted: Predicted) -> None:
    view = predicted({("full", SENTIMENT): rows(0.9, 2, 1)})
    assert comparisons_table(view, view.arms) is None
