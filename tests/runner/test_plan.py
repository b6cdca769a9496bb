"""The plan of a study counts exactly, before any training, what its training will see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from peftlab.core.errors import UserError
from peftlab.core.trial import Trial
from peftlab.data.batches import epoch_order
from peftlab.data.source import open_ref
from peftlab.engine.devices.processor import Processor
from peftlab.methods.parameters import count_parameters
from peftlab.runner.cost import CostModel, Estimate, Work
from peftlab.runner.plan import MAY_STOP_EARLY, NOT_HERE, Plan, make_plan
from peftlab.store.workspace import Workspace
from peftlab.study.load import Overrides, load_study
from peftlab.study.stored_studies import store_study
from peftlab.study.trials import Expanded, expand
from peftlab.tasks.registry import TASKS

MakeStudy = Callable[..., Expanded]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "runs") as opened:
        yield opened


def token_counts(trial: Trial, split: str, limit: int | None) -> list[int]:
    """Return each row's number of tokens, by calling the tokenizer on one row at a time."""
    tokenizer = AutoTokenizer.from_pretrained(trial.model.name)
    rows = open_ref(trial.data).examples(TASKS.get(trial.task), split)[:limit]
    return [
        len(tokenizer(*row.texts, truncation=True, max_length=trial.max_length)["input_ids"])
        for row in rows
    ]


@pytest.mark.parametrize("max_length", [128, 24])
def test_tokens_steps_and_padding_are_those_of_a_walk_through_the_batches(
    workspace: Workspace, tiny_study: MakeStudy, max_length: int
) -> None:
    expanded = tiny_study(tasks=["demo-paraphrase", "demo-sentiment"], max_length=max_length)
    for plan in make_plan(expanded, workspace).trials:
        lengths = token_counts(plan.trial, "train", 20)
        steps = tokens = 0
        for epoch in (1, 2):
            order = epoch_order(20, seed=plan.trial.seeds.order, epoch=epoch).tolist()
            for start in range(0, 20, 8):
                steps += 1
                tokens += sum(lengths[row] for row in order[start : start + 8])
        padded = 0
        order = epoch_order(20, seed=plan.trial.seeds.order, epoch=1).tolist()
        for start in range(0, 20, 8):
            batch = [lengths[row] for row in order[start : start + 8]]
            padded += max(batch) * len(batch)
        assert (plan.steps, plan.epochs, plan.tokens) == (steps, 2, tokens)
        assert plan.padding == 1 - sum(lengths) / padded
        assert (plan.num_train_examples, plan.num_eval_examples) == (20, 12)


def test_a_training_cut_short_sees_its_share_of_the_tokens(
    workspace: Workspace, tiny_study: MakeStudy
) -> None:
    training = {"max_steps": 4, "per_device_train_batch_size": 5, "learning_rate": 1e-3}
    plan = make_plan(tiny_study(training=training, max_train_samples=15), workspace).trials[0]
    # 15 rows in batches of 5 are 3 steps: 4 steps are a pass and a third.
    assert (plan.steps, plan.epochs) == (4, 2)
    total = sum(token_counts(plan.trial, "train", 15))
    assert plan.tokens == round(total * 4 / 3)


def test_evaluations_by_steps_are_planned_and_early_stopping_makes_it_the_most(
    workspace: Workspace, tiny_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[int] = []

    def keep(self: CostModel, trial: Trial, work: Work) -> Estimate:
        planned.append(work.evaluations)
        return Estimate(train_seconds=1.0, eval_seconds=0.0, is_measured=True)

    monkeypatch.setattr(CostModel, "estimate", keep)
    keys: dict[str, Any] = {
        "arms": {"bitfit": {"method": "bitfit"}},
        "selection": {"split": "train", "fraction": 0.2},
    }
    plain = make_plan(tiny_study(**keys), workspace)
    # 16 rows in batches of 8: 2 steps an epoch.
    assert (plain.trials[0].steps, planned.pop()) == (4, 3)
    assert not plain.may_stop_early
    training = {
        "num_train_epochs": 6, "eval_strategy": "steps", "eval_steps": 5,
        "early_stopping_patience": 1,
    }  # fmt: skip
    plan = make_plan(tiny_study(**keys, training=training), workspace)
    assert (plan.trials[0].steps, planned) == (12, [4])  # behind 0, 5, 10 and 12 steps
    assert plan.may_stop_early
    assert [remark for remark in plan.remarks if remark not in plain.remarks] == [MAY_STOP_EARLY]


def test_parameters_are_those_of_the_method_on_the_model(
    workspace: Workspace, tiny_study: MakeStudy
) -> None:
    for plan in make_plan(tiny_study(), workspace).trials:
        trial = plan.trial
        assert plan.parameters == count_parameters(
            trial.model.name, trial.method, trial.method_config, num_labels=2
        )


def test_glue_peft_without_data_has_the_published_steps_and_parameters(
    workspace: Workspace,
) -> None:
    spec = load_study(
        "glue-peft", Overrides(data="no-such-folder", arms=["full", "lora-r8", "lora-10-epochs"])
    )
    plan = make_plan(expand(spec, data_needed=False), workspace)
    by_name = {(trial.arms[0], trial.trial.task): trial for trial in plan.trials}
    assert len(by_name) == 9
    assert by_name["full", "sst2"].steps == 5 * 4210
    assert by_name["full", "cola"].steps == 5 * 535
    assert by_name["full", "mrpc"].steps == 5 * 230
    assert by_name["lora-10-epochs", "mrpc"].steps == 10 * 230
    lora = by_name["lora-r8", "sst2"].parameters
    assert (lora.trainable, lora.total_peft_counting) == (296_450, 109_780_228)
    assert by_name["full", "sst2"].parameters.trainable == 109_483_778
    assert {(t.tokens, t.padding, t.seconds) for t in plan.trials} == {(None, None, None)}
    assert plan.open_seconds is None
    assert plan.remarks[0].startswith("glue-peft: data: unknown data 'no-such-folder'")
    assert len(set(plan.remarks)) == len(plan.remarks), "the same remark is made once"


def test_a_trial_is_shown_with_its_status_and_failed_ones_are_open_only_if_retried(
    workspace: Workspace, tiny_study: MakeStudy, fake_engine: Any
) -> None:
    expanded = tiny_study()
    fresh = make_plan(expanded, workspace)
    assert [plan.status for plan in fresh.trials] == ["pending"] * 3
    assert workspace.studies() == [], "a plan stores nothing"
    store_study(expanded, workspace)
    done, failed, running = (trial.id for trial in expanded.trials)
    for trial_id in (done, failed, running):
        workspace.start(trial_id, {})
    workspace.finish(done, fake_engine.outcome.costs, num_train_examples=1, num_eval_examples=1)
    workspace.fail(failed, "no luck")
    plan = make_plan(expanded, workspace)
    assert [trial.status for trial in plan.trials] == ["done", "failed", "running"]
    assert [trial.trial.id for trial in plan.open_trials] == [running]
    assert plan.open_seconds == plan.trials[2].seconds
    retried = make_plan(expanded, workspace, retry_failed=True)
    assert [trial.trial.id for trial in retried.open_trials] == [failed, running]
    seconds = [trial.seconds for trial in retried.open_trials]
    assert None not in seconds
    assert retried.open_seconds == sum(second or 0.0 for second in seconds)


def test_a_measured_rate_replaces_the_guess(
    workspace: Workspace, tiny_study: MakeStudy, fake_engine: Any
) -> None:
    expanded = tiny_study(seeds=[1, 2, 3], arms={"full": {"method": "full"}})
    guess = make_plan(expanded, workspace).trials[2]
    assert guess.seconds is not None
    assert guess.seconds > 0
    store_study(expanded, workspace)
    for trial, rate in zip(expanded.trials[:2], (50.0, 150.0), strict=True):
        costs = replace(fake_engine.outcome.costs, train_tokens_per_second=rate)
        workspace.finish(trial.id, costs, num_train_examples=1, num_eval_examples=1)
    plan = make_plan(expanded, workspace).trials[2]
    train = sum(token_counts(plan.trial, "train", 20))
    dev = sum(token_counts(plan.trial, "dev", 12))
    # The median rate is 100 tokens a second; evaluation is taken to be twice as fast, and is
    # done three times: before the training and after each of two epochs.
    assert plan.seconds == pytest.approx(2 * train / 100 + 3 * dev / 200, rel=1e-12)


def test_the_rate_of_one_method_says_nothing_of_another(
    workspace: Workspace, tiny_study: MakeStudy, fake_engine: Any
) -> None:
    expanded = tiny_study()
    store_study(expanded, workspace)
    slow = replace(fake_engine.outcome.costs, train_tokens_per_second=1e-3)
    workspace.finish(expanded.trials[0].id, slow, num_train_examples=1, num_eval_examples=1)
    full, bitfit, lora = (plan.seconds for plan in make_plan(expanded, workspace).trials)
    assert full is not None
    assert bitfit is not None
    assert lora is not None
    assert full > 1e5
    assert bitfit < 1e3
    assert lora < 1e3


def test_the_rate_on_cached_layers_says_nothing_of_the_method_without(
    workspace: Workspace, tiny_study: MakeStudy, fake_engine: Any
) -> None:
    arms = {"cached": {"method": "head", "cache_frozen": True}, "usual": {"method": "head"}}
    expanded = tiny_study(arms=arms)
    store_study(expanded, workspace)
    fast = replace(fake_engine.outcome.costs, train_tokens_per_second=1e12)
    workspace.finish(expanded.trials[0].id, fast, num_train_examples=1, num_eval_examples=1)
    cached, usual = (plan.seconds for plan in make_plan(expanded, workspace).trials)
    assert cached is not None
    assert usual is not None
    assert usual > 1000 * cached


def test_a_plan_that_is_made_twice_encodes_once(
    workspace: Workspace, tiny_study: MakeStudy
) -> None:
    def facts(plan: Plan) -> list[Any]:
        return [(one.trial.id, one.tokens, one.padding) for one in plan.trials]

    expanded = tiny_study()
    first = facts(make_plan(expanded, workspace))
    files = {file: file.stat().st_mtime_ns for file in workspace.cache.rglob("*.npy")}
    assert files
    assert facts(make_plan(expanded, workspace)) == first
    assert {file: file.stat().st_mtime_ns for file in workspace.cache.rglob("*.npy")} == files


def test_the_json_of_a_planned_trial(workspace: Workspace, tiny_study: MakeStudy) -> None:
    packed = make_plan(tiny_study(), workspace).trials[2]
    found = packed.to_json()
    assert found["id"] == packed.trial.id
    assert found["arm"] == ["lora"]
    assert found["method_config"] == packed.trial.method_config
    assert found["training"] == packed.trial.training.model_dump(mode="json")
    assert (found["steps"], found["epochs"], found["status"]) == (6, 2, "pending")
    assert (found["tokens"], found["padding_avoided"]) == (packed.tokens, packed.padding)
    assert found["trainable"] == packed.parameters.trainable
    padded = make_plan(tiny_study(engine="padded"), workspace).trials[2].to_json()
    assert padded["padding_avoided"] == 0.0
    assert padded["tokens"] == found["tokens"]


def test_a_checkpoint_that_is_not_there_is_one_line_where_the_data_are(
    workspace: Workspace, tiny_study: MakeStudy
) -> None:
    with pytest.raises(UserError) as caught:
        make_plan(tiny_study(model="nobody/no-such-model"), workspace)
    assert "nobody/no-such-model" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_times_on_a_device_that_only_nodes_have_are_unknown(
    tiny_study: Callable[..., Expanded], workspace: Workspace
) -> None:
    plan = make_plan(tiny_study(), workspace, device=None)
    assert [one.seconds for one in plan.trials] == [None] * len(plan.trials)
    assert all(one.tokens for one in plan.trials)
    assert NOT_HERE in plan.remarks
    assert plan.open_seconds is None
    assert NOT_HERE not in make_plan(tiny_study(), workspace).remarks


@pytest.mark.parametrize("rounds", [False, True])
@pytest.mark.parametrize("is_faster", [False, True])
def test_bf16_is_suggested_where_it_is_faster_and_said_to_save_nothing_elsewhere(
    rounds: bool,
    is_faster: bool,
    workspace: Workspace,
    tiny_study: MakeStudy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Processor, "is_faster_in_bf16", is_faster)
    given = {"max_steps": 2, "bf16": True} if rounds else {"max_steps": 2}
    plan = make_plan(tiny_study(training=given), workspace, device="cpu")
    said = [remark for remark in plan.remarks if remark.startswith("training: {bf16: true}")]
    assert len(said) == (is_faster != rounds)
    assert all((" takes less time on " in one) == is_faster for one in said)
