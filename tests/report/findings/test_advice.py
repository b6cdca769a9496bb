"""Advice recommends what the trials support: the cheapest arm that is shown to lose little."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

from peftlab.core.trial import Trial
from peftlab.data.predictions import Predictions, read_predictions, write_predictions
from peftlab.report.findings.advice import Advice, advise
from peftlab.report.findings.costs import is_dearer
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Block, Cell, Figure, Heading, Table
from peftlab.report.registry import MAKERS
from peftlab.store.records import TrialRecord
from peftlab.study import parts
from peftlab.study.declarations import look_at
from peftlab.tasks.metrics.registry import score
from peftlab.tasks.registry import TASKS
from tests.report.made_up import made_up, with_places

ARMS: dict[str, Any] = {
    "full": {"method": "full", "training": {"learning_rate": 1e-4}},
    "lora": {"method": "lora"},
    "bitfit": {"method": "bitfit"},
}
# Hard examples are the same for all arms: with equal shares only the luck of seeds is between them.
ALIKE = {"full": 0.9, "lora": 0.9, "bitfit": 0.7}
SECONDS = {"full": 100.0, "lora": 40.0, "bitfit": 20.0}
LENIENT = 4.0


def view_of(folder: Path, right: dict[str, float] = ALIKE, **changes: Any) -> StudyView:
    return made_up(folder, right, **{"arms": ARMS, "seconds": SECONDS, **changes})


def advice_of(view: StudyView, **changes: Any) -> Advice:
    settings = {"margin": LENIENT, "reference": None, "cost": "time", **changes}
    return advise(view, view.tasks, **settings)


def blocks_of(view: StudyView, **options: Any) -> list[Block]:
    return [*MAKERS.get("advice")(view, parts.AdvicePart(**options), "figure-advice")]


def words_of(view: StudyView, **options: Any) -> str:
    heading = blocks_of(view, **options)[0]
    assert isinstance(heading, Heading)
    return heading.text


def chosen_of(view: StudyView, **changes: Any) -> str | None:
    chosen = advice_of(view, **changes).chosen
    return chosen.name if chosen else None


def test_the_cheapest_arm_that_is_near_the_best_is_chosen(tmp_path: Path) -> None:
    advice = advice_of(view_of(tmp_path))
    assert advice.reference is not None
    assert advice.reference.name == "lora", "the highest mean, by 0.005 points"
    assert [arm.name for arm in advice.near] == ["full", "lora"]
    assert advice.chosen is not None
    assert advice.chosen.name == "lora", "bitfit is cheaper and 20 points worse"
    full, bitfit = (advice.of(arm) for arm in (advice.near[0], advice.candidates[-1].arm))
    assert full is not None
    assert full.is_near
    assert full.difference is not None
    assert full.difference.low > -LENIENT
    assert bitfit is not None
    assert not bitfit.is_near


def test_the_test_decides_and_not_the_mean(tmp_path: Path) -> None:
    """One of two arms that learned is the best, so that only the other is tested."""
    view = view_of(tmp_path, seconds={**SECONDS, "full": 10.0})
    full = advice_of(view).candidates[0]
    assert full.arm.name == "full"
    assert full.difference is not None
    least = brentq(lambda margin: full.difference.p_above(-margin) - 0.05, 0.0, LENIENT)
    assert least < -full.difference.low, "an interval is for two sides"
    for margin, chosen in ((least + 0.01, "full"), (least - 0.01, "lora")):
        assert chosen_of(view, margin=margin) == (chosen if margin > least else None)


def test_another_cost_or_reference_gives_another_advice(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.9, "lora": 0.9, "bitfit": 0.9}, seconds={**SECONDS})
    assert advice_of(view).chosen == view.arms[2]
    slow = view_of(tmp_path / "slow", seconds={"full": 10.0, "lora": 40.0, "bitfit": 20.0})
    assert advice_of(slow).chosen == slow.arms[0], "nothing that is not worse is cheaper"
    sentiment = slow.tasks[:1]
    against = advise(slow, sentiment, margin=LENIENT, reference="bitfit", cost="time")
    assert against.reference == slow.arms[2]
    assert against.chosen == slow.arms[0]


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_too_few_seeds_are_said_and_nothing_is_recommended(num_seeds: int, tmp_path: Path) -> None:
    view = view_of(tmp_path, seeds=range(1, num_seeds + 1))
    assert advice_of(view).chosen is None
    words = words_of(view, margin=LENIENT)
    assert words.startswith("Nothing can be recommended yet")
    assert f"{'one' if num_seeds == 1 else num_seeds} seed" in words
    assert "use" not in words.split()


def test_a_reference_that_learned_nothing_recommends_nothing(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.3, "lora": 0.3, "bitfit": 0.3}, tasks=["demo-sentiment"])
    advice = advice_of(view)
    assert advice.chosen is None
    assert advice.lacking == "the models did not learn demo-sentiment"


def test_a_reference_that_the_run_leaves_out_gives_way_to_the_best_arm(tmp_path: Path) -> None:
    whole = view_of(tmp_path)
    view = replace(whole, arms=tuple(arm for arm in whole.arms if arm.name != "full"))
    assert advice_of(view, reference="full").reference == advice_of(view).reference
    words = words_of(view, margin=LENIENT, reference="full")
    assert words.startswith("Over both tasks: use ")
    assert "The study measures by full, which this run leaves out; lora takes its place." in words


def test_an_arm_with_failed_trials_is_not_recommended(tmp_path: Path) -> None:
    view = view_of(tmp_path, failed=[("lora", "demo-sentiment", 5)])
    advice = advice_of(view)
    assert advice.chosen is not None
    assert advice.chosen.name == "full"
    words = words_of(view, margin=LENIENT)
    assert "use full. No other arm could be shown to stay within 4 points of lora." in words
    assert words.endswith(
        "lora is not recommended: 1 of its runs failed. None of the 5 runs of full collapsed on "
        "any task; with 95% confidence at most 52% of further ones would."
    )
    tables = [block for block in blocks_of(view) if isinstance(block, Table)]
    assert "1 failed" in [cell for row in tables[0].rows for cell in row]


def test_predictions_that_are_gone_or_missing_trials_are_said(tmp_path: Path) -> None:
    view = view_of(tmp_path)
    for path in tmp_path.rglob("*.parquet"):
        path.unlink()
    assert "predictions are gone" in advice_of(view).lacking
    tables = [block for block in blocks_of(view) if isinstance(block, Table)]
    assert all("task" not in table.columns for table in tables)  # it would be nothing but dashes
    every = [(arm, "demo-sentiment", seed) for arm in ARMS for seed in range(1, 6)]
    half = view_of(tmp_path / "half", pending=every)
    assert advice_of(half).lacking == "no arm is measured on demo-sentiment, demo-paraphrase"
    blocks = blocks_of(half, margin=LENIENT)
    (by_task,) = (block for block in blocks if isinstance(block, Table))
    assert [row[:2] for row in by_task.rows] == [
        ["demo-sentiment", "-"],
        ["demo-paraphrase", "lora"],
    ]


def test_without_full_the_best_arm_is_the_reference(tmp_path: Path) -> None:
    arms = {name: arm for name, arm in ARMS.items() if name != "full"}
    view = view_of(tmp_path, arms=arms)
    reference = advice_of(view).reference
    assert reference is not None
    assert reference.name == "lora"


def test_the_words_say_what_to_use_and_what_it_costs(tmp_path: Path) -> None:
    words = words_of(view_of(tmp_path), margin=LENIENT, reference="full")
    assert words.startswith(
        "Over both tasks: use lora. lora and full could be shown to stay within 4 points of full "
        "(with 95% confidence for all arms together); of these it is the cheapest in training "
        "time. It scores "
    )
    assert "a difference of 0.0 [-2.1, +2.1] (in brackets 95% intervals)." in words
    assert "1 min 20 s to train instead of 3 min 20 s" in words
    assert "1,400 MB of memory instead of 2,000 MB" in words
    assert "8.0 MB on disk instead of 20 MB" in words


def test_an_arm_that_is_better_than_the_named_one_is_told_though_another_is_cheaper(
    tmp_path: Path,
) -> None:
    view = view_of(tmp_path, {"full": 0.84, "lora": 0.97, "bitfit": 0.84})
    words = words_of(view, margin=LENIENT, reference="full")
    assert "use bitfit. bitfit, full and lora could be shown to stay within 4 points of full" in (
        words
    )
    assert "The best score is that of lora: +11.1 [" in words
    by_the_best = words_of(view, margin=LENIENT)
    assert by_the_best.startswith(
        "Over both tasks: use lora. No other arm could be shown to stay within 4 points of lora."
    )


@pytest.mark.parametrize("margin", [1.0, LENIENT])
def test_an_arm_far_below_the_best_is_not_used_though_it_is_as_good_as_full_fine_tuning(
    margin: float, tmp_path: Path
) -> None:
    view = view_of(tmp_path, {"full": 0.84, "lora": 0.90, "bitfit": 0.84})
    assert chosen_of(view, margin=margin) == "lora"


def test_four_points_are_not_given_away_for_a_tenth_of_the_cost(tmp_path: Path) -> None:
    seconds = {"full": 100.0, "lora": 44.0, "bitfit": 40.0}
    view = view_of(tmp_path, {"full": 0.84, "lora": 0.90, "bitfit": 0.86}, seconds=seconds)
    bitfit = advice_of(view, margin=1.0).candidates[0]
    assert bitfit.difference is not None
    assert bitfit.difference.estimate == pytest.approx(-5.3, abs=0.1)
    assert chosen_of(view, margin=1.0) == "lora"


def with_costs(
    view: StudyView, seconds: Callable[[str, Trial], float], parameters: Mapping[str, int]
) -> StudyView:
    """Return the view with these training times, by arm and trial, and trainable parameters."""

    def changed(arm: str, record: TrialRecord) -> TrialRecord:
        costs = record.costs
        assert costs is not None
        count = replace(costs.parameters, trainable=parameters[arm])
        took = seconds(arm, record.trial)
        return replace(record, costs=replace(costs, parameters=count, train_seconds=took))

    by_place = {
        (arm, task): tuple(changed(arm, record) for record in records)
        for (arm, task), records in view.by_place.items()
    }
    return with_places(view, by_place)


@pytest.mark.parametrize("chance", range(4))
def test_of_equal_arms_that_cost_the_same_the_smallest_is_used_whatever_the_noise_in_times(
    chance: int, equal: StudyView
) -> None:
    noise = np.random.default_rng(chance).normal(0, 1, (3, 2, 6))
    view = with_costs(
        equal,
        lambda arm, trial: (
            40.0 + float(noise[[*ARMS].index(arm), BOTH.index(trial.task), trial.seed])
        ),
        {"full": 10**7, "lora": 300, "bitfit": 2000},
    )
    advice = advice_of(view)
    assert [arm.name for arm in advice.near] == [*ARMS]
    assert advice.chosen is not None
    assert advice.chosen.name == "lora"
    assert "fewest trainable parameters among those whose training time is not shown to" in (
        words_of(view, margin=LENIENT)
    )


def test_an_arm_that_is_shown_to_cost_more_is_not_used_though_it_is_smaller(
    equal: StudyView,
) -> None:
    sizes = {"full": 10**7, "lora": 300, "bitfit": 2000}
    times = {"full": 40.0, "lora": 50.0, "bitfit": 40.1}
    view = with_costs(equal, lambda arm, trial: times[arm] + trial.seed / 5, sizes)
    assert chosen_of(view) == "bitfit", "full takes as long and is larger"
    assert chosen_of(view, cost="parameters") == "lora"


@pytest.fixture
def equal(tmp_path: Path) -> StudyView:
    """Return a view of three arms that score the same except for the luck of their seeds."""
    return view_of(tmp_path, {"full": 0.9, "lora": 0.9, "bitfit": 0.9})


def test_what_costs_the_same_in_every_run_is_compared_as_it_is(equal: StudyView) -> None:
    lora, bitfit = equal.arms[1:]
    same = {"full": 300, "lora": 300, "bitfit": 301}
    view = with_costs(equal, lambda arm, trial: 40.0, same)
    assert is_dearer(view, bitfit, lora, view.tasks, "parameters")
    assert not is_dearer(view, lora, bitfit, view.tasks, "parameters")
    assert not is_dearer(view, equal.arms[0], lora, view.tasks, "parameters")
    assert not is_dearer(view, bitfit, lora, view.tasks, "time")


def test_what_costs_other_amounts_each_time_is_compared_by_welchs_test(equal: StudyView) -> None:
    first, second = [30.0, 41.0, 38.0, 36.0, 44.0], [52.0, 50.0, 57.0, 45.0, 49.0]
    times = {"full": [41.0, 36.0, 38.0, 40.0, 30.0], "lora": first, "bitfit": second}
    view = with_costs(
        equal, lambda arm, trial: times[arm][trial.seed - 1], dict.fromkeys(ARMS, 300)
    )
    full, lora, bitfit = view.arms
    p_value = stats.ttest_ind(second, first, equal_var=False, alternative="greater").pvalue
    assert p_value < 0.01
    one = view.tasks[:1]
    assert is_dearer(view, bitfit, lora, one, "time")
    assert not is_dearer(view, lora, bitfit, one, "time")
    assert not is_dearer(view, lora, full, one, "time")
    closer = with_costs(view, lambda arm, trial: times[arm][trial.seed - 1] - 5 * (arm == "bitfit"),
                        dict.fromkeys(ARMS, 300))  # fmt: skip
    lower = [value - 5 for value in second]
    p_value = stats.ttest_ind(lower, first, equal_var=False, alternative="greater").pvalue
    assert 0.01 < p_value < 0.05
    assert not is_dearer(closer, bitfit, lora, one, "time")


HALF_FAILED = [("full", "demo-sentiment", seed) for seed in (1, 2, 3)]


@pytest.mark.parametrize("reference", [None, "full"])
def test_full_fine_tuning_of_which_runs_failed_is_never_used(
    reference: str | None, tmp_path: Path
) -> None:
    """It is the cheapest arm here, and as good as the others in its remaining runs."""
    seconds = {"full": 10.0, "lora": 40.0, "bitfit": 20.0}
    view = view_of(tmp_path, seconds=seconds, seeds=range(1, 7), failed=HALF_FAILED)
    assert chosen_of(view, reference=reference) == "lora"
    words = words_of(view, margin=LENIENT, reference=reference)
    assert words.startswith("Over both tasks: use lora.")
    assert "full is not recommended: 3 of its runs failed." in words
    assert "lora and full" not in words


def test_a_better_arm_whose_runs_failed_keeps_worse_ones_from_being_used(tmp_path: Path) -> None:
    right = {"full": 0.95, "lora": 0.83, "bitfit": 0.83}
    view = view_of(tmp_path, right, failed=[("full", "demo-sentiment", 5)], tasks=BOTH[:1])
    advice = advice_of(view, margin=1.0)
    assert (advice.chosen, advice.safe) == (None, None)
    assert advice.reference is not None
    assert advice.reference.name == "full"
    assert words_of(view).startswith(
        "Nothing can be recommended yet: no arm could be shown to stay within 1 point of the best "
        "arm; full has the highest mean."
    )
    assert "full is not recommended: 1 of its runs failed." in words_of(view)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("failed", "bitfit is not compared: all of its runs on demo-sentiment failed (5)."),
        ("pending", "bitfit is not compared: none of its 5 runs on demo-sentiment is done."),
    ],
)
def test_an_arm_without_a_finished_run_is_named(status: str, said: str, tmp_path: Path) -> None:
    none_done = {status: [("bitfit", "demo-sentiment", seed) for seed in range(1, 6)]}
    view = view_of(tmp_path, tasks=BOTH[:1], **none_done)
    assert chosen_of(view) == "lora"
    assert said in words_of(view, margin=LENIENT)


def test_an_arm_that_may_have_learned_and_has_a_higher_mean_keeps_others_from_being_used(
    tmp_path: Path,
) -> None:
    right = {"full": 0.99, "lora": 0.7, "bitfit": 0.7}
    view = view_of(tmp_path, right, tasks=BOTH[:1], seeds=range(1, 4))
    place = ("full", BOTH[0])
    (first, *others) = view.by_place[place]
    collapsed = constant(with_places(view, {place: (first,)}), ["full"], BOTH).by_place[place]
    view = with_places(view, {**view.by_place, place: (*collapsed, *others)})
    state = view.learned(view.arms[0], view.tasks[0])
    assert state is not None
    assert state.state == "cannot tell"
    assert advice_of(view).chosen is None
    words = words_of(view, margin=LENIENT)
    assert "full has the highest mean" in words
    assert "1 of 3 runs of full on demo-sentiment collapsed" in words


def test_where_only_the_named_arm_is_near_itself_and_runs_of_it_failed_nothing_is_used(
    tmp_path: Path,
) -> None:
    right = {"full": 0.97, "lora": 0.85, "bitfit": 0.8}
    view = view_of(tmp_path, right, seeds=range(1, 7), failed=HALF_FAILED)
    advice = advice_of(view, reference="full")
    assert (advice.chosen, advice.num_failed) == (None, 3)
    assert words_of(view, margin=LENIENT, reference="full") == (
        "Nothing can be recommended yet: no arm of which all runs are done could be shown to stay "
        "within 4 points of full. What is measured so far is below. full is not recommended: "
        "3 of its runs failed."
    )


def test_runs_of_every_arm_that_failed_leave_nothing_to_use(tmp_path: Path) -> None:
    failed = [(arm, "demo-sentiment", seed) for seed, arm in enumerate(ARMS, start=1)]
    view = view_of(tmp_path, {"full": 0.9, "lora": 0.9, "bitfit": 0.85}, failed=failed)
    advice = advice_of(view)
    assert advice.chosen is None
    assert advice.lacking == (
        "of every arm that learned each of the 2 tasks runs failed (1 run of full; 1 run of "
        "lora; 1 run of bitfit)"
    )


def test_seeds_that_are_still_to_come_take_five_that_are_done(tmp_path: Path) -> None:
    def pending(first: int) -> list[tuple[str, str, int]]:
        return [(arm, task, seed) for arm in ARMS for task in BOTH for seed in range(first, 7)]

    four = view_of(tmp_path / "4", seeds=range(1, 7), pending=pending(5))
    assert advice_of(four).lacking == (
        "4 seeds are measured; where the scores are looked at before all seeds are done, it takes "
        "at least 5 to tell 2 arms apart"
    )
    every = view_of(tmp_path / "6", seeds=range(1, 7))
    five = view_of(tmp_path / "5", seeds=range(1, 7), pending=pending(6))
    (interim,) = (one for one in advice_of(five).candidates if one.arm.name == "bitfit")
    (final,) = (one for one in advice_of(every).candidates if one.arm.name == "bitfit")
    assert interim.difference is not None
    assert final.difference is not None
    assert interim.difference.is_always_valid
    assert not final.difference.is_always_valid
    assert chosen_of(five, margin=1.0) is None
    assert chosen_of(every, margin=LENIENT) == "lora"


def test_the_table_has_every_arm_beside_the_reference(tmp_path: Path) -> None:
    blocks = blocks_of(view_of(tmp_path), margin=LENIENT, reference="full")
    arms, by_task = (block for block in blocks if isinstance(block, Table))
    assert [row[:2] for row in by_task.rows] == [
        ["demo-sentiment", "lora"],
        ["demo-paraphrase", "lora"],
    ]
    # By F1 on demo-paraphrase, bitfit is not above calling every pair a paraphrase.
    assert [(row[0], row[3]) for row in arms.rows] == [
        ("full", "yes"),
        ("lora", "yes"),
        ("bitfit", "not shown to have learned"),
    ]
    assert arms.rows[1][4] == "1 min 20 s (0.4x)"
    assert arms.rows[0][2] == "-", "the reference has no difference to itself"
    assert [
        cell.value for cell in (arms.rows[0][1], arms.rows[1][1]) if isinstance(cell, Cell)
    ] == (pytest.approx([90.0, 90.0], abs=3.0))


def constant(view: StudyView, names: Sequence[str], tasks: Sequence[str]) -> StudyView:
    """Return the view with one answer for all examples from these arms on these tasks."""

    def collapsed(record: TrialRecord) -> TrialRecord:
        path = record.predictions_path
        assert path is not None
        found = read_predictions(path)
        logits = np.tile(np.array([0.0, 1.0], dtype=np.float32), (len(found.labels), 1))
        write_predictions(
            path, Predictions(row_ids=found.row_ids, labels=found.labels, logits=logits)
        )
        return rescored(record)

    by_place = {
        (arm, task): tuple(map(collapsed, records)) if arm in names and task in tasks else records
        for (arm, task), records in view.by_place.items()
    }
    return with_places(view, by_place)


def rescored(record: TrialRecord) -> TrialRecord:
    """Return the record with the scores of the predictions that are in its folder now."""
    assert record.predictions_path is not None
    found = read_predictions(record.predictions_path)
    scores = score(TASKS.get(record.trial.task), found.logits, found.labels)
    return replace(
        record, evaluations=tuple(replace(one, scores=scores) for one in record.evaluations)
    )


BOTH = ["demo-sentiment", "demo-paraphrase"]


def test_where_no_arm_learned_nothing_is_recommended(tmp_path: Path) -> None:
    view = constant(view_of(tmp_path, tasks=BOTH[:1]), [*ARMS], BOTH)
    words = words_of(view)
    assert words.startswith("Nothing can be recommended yet: the models did not learn demo-sent")
    assert "use" not in words.split()


@pytest.mark.parametrize("reference", [None, "full"])
def test_full_fine_tuning_that_learned_nothing_is_no_reference(
    reference: str | None, tmp_path: Path
) -> None:
    view = constant(view_of(tmp_path, {**ALIKE, "bitfit": 0.85}), ["full"], BOTH)
    advice = advice_of(view, reference=reference)
    assert advice.reference is not None
    assert advice.reference.name == "lora"
    assert advice.chosen is not None
    assert advice.chosen.name == "lora"
    words = words_of(view, reference=reference)
    assert "use lora" in words
    assert "full is not recommended: it is not shown to have learned every task." in words


def test_the_only_arm_that_learned_is_used_and_the_cheap_one_is_not(tmp_path: Path) -> None:
    view = constant(view_of(tmp_path), ["full", "bitfit"], BOTH)
    words = words_of(view)
    assert words.startswith(
        "Over both tasks: use lora. No other arm is shown to have learned, with all of its runs "
        "done. It scores "
    )
    assert words.endswith(
        "in the mean over the tasks (in brackets the 95% interval). bitfit and full are not "
        "recommended: they are not shown to have learned every task. None of the 5 runs of lora "
        "collapsed on any task; with 95% confidence at most 52% of further ones would."
    )


def test_an_arm_that_learned_one_task_alone_is_recommended_there_alone(tmp_path: Path) -> None:
    view = constant(view_of(tmp_path), ["lora"], BOTH[1:])
    assert advice_of(view).chosen == view.arms[0]
    by_task = [
        advise(view, [task], margin=LENIENT, reference=None, cost="time") for task in view.tasks
    ]
    chosen = [one.chosen.name if one.chosen else None for one in by_task]
    assert chosen == ["lora", "full"]


def test_a_task_that_none_learned_has_no_advice_and_the_others_have(tmp_path: Path) -> None:
    view = constant(view_of(tmp_path), [*ARMS], BOTH[1:])
    heading, *_, by_task = blocks_of(view, margin=LENIENT)
    assert isinstance(heading, Heading)
    assert heading.title == "What to use: not decided yet"
    assert "Nothing can be recommended yet: the models did not learn demo-paraphrase" in (
        heading.text
    )
    assert isinstance(by_task, Table)
    assert [row[1] for row in by_task.rows] == ["lora", "-"]
    assert by_task.rows[1][-1] == "the models did not learn demo-paraphrase"


def test_the_same_answers_are_said_to_be_that_without_an_interval(tmp_path: Path) -> None:
    view = view_of(tmp_path, tasks=BOTH[:1])
    full, lora = (view.by_place[name, BOTH[0]] for name in ("full", "lora"))
    for one, other in zip(full, lora, strict=True):
        assert one.predictions_path is not None
        assert other.predictions_path is not None
        shutil.copy(one.predictions_path, other.predictions_path)
    copied = {("lora", BOTH[0]): tuple(map(rescored, lora))}
    view = with_places(view, {**view.by_place, **copied})
    for reference in (None, "full"):
        words = words_of(view, reference=reference)
        assert "use lora. Of the arms that give the same answers it is the cheapest" in words
        assert "could be shown" not in words, "so few examples may not show it"
        assert "a difference of" not in words
    assert "It gives the same answer as full to every example with every seed." in words
    (table,) = (block for block in blocks_of(view, reference="full") if isinstance(block, Table))
    assert [table.rows[1][0], *table.rows[1][2:4]] == ["lora", "0.0 (same answers)", "yes"]


def test_none_is_recommended_while_a_cheaper_arm_may_be_as_good(tmp_path: Path) -> None:
    """Otherwise chance would decide which of several equal arms is recommended."""
    view = view_of(tmp_path, seconds={**SECONDS, "full": 10.0})
    full = advice_of(view).candidates[0]
    assert full.difference is not None
    least = brentq(lambda margin: full.difference.p_above(-margin) - 0.05, 0.0, LENIENT)
    assert full.difference.p_value > 0.05, "full is not shown to be worse either"
    advice = advice_of(view, margin=least - 0.01, reference="lora")
    assert [arm.name for arm in advice.near] == ["lora"]
    assert advice.chosen is None
    assert advice.safe is not None
    assert advice.safe.name == "lora"
    words = words_of(view, margin=least - 0.01, reference="lora")
    assert words.startswith("Over both tasks: lora will do, but which arm is best is still open: ")
    assert (
        "but full, which costs less or as much, may be good enough too: it could be shown neither"
        in (words)
    )
    assert "use lora" not in words


def test_a_cheaper_arm_that_is_worse_is_no_reason_to_wait(tmp_path: Path) -> None:
    advice = advice_of(view_of(tmp_path), margin=0.01)
    assert "bitfit" not in [arm.name for arm in advice.near]
    assert "bitfit" not in advice.lacking


def test_an_arm_to_measure_by_that_learned_nothing_is_named(tmp_path: Path) -> None:
    right = {"full": 0.3, "lora": 0.9, "bitfit": 0.7}
    view = view_of(tmp_path, right, tasks=["demo-sentiment"])
    words = words_of(view, margin=LENIENT, reference="full")
    assert (
        "The study measures by full, which is not shown to have learned demo-sentiment; lora takes "
        "its place." in words
    )
    assert "full is not recommended: it is not shown to have learned demo-sentiment." in words


def test_advice_before_all_declared_seeds_are_done_says_so(tmp_path: Path) -> None:
    pending = [(arm, task, 8) for arm in ARMS for task in BOTH]
    view = view_of(tmp_path, seeds=range(1, 9), pending=pending)
    words = words_of(view, margin=LENIENT)
    assert "7 of 8 declared seeds are done; until all are, the advice is interim." in words
    done = view_of(tmp_path / "done", seeds=range(1, 9))
    assert "interim" not in words_of(done, margin=LENIENT)


def test_the_figure_has_every_arm_and_marks_the_one_to_use(tmp_path: Path) -> None:
    blocks = blocks_of(view_of(tmp_path), margin=LENIENT)
    (figure,) = (block for block in blocks if isinstance(block, Figure))
    rows = figure.specification["data"]["values"]
    assert [row["arm"] for row in rows] == [*ARMS]
    assert [row["arm"] for row in rows if row["use"]] == ["lora"]
    assert [row["cost"] for row in rows] == pytest.approx([200.0, 80.0, 40.0])
    assert all(row["low"] < row["score"] < row["high"] for row in rows)
    assert "the frame is around lora, the arm to use" in figure.title
    assert "ring" not in figure.title, "a ring stands for another thing in the figure of scores"
    undecided = blocks_of(view_of(tmp_path / "few", seeds=[1]), margin=LENIENT)
    (figure,) = (block for block in undecided if isinstance(block, Figure))
    assert "frame" not in figure.title


def test_the_mean_over_tasks_has_the_noise_of_both(tmp_path: Path) -> None:
    view = view_of(tmp_path)
    lora = view.arms[1]
    both = view.mean_score(lora, view.tasks)
    each = [view.mean_score(lora, [task]) for task in view.tasks]
    assert both is not None
    summaries = [view.summary(lora, task) for task in view.tasks]
    assert both.mean == pytest.approx(np.mean([one.mean for one in summaries if one]))
    widths = [one.high - one.low for one in each if one]
    assert max(widths) / 2 < both.high - both.low < max(widths)


@pytest.mark.parametrize(
    ("right", "p_value", "chosen"), [(0.81, 0.0192, "full"), (0.84, 0.0334, None)]
)
def test_a_cheaper_arm_must_be_shown_to_be_worse_at_two_percent(
    right: float, p_value: float, chosen: str | None, tmp_path: Path
) -> None:
    """At 5%, equal arms get different advice in one of six repeats
    (benchmarks/simulated_advice.py)."""
    view = view_of(
        tmp_path,
        {"full": 0.9, "bitfit": right},
        arms={name: ARMS[name] for name in ("full", "bitfit")},
        seeds=(1, 2, 3),
        tasks=["demo-sentiment"],
    )
    found = view.statistics.difference("bitfit", "full", view.tasks)
    assert found is not None
    assert found.p_value == pytest.approx(p_value, abs=1e-3)
    advice = advice_of(view, margin=1.0)
    assert (advice.chosen.name if advice.chosen else None) == chosen
    assert (advice.safe.name if advice.safe else None) == (None if chosen else "full")


def test_a_cost_that_is_not_known_of_an_arm_shows_nothing(tmp_path: Path) -> None:
    """Arms with cached layers have no latency (engine/run.py)."""
    view = view_of(tmp_path, {"full": 0.9, "lora": 0.9, "bitfit": 0.9})
    place = "full", view.tasks[0].name
    unknown = tuple(
        replace(one, costs=one.costs and replace(one.costs, inference_seconds_per_example=None))
        for one in view.by_place[place]
    )
    view = with_places(view, {**view.by_place, place: unknown})
    full, lora, _ = view.arms
    for pair in ((full, lora), (lora, full)):
        assert not is_dearer(view, *pair, view.tasks, "latency")
    assert "use" in words_of(view, margin=LENIENT, cost="latency")


def test_one_arm_that_learned_needs_no_seeds_to_tell_it_apart(tmp_path: Path) -> None:
    view = view_of(tmp_path, {"full": 0.9, "lora": 0.3, "bitfit": 0.3}, seeds=(1, 2, 3))
    alone = constant(view, ["lora", "bitfit"], BOTH)
    pending = {
        key: (*own[:-1], replace(own[-1], status="pending")) if key[0] == "bitfit" else own
        for key, own in alone.by_place.items()
    }
    found = advice_of(with_places(alone, pending))
    assert found.chosen is not None
    assert found.chosen.name == "full"


def test_advice_in_a_workspace_that_cannot_remember_the_look_says_so(tmp_path: Path) -> None:
    view = view_of(tmp_path)
    assert "remember" not in words_of(view, margin=LENIENT)
    words = words_of(replace(view, looks_remembered=False), margin=LENIENT)
    assert words.endswith("does not remember this look, and neither will others who read it.")


def test_the_head_of_the_advice_says_what_kind_it_is(tmp_path: Path) -> None:
    view = view_of(tmp_path)
    seen = replace(
        view, looks=(look_at(view.spec, view.placed, datetime(2026, 11, 1, tzinfo=UTC)),)
    )
    titles = [blocks_of(seen, margin=margin)[0].title for margin in (1.0, LENIENT)]
    assert titles == ["What to use: not decided yet", "What to use: lora (exploratory)"]


def test_arms_with_as_many_parameters_are_not_said_to_have_more(tmp_path: Path) -> None:
    seconds = dict.fromkeys(ARMS, 10.0)
    words = words_of(view_of(tmp_path, dict.fromkeys(ARMS, 0.9), seconds=seconds), margin=LENIENT)
    assert "of these it has as few trainable parameters as any among those whose training" in words
