"""Trials that train in the same steps: each ends as it would have alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from peftlab.core.errors import UserError
from peftlab.core.interrupts import forget_request, request_stop, stopping_gently
from peftlab.core.trial import Trial
from peftlab.data.predictions import read_predictions
from peftlab.engine import group, loop
from peftlab.engine.devices.registry import resolve
from peftlab.engine.events import (
    Evaluated,
    Event,
    Failed,
    Finished,
    Interrupted,
    Listener,
    Resumed,
    Stepped,
)
from peftlab.engine.job import Job
from peftlab.engine.prepare import prepare
from peftlab.engine.run import run_job
from peftlab.engine.steps import Steps
from peftlab.methods.registry import METHODS
from peftlab.models.fused import together
from peftlab.models.fused.operation import Call
from peftlab.models.shared_weights import frozen

MakeTrial = Callable[..., Trial]

MEMBERS: dict[str, dict[str, Any]] = {
    "lora": {"settings": {"r": 4, "lora_dropout": 0.1}},
    "rslora": {"method": "rslora", "settings": {"r": 2}, "learning_rate": 2e-3, "seed": 2},
    "bitfit": {"method": "bitfit", "num_train_epochs": 1},
    "ia3": {"method": "ia3", "learning_rate": 2e-2, "seed": 3},
    "ln-tuning": {"method": "ln-tuning", "lr_scheduler_type": "constant"},
    "layernorm": {"method": "layernorm", "rows": 21},
    "head": {"method": "head", "task": "demo-paraphrase"},
    "houlsby": {"method": "houlsby", "num_train_epochs": 3},
    "pfeiffer": {"method": "pfeiffer", "max_grad_norm": 0.1},
}


@pytest.fixture(scope="module")
def trials(make_trial: MakeTrial) -> dict[str, Trial]:
    return {
        name: make_trial(**{"method": "lora", **settings}) for name, settings in MEMBERS.items()
    }


class Results:
    """What trials have left and told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []

    def run(
        self, trials: Sequence[Trial], *, together: int, tell: Listener | None = None
    ) -> Results:
        run_job(self.job(trials, together=together), tell or self.events.append)
        return self

    def job(self, trials: Sequence[Trial], *, together: int) -> Job:
        return Job(
            trials=tuple(trials),
            folders={trial.id: self.folder / trial.id for trial in trials},
            cache=self.folder / "cache",
            device="cpu",
            together=together,
        )

    def of(self, trial: Trial, kind: Any) -> list[Any]:
        of_kind: list[Any] = [event for event in self.events if isinstance(event, kind)]
        return [event for event in of_kind if event.trial_id == trial.id]

    def losses(self, trial: Trial) -> list[float]:
        evaluations = [event.evaluation for event in self.of(trial, Evaluated)]
        return [loss for one in evaluations for loss in one.step_losses]

    def tensors(self, trial: Trial) -> dict[str, Tensor]:
        return tensors_in(self.folder / trial.id / "model")

    def logits(self, trial: Trial) -> np.ndarray:
        return read_predictions(self.folder / trial.id / "predictions.parquet").logits


def tensors_in(folder: Path) -> dict[str, Tensor]:
    return {
        f"{file.name}:{name}": tensor
        for file in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def first_tensors(trial: Trial, folder: Path) -> dict[str, Tensor]:
    """The tensors that the trial begins with, as its method saves them."""
    prepared = prepare(trial, cache=folder / "cache", device=resolve("cpu"))
    prepared.method.save(prepared.module, folder / "first")
    return tensors_in(folder / "first")


def distance(some: dict[str, Tensor], others: dict[str, Tensor]) -> float:
    """How far apart the tensors are, but for the biases of keys.

    No loss depends on those: softmax is the same if all scores of a query have the same addend. So
    their gradients are what rounding leaves, of which AdamW makes steps of full size.
    """
    assert some.keys() == others.keys()
    names = [name for name in some if not name.endswith("key.bias")]
    return float(torch.stack([(some[name] - others[name]).norm() for name in names]).norm())


def assert_as_alone(results: Results, alone: Results, trials: Sequence[Trial]) -> None:
    """The losses of each of the trials are those that it has alone."""
    for trial in trials:
        np.testing.assert_allclose(results.losses(trial), alone.losses(trial), atol=1e-6)


@pytest.fixture(scope="module")
def alone(trials: dict[str, Trial], tmp_path_factory: pytest.TempPathFactory) -> Results:
    results = Results(tmp_path_factory.mktemp("alone"))
    return results.run([*trials.values()], together=1)


@pytest.fixture(scope="module")
def grouped(trials: dict[str, Trial], tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Four places for nine trials: members are replaced while others are in mid-run."""
    results = Results(tmp_path_factory.mktemp("grouped"))
    return results.run([*trials.values()], together=4)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_trial_in_a_group_ends_as_it_would_have_alone(
    name: str, trials: dict[str, Trial], alone: Results, grouped: Results, tmp_path: Path
) -> None:
    trial = trials[name]
    assert grouped.of(trial, Finished), grouped.of(trial, Failed)
    np.testing.assert_allclose(grouped.losses(trial), alone.losses(trial), rtol=1e-6, atol=1e-6)
    way = distance(alone.tensors(trial), first_tensors(trial, tmp_path))
    assert way > 0.01
    assert distance(grouped.tensors(trial), alone.tensors(trial)) < 1e-4 * way
    of_group, of_one = grouped.logits(trial), alone.logits(trial)
    np.testing.assert_array_equal(of_group.argmax(1), of_one.argmax(1))
    np.testing.assert_allclose(of_group, of_one, atol=1e-4)


def test_members_are_told_as_trials_of_a_group_and_others_as_alone(
    trials: dict[str, Trial], alone: Results, grouped: Results
) -> None:
    for trial in trials.values():
        (of_group,), (of_one,) = grouped.of(trial, Finished), alone.of(trial, Finished)
        assert (of_group.costs.together, of_one.costs.together) == (4, 1)
        assert of_group.num_train_examples == of_one.num_train_examples
        assert 0 < of_group.costs.peak_memory_bytes < of_one.costs.peak_memory_bytes
        assert of_group.costs.train_seconds > 0


def test_a_member_that_diverges_or_cannot_be_loaded_leaves_the_others_alone(
    trials: dict[str, Trial],
    alone: Results,
    make_trial: MakeTrial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    diverges = make_trial(method="lora", learning_rate=1e30, seed=7, max_grad_norm=0.0)
    breaks = make_trial(method="bitfit", seed=8)

    def failing(trial: Trial, **keys: Any) -> Any:
        if trial == breaks:
            raise ValueError("a file in pieces")
        return prepare(trial, **keys)

    monkeypatch.setattr("peftlab.engine.attempt.prepare", failing)
    others = [trials["lora"], trials["ia3"]]
    results = Results(tmp_path).run([diverges, breaks, *others], together=4)
    (failed,) = results.of(diverges, Failed)
    assert "diverged" in failed.error
    (failed,) = results.of(breaks, Failed)
    assert "a file in pieces" in failed.error
    assert_as_alone(results, alone, others)


def test_a_member_whose_step_cannot_be_computed_leaves_the_others_alone(
    trials: dict[str, Trial],
    alone: Results,
    make_trial: MakeTrial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaks = make_trial(method="lora", seed=8)
    backward = group.backward_together

    def failing(steps_and_rows: Sequence[tuple[Steps, Any]]) -> list[float]:
        if any(steps.trial == breaks and steps.taken == 2 for steps, _ in steps_and_rows):
            raise IndexError("a label that is not there")
        return backward(steps_and_rows)

    monkeypatch.setattr(group, "backward_together", failing)
    others = [trials["lora"], trials["ia3"]]
    results = Results(tmp_path).run([others[0], breaks, others[1]], together=3)
    (failed,) = results.of(breaks, Failed)
    assert "a label that is not there" in failed.error
    assert_as_alone(results, alone, others)


def test_members_that_fail_while_evaluating_or_saving_leave_the_others_alone(
    trials: dict[str, Trial],
    alone: Results,
    make_trial: MakeTrial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluates, saves = make_trial(method="lora", seed=8), make_trial(method="head", seed=9)
    record, save = loop.record_evaluation, METHODS.get("head").save

    def recording(tally: Any, trial: Trial, *args: Any) -> Any:
        if trial == evaluates and args[2] > 0:
            raise RuntimeError("no evaluation")
        return record(tally, trial, *args)

    def saving(module: Any, folder: Path) -> None:
        if saves.id in str(folder):
            raise RuntimeError("no saving")
        save(module, folder)

    monkeypatch.setattr(loop, "record_evaluation", recording)
    monkeypatch.setattr(METHODS.get("head"), "save", saving)
    others = [trials["lora"], trials["ia3"]]
    results = Results(tmp_path).run([evaluates, saves, *others], together=4)
    assert "no evaluation" in results.of(evaluates, Failed)[0].error
    assert "no saving" in results.of(saves, Failed)[0].error
    assert_as_alone(results, alone, others)
    assert all(results.of(trial, Finished) for trial in others)


@pytest.mark.parametrize("step", [1, 3, 7])
def test_a_group_that_is_stopped_goes_on_to_the_same_bits(
    step: int, trials: dict[str, Trial], grouped: Results, tmp_path: Path
) -> None:
    chosen = [trials[name] for name in ("lora", "rslora", "houlsby")]
    results = Results(tmp_path)

    def stopping(event: Event) -> None:
        results.events.append(event)
        if isinstance(event, Stepped) and event.trial_id == chosen[1].id and event.step == step:
            request_stop()

    with pytest.raises(KeyboardInterrupt), stopping_gently():
        results.run(chosen, together=3, tell=stopping)
    forget_request()
    assert all(results.of(trial, Interrupted) for trial in chosen)
    again = Results(tmp_path).run(chosen, together=2)
    for trial in chosen:
        (resumed,) = again.of(trial, Resumed)
        assert resumed.step == step
        for name, tensor in grouped.tensors(trial).items():
            assert torch.equal(tensor, again.tensors(trial)[name]), name
        (whole,) = grouped.of(trial, Finished)
        (cut,) = again.of(trial, Finished)
        assert whole.costs.predictions_sha256 == cut.costs.predictions_sha256
        told = [
            one.evaluation for one in [*results.of(trial, Evaluated), *again.of(trial, Evaluated)]
        ]
        assert [loss for one in told for loss in one.step_losses] == grouped.losses(trial)


def test_without_memory_a_group_becomes_smaller_and_all_members_end(
    trials: dict[str, Trial], grouped: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [trials[name] for name in ("lora", "rslora", "ia3", "houlsby")]
    backward, sizes = group.backward_together, []

    def of_two_at_most(steps_and_rows: Sequence[Any]) -> list[float]:
        sizes.append(len(steps_and_rows))
        if len(steps_and_rows) > 2 and len(sizes) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return backward(steps_and_rows)

    monkeypatch.setattr(group, "backward_together", of_two_at_most)
    results = Results(tmp_path).run(chosen, together=4)
    assert sizes[:4] == [4, 4, 4, 4]
    assert max(sizes[4:]) == 2
    for trial in chosen:
        assert results.of(trial, Finished)
        for name, tensor in grouped.tensors(trial).items():
            assert torch.equal(tensor, results.tensors(trial)[name]), name


def test_a_member_whose_model_cannot_join_takes_its_steps_beside_the_others(
    trials: dict[str, Trial], alone: Results, make_trial: MakeTrial, tmp_path: Path
) -> None:
    apart = make_trial(method="prompt", settings={"num_virtual_tokens": 2}, rows=16)
    results, chosen = Results(tmp_path), [apart, trials["lora"], trials["ia3"]]
    job = results.job(chosen, together=3)
    group.train_group(chosen, job, results.events.append, lambda trial: None, lambda end: None)
    by_itself = Results(tmp_path / "alone").run([apart], together=1)
    assert results.losses(apart) == by_itself.losses(apart)
    assert_as_alone(results, alone, [trials["lora"]])


def test_members_keep_their_frozen_weights_once(
    trials: dict[str, Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words and matrices are the same memory; what trains is each one's own."""
    places: list[dict[str, int]] = []
    backward = group.backward_together

    def noting(steps_and_rows: Sequence[tuple[Steps, Any]]) -> list[float]:
        for steps, _ in steps_and_rows:
            module = steps.classifier.module
            places.append({name: one.data_ptr() for name, one in frozen(module)})
        return backward(steps_and_rows)

    monkeypatch.setattr(group, "backward_together", noting)
    Results(tmp_path).run([trials["lora"], trials["bitfit"], trials["houlsby"]], together=3)
    first, *others = places[:3]
    matrices = [name for name in first if "encoder" in name and name.endswith("dense.weight")]
    matrices += ["bert.embeddings.word_embeddings.weight"]
    assert len(matrices) > 5
    for other in others:
        assert all(other[name] == first[name] for name in matrices)


@pytest.mark.parametrize("fault", ["none", "adapter", "keys", "leak"])
def test_the_test_of_equality_sees_faults(
    fault: str,
    trials: dict[str, Trial],
    alone: Results,
    make_trial: MakeTrial,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A member with another's adapter or dropout, or with a thousandth of another's rows."""
    products = together.compute

    def wrong(calls: Sequence[Call], found: dict[Any, Any]) -> Sequence[Tensor]:
        outputs = [*products(calls, found)]
        if fault == "none" or len(calls) < 2 or not calls[0].settings.joined.adapters:
            return outputs
        if fault == "leak":
            size = min(len(one) for one in outputs)
            outputs[0] = outputs[0].clone()
            outputs[0][:size] = 0.999 * outputs[0][:size] + 0.001 * outputs[1][:size]
            return outputs
        first, second = (call.settings for call in calls[:2])
        if fault == "adapter":
            changed = replace(first, joined=second.joined)
        else:
            changed = replace(first, dropouts=second.dropouts)
        return [*products([calls[0]._replace(settings=changed), *calls[1:]], {})]

    monkeypatch.setattr(together, "compute", wrong)
    trial = trials["lora"]
    other = make_trial(method="lora", settings=MEMBERS["lora"]["settings"], seed=5)
    results = Results(tmp_path).run([trial, other], together=2)
    way = distance(alone.tensors(trial), first_tensors(trial, tmp_path))
    error = distance(results.tensors(trial), alone.tensors(trial)) / way
    assert error < 1e-4 if fault == "none" else error > 1e-3


def test_a_job_keeps_apart_what_may_not_share_a_step(
    trials: dict[str, Trial], alone: Results, make_trial: MakeTrial, tmp_path: Path
) -> None:
    """Another engine, another precision, weights that train: each runs as it does alone."""
    others = {
        "trainer": make_trial(method="lora", engine="trainer", rows=16, num_train_epochs=1),
        "bf16": make_trial(method="lora", bf16=True, rows=16, num_train_epochs=1),
        "full": make_trial(method="full", rows=16, num_train_epochs=1),
    }
    chosen = [trials["lora"], *others.values(), trials["ia3"]]
    results = Results(tmp_path).run(chosen, together=5)
    by_themselves = Results(tmp_path / "alone").run([*others.values()], together=1)
    for trial in others.values():
        (end,), (expected,) = results.of(trial, Finished), by_themselves.of(trial, Finished)
        assert (end.costs.together, end.costs.path) == (1, expected.costs.path)
        assert results.losses(trial) == by_themselves.losses(trial)
    for name in ("lora", "ia3"):
        (end,) = results.of(trials[name], Finished)
        assert end.costs.together == 2


def test_a_precision_that_the_device_lacks_is_refused_in_a_group_too(
    make_trial: MakeTrial, tmp_path: Path
) -> None:
    chosen = [make_trial(method="lora", tf32=True, seed=seed) for seed in (1, 2)]
    with pytest.raises(UserError, match="tf32"):
        Results(tmp_path).run(chosen, together=2)
