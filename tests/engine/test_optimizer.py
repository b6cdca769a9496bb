"""The optimizer, its decay rule and its schedules are those of transformers.Trainer."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import Trainer, get_scheduler

from peftlab.core.training import TrainingSettings
from peftlab.engine.optimizer import (
    build_optimizer,
    clip_gradients,
    decayed_names,
    learning_rate_at,
)
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import build_on_meta


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


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant", "constant_with_warmup"])
@pytest.mark.parametrize(("warmup", "total"), [(0, 10), (4, 10), (0.25, 10), (20, 10)])
def test_the_schedule_is_that_of_transformers(kind: str, warmup: float, total: int) -> None:
    settings = TrainingSettings(
        learning_rate=0.5,
        warmup_steps=warmup,
        lr_scheduler_type=kind,  # type: ignore[arg-type]
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = get_scheduler(
        kind, optimizer, num_warmup_steps=settings.num_warmup_steps(total), num_training_steps=total
    )
    for step in range(total):
        expected = optimizer.param_groups[0]["lr"]
        assert learning_rate_at(step, settings, total_steps=total) == pytest.approx(expected)
        optimizer.step()
        scheduler.step()


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
