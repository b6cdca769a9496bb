"""Claims and pairs of arms have a table of all tests, with empty cells for impossible ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from peftlab.report.findings.verdicts import Verdict
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Claims, Heading, Table
from peftlab.report.pages.table_csv import csv_text
from peftlab.report.tables.comparisons import claims_blocks, comparisons_table

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
    assert row[2:] == ["0.0 (same answers)", "6", *["-"] * 7]
    assert "same answers: both arms answer every example alike" in table.note


def test_arms_that_cannot_be_compared_have_no_row(predicted: Predicted) -> None:
    view = predicted({("full", SENTIMENT): rows(0.9, 2, 1)})
    assert comparisons_table(view, view.arms) is None


ON_TASK = Verdict(
    claim="LoRA wins",
    verdict="supported",
    task="cola",
    pair=("lora", "full"),
    margin=None,
    num_seeds=5,
    estimate=2.345,
    low=1.0,
    high=3.69,
    p_value=0.0004,
    p_holm=0.012,
)
LACKING = Verdict(
    claim="LoRA wins",
    verdict="not enough runs",
    task="mrpc",
    pair=("lora", "full"),
    margin=None,
    num_seeds=0,
)
WHOLE = replace(ON_TASK, task=None, evidence="It does.", by_task=(ON_TASK, LACKING))


def test_a_study_without_claims_has_nothing_of_them() -> None:
    assert claims_blocks([]) == []


def test_claims_have_a_table_by_task_where_one_has_several() -> None:
    heading, claims, table = claims_blocks([WHOLE])
    assert isinstance(heading, Heading)
    assert isinstance(claims, Claims)
    assert [(one.say, one.verdict, one.lines) for one in claims.claims] == [
        ("LoRA wins", "supported", ["It does."])
    ]
    assert isinstance(table, Table)
    assert [list(row) for row in table.rows] == [
        ["LoRA wins", "cola", "+2.3 [+1.0, +3.7]", "5", "< 0.001", "0.012", "supported"],
        ["LoRA wins", "mrpc", "-", "0", "-", "-", "not enough runs"],
    ]
    assert csv_text(table).splitlines()[1:] == [
        "LoRA wins,cola,2.345,1,3.69,5,0.0004,0.012,supported",
        "LoRA wins,mrpc,,,,0,,,not enough runs",
    ]


def test_a_difference_without_noise_has_no_interval() -> None:
    same = replace(ON_TASK, verdict="the models did not learn", estimate=0.0, low=None, high=None)
    whole = replace(WHOLE, by_task=(replace(same, p_value=None, p_holm=None), LACKING))
    *_, table = claims_blocks([whole])
    assert isinstance(table, Table)
    assert list(table.rows[0]) == [
        "LoRA wins", "cola", "0.0 (no noise)", "5", "-", "-", "the models did not learn",
    ]  # fmt: skip


def test_a_difference_of_too_few_runs_has_noise_and_no_interval() -> None:
    few = replace(ON_TASK, verdict="not enough runs", low=None, high=None, test="always-valid")
    whole = replace(WHOLE, by_task=(replace(few, p_value=None, p_holm=None), LACKING))
    *_, table = claims_blocks([whole])
    assert isinstance(table, Table)
    assert list(table.rows[0])[2:] == ["+2.3", "5", "-", "-", "not enough runs"]


def test_a_verdict_on_a_task_says_what_kind_it_is() -> None:
    part = replace(ON_TASK, is_interim=True, is_exploratory=True)
    *_, table = claims_blocks([replace(WHOLE, by_task=(part, LACKING))])
    assert isinstance(table, Table)
    assert table.rows[0][-1] == f"supported ({part.kind})"
    assert "interim" in part.kind


def test_one_task_needs_no_table_by_task() -> None:
    assert len(claims_blocks([replace(WHOLE, by_task=(ON_TASK,))])) == 2
