"""A study's open trials are run once, and no measurement is ever lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import TrialError, UnknownNameError, UserError
from peftlab.core.trial import Trial
from peftlab.data.predictions import read_predictions
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.study.spec import validate
from peftlab.study.stored_studies import store_study
from peftlab.study.trials import Expanded
from tests.executing import execute

MakeStudy = Callable[..., Expanded]
METHODS = ["full", "bitfit", "lora"]


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.open(tmp_path / "runs") as opened:
        yield opened


def statuses(workspace: Workspace) -> dict[str, str]:
    return {record.trial.method: record.status for record in workspace.trials("tiny")}


def interrupt_at(event: str, method: str, number: int = 0) -> Callable[[str, Trial, int], None]:
    def on_event(told: str, trial: Trial, told_number: int) -> None:
        if (told, trial.method, told_number) == (event, method, number):
            raise KeyboardInterrupt

    return on_event


# With an engine that pretends


def test_every_trial_is_run_in_plan_order_and_stored(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    expanded = tiny_study()
    execute(expanded, workspace, display=make_listener())
    assert fake_engine.ran == METHODS
    records = workspace.trials("tiny")
    assert [record.trial for record in records] == list(expanded.trials)
    assert [record.status for record in records] == ["done"] * 3
    for record in records:
        assert record.scores == {"f1": 51.0, "accuracy": 40.0}
        assert record.costs == fake_engine.outcome.costs
        assert (record.num_train_examples, record.num_eval_examples) == (20, 12)
        assert record.arms == {"tiny": (record.trial.method,)}
        assert record.provenance["versions"]


def test_the_display_is_told_everything_in_order(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    listener = make_listener()
    execute(tiny_study(), workspace, display=listener)
    assert listener.events == [
        event
        for method in METHODS
        for event in (
            ("started", method, 0),
            ("began", method, 1),
            ("evaluated", method, 0),
            ("stepped", method, 1),
            ("evaluated", method, 1),
            ("finished", method, 0),
        )
    ]


def test_a_thing_is_stored_before_it_is_shown(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    fake_engine.failures = {"bitfit": ValueError("no")}
    seen = []

    def look(event: str, trial: Trial, number: int) -> None:
        record = workspace.trial(trial.id)
        seen.append((event, record.status, len(record.evaluations)))

    execute(tiny_study(), workspace, display=make_listener(on_event=look))
    assert seen[:6] == [
        ("started", "running", 0),
        ("began", "running", 0),
        ("evaluated", "running", 1),
        ("stepped", "running", 1),
        ("evaluated", "running", 2),
        ("finished", "done", 2),
    ]
    assert ("failed", "failed", 1) in seen


def test_a_second_run_does_nothing(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    execute(tiny_study(), workspace, display=make_listener())
    first, digest = workspace.trials("tiny"), workspace.results_digest("tiny")
    listener = make_listener()
    execute(tiny_study(), workspace, display=listener)
    assert workspace.trials("tiny") == first
    assert workspace.results_digest("tiny") == digest
    assert listener.events == []
    assert fake_engine.ran == METHODS


def test_another_study_reuses_the_trials_that_it_shares(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    execute(tiny_study(), workspace, display=make_listener())
    fake_engine.ran.clear()
    arms = {"all": {"method": "full"}, "head": {"method": "head"}}
    execute(tiny_study(name="other", arms=arms), workspace, display=make_listener())
    assert fake_engine.ran == ["head"]
    shared, _ = workspace.trials("other")
    assert shared.arms == {"tiny": ("full",), "other": ("all",)}


def test_a_failure_is_stored_with_its_cause_and_the_others_go_on(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    fake_engine.failures = {"bitfit": TrialError("the training loss is nan")}
    execute(tiny_study(), workspace, display=make_listener())
    assert statuses(workspace) == {"full": "done", "bitfit": "failed", "lora": "done"}
    failed = workspace.trials("tiny")[1]
    assert failed.error == "the training loss is nan"
    assert [epoch.epoch for epoch in failed.evaluations] == [0]
    assert failed.costs is None


def test_a_failed_trial_is_left_alone_until_it_is_to_be_tried_again(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    fake_engine.failures = {"bitfit": ValueError("once")}
    execute(tiny_study(), workspace, display=make_listener())
    fake_engine.failures = {}
    fake_engine.ran.clear()
    execute(tiny_study(), workspace, display=make_listener())
    assert (fake_engine.ran, len(workspace.failures("tiny"))) == ([], 1)
    execute(tiny_study(), workspace, display=make_listener(), retry_failed=True)
    assert (fake_engine.ran, workspace.failures("tiny")) == (["bitfit"], [])
    assert workspace.trials("tiny")[1].error is None


@pytest.mark.parametrize(
    ("event", "number", "epochs"),
    [("started", 0, 0), ("began", 1, 0), ("stepped", 1, 1), ("evaluated", 1, 2)],
)
def test_an_interrupt_leaves_its_trial_pending_with_what_it_had(
    workspace: Workspace,
    tiny_study: MakeStudy,
    make_listener: Any,
    fake_engine: Any,
    event: str,
    number: int,
    epochs: int,
) -> None:
    listener = make_listener(on_event=interrupt_at(event, "bitfit", number))
    with pytest.raises(KeyboardInterrupt):
        execute(tiny_study(), workspace, display=listener)
    assert statuses(workspace) == {"full": "done", "bitfit": "pending", "lora": "pending"}
    assert listener.events[-1] == ("interrupted", "bitfit", 0)
    stopped = workspace.trials("tiny")[1]
    assert len(stopped.evaluations) == epochs
    fake_engine.ran.clear()
    execute(tiny_study(), workspace, display=make_listener())
    assert fake_engine.ran == ["bitfit", "lora"]
    assert set(statuses(workspace).values()) == {"done"}


def test_an_interrupt_after_the_end_of_a_trial_leaves_it_done(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    listener = make_listener(on_event=interrupt_at("finished", "full"))
    with pytest.raises(KeyboardInterrupt):
        execute(tiny_study(), workspace, display=listener)
    assert statuses(workspace) == {"full": "done", "bitfit": "pending", "lora": "pending"}


def test_a_users_mistake_ends_the_run_and_leaves_the_trial_pending(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    fake_engine.failures = {"bitfit": UserError("the rows have changed")}
    with pytest.raises(UserError, match="the rows have changed"):
        execute(tiny_study(), workspace, display=make_listener())
    assert statuses(workspace) == {"full": "done", "bitfit": "pending", "lora": "pending"}


def test_a_trial_that_a_killed_process_left_running_is_run_again(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    expanded = tiny_study()
    store_study(expanded, workspace)
    workspace.start(expanded.trials[1].id, {})
    execute(expanded, workspace, display=make_listener())
    assert fake_engine.ran == METHODS


def test_an_unknown_executor_or_device_is_refused_before_anything_is_stored(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any, fake_engine: Any
) -> None:
    with pytest.raises(UnknownNameError, match=r"^--executor: unknown executor 'inlin', did you"):
        execute(tiny_study(), workspace, display=make_listener(), executor="inlin")
    with pytest.raises(UserError, match=r"^--device: no device 'tpuu' here"):
        execute(tiny_study(), workspace, display=make_listener(), device="tpuu")
    assert workspace.studies() == []
    assert fake_engine.ran == []


def test_the_stored_study_is_the_study(workspace: Workspace, tiny_study: MakeStudy) -> None:
    expanded = tiny_study()
    store_study(expanded, workspace)
    assert validate(workspace.spec("tiny"), where="stored") == expanded.spec
    assert [record.trial for record in workspace.trials("tiny")] == list(expanded.trials)


# With the real engine


def numbers(record: TrialRecord) -> list[Any]:
    """Return everything that a trial measured except its seconds."""
    return [
        (
            epoch.epoch,
            epoch.step,
            epoch.train_loss,
            epoch.eval_loss,
            epoch.scores,
            epoch.step_losses,
        )
        for epoch in record.evaluations
    ]


def test_an_interrupted_study_ends_with_the_numbers_of_one_that_was_not(
    tmp_path: Path, tiny_study: MakeStudy, make_listener: Any
) -> None:
    expanded = tiny_study()
    with Workspace.open(tmp_path / "whole") as workspace:
        execute(expanded, workspace, display=make_listener(), device="cpu")
        whole = workspace.trials("tiny")
    with Workspace.open(tmp_path / "parts") as workspace:
        # 20 rows in batches of 8 are 3 steps an epoch: step 4 is in the second one.
        listener = make_listener(on_event=interrupt_at("stepped", "bitfit", 4))
        with pytest.raises(KeyboardInterrupt):
            execute(expanded, workspace, display=listener, device="cpu")
        assert statuses(workspace) == {"full": "done", "bitfit": "pending", "lora": "pending"}
        kept = workspace.trials("tiny")
        assert numbers(kept[0]) == numbers(whole[0])
        assert numbers(kept[1]) == numbers(whole[1])[:2]
    with Workspace.open(tmp_path / "parts") as workspace:
        listener = make_listener()
        execute(expanded, workspace, display=listener, device="cpu")
        parts = workspace.trials("tiny")
        assert {method for _, method, _ in listener.events} == {"bitfit", "lora"}
        again = make_listener()
        execute(expanded, workspace, display=again, device="cpu")
        assert again.events == []
    for one, other in zip(whole, parts, strict=True):
        assert one.status == other.status == "done"
        assert [epoch.epoch for epoch in one.evaluations] == [0, 1, 2]
        assert [len(epoch.step_losses) for epoch in one.evaluations] == [0, 3, 3]
        assert numbers(one) == numbers(other)
        assert one.predictions_path is not None
        assert other.predictions_path is not None
        assert one.predictions_path.read_bytes() == other.predictions_path.read_bytes()
        assert read_predictions(one.predictions_path).logits.shape == (12, 2)
        assert one.model_path is not None
        assert {file.name for file in one.model_path.iterdir()} >= (
            {"adapter_model.safetensors"} if one.trial.method == "lora" else {"method.json"}
        )
    assert numbers(whole[0]) != numbers(whole[1]), "the methods differ at all"


def test_a_training_that_diverges_is_a_stored_failure_and_the_others_go_on(
    workspace: Workspace, tiny_study: MakeStudy, make_listener: Any
) -> None:
    arms = {
        "wild": {"method": "full", "training": {"learning_rate": 1e30}},
        "calm": {"method": "bitfit"},
    }
    execute(tiny_study(arms=arms), workspace, display=make_listener(), device="cpu")
    wild, calm = workspace.trials("tiny")
    assert (wild.status, calm.status) == ("failed", "done")
    assert wild.error is not None
    assert wild.error.startswith("the training loss is ")
    assert wild.error.endswith("the training has diverged")
    assert [epoch.epoch for epoch in wild.evaluations] == [0]
    assert wild.model_path is None
