"""The view finds the records of every arm and task, and says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.report.findings.view import StudyView, make_view
from peftlab.store.workspace import Workspace

View = Callable[..., StudyView]


def test_every_trial_stands_at_its_arm_and_task(finished_workspace: Path) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        view = make_view(opened, "small-study")
    assert [arm.name for arm in view.arms] == ["full", "bitfit", "lora-r2", "lora-r4"]
    assert [task.name for task in view.tasks] == ["demo-sentiment", "demo-paraphrase"]
    seen = []
    for arm in view.arms:
        for task in view.tasks:
            records = view.of(arm, task)
            assert [record.trial.seed for record in records] == [1, 2]
            assert {record.trial.task for record in records} == {task.name}
            assert {record.trial.method for record in records} == {arm.method}
            seen += [record.trial.id for record in records]
    assert sorted(seen) == sorted(record.trial.id for record in view.records)
    assert view.missing(view.arms) == []


def test_what_is_missing_is_told_with_the_first_line_of_its_cause(half_done: Path) -> None:
    with Workspace.open(half_done, create=False) as opened:
        view = make_view(opened, "small-study")
    assert view.missing(view.arms) == [
        "lora-r2 on demo-sentiment, seed 1 (failed: the loss is <b>nan</b>)",
        "lora-r2 on demo-sentiment, seed 2 (pending)",
    ]
    assert view.missing(view.choose(["full"])) == []


def test_arms_are_chosen_in_the_order_that_is_asked_for(hand_made: View) -> None:
    view = hand_made({})
    assert [arm.name for arm in view.choose(None)] == ["full", "lora-r2", "lora-r8"]
    assert [arm.name for arm in view.choose(["lora", "full"])] == ["lora-r2", "lora-r8", "full"]
    assert [arm.name for arm in view.choose(["lora-r8", "full"])] == ["lora-r8", "full"]
    with pytest.raises(UserError, match="unknown arm 'lora-r3'"):
        view.choose(["lora-r3"])


def test_an_arm_that_this_run_left_out_is_not_shown(hand_made: View) -> None:
    view = hand_made({}, {"only_arms": ["lora-r8"]})
    assert [arm.name for arm in view.choose(["full", "lora"])] == ["lora-r8"]


def test_a_label_is_the_name_and_a_mark_where_the_records_need_a_note(
    hand_made: View, with_cached_layers: Callable[[StudyView, str], StudyView]
) -> None:
    view = hand_made({("full", "demo-sentiment"): [[(None, 1, 50)]]})
    assert [view.label(arm) for arm in view.arms] == ["full", "lora-r2", "lora-r8"]
    assert view.note(view.arms) == ""
    view = with_cached_layers(view, "full")
    assert [view.label(arm) for arm in view.arms] == ["full †", "lora-r2", "lora-r8"]
    assert view.note(view.arms) != ""
    assert view.note(view.arms[1:]) == ""


def test_the_best_score_is_that_of_the_epoch_with_the_best_main_metric(hand_made: View) -> None:
    view = hand_made({("full", "demo-sentiment"): [[(None, 1, 99), (1, 1, 70), (1, 1, 60)]]})
    full, task = view.arms[0], view.tasks[0]
    last, best = view.summary(full, task), view.summary(full, task, best=True)
    assert last is not None
    assert best is not None
    assert (last.mean, best.mean) == (60, 70)
    assert view.summary(view.arms[1], task) is None


@pytest.mark.parametrize("status", ["failed", "running", "pending"])
def test_a_trial_that_is_not_done_has_no_score_whatever_epochs_it_has(
    status: str, hand_made: View
) -> None:
    view = hand_made({("full", "demo-sentiment"): [[(None, 1, 50)], [(None, 1, 70)]]})
    full, task = view.arms[0], view.tasks[0]
    first, second = view.of(full, task)
    open_record = replace(second, status=status)  # type: ignore[arg-type]
    view = replace(view, by_place={(full.name, task.name): (first, open_record)})
    found = view.summary(full, task)
    assert found is not None
    assert (found.num_values, found.mean) == (1, 50)
    assert view.missing([full]) == [f"full on demo-sentiment, seed 2 ({status})"]


def test_a_study_that_was_not_run_is_refused(finished_workspace: Path) -> None:
    with (
        Workspace.open(finished_workspace, create=False) as opened,
        pytest.raises(UserError, match=r"'quickstart' has not been run here \(allowed: small-st"),
    ):
        make_view(opened, "quickstart")
