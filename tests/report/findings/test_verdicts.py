"""A verdict says what the trials support, and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab.report.findings import verdicts as module
from peftlab.report.findings.evidence import signed
from peftlab.report.findings.looks import Standing
from peftlab.report.findings.verdicts import Verdict, left_out, verdicts
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Heading
from peftlab.report.tables.comparisons import claims_blocks
from peftlab.study.declarations import look_at
from peftlab.study.spec import Claim
from tests.report.made_up import made_up

Predicted = Callable[..., StudyView]
SENTIMENT, PARAPHRASE = "demo-sentiment", "demo-paraphrase"
BETTER = {"say": "full beats lora", "better": "full", "than": "lora-r2"}
SAME = {"say": "they are the same", "equivalent": ["full", "lora-r2"], "margin": 3.0}


def rows(share: float, *, num_seeds: int = 5, num: int = 600, chance: int = 0) -> np.ndarray:
    """Return right answers of slightly different seeds, on examples of different difficulty."""
    hard = np.random.default_rng(99).random(num)
    flips = np.random.default_rng(chance).random((num_seeds, num)) < 0.04
    return (hard < share) ^ flips


def judge(
    predicted: Predicted,
    full: Any,
    lora: Any,
    claims: Sequence[dict[str, Any]] = (BETTER,),
    **changes: Any,
) -> tuple[Verdict, ...]:
    trials = {("full", SENTIMENT): full, ("lora-r2", SENTIMENT): lora}
    given = {k: v for k, v in trials.items() if v is not None}
    return verdicts(
        predicted(
            given,
            {"claims": claims, "tasks": [SENTIMENT], "seeds": [1, 2, 3, 4, 5], **changes},
        )
    )


def test_a_clear_difference_supports_or_contradicts(predicted: Predicted) -> None:
    good, poor = rows(0.9, chance=1), rows(0.7, chance=2)
    turned = {"say": "lora beats full", "better": "lora-r2", "than": "full"}
    supported, contradicted = judge(predicted, good, poor, [BETTER, turned])
    assert (supported.verdict, contradicted.verdict) == ("supported", "contradicted")
    assert supported.estimate == pytest.approx(100 * (good.mean() - poor.mean()))
    assert supported.low is not None
    assert supported.low > 0
    assert contradicted.estimate == pytest.approx(-supported.estimate)
    assert supported.pair == ("full", "lora-r2")
    assert supported.p_value is not None
    assert supported.p_value < 0.001
    assert supported.p_holm == pytest.approx(2 * supported.p_value)
    assert supported.further_seeds is contradicted.further_seeds is None
    assert "full scores 19.9" in supported.evidence
    assert "points more than lora-r2 on demo-sentiment" in supported.evidence
    assert "lora-r2 scores 19.9" in contradicted.evidence
    assert "points fewer than full" in contradicted.evidence
    assert "5 seeds, 600 examples" in supported.evidence


def test_two_draws_of_the_same_are_not_distinguishable(predicted: Predicted) -> None:
    (verdict,) = judge(predicted, rows(0.8, chance=3), rows(0.8, chance=4))
    assert verdict.verdict == "not distinguishable"
    assert verdict.low is not None
    assert verdict.high is not None
    assert verdict.low < 0 < verdict.high
    assert "seeds" in verdict.evidence.split("Test of the difference")[1]


def test_the_same_within_a_margin_is_supported_and_beyond_it_contradicted(
    predicted: Predicted,
) -> None:
    (same,) = judge(predicted, rows(0.8, chance=3), rows(0.8, chance=4), [SAME])
    (apart,) = judge(predicted, rows(0.9, chance=1), rows(0.7, chance=2), [SAME])
    (open_,) = judge(predicted, rows(0.8, chance=1), rows(0.775, chance=2), [SAME])
    assert (same.verdict, apart.verdict) == ("supported", "contradicted")
    assert open_.verdict == "not distinguishable"
    assert same.margin == 3.0
    assert "against a margin of 3 points" in same.evidence


def test_fewer_than_three_seeds_in_common_are_not_enough(predicted: Predicted) -> None:
    (two,) = judge(predicted, rows(0.9)[:2], rows(0.5), seeds=[1, 2, 3, 4, 5])
    assert (two.verdict, two.num_seeds, two.further_seeds) == ("not enough runs", 2, 1)
    assert two.p_value is None
    assert two.low is not None
    (one,) = judge(predicted, rows(0.9)[:1], rows(0.5)[:1], seeds=[1])
    assert (one.verdict, one.further_seeds) == ("not enough runs", 2)
    assert "it does not cover other seeds" in one.evidence


def test_a_failed_seed_of_either_arm_is_none_in_common(predicted: Predicted) -> None:
    full = [None, *rows(0.9)[1:]]
    lora = [*rows(0.5)[:3], None, None]
    (verdict,) = judge(predicted, full, lora)
    assert (verdict.verdict, verdict.num_seeds) == ("not enough runs", 2)


@pytest.mark.parametrize(
    ("full", "lora", "words"),
    [
        (None, rows(0.5), "full has no trial that is done on demo-sentiment."),
        (rows(0.9), [None, None, None], "lora-r2 has no trial that is done on demo-sentiment."),
        (rows(0.9), rows(0.5, num=50), "not evaluated on the same examples."),
    ],
)
def test_an_arm_that_cannot_be_compared_is_named(
    full: Any, lora: Any, words: str, predicted: Predicted
) -> None:
    (verdict,) = judge(predicted, full, lora)
    assert verdict.verdict == "not enough runs"
    assert verdict.evidence.endswith(words)
    assert (verdict.estimate, verdict.p_value, verdict.further_seeds) == (None, None, None)


def test_claims_of_arms_that_were_left_out_on_purpose_have_no_verdict(
    predicted: Predicted,
) -> None:
    assert judge(predicted, rows(0.9), None, only_arms=["full"]) == ()
    trials = {("full", SENTIMENT): rows(0.9), ("lora-r2", SENTIMENT): rows(0.5)}
    equal = {"say": "Alike", "equivalent": ["lora-r2", "lora-r8"], "margin": 1.0}
    view = predicted(
        trials,
        {
            "claims": [BETTER, equal],
            "tasks": [SENTIMENT],
            "seeds": [1, 2, 3, 4, 5],
            "only_arms": ["full", "lora-r2"],
        },
    )
    assert [one.claim for one in verdicts(view)] == [BETTER["say"]]
    assert [claim.say for claim in left_out(view)] == ["Alike"]
    heading, *_ = claims_blocks(verdicts(view), len(left_out(view)))
    assert isinstance(heading, Heading)
    assert heading.text == (
        "1 claim of the study is not judged: it speaks of arms or tasks that this run leaves out."
    )


def test_predictions_that_are_gone_are_named(predicted: Predicted) -> None:
    view = predicted(
        {("full", SENTIMENT): rows(0.9), ("lora-r2", SENTIMENT): rows(0.5)},
        {"claims": [BETTER], "tasks": [SENTIMENT], "seeds": [1, 2, 3, 4, 5]},
    )
    path = view.records[0].predictions_path
    assert path is not None
    path.unlink()
    (verdict,) = verdicts(view)
    assert verdict.evidence == "predictions of full on demo-sentiment are gone."


def over_tasks(predicted: Predicted, claim: dict[str, Any], gaps: Sequence[float]) -> Verdict:
    trials = {}
    for task, gap in zip((SENTIMENT, PARAPHRASE), gaps, strict=True):
        trials["full", task] = rows(0.8, chance=1)
        trials["lora-r2", task] = rows(0.8 - gap, chance=2)
    (verdict,) = verdicts(predicted(trials, {"claims": [claim], "seeds": [1, 2, 3, 4, 5]}))
    return verdict


def test_a_claim_is_tested_on_the_mean_over_its_tasks_and_on_each(predicted: Predicted) -> None:
    verdict = over_tasks(predicted, BETTER, (0.2, 0.1))
    first, second = verdict.by_task
    assert (first.task, second.task, verdict.task) == (SENTIMENT, PARAPHRASE, None)
    assert first.estimate is not None
    assert second.estimate is not None
    assert verdict.estimate == pytest.approx((first.estimate + second.estimate) / 2)
    assert "in the mean over 2 tasks" in verdict.evidence
    assert "on demo-paraphrase" in second.evidence


def test_tasks_may_disagree(predicted: Predicted) -> None:
    verdict = over_tasks(predicted, BETTER, (0.2, -0.15))
    assert [one.verdict for one in verdict.by_task] == ["supported", "contradicted"]


def test_a_claim_may_name_its_tasks(predicted: Predicted) -> None:
    verdict = over_tasks(predicted, {**BETTER, "tasks": [PARAPHRASE]}, (0.2, -0.15))
    assert verdict.verdict == "contradicted"
    assert [one.task for one in verdict.by_task] == [PARAPHRASE]


def test_a_claim_of_other_tasks_than_those_of_the_run_is_left_out(predicted: Predicted) -> None:
    claim = {**BETTER, "tasks": ["sst2"]}
    view = predicted({("full", SENTIMENT): rows(0.9)}, {"claims": [claim], "tasks": [SENTIMENT]})
    assert verdicts(view) == ()
    assert len(left_out(view)) == 1


def test_holm_takes_more_where_there_are_more_claims(predicted: Predicted) -> None:
    full, lora = rows(0.8, chance=1), rows(0.77, chance=4)
    (alone,) = judge(predicted, full, lora)
    assert alone.p_value is not None
    assert 0.0025 < alone.p_value < 0.05, "the test needs a case at the edge"
    assert alone.verdict == "supported"
    many = judge(predicted, full, lora, [{**BETTER, "say": str(n)} for n in range(20)])
    assert {one.verdict for one in many} == {"not distinguishable"}
    assert many[0].p_value == alone.p_value
    assert many[0].p_holm == pytest.approx(20 * alone.p_value)
    assert "as one of 20 tests p = " in many[0].evidence


def test_a_name_before_a_sweep_means_all_of_its_arms(predicted: Predicted) -> None:
    trials = {
        ("full", SENTIMENT): rows(0.9, chance=1),
        ("lora-r2", SENTIMENT): rows(0.6, chance=2),
        ("lora-r8", SENTIMENT): rows(0.9, chance=3),
    }
    changes = {
        "claims": [
            {"say": "full beats lora", "better": "full", "than": "lora"},
            {"say": "all the same", "equivalent": ["full", "lora"], "margin": 3},
        ],
        "tasks": [SENTIMENT],
        "seeds": [1, 2, 3, 4, 5],
    }
    better, same = verdicts(predicted(trials, changes))
    assert better.verdict == "not distinguishable"
    assert better.pair == ("full", "lora-r8")
    assert same.verdict == "contradicted"
    assert "lora-r2" in (same.pair or ())


def test_arms_with_seeds_of_their_own_are_compared_unpaired(predicted: Predicted) -> None:
    arms = {
        "full": {"method": "full"},
        "again": {"method": "full", "seeds": [11, 12, 13, 14]},
    }
    claims = [{"say": "once more", "better": "full", "than": "again"}]
    trials = {
        ("full", SENTIMENT): rows(0.8, chance=1),
        ("again", SENTIMENT): rows(0.8, num_seeds=4, chance=2),
    }
    changes = {"arms": arms, "claims": claims, "tasks": [SENTIMENT], "seeds": [1, 2, 3, 4, 5]}
    (verdict,) = verdicts(predicted(trials, changes))
    assert (verdict.verdict, verdict.num_seeds) == ("not distinguishable", 4)
    assert "4 seeds each" in verdict.evidence


def test_the_json_has_the_stable_keys_first(predicted: Predicted) -> None:
    (verdict,) = judge(predicted, rows(0.9, chance=1), rows(0.7, chance=2))
    found = verdict.to_json()
    assert list(found)[:6] == ["claim", "verdict", "estimate", "low", "high", "p_value"]
    (part,) = found["by_task"]  # type: ignore[misc,union-attr]
    assert part["task"] == SENTIMENT  # type: ignore[index,call-overload]
    assert "by_task" not in part  # type: ignore[operator]
    assert found["pair"] == ["full", "lora-r2"]


def test_the_name_of_a_sweep_stands_for_all_its_arms(predicted: Predicted) -> None:
    claim = {"say": "the rank hardly matters", "equivalent": ["lora"], "margin": 5.0}
    trials = {
        (f"lora-r{rank}", SENTIMENT): rows(0.8, chance=chance)
        for rank, chance in ((2, 1), (4, 2), (8, 3))
    }
    arms = {"lora": {"method": "lora", "sweep": {"r": [2, 4, 8]}}}
    keys = {"tasks": [SENTIMENT], "seeds": [1, 2, 3, 4, 5], "arms": arms}
    named = {**claim, "equivalent": ["lora-r2", "lora-r4", "lora-r8"]}
    short, long = verdicts(predicted(trials, {**keys, "claims": [claim, named]}))
    assert short == long
    assert short.verdict == "supported"
    assert short.pair is not None
    assert set(short.pair) <= {"lora-r2", "lora-r4", "lora-r8"}


def constant(num_seeds: int = 5, num: int = 600, answer: int = 1) -> np.ndarray:
    """Return runs that give one answer to everything; every second label is 1."""
    return np.stack([np.arange(num) % 2 == answer] * num_seeds)


@pytest.mark.parametrize("claim", [BETTER, SAME])
@pytest.mark.parametrize("num_seeds", [1, 3, 5])
def test_a_claim_about_arms_that_did_not_learn_says_that(
    num_seeds: int, claim: dict[str, Any], predicted: Predicted
) -> None:
    rows, seeds = constant(num_seeds), list(range(1, num_seeds + 1))
    arms = {"full": {"method": "full"}, "lora": {"method": "lora", "sweep": {"r": [2, 8]}}}
    training = {"learning_rate": {SENTIMENT: 5e-5}}
    (verdict,) = judge(predicted, rows, rows, [claim], seeds=seeds, arms=arms, training=training)
    assert verdict.verdict == "the models did not learn"
    assert (verdict.estimate, verdict.low, verdict.high) == (0.0, None, None)
    assert (verdict.p_value, verdict.p_holm, verdict.further_seeds) == (None, None, None)
    runs = "the only run gives" if num_seeds == 1 else f"all {num_seeds} runs give"
    assert verdict.evidence == (
        f"full and lora-r2 did not learn demo-sentiment: {runs} the same answer to all "
        "examples; the best such answer scores 50.0."
    )


def test_it_says_that_too_where_one_constant_answer_scores_more_than_the_other(
    predicted: Predicted,
) -> None:
    """The label 0 is that of 301 of 601 examples."""
    zeros, ones = constant(num=601, answer=0), constant(num=601)
    (verdict,) = judge(predicted, zeros, ones)
    assert verdict.verdict == "the models did not learn"
    assert verdict.estimate == pytest.approx(100 / 601)


def test_an_arm_that_learned_beats_one_that_did_not_and_the_evidence_says_so(
    predicted: Predicted,
) -> None:
    better, same = judge(predicted, rows(0.9), constant(), [BETTER, SAME])
    assert (better.verdict, same.verdict) == ("supported", "contradicted")
    assert better.evidence.endswith("lora-r2 did not learn demo-sentiment.")


def test_a_claim_on_arms_that_did_not_learn_takes_nothing_from_the_others(
    predicted: Predicted,
) -> None:
    trials = {
        ("full", SENTIMENT): rows(0.9, chance=1),
        ("lora-r2", SENTIMENT): rows(0.7, chance=2),
        ("lora-r8", SENTIMENT): constant(),
        ("again", SENTIMENT): constant(),
    }
    arms = {
        "full": {"method": "full"},
        "lora": {"method": "lora", "sweep": {"r": [2, 8]}},
        "again": {"method": "bitfit"},
    }
    claims = [BETTER, {"say": "no", "equivalent": ["lora-r8", "again"], "margin": 1}]
    changes = {"arms": arms, "claims": claims, "tasks": [SENTIMENT], "seeds": [1, 2, 3, 4, 5]}
    first, second = verdicts(predicted(trials, changes))
    assert (first.verdict, second.verdict) == ("supported", "the models did not learn")
    assert first.p_holm == first.p_value, "it is a family of its own"


def test_a_task_that_no_arm_learned_is_left_out_of_the_mean(predicted: Predicted) -> None:
    """With that task a difference of 20 points would be one of 10."""
    trials = {
        ("full", SENTIMENT): rows(0.9, chance=1),
        ("lora-r2", SENTIMENT): rows(0.7, chance=2),
        ("full", PARAPHRASE): constant(),
        ("lora-r2", PARAPHRASE): constant(),
    }
    (verdict,) = verdicts(predicted(trials, {"claims": [BETTER], "seeds": [1, 2, 3, 4, 5]}))
    first, second = verdict.by_task
    assert [first.verdict, second.verdict] == ["supported", "the models did not learn"]
    assert verdict.verdict == "supported"
    assert verdict.estimate == first.estimate
    assert verdict.evidence.endswith(
        "full and lora-r2 did not learn demo-paraphrase, which is left out."
    )


def test_nothing_is_decided_where_no_arm_is_shown_to_have_learned(predicted: Predicted) -> None:
    """The runs are right on a little over half of few examples, and the margin covers them all."""
    few = rows(0.55, num=60, chance=1), rows(0.55, num=60, chance=1)
    few[1][0, 0] ^= True
    claim = {**SAME, "margin": 50}
    (verdict,) = judge(predicted, *few, [claim])
    assert verdict.p_holm is not None
    assert verdict.p_holm < 0.001
    assert verdict.verdict == "not distinguishable"
    assert "None of these arms is shown to have learned anything" in verdict.evidence
    assert verdict.further_seeds is None


def test_the_same_answers_throughout_have_neither_interval_nor_test_of_a_difference(
    predicted: Predicted,
) -> None:
    full = rows(0.9, chance=1)
    (verdict,) = judge(predicted, full, full)
    assert verdict.verdict == "not distinguishable"
    assert (verdict.estimate, verdict.low, verdict.high) == (0.0, None, None)
    assert (verdict.p_value, verdict.p_holm, verdict.further_seeds) == (None, None, None)
    assert verdict.evidence == (
        "full and lora-r2 give the same answer to every example with every seed (5 seeds, 600 "
        "examples): no noise is seen, so there is neither an interval nor a test."
    )


def test_the_same_answers_are_within_a_margin_if_the_examples_are_many(
    predicted: Predicted,
) -> None:
    """If 3% of examples differed, 600 examples would miss that once in 86 million times."""
    full = rows(0.9, chance=1)
    (many,) = judge(predicted, full, full, [SAME])
    assert (many.verdict, many.low, many.high) == ("supported", None, None)
    assert many.p_value == pytest.approx(0.97**600)
    assert (
        "(the same on every example, so that the test uses only their number; 5 seeds, "
        "600 examples)"
    ) in (many.evidence)
    (few,) = judge(predicted, full[:, :60], full[:, :60], [SAME])
    assert few.verdict == "not distinguishable"
    assert few.p_value == pytest.approx(0.97**60)
    assert few.further_seeds is None, "more seeds on 60 examples say no more"


def test_the_same_answers_by_f1_are_within_no_margin(predicted: Predicted) -> None:
    full = rows(0.9, chance=1)
    trials = {("full", PARAPHRASE): full, ("lora-r2", PARAPHRASE): full}
    changes = {"claims": [SAME], "tasks": [PARAPHRASE], "seeds": [1, 2, 3, 4, 5]}
    (verdict,) = verdicts(predicted(trials, changes))
    assert (verdict.verdict, verdict.p_value) == ("not distinguishable", None)
    assert "no noise is seen" in verdict.evidence


def test_right_throughout_against_wrong_throughout_is_as_sure_as_the_examples_are_many(
    predicted: Predicted,
) -> None:
    """An arm may be right on each of two examples by chance."""
    right = np.ones((5, 600), dtype=bool)
    (many,) = judge(predicted, right, ~right)
    assert (many.verdict, many.low, many.high) == ("supported", None, None)
    (two,) = judge(predicted, right[:, :2], ~right[:, :2])
    assert two.verdict == "not distinguishable"
    assert two.p_value == pytest.approx(0.5)


def test_runs_that_failed_are_told_and_what_is_said_is_of_the_others(predicted: Predicted) -> None:
    full, lora = rows(0.9, chance=1), [None, *rows(0.7, chance=2)[1:4], None]
    (verdict,) = judge(predicted, full, lora)
    assert (verdict.verdict, verdict.num_seeds) == ("supported", 3)
    assert verdict.evidence.endswith(
        " 2 of 5 runs of lora-r2 on demo-sentiment failed: all numbers are for the others."
    )
    assert verdict.by_task[0].evidence.endswith("all numbers are for the others.")
    assert "failed" not in judge(predicted, full, rows(0.7, chance=2))[0].evidence


def test_runs_that_collapsed_are_told_beside_what_the_others_score(predicted: Predicted) -> None:
    lora = rows(0.8, chance=2)
    lora[1] = constant()[0]
    (verdict,) = judge(predicted, rows(0.9, chance=1), lora)
    others = 100 * np.delete(lora, 1, axis=0).mean()
    assert (
        "1 of 5 runs of lora-r2 on demo-sentiment collapsed to what a constant answer scores "
        in (verdict.evidence)
    )
    assert f"(with 95% 1% to 72% of all runs do); the other 4 score {others:.1f} [" in (
        verdict.evidence
    )


FIXED = Standing(is_sequential=False, is_interim=False, is_exploratory=False, reasons=())
ADDED = replace(FIXED, is_sequential=True, reasons=("Seeds 4 and 5 were added after a look.",))
INTERIM = replace(FIXED, is_interim=True, reasons=("The verdict is interim.",))
NEW = replace(FIXED, is_exploratory=True, reasons=("Exploratory: it is new.",))


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return the function that sets the standing of claims, by their words; others are FIXED."""

    def change(**by_claim: Standing) -> None:
        named = {name.replace("_", " "): one for name, one in by_claim.items()}
        monkeypatch.setattr(module, "standing", lambda view, claim, *_: named.get(claim.say, FIXED))

    return change


@pytest.mark.parametrize(("standing", "is_interim"), [(ADDED, False), (INTERIM, True)])
def test_after_a_look_the_test_holds_for_any_number_of_them(
    standing: Standing, is_interim: bool, stand: Callable[..., None], predicted: Predicted
) -> None:
    full, lora = rows(0.9, chance=1), rows(0.7, chance=2)
    (once,) = judge(predicted, full, lora)
    stand(full_beats_lora=standing)
    (often,) = judge(predicted, full, lora)
    assert (once.test, often.test) == ("fixed", "always-valid")
    assert (once.is_interim, often.is_interim) == (False, is_interim)
    assert often.estimate == once.estimate
    assert once.p_value is not None
    assert often.p_value is not None
    assert once.p_value < often.p_value
    assert often.low is not None
    assert often.high is not None
    assert once.low is not None
    assert often.low < once.low
    assert f"95% interval for any number of looks {signed(often.low)} to {signed(often.high)}" in (
        often.evidence
    )
    assert "Test of the difference, for any number of looks: p " in often.evidence
    assert often.evidence.endswith(standing.reasons[0])
    assert "any number of looks" not in once.evidence
    assert (often.to_json()["test"], often.to_json()["is_interim"]) == ("always-valid", is_interim)


def test_after_a_look_fewer_than_five_seeds_are_not_enough_however_clear_it_is(
    stand: Callable[..., None], predicted: Predicted
) -> None:
    full, lora = rows(0.9, chance=1)[:4], rows(0.6, chance=2)[:4]
    (once,) = judge(predicted, full, lora)
    assert once.verdict == "supported"
    stand(full_beats_lora=ADDED)
    (often,) = judge(predicted, full, lora)
    assert (often.verdict, often.p_value, often.further_seeds) == ("not enough runs", None, 1)
    assert often.estimate == once.estimate
    assert (often.low, often.high) == (None, None), "no interval excludes anything yet"
    assert often.test == "always-valid"
    assert often.evidence == (
        "4 runs of each arm, where a verdict that holds for any number of looks takes at least 5. "
        "Seeds 4 and 5 were added after a look."
    )


def test_after_a_look_several_claims_take_more_seeds_each(
    stand: Callable[..., None], predicted: Predicted
) -> None:
    """With five the mixture stays below 36, which Holm's level for two claims is beyond."""
    full, lora = rows(0.9, chance=1), rows(0.5, chance=2)
    again = {"say": "again", "better": "full", "than": "lora-r2"}
    (alone,) = judge(predicted, full, lora)
    assert alone.verdict == "supported"
    stand(full_beats_lora=ADDED, again=ADDED)
    first, second = judge(predicted, full, lora, [BETTER, again])
    assert (first.verdict, second.verdict) == ("not enough runs", "not enough runs")
    assert (first.p_value, first.further_seeds) == (None, 1)
    assert first.evidence.startswith(
        "5 runs of each arm, where a verdict on one of 2 claims that holds for any number of looks "
        "takes at least 6."
    )


def test_what_seeds_to_come_would_decide_is_not_said_while_declared_ones_are_out(
    stand: Callable[..., None], predicted: Predicted
) -> None:
    full, lora = rows(0.8, chance=1), rows(0.795, chance=2)
    stand(full_beats_lora=ADDED)
    (added,) = judge(predicted, full, lora)
    assert added.verdict == "not distinguishable"
    assert "no number of seeds decides it" in added.evidence
    stand(full_beats_lora=INTERIM)
    (interim,) = judge(predicted, full, lora)
    assert "further" not in interim.evidence
    assert "decides it" not in interim.evidence
    stand(full_beats_lora=replace(ADDED, is_interim=True))
    (both,) = judge(predicted, full, lora)
    assert "decides it" not in both.evidence, "seeds that were added are out"


def test_a_claim_that_is_new_takes_nothing_from_those_that_were_declared(
    stand: Callable[..., None], predicted: Predicted
) -> None:
    full, lora = rows(0.8, chance=1), rows(0.77, chance=4)
    turned = {"say": "new", "better": "lora-r2", "than": "full"}
    (alone,) = judge(predicted, full, lora)
    stand(new=NEW)
    declared, new = judge(predicted, full, lora, [BETTER, turned])
    assert alone.p_value is not None
    assert new.p_value is not None
    assert (declared.p_value, declared.p_holm) == (alone.p_value, alone.p_holm)
    assert declared.evidence == alone.evidence
    assert (declared.is_exploratory, new.is_exploratory) == (False, True)
    assert new.p_holm == pytest.approx(min(1.0, 2 * new.p_value)), "itself it is one of all"
    assert "as one of 2 tests" in new.evidence
    assert new.evidence.endswith("Exploratory: it is new.")
    assert declared.by_task[0].p_holm == alone.by_task[0].p_holm


def test_claims_that_were_withdrawn_still_count(
    monkeypatch: pytest.MonkeyPatch, predicted: Predicted
) -> None:
    full, lora = rows(0.8, chance=1), rows(0.77, chance=4)
    (before,) = judge(predicted, full, lora)
    monkeypatch.setattr(module, "withdrawn", lambda view: 3)
    (after,) = judge(predicted, full, lora)
    assert before.p_value is not None
    assert before.p_holm == before.p_value == after.p_value
    assert after.p_holm == pytest.approx(min(1.0, 4 * before.p_value))
    assert after.by_task[0].p_holm == after.p_holm
    assert "as one of 4 tests" in after.evidence


def test_looks_that_are_stored_make_seeds_that_were_added_another_test(tmp_path: Path) -> None:
    """The test goes from the records and the looks to the verdict, without replacing anything."""
    arms = {"full": {"method": "full"}, "lora": {"method": "lora"}}

    def view(seeds: Sequence[int]) -> StudyView:
        found = made_up(
            tmp_path / str(len(seeds)), {"full": 0.95, "lora": 0.7}, arms=arms, seeds=seeds,
            tasks=[SENTIMENT],
        )  # fmt: skip
        claim = Claim(say="Full is better", better="full", than="lora")
        return replace(found, spec=found.spec.model_copy(update={"claims": (claim,)}))

    first, longer = view([1, 2, 3]), view([1, 2, 3, 4, 5, 6])
    look = look_at(first.spec, first.placed, datetime(2026, 11, 26, tzinfo=UTC))
    (declared,) = verdicts(longer)
    (added,) = verdicts(replace(longer, looks=(look,)))
    assert (declared.test, added.test) == ("fixed", "always-valid")
    assert added.verdict == declared.verdict == "supported"
    assert added.evidence.endswith(
        "Seeds 4 to 6 were added after a look on 26 November 2026 that showed seeds 1 to 3."
    )
