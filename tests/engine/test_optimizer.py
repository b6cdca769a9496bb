"""The optimizer, its decay rule and its schedules are those of transformers.Trainer."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import Trainer, get_scheduler

from peftlab.core.schedules import SCHEDULES
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Trial
from peftlab.engine.checkpoint import Checkpoint
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.optimizer import (
    build_optimizer,
    clip_gradients,
    decayed_names,
    learning_rates,
)
from peftlab.engine.steps import Steps
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import build_on_meta, load_model


@pytest.mark.parametrize(
    ("model", "method"),
    [
        *itertools.product(
            ["minilm", "distilbert/distilbert-base-uncased"], ["full", "lora", "bitfit"]
        ),
        *itertools.product(["answerdotai/ModernBERT-base"], ["full", "lora"]),  # it has no biases
    ],
)
def test_weight_decay_falls_on_the_parameters_that_the_trainer_decays(
    model: str, method: str
) -> None:
    chosen = METHODS.get(method)
    module = chosen.apply(build_on_meta(model, num_labels=2), chosen.resolve({}), seed=0)
    theirs = Trainer.get_decay_parameter_names(None, module)  # type: ignore[arg-type]
    assert decayed_names(module) == set(theirs)


SCHEDULES_TRIED: list[tuple[str, dict[str, Any]]] = [
    ("linear", {}),
    ("constant", {}),
    ("constant_with_warmup", {}),
    ("cosine", {}),
    ("cosine", {"num_cycles": 1.75}),
    ("cosine_with_restarts", {}),
    ("cosine_with_restarts", {"num_cycles": 3}),
    ("polynomial", {}),
    ("polynomial", {"power": 2.5, "lr_end": 0.1}),
    ("inverse_sqrt", {}),
    ("inverse_sqrt", {"timescale": 3}),
    ("cosine_with_min_lr", {"min_lr": 0.1}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.3, "num_cycles": 1.5}),
    ("cosine_warmup_with_min_lr", {"min_lr": 0.1, "warmup_lr_rate": 0.2}),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.3}),
    ("warmup_stable_decay", {"num_decay_steps": 3}),
    (
        "warmup_stable_decay",
        {
            "num_decay_steps": 4,
            "num_stable_steps": 2,
            "warmup_type": "cosine",
            "decay_type": "1-sqrt",
            "min_lr_ratio": 0.1,
        },
    ),
    (
        "warmup_stable_decay",
        {"num_decay_steps": 2, "warmup_type": "1-sqrt", "decay_type": "linear", "num_cycles": 1.0},
    ),
]


def test_every_schedule_is_tried_here_with_each_of_its_settings() -> None:
    for kind, schedule in SCHEDULES.items():
        tried = [settings for other, settings in SCHEDULES_TRIED if other == kind]
        assert tried, kind
        left_out = {*schedule.model_fields}.difference(*tried)
        assert left_out <= {"num_cycles"}, kind  # of which one function alone is theirs


@pytest.mark.parametrize(("kind", "own"), SCHEDULES_TRIED)
@pytest.mark.parametrize(("warmup", "total"), [(0, 10), (4, 10), (0.25, 10), (20, 10), (1, 2)])
def test_the_schedule_is_that_of_transformers(
    kind: str, own: dict[str, Any], warmup: float, total: int
) -> None:
    settings = TrainingSettings(
        learning_rate=0.5,
        warmup_steps=warmup,
        lr_scheduler_type=kind,  # type: ignore[arg-type]
        lr_scheduler_kwargs=own,
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that num_stable_steps, where given, will be used
        scheduler = get_scheduler(
            kind,
            optimizer,
            num_warmup_steps=settings.num_warmup_steps(total),
            num_training_steps=total,
            scheduler_specific_kwargs=own,
        )
    for step in range(total):
        expected = optimizer.param_groups[0]["lr"]
        found = learning_rates(settings, total_steps=total)(step)
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)
        optimizer.step()
        scheduler.step()


def test_settings_of_a_schedule_are_no_decoration() -> None:
    """This is the control of the test above: without the settings the rates differ."""
    for kind, own in SCHEDULES_TRIED:
        optional = {
            name: value
            for name, value in own.items()
            if name not in {"num_decay_steps", "min_lr", "min_lr_rate"}
        }
        for name in optional:
            with_all, without = (
                TrainingSettings(
                    learning_rate=0.5,
                    warmup_steps=4,
                    lr_scheduler_type=kind,  # type: ignore[arg-type]
                    lr_scheduler_kwargs=given,
                )
                for given in (own, {key: value for key, value in own.items() if key != name})
            )
            rates = [
                [learning_rates(settings, total_steps=10)(step) for step in range(10)]
                for settings in (with_all, without)
            ]
            # A straight line has no cycles, and the steps are those that are left anyway.
            has_none = kind == "warmup_stable_decay" and name in {"num_cycles", "num_stable_steps"}
            assert rates[0] != rates[1] or has_none, (kind, name)


def test_only_trainable_parameters_are_optimized() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3))
    module[0].weight.requires_grad_(False)
    optimizer = build_optimizer(module, TrainingSettings(weight_decay=0.1))
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    assert held == 3
    assert all(group["weight_decay"] == 0 for group in optimizer.param_groups)


@pytest.mark.parametrize("max_norm", [0.0, 0.01, 1.0, 1e6])
def test_clipping_steps_as_torch_clips(max_norm: float) -> None:
    def step(clip: Callable[[torch.optim.AdamW, list[torch.nn.Parameter]], None]) -> list[Tensor]:
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
        optimizer = build_optimizer(module, TrainingSettings(learning_rate=0.1))
        parameters = list(module.parameters())
        for factor in (100.0, 0.001, 3.0):
            (module(torch.ones(2, 4)).pow(2).sum() * factor).backward()
            clip(optimizer, parameters)
            optimizer.step()
            optimizer.zero_grad()
        return parameters

    def theirs(optimizer: torch.optim.AdamW, parameters: list[torch.nn.Parameter]) -> None:
        if max_norm > 0:
            torch.nn.utils.clip_grad_norm_(parameters, max_norm)

    fast = step(lambda optimizer, parameters: clip_gradients(optimizer, parameters, max_norm))
    for ours, expected in zip(fast, step(theirs), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optim", ["adamw_torch", "sgd", "adafactor", "adagrad", "rmsprop"])
def test_an_optimizers_state_comes_back_as_it_was_kept(
    optim: str, make_trial: Callable[..., Trial], data_of: Callable[[Trial], TrialData]
) -> None:
    """Even the types of values are restored: Adafactor counts its steps in a plain number."""
    trial = make_trial(method="full", rows=16, optim=optim, max_steps=2)
    found: list[dict[str, dict[str, Any]]] = []
    saved: Checkpoint | None = None
    for _ in range(2):
        base = load_model(trial.model.name, num_labels=2, seed=1)
        module = METHODS.get("full").apply(base, trial.method_config, seed=1)
        classifier = build_classifier(
            "padded", module, base, torch.device("cpu"), dropout_seed=1, method=METHODS.get("full")
        )
        with Steps.active(classifier, trial, data_of(trial)) as steps:
            if saved is None:
                steps.take(np.arange(8))
                saved = Checkpoint(
                    step=1, tensors=steps.state(), progress={"embedding_factor": 1.0}
                )
            else:
                steps.restore(saved)
            found.append(
                {
                    name: dict(steps.optimizer.state[one])
                    for name, one in module.named_parameters()
                    if one in steps.optimizer.state
                }
            )
    before, after = found
    kept = {name for name, one in before.items() if one}
    assert (len(kept) > 0) == (optim != "sgd")  # which has no momentum and so no state
    for name in kept:
        assert before[name].keys() == after[name].keys()
        for key, value in before[name].items():
            assert type(after[name][key]) is type(value), key
            torch.testing.assert_close(after[name][key], value, rtol=0, atol=0)
