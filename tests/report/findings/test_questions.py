"""Which questions of a study are open, what gets further seeds, and what no seed can decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peftlab.report.findings.asking import questions
from peftlab.report.findings.questions import (
    Needed,
    Question,
    further_of,
    needed,
    next_round,
    open_words,
    seconds_of_round,
)
from peftlab.report.findings.trajectory import trajectory
from peftlab.report.findings.verdicts import verdicts
from peftlab.report.findings.view import StudyView
from peftlab.report.tables.deciding import deciding_blocks
from peftlab.study.decide_spec import DecideSpec
from peftlab.study.spec import validate
from tests.report.made_up import made_up

TASK = "demo-sentiment"
RULE = DecideSpec(margin=2.0, max_seeds=9)
CLAIMS = (
    {"say": "LoRA is better", "better": "lora", "than": "full"},
    {"say": "BitFit is better", "better": "bitfit", "than": "full"},
)


def view_of(
    folder: Path, right: Mapping[str, float], num_seeds: int, *, own: int = 3, **options: Any
) -> StudyView:
    """The view of a study of three seeds with a rule, to which the others were added."""
    arms = {name: {"method": name} for name in right}
    seconds = {"full": 100.0, "lora": 30.0, "bitfit": 20.0}
    claims = [one for one in CLAIMS if one["better"] in right]
    view = made_up(
        folder, right, arms=arms, tasks=[TASK], seeds=range(1, num_seeds + 1), seconds=seconds,
        **options,
    )  # fmt: skip
    raw = view.spec.model_dump(mode="json") | {
        "seeds": [*range(1, own + 1)],
        "claims": claims,
        "decide": RULE.model_dump(mode="json"),
    }
    spec = validate(raw, where="made-up")
    of_spec = tuple(replace(arm, seeds=spec.seeds) for arm in view.arms)
    return replace(view, spec=spec, arms=of_spec)


def asked_of(view: StudyView) -> dict[str, Question]:
    return {one.name: one for one in questions(view, verdicts(view))}


def test_open_claims_and_the_choice_get_seeds_and_what_is_decided_gets_none(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.9, "lora": 0.89, "bitfit": 0.6}, 8)
    asked = asked_of(view)
    assert asked["BitFit is better"].state == "decided"
    assert asked["LoRA is better"].state == "open"
    assert asked["LoRA is better"].places == (("lora", TASK), ("full", TASK)) or asked[
        "LoRA is better"
    ].places == (("full", TASK), ("lora", TASK))
    assert "bitfit" not in {arm for arm, _ in asked["What to use"].places}
    assert further_of(view) == dict.fromkeys([("full", TASK), ("lora", TASK), ("bitfit", TASK)], 5)
    wanted = next_round(view, [*asked.values()], RULE)
    assert wanted == {("full", TASK): 6, ("lora", TASK): 6, ("bitfit", TASK): 5}
    assert seconds_of_round(view, wanted) == pytest.approx(101 + 31)


def test_an_arm_with_fewer_seeds_comes_up_to_the_others_first(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.9, "lora": 0.89}, 6)
    fewer = {
        place: records[:4] if place[0] == "lora" else records
        for place, records in view.by_place.items()
    }
    every = tuple(record for records in fewer.values() for record in records)
    view = replace(view, by_place=fewer, records=every)
    wanted = next_round(view, [*asked_of(view).values()], RULE)
    assert wanted == {("full", TASK): 3, ("lora", TASK): 2}


def test_no_arm_gets_more_seeds_than_the_most(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.9, "lora": 0.89}, 9)
    asked = [*asked_of(view).values()]
    assert any(one.state == "open" for one in asked)
    assert next_round(view, asked, RULE) == {}


def test_a_decided_study_has_no_further_round(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.9, "bitfit": 0.6}, 8)
    asked = asked_of(view)
    assert {one.state for one in asked.values()} == {"decided"}
    assert asked["What to use"].why == "use full"
    assert next_round(view, [*asked.values()], RULE) == {}
    assert open_words(view, [*asked.values()]) == []


def test_arms_that_differ_by_less_than_the_margin_are_worth_no_seed(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.9, "lora": 0.9}, 9, spread=0.0)
    wide = view.spec.model_copy(update={"decide": DecideSpec(margin=8.0, max_seeds=9)})
    asked = asked_of(replace(view, spec=wide))
    assert asked["LoRA is better"].state == "closed"
    assert asked["LoRA is better"].why == "its arms are shown to differ by less than 8 points"


def test_examples_that_forbid_a_decision_at_the_margin_close_the_question(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.9, "lora": 0.9}, 8, spread=0.0)
    narrow = view.spec.model_copy(update={"decide": DecideSpec(margin=0.05, max_seeds=9)})
    asked = asked_of(replace(view, spec=narrow))
    assert asked["LoRA is better"].state == "closed"
    assert "noise of its 200 examples alone forbids a decision" in asked["LoRA is better"].why


def test_what_would_decide_is_said_with_its_time(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.9, "bitfit": 0.8}, 4)
    asked = asked_of(view)
    more = needed(view, asked["BitFit is better"])
    assert isinstance(more, Needed)
    assert more.seconds == pytest.approx(more.num_seeds * (101 + 21))
    (said,) = [one for one in open_words(view, [*asked.values()]) if one.startswith("BitFit")]
    assert "would probably decide it, in about" in said
    heading, table = deciding_blocks(view, [*asked.values()])
    assert "up to 9 of an arm" in heading.text  # type: ignore[union-attr]
    assert len(table.rows) == 2  # type: ignore[union-attr]


def test_verdicts_of_a_study_with_a_rule_hold_for_any_number_of_looks(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.9, "lora": 0.6}, 3)
    (first,) = verdicts(view)
    assert (first.test, first.verdict) == ("always-valid", "not enough runs")
    without = view.spec.model_copy(update={"decide": None})
    (plain,) = verdicts(replace(view, spec=without))
    assert (plain.test, plain.verdict) == ("fixed", "contradicted")


def test_the_trajectory_ends_at_what_the_question_says(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.9, "lora": 0.87}, 7)
    question = asked_of(view)["LoRA is better"]
    steps = [*trajectory(view, question)]
    assert [num for num, _ in steps] == [2, 3, 4, 5, 6, 7]
    assert question.found is not None
    assert steps[-1][1].estimate == pytest.approx(question.found.estimate)
    assert steps[-1][1].low == pytest.approx(question.found.low)
    assert not steps[0][1].has_interval
