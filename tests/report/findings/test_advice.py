"""Advice recommends what the trials support: the cheapest arm that is shown to lose little."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab.data.predictions import Predictions, read_predictions, write_predictions
from peftlab.report.findings.advice import Advice, advise
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Heading, Table
from peftlab.report.tables.advice import advice_blocks
from peftlab.store.records import TrialRecord
from peftlab.study import parts
from peftlab.tasks.metrics import score
from peftlab.tasks.registry import TASKS
from tests.report.made_up import made_up

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


def words_of(view: StudyView, **options: Any) -> str:
    heading = advice_blocks(view, parts.Advice(**options))[0]
    assert isinstance(heading, Heading)
    return heading.text


def test_the_cheapest_arm_that_is_not_worse_is_chosen(tmp_path: Path) -> None:
    advice = advice_of(view_of(tmp_path))
    assert advice.reference is not None
    assert advice.reference.name == "full"
    assert advice.chosen is not None
    assert advice.chosen.name == "lora", "bitfit is cheaper and 20 points worse"
    lora, bitfit = (advice.of(arm) for arm in (advice.chosen, advice.candidates[-1].arm))
    assert lora is not None
    assert lora.difference is not None
    assert lora.difference.low > -LENIENT
    assert bitfit is not None
    assert not bitfit.is_not_worse


def test_the_interval_decides_and_not_the_mean(tmp_path: Path) -> None:
    view = view_of(tmp_path)
    lora = advice_of(view).candidates[0]
    assert lora.difference is not None
    distance = -lora.difference.low
    assert 0 < distance < LENIENT
    for margin, chosen in ((distance + 0.01, "lora"), (distance - 0.01, "full")):
        found = advice_of(view, margin=margin).chosen
        assert found is not None
        assert found.name == chosen


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


def test_an_arm_with_failed_trials_is_not_recommended(tmp_path: Path) -> None:
    view = view_of(tmp_path, failed=[("lora", "demo-sentiment", 5)])
    advice = advice_of(view)
    assert advice.chosen is not None
    assert advice.chosen.name == "full"
    tables = [block for block in advice_blocks(view, parts.Advice()) if isinstance(block, Table)]
    assert "1 failed" in [cell for row in tables[-1].rows for cell in row]


def test_predictions_that_are_gone_or_missing_trials_are_said(tmp_path: Path) -> None:
    view = view_of(tmp_path)
    for path in tmp_path.rglob("*.parquet"):
        path.unlink()
    assert "predictions are gone" in advice_of(view).lacking
    tables = [block for block in advice_blocks(view, parts.Advice()) if isinstance(block, Table)]
    assert all("task" not in table.columns for table in tables)  # it would be nothing but dashes
    every = [(arm, "demo-sentiment", seed) for arm in ARMS for seed in range(1, 6)]
    half = view_of(tmp_path / "half", pending=every)
    assert advice_of(half).lacking == "no arm is measured on demo-sentiment, demo-paraphrase"
    blocks = advice_blocks(half, parts.Advice(margin=LENIENT))
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
    words = words_of(view_of(tmp_path), margin=LENIENT)
    assert words.startswith(
        "Over all 2 tasks: use lora. It loses no more than 4 points against full"
    )
    assert "cheapest in training time" in words
    assert "1 min 20 s to train instead of 3 min 20 s" in words
    assert "1,400 MB of memory instead of 2,000 MB" in words
    assert "8.00 MB on disk instead of 20 MB" in words


def test_an_arm_that_is_better_is_told_though_another_is_cheaper(tmp_path: Path) -> None:
    right = {"full": 0.84, "lora": 0.97, "bitfit": 0.84}
    words = words_of(view_of(tmp_path, right), margin=LENIENT)
    assert "use bitfit" in words
    assert "The best score is that of lora" in words


def test_the_table_has_every_arm_beside_the_reference(tmp_path: Path) -> None:
    blocks = advice_blocks(view_of(tmp_path), parts.Advice(margin=LENIENT))
    by_task, arms = (block for block in blocks if isinstance(block, Table))
    assert [row[:2] for row in by_task.rows] == [
        ["demo-sentiment", "lora"],
        ["demo-paraphrase", "lora"],
    ]
    # By F1 on demo-paraphrase, bitfit is not above calling every pair a paraphrase.
    assert [(row[0], row[2]) for row in arms.rows] == [
        ("lora", "yes"),
        ("bitfit", "not shown to have learned"),
    ]
    assert arms.rows[0][3] == "1 min 20 s (0.4x)"


def constant(view: StudyView, names: Sequence[str], tasks: Sequence[str]) -> StudyView:
    """The view with one answer for all examples from these arms on these tasks."""

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
    """The record with the scores of the predictions that lie in its folder now."""
    assert record.predictions_path is not None
    found = read_predictions(record.predictions_path)
    scores = score(TASKS.get(record.trial.task), found.logits, found.labels)
    return replace(record, epochs=tuple(replace(one, scores=scores) for one in record.epochs))


def with_places(view: StudyView, by_place: dict[Any, tuple[TrialRecord, ...]]) -> StudyView:
    """The view with these records."""
    every = tuple(record for records in by_place.values() for record in records)
    return replace(view, records=every, by_place=by_place)


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
    assert "full is left out: not shown to have learned every task." in words


def test_the_only_arm_that_learned_is_used_and_the_cheap_one_is_not(tmp_path: Path) -> None:
    view = constant(view_of(tmp_path), ["full", "bitfit"], BOTH)
    assert words_of(view).startswith(
        "Over all 2 tasks: use lora; no other arm is shown to have learned. bitfit and full are "
        "left out"
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
    heading, by_task = advice_blocks(view, parts.Advice(margin=LENIENT))[:2]
    assert isinstance(heading, Heading)
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
    words = words_of(view)
    assert "use lora. It gives the same answer as full to every example with every seed." in words
    assert "95% interval" not in words
    (table,) = (b for b in advice_blocks(view, parts.Advice()) if isinstance(b, Table))
    assert table.rows[0][:3] == ["lora", "0.00 (same answers)", "yes"]
