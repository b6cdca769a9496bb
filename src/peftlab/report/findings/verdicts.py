"""The verdict of a study's trials on each of its claims, with its evidence in words.

A claim is tested on the difference between two arms, as the mean over its tasks, and on each task
alone. The claims are one family, and their tests on single tasks another: in each, Holm's
correction keeps the probability of any wrong verdict at 5%.

A claim whose seeds were all declared before any look gets the test for one look, once all of them
are finished; otherwise it gets the test that is valid for any number of looks (looks.py,
stats/tails.py). A claim that was declared after a look is exploratory: it does not enlarge the
family of the other claims, but its own family is all claims.

Models that learned nothing (learning.py) are no evidence for a claim: tasks that none of its arms
learned are left out of the mean, and if no task is left the verdict says so. A claim is decided
only if one of its arms is shown to have learned. Arms that give the same answers throughout show no
noise by which to test.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from pydantic import JsonValue

from peftlab.core.identity import derived_seed
from peftlab.report.findings.evidence import (
    TestNumbers,
    evidence_words,
    least_seeds,
    listed,
    no_noise_words,
    too_few_words,
)
from peftlab.report.findings.learning import did_not_learn, has_learned, losses_words, remarks
from peftlab.report.findings.look_words import NOT_REMEMBERED
from peftlab.report.findings.looks import UNSEEN, Standing, standing, withdrawn
from peftlab.report.findings.marks import kind_of
from peftlab.report.findings.view import StudyView
from peftlab.stats.compare import Difference
from peftlab.stats.families import holm
from peftlab.stats.noise import LEVEL
from peftlab.stats.power import FurtherSeeds, further_seeds
from peftlab.study.arms import Arm, every_arm, select_arms
from peftlab.study.spec import Claim
from peftlab.tasks.spec import Task

Word = Literal[
    "supported",
    "contradicted",
    "not distinguishable",
    "not enough runs",
    "the models did not learn",
]
TOO_FEW: Word = "not enough runs"
UNLEARNED: Word = "the models did not learn"
NOT_SHOWN = "None of these arms is shown to have learned anything, so nothing is decided."


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on a claim, over its tasks or (`by_task`, then `task` names it) on one.

    `estimate`, `low` and `high` are the difference in points between the two arms of `pair`, first
    minus second, with its 95% interval; if a claim compares several pairs, it is the deciding one.
    `p_value` is the test's own, and `p_holm` the adjusted one on which the verdict rests. Missing
    numbers are None; if nothing varies, so that no noise is seen, all but the estimate are. With
    one seed they hold only for the trained models. `test` is "fixed", for one look at seeds that
    were declared before, or "always-valid", for any number of looks; the verdict is interim if
    seeds are still to come, and exploratory if it was declared after a look. `is_remembered` is
    False if the workspace cannot store that the scores were shown.
    """

    claim: str
    verdict: Word
    task: str | None
    pair: tuple[str, str] | None
    margin: float | None
    num_seeds: int
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    p_holm: float | None = None
    evidence: str = ""
    further_seeds: int | None = None
    test: Literal["fixed", "always-valid"] = "fixed"
    is_interim: bool = False
    is_exploratory: bool = False
    is_remembered: bool = True
    by_task: tuple[Verdict, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of the verdict, such as interim or exploratory; "" for the usual kind."""
        return kind_of(is_interim=self.is_interim, is_exploratory=self.is_exploratory)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the object of `report STUDY --json`, its stable keys first."""
        values = {key: value for key, value in asdict(self).items() if key != "by_task"}
        first = ("claim", "verdict", "estimate", "low", "high", "p_value")
        ordered: dict[str, JsonValue] = {key: values.pop(key) for key in first}
        pair: JsonValue = list(self.pair) if self.pair else None
        ordered |= {**values, "pair": pair}
        if self.task is None:
            ordered["by_task"] = [one.to_json() for one in self.by_task]
        return ordered


@dataclass(frozen=True, kw_only=True)
class _Tested:
    """A claim on some tasks: the pair that decides it, and the result of its test.

    `over` holds the tasks that any of its arms learned or may have learned. `leans` is the verdict
    to which the smaller p value points. `untested` is the verdict if there is no p value, for the
    reason in `lacking`; `least` is the number of runs that it would take if there are too few.
    `has_learned` is False if none of its arms is shown to have learned any of the tasks, so that it
    cannot be decided. `remark` is about arms that did not learn, and runs that failed or collapsed.
    """

    claim: Claim
    tasks: tuple[Task, ...]
    pair: tuple[str, str] | None
    found: Difference | None
    leans: Literal["supported", "contradicted"] = "supported"
    p_value: float | None = None
    untested: Word = TOO_FEW
    lacking: str = ""
    least: int = 0
    over: tuple[Task, ...] = ()
    has_learned: bool = True
    remark: str = ""
    standing: Standing = UNSEEN
    num_pairs: int = 1


def verdicts(view: StudyView) -> tuple[Verdict, ...]:
    """Return the verdicts on the study's claims, in their order.

    There is none on a claim about arms or tasks that this run leaves out (`left_out`).
    """
    every = every_arm(view.spec, resolve=False)
    out = left_out(view)
    claims = [claim for claim in view.spec.claims if claim not in out]
    whole = [_test(view, every, claim, _tasks(view, claim)) for claim in claims]
    parts = [_test(view, every, tested.claim, (task,)) for tested in whole for task in tested.tasks]
    num_withdrawn = withdrawn(view)
    judged = _judge(whole, num_withdrawn)
    judged_parts = iter(_judge(parts, num_withdrawn))
    return tuple(
        replace(
            verdict,
            evidence=_joined((verdict.evidence, "" if view.looks_remembered else NOT_REMEMBERED)),
            is_remembered=view.looks_remembered,
            by_task=tuple(
                replace(next(judged_parts), task=task.name, is_remembered=view.looks_remembered)
                for task in tested.tasks
            ),
        )
        for verdict, tested in zip(judged, whole, strict=True)
    )


def left_out(view: StudyView) -> list[Claim]:
    """Return the claims about an arm that the run does not have, or only about such tasks."""
    chosen = {arm.name for arm in view.arms}
    every = every_arm(view.spec, resolve=False)
    return [
        claim
        for claim in view.spec.claims
        if not _tasks(view, claim)
        or any(arm.name not in chosen for arm in select_arms(every, claim.arms, where="claims"))
    ]


def _tasks(view: StudyView, claim: Claim) -> tuple[Task, ...]:
    return tuple(t for t in view.tasks if claim.tasks is None or t.name in claim.tasks)


def _test(
    view: StudyView, every: tuple[Arm, ...], claim: Claim, tasks: tuple[Task, ...]
) -> _Tested:
    """Return the claim's test on the mean over the tasks; `every` holds all arms of the study."""
    pairs = _pairs(claim, every)
    untested = _Tested(
        claim=claim, tasks=tasks, pair=pairs[0] if len(pairs) == 1 else None, found=None
    )
    stands = standing(view, claim, pairs, tasks)
    untested = replace(untested, standing=stands, num_pairs=len(pairs))
    lacking = _lacking(view, claim, every, tasks)
    if lacking:
        return replace(untested, lacking=lacking)
    arms = [arm for arm in view.arms if any(arm.name in pair for pair in pairs)]
    over = tuple(t for t in tasks if not all(did_not_learn(view, arm, t) for arm in arms))
    if not over:
        return _unlearned(view, untested, pairs, arms)
    untested = replace(
        untested,
        over=over,
        has_learned=any(has_learned(view, arm, [task]) for arm in arms for task in over),
        remark=_remark(view, arms, tasks, over),
    )
    found = [
        one and replace(one, is_always_valid=stands.is_always_valid)
        for pair in pairs
        for one in [view.statistics.difference(*pair, over)]
    ]
    tested = [
        (one, pair, *_p_values(claim, one))
        for one, pair in zip(found, pairs, strict=True)
        if one is not None
    ]
    if len(tested) < len(pairs):
        return replace(
            untested,
            lacking="The arms have no seed in common on all of these tasks, "
            "or were not evaluated on the same examples",
        )
    few, pair = min(tested, key=lambda one: one[0].num_seeds - least_seeds(one[0]))[:2]
    least = least_seeds(few)
    if few.num_seeds < least:
        return replace(untested, pair=pair, found=few, least=least)
    weakest = max(tested, key=lambda one: one[2])
    worst = min(tested, key=lambda one: one[3])
    against = min(1.0, len(tested) * worst[3])
    if weakest[2] > against:
        return replace(
            untested, pair=worst[1], found=worst[0], leans="contradicted", p_value=against
        )
    decisive = replace(untested, pair=weakest[1], found=weakest[0])
    if weakest[0].says_nothing and (claim.margin is None or not weakest[0].is_share):
        is_identical = view.statistics.are_identical(*weakest[1], over)
        return replace(
            decisive,
            untested="not distinguishable",
            lacking=no_noise_words(weakest[1], weakest[0], is_identical=is_identical),
        )
    return replace(decisive, p_value=weakest[2])


def _unlearned(
    view: StudyView, untested: _Tested, pairs: Sequence[tuple[str, str]], arms: Sequence[Arm]
) -> _Tested:
    """Return the claim, none of whose tasks was learned by its arms, with the widest pair."""
    found = [(view.statistics.difference(*pair, untested.tasks), pair) for pair in pairs]
    known = [(one, pair) for one, pair in found if one is not None]
    widest = max(known, key=lambda one: abs(one[0].estimate), default=(None, untested.pair))
    names = {task.name for task in untested.tasks}
    told = [one.sentence for one in remarks(view, arms) if one.task in names]
    return replace(
        untested,
        found=widest[0],
        pair=widest[1],
        untested=UNLEARNED,
        lacking=" ".join(told).removesuffix("."),
    )


def _remark(
    view: StudyView, arms: Sequence[Arm], tasks: Sequence[Task], over: Sequence[Task]
) -> str:
    """Return sentences on runs that failed or collapsed and on arms that did not learn."""
    sentences = losses_words(view, arms, tasks)
    for task in tasks:
        names = [arm.name for arm in arms if did_not_learn(view, arm, task)]
        if names:
            absent = "" if task in over else ", which is left out"
            sentences.append(f"{listed(names)} did not learn {task.name}{absent}.")
    return " ".join(sentences)


def _pairs(claim: Claim, arms: tuple[Arm, ...]) -> list[tuple[str, str]]:
    """Return the pairs of arms that the claim compares; a sweep's name stands for all its arms."""
    if claim.equivalent is not None:
        names = [arm.name for arm in select_arms(arms, claim.equivalent, where="claims")]
        return list(itertools.combinations(names, 2))
    better, than = (
        [arm.name for arm in select_arms(arms, [name], where="claims")] for name in claim.arms
    )
    return list(itertools.product(better, than))


def _lacking(view: StudyView, claim: Claim, every: tuple[Arm, ...], tasks: Sequence[Task]) -> str:
    """Return the words for what is missing to compare the arms; "" if nothing is."""
    for arm in select_arms(every, claim.arms, where="claims"):
        for task in tasks:
            if not view.done(arm, task):
                return f"{arm.name} has no trial that is done on {task.name}"
            if not view.has_run(arm, task):
                return f"{arm.name} has no seed with all folds done on {task.name}"
            if view.outcomes(arm, task) is None:
                return f"predictions of {arm.name} on {task.name} are gone"
    return ""


def _p_values(claim: Claim, found: Difference) -> tuple[float, float]:
    """Return the p values of the test that supports the claim and of its opposite."""
    if claim.margin is not None:
        return found.equivalence_p(claim.margin), found.excess_p(claim.margin)
    return (found.p_value, 1.0) if found.estimate > 0 else (1.0, found.p_value)


def _judge(tests: Sequence[_Tested], num_withdrawn: int) -> list[Verdict]:
    """Return the verdicts on tests that are judged together.

    The tests declared before any look are one family, which also counts the claims withdrawn since;
    an exploratory test is judged as one of all tests.
    """
    tested = [one for one in tests if one.p_value is not None]
    declared = [one for one in tested if not one.standing.is_exploratory]
    in_all, in_declared = (_family(own, num_withdrawn) for own in (tested, declared))
    judged = []
    for one in tests:
        numbers = (in_declared if id(one) in in_declared else in_all).get(id(one))
        # A claim that has too few runs so far would add one test.
        beside = tested if one.standing.is_exploratory else declared
        num_tests = numbers.num_tests if numbers else len(beside) + num_withdrawn + 1
        judged.append(_verdict(_enough(one, num_tests), numbers))
    return judged


def _enough(tested: _Tested, num_tests: int) -> _Tested:
    """Return the test, marked as having too few runs if it could not be decided among so many."""
    found = tested.found
    if found is None or tested.untested != TOO_FEW or tested.lacking:
        return tested
    least = max(tested.least, least_seeds(found, num_tests))
    if found.num_seeds >= least:
        return tested
    return replace(
        tested, p_value=None, least=least, lacking=too_few_words(found, least, num_tests)
    )


def _family(tested: Sequence[_Tested], num_withdrawn: int) -> dict[int, TestNumbers]:
    """Return the numbers for each test of a family, by the id of its object."""
    p_values = [one.p_value for one in tested if one.p_value is not None]
    num_tests = len(p_values) + num_withdrawn
    adjusted = holm(p_values, num_tests)
    num_open = num_withdrawn + sum(p_holm > LEVEL for p_holm in adjusted)
    return {
        id(one): TestNumbers(
            p_value=p_value,
            p_holm=p_holm,
            num_tests=num_tests,
            level=LEVEL / max(num_open, 1),
            num_withdrawn=num_withdrawn,
        )
        for one, p_value, p_holm in zip(tested, p_values, adjusted, strict=True)
    }


def _verdict(tested: _Tested, numbers: TestNumbers | None) -> Verdict:
    claim, found, stands = tested.claim, tested.found, tested.standing
    is_few = found is not None and tested.untested == TOO_FEW and bool(tested.least)
    blank = Verdict(
        claim=claim.say,
        verdict=tested.untested,
        task=None,
        pair=tested.pair,
        margin=claim.margin,
        num_seeds=found.num_seeds if found else 0,
        test="always-valid" if stands.is_always_valid else "fixed",
        is_interim=stands.is_interim,
        is_exploratory=stands.is_exploratory,
    )
    if found is not None:
        blank = replace(blank, estimate=found.estimate)
        if found.noise.is_known and found.has_interval:
            blank = replace(blank, low=found.low, high=found.high)
    if found is None or numbers is None or tested.p_value is None:
        further = tested.least - found.num_seeds if found and is_few else None
        sentences = (f"{tested.lacking}.", tested.remark, *stands.reasons)
        return replace(blank, evidence=_joined(sentences), further_seeds=further)
    assert tested.pair is not None
    is_decided = numbers.p_holm <= LEVEL
    more = None
    # The results of seeds that are already declared are not known yet.
    waits = stands.is_interim
    if not is_decided and not waits and tested.has_learned and found.noise.seeds:
        generator = np.random.default_rng(derived_seed(0, "power"))
        more = further_seeds(found, claim.margin, numbers.level, generator)
    evidence = evidence_words(
        tested.pair, tested.over, found, claim.margin, numbers, more, tested.num_pairs
    )
    caveat = "" if tested.has_learned else NOT_SHOWN
    return replace(
        blank,
        verdict=tested.leans if is_decided and tested.has_learned else "not distinguishable",
        p_value=numbers.p_value,
        p_holm=numbers.p_holm,
        evidence=_joined((evidence, caveat, tested.remark, *stands.reasons)),
        further_seeds=more.num if isinstance(more, FurtherSeeds) else None,
    )


def _joined(sentences: Sequence[str]) -> str:
    return " ".join(filter(None, sentences))
