"""A claim's standing tells which seeds, arms, claims and margins came after a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from peftlab.report.findings.looks import Standing, advice_standing, standing, withdrawn
from peftlab.report.findings.view import StudyView
from peftlab.store.looks import Look, looks_digest
from peftlab.study.declarations import look_at
from peftlab.study.parts import AdvicePart
from peftlab.study.spec import Claim, ReportPart
from tests.report.made_up import made_up

ARMS = {"full": {"method": "full"}, "lora": {"method": "lora"}, "bitfit": {"method": "bitfit"}}
RIGHT = {"full": 0.9, "lora": 0.85, "bitfit": 0.8, "again": 0.85}
TASK = "demo-sentiment"
BETTER = Claim(say="Full is better", better="full", than="lora")
EQUAL = Claim(say="They are the same", equivalent=("full", "lora"), margin=1.0)
NOTHING = Standing(is_sequential=False, is_interim=False, is_exploratory=False, reasons=())


def at(day: int) -> datetime:
    return datetime(2026, 11, day, 12, tzinfo=UTC)


class Made:
    """A maker of views of one study in different states, and of looks at them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0

    def view(
        self,
        seeds: Sequence[int] = (1, 2, 3),
        claims: Sequence[Claim] = (BETTER,),
        looks: Sequence[Look] = (),
        arms: Sequence[str] = ("full", "lora"),
        tasks: Sequence[str] = (TASK,),
        name: str = "made-up",
        report: Sequence[ReportPart] = (),
        **more: Any,
    ) -> StudyView:
        self.number += 1
        view = made_up(
            self.folder / str(self.number),
            RIGHT,
            arms={arm: ARMS[arm] for arm in arms},
            tasks=tasks,
            seeds=seeds,
            **more,
        )
        spec = view.spec.model_copy(
            update={"claims": tuple(claims), "name": name, "report": tuple(report)}
        )
        return replace(view, spec=spec, looks=tuple(looks))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def looked(view: StudyView, day: int) -> Look:
    return look_at(view.spec, view.placed, at(day))


def stand(view: StudyView, claim: Claim = BETTER, tasks: Sequence[str] | None = None) -> Standing:
    arms = claim.equivalent or (claim.better, claim.than)
    pairs = [(left, right) for place, left in enumerate(arms) for right in arms[place + 1 :]]
    chosen = [task for task in view.tasks if tasks is None or task.name in tasks]
    return standing(view, claim, pairs, chosen)


def test_without_a_look_nothing_is_to_be_said(made: Made) -> None:
    assert stand(made.view()) == NOTHING
    assert withdrawn(made.view()) == 0


def test_the_same_look_once_more_changes_nothing(made: Made) -> None:
    view = made.view()
    assert stand(made.view(looks=[looked(view, 1)])) == NOTHING


def test_declared_seeds_that_are_not_done_make_a_verdict_interim(made: Made) -> None:
    pending = [("lora", TASK, 4), ("full", TASK, 5)]
    found = stand(made.view((1, 2, 3, 4, 5), pending=pending))
    assert found == Standing(
        is_sequential=False,
        is_interim=True,
        is_exploratory=False,
        reasons=("3 of 5 declared seeds are done; until all are, the verdict is interim.",),
    )
    assert found.is_always_valid


def test_a_trial_that_failed_is_finished(made: Made) -> None:
    found = stand(made.view(failed=[("lora", TASK, 3)]))
    assert found == NOTHING
    assert not found.is_always_valid


def test_declared_seeds_after_an_interim_look_get_the_fixed_test(made: Made) -> None:
    interim = made.view((1, 2, 3, 4, 5), pending=[("lora", TASK, 5)])
    assert stand(made.view((1, 2, 3, 4, 5), looks=[looked(interim, 1)])) == NOTHING


def test_seeds_added_after_a_look_make_the_test_sequential(made: Made) -> None:
    found = stand(made.view((1, 2, 3, 4, 5), looks=[looked(made.view(), 26)]))
    assert found == Standing(
        is_sequential=True,
        is_interim=False,
        is_exploratory=False,
        reasons=(
            "Seeds 4 and 5 were added after a look on 26 November 2026 that showed seeds 1 to 3.",
        ),
    )
    assert found.is_always_valid


def test_it_stays_sequential_whatever_is_looked_at_later(made: Made) -> None:
    longer = made.view((1, 2, 3, 4, 5))
    looks = [looked(made.view(), 1), looked(longer, 2)]
    assert stand(made.view((1, 2, 3, 4, 5), looks=looks)).is_sequential


def test_another_name_hides_nothing(made: Made) -> None:
    first = looked(made.view(name="other"), 1)
    assert stand(made.view((1, 2, 3, 4), looks=[first])).is_sequential


def test_seeds_dropped_after_a_look_make_the_test_sequential(made: Made) -> None:
    pending = [("full", TASK, 5), ("lora", TASK, 5)]
    found = stand(made.view(looks=[looked(made.view((1, 2, 3, 4, 5), pending=pending), 26)]))
    assert found.is_sequential
    assert found.reasons == (
        "Seeds 4 and 5 were declared at a look on 26 November 2026 that showed seeds 1 to 4 "
        "and are no longer in the comparison.",
    )


def test_seeds_moved_to_another_arm_are_dropped(made: Made) -> None:
    """Two arms that differ only in their seeds share a cell, and are still told apart."""
    then = looked(made.view((1, 2, 3, 4, 5)), 1)
    view = made.view((1, 2, 3, 4, 5))
    records = view.by_place["lora", TASK]
    moved = {("lora", TASK): records[:3], ("rest", TASK): records[3:]}
    found = stand(replace(view, by_place={**view.by_place, **moved}, looks=(then,)))
    assert found.is_sequential
    assert found.reasons[0].startswith("Seeds 4 and 5 of lora were declared")
    both = replace(view, by_place={**view.by_place, **moved})
    assert stand(replace(both, looks=(looked(both, 1),))) == NOTHING


def test_new_seeds_alone_are_a_replication(made: Made) -> None:
    found = stand(made.view((4, 5, 6), looks=[looked(made.view(), 1)]))
    assert found == NOTHING


def test_a_look_at_one_arm_says_nothing_of_its_seeds(made: Made) -> None:
    alone = made.view(arms=["full"], claims=())
    found = stand(made.view((1, 2, 3, 4, 5), looks=[looked(alone, 1)]))
    assert not found.is_sequential
    assert found.is_exploratory


def test_arms_that_were_looked_at_apart_have_been_seen_both(made: Made) -> None:
    full, lora = (made.view(arms=[arm], claims=()) for arm in ("full", "lora"))
    looks = [looked(full, 1), looked(lora, 2)]
    assert not stand(made.view(looks=looks)).is_sequential
    found = stand(made.view((1, 2, 3, 4), looks=looks))
    assert found.is_sequential
    assert "Seed 4 was added after a look on 2 November 2026" in found.reasons[0]


def test_studies_that_are_listed_together_do_not_spoil_each_other(made: Made) -> None:
    short, long = made.view(), made.view((1, 2, 3, 4, 5))
    looks = [looked(short, 1), looked(long, 1)]
    assert stand(made.view(looks=looks)) == NOTHING
    assert stand(made.view((1, 2, 3, 4, 5), looks=looks)) == NOTHING


def test_an_arm_added_after_a_look_is_exploratory(made: Made) -> None:
    claim = Claim(say="x", better="full", than="bitfit")
    then = looked(made.view(), 26)
    found = stand(made.view(arms=[*ARMS], claims=[BETTER, claim], looks=[then]), claim)
    assert (found.is_sequential, found.is_exploratory) == (False, True)
    assert found.reasons == (
        "Exploratory: bitfit was added after a look at the other results on 26 November 2026.",
    )
    assert stand(made.view(arms=[*ARMS], claims=[BETTER, claim], looks=[then])) == NOTHING


def test_a_claim_added_after_a_look_is_exploratory(made: Made) -> None:
    found = stand(made.view(claims=[BETTER, EQUAL], looks=[looked(made.view(), 26)]), EQUAL)
    assert found.is_exploratory
    assert found.reasons == (
        "Exploratory: this claim was added after a look at its arms on 26 November 2026.",
    )


def test_a_claim_turned_round_is_another_and_one_reworded_is_not(made: Made) -> None:
    then = looked(made.view(), 1)
    turned = Claim(say="x", better="lora", than="full")
    assert stand(made.view(claims=[turned], looks=[then]), turned).is_exploratory
    reworded = BETTER.model_copy(update={"say": "Full wins"})
    assert stand(made.view(claims=[reworded], looks=[then]), reworded) == NOTHING
    then = looked(made.view(claims=[EQUAL]), 1)
    ordered = EQUAL.model_copy(update={"equivalent": ("lora", "full")})
    assert stand(made.view(claims=[ordered], looks=[then]), ordered) == NOTHING


def test_a_margin_changed_after_a_look_is_exploratory(made: Made) -> None:
    wide = EQUAL.model_copy(update={"margin": 2.5})
    view = made.view(claims=[wide], looks=[looked(made.view(claims=[EQUAL]), 26)])
    found = stand(view, wide)
    assert found.is_exploratory
    assert found.reasons == (
        "Exploratory: the margin is 2.5 points; at a look on 26 November 2026 it was 1.",
    )
    assert withdrawn(view) == 1


def test_a_later_look_does_not_make_a_new_claim_an_old_one(made: Made) -> None:
    later = looked(made.view(claims=[BETTER, EQUAL]), 2)
    view = made.view(claims=[BETTER, EQUAL], looks=[looked(made.view(), 1), later])
    assert stand(view, EQUAL).is_exploratory
    assert not stand(view, BETTER).is_exploratory


def test_a_task_that_is_left_out_after_a_look_makes_another_claim(made: Made) -> None:
    """The claim was tested on that task alone before, but not as a whole."""
    tasks = (TASK, "demo-paraphrase")
    then = looked(made.view(tasks=tasks), 1)
    assert stand(made.view(tasks=tasks, looks=[then]), tasks=[TASK]) == NOTHING
    assert stand(made.view(looks=[then])).is_exploratory
    added = stand(made.view(tasks=tasks, looks=[looked(made.view(), 1)]))
    assert added.reasons[0].startswith("Exploratory: demo-paraphrase was added")


def test_claims_that_were_withdrawn_are_counted(made: Made) -> None:
    then = looked(made.view(claims=[BETTER, EQUAL]), 1)
    assert withdrawn(made.view(looks=[then])) == 1
    assert withdrawn(made.view(claims=[], looks=[then])) == 2
    assert withdrawn(made.view(claims=[EQUAL, BETTER], looks=[then])) == 0
    later = looked(made.view(claims=[]), 2)
    assert withdrawn(made.view(looks=[later, then])) == 1


def test_claims_of_a_study_that_shares_one_arm_are_not_withdrawn(made: Made) -> None:
    claim = Claim(say="x", better="full", than="bitfit")
    other = looked(made.view(arms=["full", "bitfit"], claims=[claim]), 1)
    assert withdrawn(made.view(looks=[other])) == 0


def test_a_page_is_made_again_for_another_look_and_not_for_its_own(made: Made) -> None:
    view = made.view((1, 2, 3, 4))
    own, other = looked(view, 2), looked(made.view(), 1)
    assert looks_digest([], own.id) == looks_digest([own], own.id)
    alone = looks_digest([other], own.id)
    assert alone != looks_digest([], own.id)
    assert looks_digest([other, own], own.id) == alone
    late = looked(made.view(), 3)
    assert looks_digest([late, own], own.id) != looks_digest([late], own.id)


def advised(view: StudyView, **options: Any) -> list[str]:
    return list(advice_standing(view, view.arms, view.tasks, AdvicePart(**options)).reasons)


def test_advice_by_what_was_declared_before_the_look_has_no_reservation(made: Made) -> None:
    options = {"margin": 2.0, "reference": "full", "cost": "memory"}
    part = ReportPart(kind="advice", options=AdvicePart(**options))
    assert advised(made.view()) == []
    assert advised(made.view(looks=[looked(made.view(), 1)])) == [], "the usual options"
    declared = looked(made.view(report=[part]), 1)
    assert advised(made.view(report=[part], looks=[declared]), **options) == []
    both = looked(made.view(report=[part, ReportPart(kind="advice", options=AdvicePart())]), 1)
    assert advised(made.view(looks=[both])) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"margin": 2.5},
            "the margin of the advice is 2.5 points; at a look on 1 November 2026 it was 1.",
        ),
        ({"cost": "memory"}, "the advice goes by memory; at a look on 1 November 2026 it went by"),
        (
            {"reference": "full"},
            "at a look on 1 November 2026 the advice measured by the best arm.",
        ),
    ],
)
def test_options_of_the_advice_that_were_changed_after_a_look_are_named(
    made: Made, options: dict[str, Any], words: str
) -> None:
    (sentence,) = advised(made.view(looks=[looked(made.view(), 1)]), **options)
    assert sentence.startswith(f"Exploratory: {words}")


def test_an_arm_or_a_task_that_was_dropped_after_a_look_is_named(made: Made) -> None:
    three = looked(made.view(arms=["full", "lora", "bitfit"]), 1)
    (sentence,) = advised(made.view(looks=[three]))
    assert sentence == (
        "Exploratory: an arm or a task that was declared at a look on 1 November 2026 is no longer "
        "part of the study."
    )
    two_tasks = looked(made.view(tasks=(TASK, "demo-paraphrase")), 1)
    assert advised(made.view(looks=[two_tasks])) == [sentence]


def test_a_look_from_before_advice_was_stored_says_nothing_of_it(made: Made) -> None:
    old = replace(looked(made.view(arms=["full", "lora", "bitfit"]), 1), advice=frozenset())
    assert advised(made.view(looks=[old]), margin=2.5) == []
    newer = looked(made.view(), 2)
    (sentence,) = advised(made.view(looks=[old, newer]), margin=2.5)
    assert "at a look on 2 November 2026 it was 1" in sentence


def test_seeds_that_were_added_after_a_look_are_named_by_the_advice(made: Made) -> None:
    (sentence,) = advised(made.view((1, 2, 3, 4), looks=[looked(made.view(), 1)]))
    assert sentence == "Seed 4 was added after a look on 1 November 2026 that showed seeds 1 to 3."


def test_a_task_that_was_added_after_a_look_is_named_by_the_advice(made: Made) -> None:
    tasks = (TASK, "demo-paraphrase")
    (sentence,) = advised(made.view(tasks=tasks, looks=[looked(made.view(), 1)]))
    assert sentence.startswith("Exploratory: demo-paraphrase was added after a look")


def test_the_arm_to_measure_by_is_the_same_one_on_other_tasks(made: Made) -> None:
    part = ReportPart(kind="advice", options=AdvicePart(reference="full"))
    tasks = (TASK, "demo-paraphrase")
    then = looked(made.view(report=[part]), 1)
    found = advised(made.view(tasks=tasks, report=[part], looks=[then]), reference="full")
    assert not any("measured by" in sentence for sentence in found)
    other = advised(made.view(looks=[then]), reference="lora")
    assert other == [
        "Exploratory: at a look on 1 November 2026 the advice measured by another arm."
    ]


def test_what_another_study_declared_beyond_its_arms_is_no_part_of_this_one(made: Made) -> None:
    arms = ["full", "lora", "bitfit"]
    claims = [BETTER, EQUAL, Claim(say="x", better="full", than="bitfit")]
    other = looked(made.view(arms=arms, claims=claims, name="another"), 1)
    assert advised(made.view(looks=[other])) == []
    assert withdrawn(made.view(looks=[other])) == 0
    own = looked(made.view(arms=arms, claims=claims), 1)
    assert withdrawn(made.view(looks=[own])) == 2
    renamed = looked(made.view(claims=[BETTER, EQUAL], name="another"), 1)
    assert withdrawn(made.view(looks=[renamed])) == 1, "all of its arms are here"
