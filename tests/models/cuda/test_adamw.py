"""AdamW by the Triton kernels takes the same steps as torch's, including clipping."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

pytestmark = pytest.mark.usefixtures("interpreted")

SHAPES = ((5, 7), (1024,), (1100,), (3, 700))
BETAS, EPSILON = (0.8, 0.99), 1e-6


def made_parameters() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape)) for shape in SHAPES]


def groups_of(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    return [
        {"params": parameters[:2], "weight_decay": 0.1, "lr": 1e-2},
        {"params": parameters[2:], "weight_decay": 0.0, "lr": 3e-2},
    ]


def pair() -> tuple[Any, list[nn.Parameter], torch.optim.AdamW, list[nn.Parameter]]:
    """Return the optimizer by kernels and torch's, with equal parameters."""
    from peftlab.models.cuda.adamw import FlatAdamW

    ours, theirs = made_parameters(), made_parameters()
    fast = FlatAdamW(groups_of(ours), lr=1e-2, betas=BETAS, eps=EPSILON)
    plain = torch.optim.AdamW(groups_of(theirs), lr=1e-2, betas=BETAS, eps=EPSILON)
    return fast, ours, plain, theirs


def set_gradients(step: int, *all_parameters: list[nn.Parameter]) -> None:
    """Set gradients of a different size in each step; the third parameter has none in step 2."""
    generator = torch.Generator().manual_seed(step)
    for index, parameters in enumerate(zip(*all_parameters, strict=True)):
        gradient = torch.randn(parameters[0].shape, generator=generator) * 10.0 ** (step - 2)
        for parameter in parameters:
            parameter.grad = None if (step, index) == (2, 2) else gradient.clone()


@pytest.mark.parametrize("max_norm", [0.0, 1.0])
def test_steps_are_those_of_torch(max_norm: float) -> None:
    fast, ours, plain, theirs = pair()
    fast.max_norm = max_norm
    for step in range(4):
        set_gradients(step, ours, theirs)
        for optimizer in (fast, plain):
            for group, rate in zip(optimizer.param_groups, (1e-2, 3e-2), strict=True):
                group["lr"] = rate / (1 + step)
        fast.step()
        if max_norm:
            nn.utils.clip_grad_norm_(theirs, max_norm)
        plain.step()
        for left, right in zip(ours, theirs, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-7)
    for left, right in zip(ours, theirs, strict=True):
        assert fast.state[left].keys() == plain.state[right].keys()
        for key, value in plain.state[right].items():
            torch.testing.assert_close(fast.state[left][key], value, rtol=1e-5, atol=1e-7)


def test_only_what_exceeds_the_norm_is_clipped() -> None:
    """Otherwise the test above might compare two optimizers that do not clip."""
    moved = {}
    for max_norm in (0.0, 1e-3, 1e6):
        fast, ours, _, _ = pair()
        fast.max_norm = max_norm
        for step in (1, 2):  # of one step the size of the gradient matters little
            set_gradients(step, ours)
            fast.step()
        moved[max_norm] = ours[0].detach()
    assert torch.equal(moved[0.0], moved[1e6])
    assert not torch.allclose(moved[0.0], moved[1e-3], rtol=1e-3)


def test_gradients_of_several_parts_add_up() -> None:
    fast, ours, plain, theirs = pair()
    parts = [[torch.randn(shape) for shape in SHAPES] for _ in range(2)]
    for index, part in enumerate(parts):
        fast.collect(part, adds=index > 0)
    fast.update(torch.from_numpy(fast.advance()))
    for parameter, first, second in zip(theirs, *parts, strict=True):
        parameter.grad = first + second
    plain.step()
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-7)


def test_parameters_that_have_moved_are_found() -> None:
    fast, ours, plain, theirs = pair()
    for step in range(2):
        set_gradients(step, ours, theirs)
        fast.step()
        plain.step()
        for parameter in ours:
            parameter.data = parameter.detach().clone()
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-7)
