"""The optimizer and its learning rate, as transformers.Trainer sets them up."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import nn

from peftlab.core.training import TrainingSettings

# The names that transformers.Trainer keeps from weight decay, beside every nn.LayerNorm.
NOT_DECAYED = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


def decayed_names(module: nn.Module) -> set[str]:
    """The parameters that weight decay applies to: no bias, no normalisation layer.

    The rule of transformers.Trainer.get_decay_parameter_names; a test holds the two equal.
    """
    names: set[str] = set()
    for path, child in module.named_modules():
        if isinstance(child, nn.LayerNorm):
            continue
        for name, _ in child.named_parameters(recurse=False):
            full = f"{path}.{name}" if path else name
            if not NOT_DECAYED.search(full.lower()):
                names.add(full)
    return names


def build_optimizer(module: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    """torch's fused AdamW (decoupled weight decay) over the trainable parameters.

    Loshchilov and Hutter 2019, arXiv 1711.05101. Raises ValueError if nothing is trainable.
    """
    decayed = decayed_names(module)
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups[name in decayed].append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": settings.weight_decay if decay else 0.0}
            for decay, parameters in groups.items()
            if parameters
        ],
        lr=settings.learning_rate,
        betas=(settings.adam_beta1, settings.adam_beta2),
        eps=settings.adam_epsilon,
        fused=True,
    )


def clip_gradients(
    optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], max_norm: float
) -> None:
    """Have the next step scale all gradients so that their norm is at most `max_norm`.

    As torch.nn.utils.clip_grad_norm_, whose pass over all gradients is left to the fused
    optimizer: it divides by its `grad_scale` as it reads them. 0 clips nothing.
    """
    optimizer.grad_scale = None  # type: ignore[attr-defined]
    if max_norm <= 0:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch._foreach_norm(gradients)
    norm = torch.linalg.vector_norm(torch.stack(norms))
    if float(norm) > max_norm:
        optimizer.grad_scale = (norm + 1e-6) / max_norm  # type: ignore[attr-defined]


def learning_rate_at(step: int, settings: TrainingSettings, *, total_steps: int) -> float:
    """Return the learning rate of optimizer step `step` (0-based), a function of nothing else."""
    rate = settings.learning_rate
    warmup = settings.num_warmup_steps(total_steps)
    return rate * settings.schedule.factor(
        step, warmup=warmup, total=total_steps, learning_rate=rate
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group of the optimizer this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
