"""Steps of several trials that are recorded and played are the steps that each takes alone."""

from __future__ import annotations

from collections.abc import Sequence
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
from peftlab.models.fused import backends
from peftlab.models.shared_weights import SharedWeights, frozen
from tests.engine.cuda.playback import Playback
from tests.engine.cuda.test_recorded import (
    WHOLE,
    DataOf,
    MakeTrial,
    assert_equal_steps,
    built,
    played,
    short_rows,
    trained,
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
    [WHOLE[first % 3], WHOLE[(first + 1) % 3], [2, 5, 1], SHORT, WHOLE[first % 3]]
    for first in range(len(MEMBERS))
]
"""The batches of each member: in a step they have other tokens, and other numbers of them."""


def trained_together(
    trials: list[Trial], data_of: DataOf, orders: list[list[list[int]]]
) -> list[tuple[list[float], dict[str, Tensor]]]:
    """The losses of each trial's steps, and the weights after them."""
    weights, found = SharedWeights(), []
    with ExitStack() as stack:
        every: list[Steps] = []
        modules = []
        for trial in trials:
            module, base = built(trial)
            classifier = build_classifier(
                "packed", module, base, torch.device("cpu"), dropout_seed=3
            )
            data = short_rows(data_of(trial))
            every.append(stack.enter_context(Steps.active(classifier, trial, data)))
            weights.share(frozen(module))
            modules.append(module)
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
        for steps, module in zip(every, modules, strict=True):
            told = steps.read_losses()
            assert [step for step, _ in told] == [*range(1, len(orders[0]) + 1)]
            values = {name: p.detach().clone() for name, p in module.named_parameters()}
            found.append(([loss for _, loss in told], values))
    return found


@pytest.mark.parametrize(
    ("names", "training"),
    [
        (range(4), {}),
        ((0, 4), {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}),
    ],
)
def test_steps_of_several_trials_are_those_of_each_alone(
    names: Sequence[int],
    training: dict[str, Any],
    played: Playback,
    make_trial: MakeTrial,
    data_of: DataOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials = [make_trial(rows=9, max_steps=5, **{**MEMBERS[k], **training}) for k in names]
    orders = [ORDERS[k] for k in names]
    found = trained_together(trials, data_of, orders)
    assert played.num_played >= 3
    monkeypatch.setattr(backends, "BACKENDS", ())
    for trial, order, own in zip(trials, orders, found, strict=True):
        words, losses, weights = trained(trial, short_rows(data_of(trial)), order)
        assert words == ""
        assert_equal_steps(own, (losses, weights))
