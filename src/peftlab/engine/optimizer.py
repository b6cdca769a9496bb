"""The optimizer and its learning rate, as transformers.Trainer sets them up."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from peftlab.core.errors import TrialError, UserError
from peftlab.core.training import TrainingSettings
from peftlab.models.fused.backends import backend_of
from peftlab.models.layers import layers_below_top

SHARE = "share"
"""The key of an optimizer's group for its share of the learning rate."""
ROW_BY_ROW = ("adamw_torch_fused", "sgd")
"""The optimizers that do nothing but weight decay to a row of a table that gets no gradient."""

# The names that transformers.Trainer keeps from weight decay, beside every nn.LayerNorm.
NOT_DECAYED = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


def decayed_names(module: nn.Module) -> set[str]:
    """Return the names of what weight decay applies to: no bias, no normalisation layer.

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


def build_optimizer(
    module: nn.Module, settings: TrainingSettings, base: PreTrainedModel | None = None
) -> torch.optim.Optimizer:
    """Return the optimizer of the settings over the trainable parameters, made as the Trainer does.

    Parameters of one weight decay and one share of the learning rate are a group; its share is
    kept in it. `base` is the transformers model under the method, whose layers are asked for where
    their rates differ.

    Raises ValueError if nothing is trainable, and TrialError where `base` has no layers in order.
    """
    decayed, levels = decayed_names(module), _levels(settings, base)
    groups: dict[tuple[bool, int], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            key = (name in decayed, levels.get(id(parameter), 0))
            groups.setdefault(key, []).append(parameter)
    # Of one level those with weight decay come first.
    ordered = sorted(groups.items(), key=lambda item: (item[0][1], not item[0][0]))
    return _new_optimizer(
        [
            {
                "params": parameters,
                "weight_decay": settings.weight_decay if decays else 0.0,
                "lr": settings.learning_rate * settings.layerwise_lr_decay**level,
                SHARE: settings.layerwise_lr_decay**level,
            }
            for (decays, level), parameters in ordered
        ],
        settings,
    )


def _levels(settings: TrainingSettings, base: PreTrainedModel | None) -> dict[int, int]:
    """Return how many layers each parameter is below the last, where that changes its rate."""
    if settings.layerwise_lr_decay == 1 or base is None:
        return {}
    try:
        levels = layers_below_top(base)
    except UserError as error:
        raise TrialError(f"layerwise_lr_decay: {error}") from error
    return {id(parameter): levels[name] for name, parameter in base.named_parameters()}


def _new_optimizer(
    groups: list[dict[str, Any]], settings: TrainingSettings
) -> torch.optim.Optimizer:
    """Return an optimizer of these groups.

    AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) is that of the kernels that compute the
    parameters, where they have one, else torch's fused one; Adafactor is that of transformers
    (Shazeer and Stern 2018, arXiv 1804.04235) with the learning rate as it is given.
    """
    rate = settings.learning_rate
    match settings.optim:
        case "sgd":
            return torch.optim.SGD(groups, lr=rate)
        case "adagrad":
            return torch.optim.Adagrad(groups, lr=rate)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=rate)
        case "adafactor":
            from transformers.optimization import Adafactor

            return Adafactor(groups, lr=rate, scale_parameter=False, relative_step=False)
        case "adamw_torch_fused":
            given: dict[str, Any] = {
                "lr": rate,
                "betas": (settings.adam_beta1, settings.adam_beta2),
                "eps": settings.adam_epsilon,
            }
            own = _own_adamw([parameter for group in groups for parameter in group["params"]])
            if own is not None:
                return own(groups, **given)
            return torch.optim.AdamW(groups, **given, fused=True)


def _own_adamw(parameters: Sequence[nn.Parameter]) -> Callable[..., torch.optim.Optimizer] | None:
    """Return the AdamW of the back end that computes these, if it has one that takes them."""
    backend = backend_of(*parameters) if parameters else None
    if backend is None or any(parameter.dtype != torch.float32 for parameter in parameters):
        return None
    return backend.adamw()


def put_state(
    optimizer: torch.optim.Optimizer, parameter: nn.Parameter, key: str, value: Tensor
) -> None:
    """Give a value of a parameter's state, as it was saved, back to the optimizer.

    It goes to the place of the value that is there. Of an optimizer that makes its state in its
    first step none is: it is kept as that would keep it, a whole number as a plain one, for
    Adafactor counts its steps so, the others in a tensor of floats.
    """
    state = optimizer.state[parameter]
    if key in state and isinstance(state[key], Tensor):
        state[key].copy_(value)
        return
    value = value.to(parameter.device)
    state[key] = int(value) if value.ndim == 0 and value.dtype == torch.int64 else value


def clip_gradients(
    optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], max_norm: float
) -> None:
    """Have the next step scale all gradients so that their norm is at most `max_norm`.

    It does what torch.nn.utils.clip_grad_norm_ does, whose pass over all gradients is left to a
    fused optimizer: that divides by its `grad_scale` as it reads them. One that has a `max_norm`
    clips by itself. 0 clips nothing.
    """
    if hasattr(optimizer, "max_norm"):
        optimizer.max_norm = max_norm
        return
    if not optimizer.defaults.get("fused"):
        if max_norm > 0:
            torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        return
    optimizer.grad_scale = None  # type: ignore[attr-defined]
    if max_norm <= 0:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch._foreach_norm(gradients)
    norm = torch.linalg.vector_norm(torch.stack(norms))
    if float(norm) > max_norm:
        optimizer.grad_scale = (norm + 1e-6) / max_norm  # type: ignore[attr-defined]


def learning_rates(settings: TrainingSettings, *, total_steps: int) -> Callable[[int], float]:
    """Return the learning rate as a function of the optimizer step (0-based) and nothing else."""
    rate, schedule = settings.learning_rate, settings.schedule
    warmup = settings.num_warmup_steps(total_steps)
    return lambda step: (
        rate * schedule.factor(step, warmup=warmup, total=total_steps, learning_rate=rate)
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every group of the optimizer its share of this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group[SHARE]
