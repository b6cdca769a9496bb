"""Steps of several trials that are recorded and played are the steps that each takes alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from peftlab.core.trial import Trial
from peftlab.engine.classifier import build_classifier
from peftlab.engine.recorded import RecordedSteps
from peftlab.engine.recorded_group import RecordedGroup
from peftlab.engine.steps import Steps
from peftlab.methods.registry import METHODS
from peftlab.models.fused import backends
from peftlab.models.shared_weights import SharedWeights, frozen
from tests.engine.cuda.playback import Playback
from tests.engine.cuda.test_recorded import (
    WHOLE,
    DataOf,
    MakeTrial,
    assert_equal_steps,
    encoder,
    played,
    short_rows,
)

__all__ = ["played"]

MEMBERS: tuple[dict[str, Any], ...] = (
    {"method": "lora", "settings": {"r": 2, "lora_dropout": 0.1}},
    {"method": "bitfit", "max_grad_norm": 0.1},
    {"method": "ia3", "learning_rate": 2e-2},
    {"method": "lora", "settings": {"r": 3, "lora_dropout": 0.3}, "weight_decay": 0.1},
    {"method": "houlsby", "lr_scheduler_type": "constant"},
)
SHORT = [8]
ORDERS = [
    [WHOLE[first % 3], SHORT, WHOLE[(first + 1) % 3], [2, 5, 1]] for first in range(len(MEMBERS))
]
"""The batches of each member: in a step they have other tokens, and other numbers of them."""


def opened(stack: ExitStack, trial: Trial, data_of: DataOf) -> Steps:
    """The steps of a trial; the weights that it does not train are the same for all trials."""
    torch.manual_seed(0)
    base = encoder()
    moved(base.parameters())
    method = METHODS.get(trial.method)
    module = method.apply(base, trial.method_config, seed=1).train()
    moved(parameter for parameter in module.parameters() if parameter.requires_grad)
    classifier = build_classifier("packed", module, base, torch.device("cpu"), dropout_seed=3)
    return stack.enter_context(Steps.active(classifier, trial, short_rows(data_of(trial))))


@torch.no_grad()
def moved(parameters: Iterable[Tensor]) -> None:
    for parameter in parameters:
        parameter.add_(torch.randn_like(parameter) * 0.2)


def result(steps: Steps, num_steps: int) -> tuple[list[float], dict[str, Tensor]]:
    """The losses, and the weights after the steps."""
    told = steps.read_losses()
    assert [step for step, _ in told] == [*range(1, num_steps + 1)]
    named = steps.classifier.module.named_parameters()
    return [loss for _, loss in told], {name: p.detach().clone() for name, p in named}


def trained_alone(
    trial: Trial, data_of: DataOf, order: list[list[int]]
) -> tuple[list[float], dict[str, Tensor]]:
    with ExitStack() as stack:
        steps = opened(stack, trial, data_of)
        assert steps.recorded is None
        for rows in order:
            steps.take(np.array(rows))
        return result(steps, len(order))


def trained_together(
    trials: list[Trial], data_of: DataOf, orders: list[list[list[int]]]
) -> list[tuple[list[float], dict[str, Tensor]]]:
    """The losses of each trial's steps, and the weights after them."""
    weights = SharedWeights()
    with ExitStack() as stack:
        every = [opened(stack, trial, data_of) for trial in trials]
        for steps in every:
            weights.share(frozen(steps.classifier.module))
        recorded = [steps.recorded for steps in every]
        assert all(isinstance(one, RecordedSteps) for one in recorded)
        (backend,) = backends.BACKENDS
        assert backend.capture is not None
        group = RecordedGroup([one for one in recorded if one is not None], backend.capture)
        for batches in zip(*orders, strict=True):
            for steps in every:
                steps.begin()
            group.take(
                [np.array(rows) for rows in batches],
                steps=[steps.taken for steps in every],
                micro_batch=min(steps.micro_batch for steps in every),
            )
            for steps in every:
                steps.count()
        return [result(steps, len(orders[0])) for steps in every]


@pytest.mark.parametrize(
    ("names", "num_steps", "training"),
    [
        (range(4), 4, {}),
        ((0, 4), 3, {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}),
    ],
)
def test_steps_of_several_trials_are_those_of_each_alone(
    names: Sequence[int],
    num_steps: int,
    training: dict[str, Any],
    played: Playback,
    make_trial: MakeTrial,
    data_of: DataOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials = [make_trial(rows=9, max_steps=num_steps, **{**MEMBERS[k], **training}) for k in names]
    orders = [ORDERS[k][:num_steps] for k in names]
    found = trained_together(trials, data_of, orders)
    assert played.num_played >= 3
    monkeypatch.setattr(backends, "BACKENDS", ())
    for trial, order, own in zip(trials, orders, found, strict=True):
        assert_equal_steps(own, trained_alone(trial, data_of, order))
