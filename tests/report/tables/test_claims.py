"""Claims on the page: each with its verdict, and task by task where there are several."""

from __future__ import annotations

from dataclasses import replace

from peftlab.report.findings.verdicts import Verdict
from peftlab.report.pages.blocks import Claims, Heading, Table
from peftlab.report.pages.table_csv import csv_text
from peftlab.report.tables.claims import claims_blocks

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
        ["LoRA wins", "cola", "+2.35 [+1.00, +3.69]", "5", "< 0.001", "0.012", "supported"],
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
        "LoRA wins", "cola", "0.00 (no noise)", "5", "-", "-", "the models did not learn",
    ]  # fmt: skip


def test_one_task_needs_no_table_by_task() -> None:
    assert len(claims_blocks([replace(WHOLE, by_task=(ON_TASK,))])) == 2
