"""Open trials become groups where that pays and fits, each group a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest

from peftlab.core.trial import Trial
from peftlab.engine.devices.base import Device
from peftlab.engine.devices.processor import Processor
from peftlab.engine.events import Listener
from peftlab.engine.job import Job
from peftlab.runner.executors.base import JobSource
from peftlab.runner.executors.inline import InlineExecutor
from peftlab.runner.groups import BYTES_PER_TOKEN, groups_of
from peftlab.runner.plan import make_plan
from peftlab.store.workspace import Workspace
from peftlab.study.trials import Expanded
from tests.executing import execute

MakeStudy = Callable[..., Expanded]
ARMS = {
    "full": {"method": "full"},
    "bitfit": {"method": "bitfit"},
    "lora": {"method": "lora", "r": 2},
}


class Card(Processor):
    """A card that two batches of 100 tokens fill, and that has so many bytes."""

    tokens_to_fill: ClassVar[int] = 200
    bytes: ClassVar[int | None] = None

    @cached_property
    def memory_bytes(self) -> int | None:
        return self.bytes


def together(
    trials: tuple[Trial, ...],
    group: Any,
    device: Device | None = None,
    tokens: float | None = 100.0,
) -> list[tuple[int, int]]:
    """How many trials each group has, and how many of them are in a step."""
    found = groups_of(trials, group=group, device=device, tokens_of=lambda trial: tokens)
    return [(len(one.trials), one.together) for one in found]


def test_a_group_has_the_trials_that_may_share_a_step(tiny_study: MakeStudy) -> None:
    trials = tiny_study(seeds=[1, 2, 3], arms=ARMS).trials
    (found,) = groups_of(trials, group=16, device=None, tokens_of=lambda trial: None)
    assert found.trials == tuple(trial for trial in trials if trial.method != "full")
    assert found.together == 6
    assert together(trials, 4) == [(6, 4)]
    assert together(trials, "off") == together(trials, 1) == []


def test_a_group_is_no_part_of_a_trial(tiny_study: MakeStudy) -> None:
    assert tiny_study(group=16).trials == tiny_study().trials


def test_a_trial_that_has_nothing_in_common_with_others_is_in_no_group(
    tiny_study: MakeStudy,
) -> None:
    small = {"method": "lora", "training": {"per_device_train_batch_size": 4}}
    assert together(tiny_study(arms=ARMS | {"small": small}).trials, 16) == [(2, 2)]


def test_auto_is_off_on_a_processor_and_where_the_device_is_not_here(
    tiny_study: MakeStudy,
) -> None:
    trials = tiny_study(arms=ARMS, seeds=[1, 2]).trials
    assert together(trials, "auto", Processor("cpu")) == []
    assert together(trials, "auto", None) == []


@pytest.mark.parametrize(("tokens", "most"), [(100.0, 2), (60.0, 3), (10.0, 4), (150.0, None)])
def test_auto_takes_as_many_as_fill_the_device(
    tiny_study: MakeStudy, tokens: float, most: int | None
) -> None:
    trials = tiny_study(arms=ARMS, seeds=[1, 2]).trials
    expected = [] if most is None else [(4, most)]
    assert together(trials, "auto", Card("cpu"), tokens) == expected


def test_auto_takes_no_more_than_fit(
    tiny_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peftlab.models.facts import config_facts

    trials = tiny_study(arms=ARMS, seeds=[1, 2]).trials
    facts = config_facts(trials[0].model.name)
    of_token = 2 * BYTES_PER_TOKEN * facts.num_hidden_layers * facts.hidden_size
    monkeypatch.setattr(Card, "bytes", 2 * of_token * 120)  # 120 tokens in half of it
    assert together(trials, "auto", Card("cpu"), 40.0) == [(4, 3)]
    rounded = tiny_study(arms=ARMS, seeds=[1, 2], training={"bf16": True}).trials
    assert together(rounded, "auto", Card("cpu"), 50.0) == [(4, 4)]


def test_rows_of_unknown_length_are_taken_to_be_as_long_as_they_may(
    tiny_study: MakeStudy,
) -> None:
    trials = tiny_study(arms=ARMS, seeds=[1, 2], max_length=8).trials
    assert together(trials, "auto", Card("cpu"), None) == [(4, 3)]


# The plan


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "runs") as opened:
        yield opened


def test_the_plan_says_which_trials_are_in_a_group(
    workspace: Workspace, tiny_study: MakeStudy
) -> None:
    plan = make_plan(tiny_study(arms=ARMS, group=2), workspace, device="cpu")
    assert [(one.group, one.together) for one in plan.trials] == [(None, 1), (1, 2), (1, 2)]
    assert [one.to_json()["group"] for one in plan.trials] == [None, 1, 1]
    assert [len(group.trials) for group in plan.groups] == [2]
    assert plan.saved_seconds is None, "no group was measured"
    assert plan.open_seconds == sum(one.seconds or 0.0 for one in plan.trials)
    assert make_plan(tiny_study(arms=ARMS), workspace, device="cpu").groups == ()


def test_what_is_done_is_in_no_group(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    execute(tiny_study(arms=ARMS), workspace, display=make_listener())
    plan = make_plan(tiny_study(arms=ARMS, seeds=[1, 2], group=8), workspace, device="cpu")
    (group,) = plan.groups
    assert [trial.seed for trial in group.trials] == [2, 2]


def test_the_time_of_groups_is_planned_by_groups_that_were_measured(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    alone = fake_engine.outcome.costs
    execute(tiny_study(arms=ARMS), workspace, display=make_listener())
    shared = replace(alone, train_tokens_per_second=4 * alone.train_tokens_per_second, together=4)
    fake_engine.outcome = fake_engine.outcome.model_copy(update={"costs": shared})
    execute(tiny_study(arms=ARMS, seeds=[2]), workspace, display=make_listener())
    plan = make_plan(tiny_study(arms=ARMS, seeds=[3, 4], group=3), workspace, device="cpu")
    for one in plan.trials:
        assert one.seconds is not None
        known = None if one.group is None else one.seconds / 4
        assert one.group_seconds == pytest.approx(known)
    whole = sum(one.seconds or 0.0 for one in plan.trials if one.group)
    assert plan.saved_seconds == pytest.approx(whole * 3 / 4)
    much_larger = make_plan(tiny_study(arms=ARMS, seeds=[*range(3, 9)], group=12), workspace)
    assert much_larger.saved_seconds is None


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"engine": "padded"}, "the engine padded trains one trial at a time"),
        (
            {"arms": {"full": ARMS["full"], "lora": ARMS["lora"]}},
            "no two trials have checkpoint, batch size and precision in common",
        ),
    ],
)
def test_a_group_that_has_no_effect_is_told_of(
    workspace: Workspace, tiny_study: MakeStudy, keys: dict[str, Any], why: str
) -> None:
    plan = make_plan(tiny_study(group=16, **keys), workspace, device="cpu")
    assert f"group: 16 has no effect here: {why}" in plan.remarks
    silent = make_plan(tiny_study(group="auto", **keys), workspace, device="cpu")
    assert not any("group" in remark for remark in silent.remarks)


# The jobs


def test_a_group_is_a_job_at_the_place_of_its_first_trial(
    workspace: Workspace,
    tiny_study: MakeStudy,
    make_listener: Any,
    fake_engine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known: list[Job] = []
    run = InlineExecutor.run

    def noting(self: InlineExecutor, source: JobSource, tell: Listener) -> None:
        known.extend(source.known)
        run(self, source, tell)

    monkeypatch.setattr(InlineExecutor, "run", noting)
    expanded = tiny_study(arms=ARMS, seeds=[1, 2], group=3)
    plan = make_plan(expanded, workspace, device="cpu")
    listener = make_listener()
    seconds = {trial.id: 2.0 for trial in expanded.trials}
    execute(expanded, workspace, display=listener, seconds=seconds, groups=plan.groups)
    methods = [[trial.method for trial in job.trials] for job in known]
    assert methods == [["full"], ["bitfit", "lora"] * 2, ["full"]]
    assert [job.together for job in known] == [1, 3, 1]
    assert [job.seconds for job in known] == [2.0, 8.0, 2.0]
    assert all({*job.folders} == {trial.id for trial in job.trials} for job in known)
    assert [event for event, _, _ in listener.events].count("finished") == 6


def test_of_a_group_that_was_stopped_only_the_trials_that_had_not_ended_are_run_again(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    expanded = tiny_study(arms=ARMS, group=3, seeds=[1, 2])
    plan = make_plan(expanded, workspace, device="cpu")
    fake_engine.failures = {"lora": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        execute(expanded, workspace, display=make_listener(), groups=plan.groups)
    assert fake_engine.ran == ["full", "bitfit", "lora"]
    fake_engine.failures, fake_engine.ran = {}, []
    again = make_plan(expanded, workspace, device="cpu")
    execute(expanded, workspace, display=make_listener(), groups=again.groups)
    assert fake_engine.ran == ["lora", "bitfit", "lora", "full"]
    assert {record.status for record in workspace.trials("tiny")} == {"done"}


# With the real engine


def test_trials_of_a_group_are_done_and_known_by_their_number_in_a_step(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any
) -> None:
    expanded = tiny_study(arms=ARMS, group=2, training={"num_train_epochs": 1})
    plan = make_plan(expanded, workspace, device="cpu")
    execute(expanded, workspace, display=make_listener(), device="cpu", groups=plan.groups)
    records = workspace.trials("tiny")
    assert [record.status for record in records] == ["done"] * 3
    assert [record.costs and record.costs.together for record in records] == [1, 2, 2]
    assert [speed.together for speed in workspace.speeds()].count(2) == 2
    again = make_plan(tiny_study(arms=ARMS, group=2, seeds=[2]), workspace, device="cpu")
    assert again.saved_seconds is not None
    assert [one.group_seconds is not None for one in again.trials] == [False, True, True]
