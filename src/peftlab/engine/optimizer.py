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
"""The key under which a parameter group keeps its share of the learning rate."""
ROW_BY_ROW = ("adamw_torch_fused", "sgd")
"""The optimizers that only apply weight decay to a row of a table that gets no gradient."""

# The names that transformers.Trainer excludes from weight decay, besides every nn.LayerNorm.
NOT_DECAYED = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


def decayed_names(module: nn.Module) -> set[str]:
    """Return the names of the parameters with weight decay: no bias, no normalisation layer.

    This is the rule of transformers.Trainer.get_decay_parameter_names; a test checks that the two
    agree.
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
    """Return the optimizer of the trainable parameters, set up as transformers.Trainer does.

    Parameters with the same weight decay and the same share of the learning rate form a group,
    which stores that share. `base` is the transformers model under the method; its layers are
    needed only if their rates differ.

    Raises ValueError if nothing is trainable, and TrialError if the layers of `base` have no order
    but their rates are to differ.
    """
    decayed, levels = decayed_names(module), _levels(settings, base)
    groups: dict[tuple[bool, int], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            key = (name in decayed, levels.get(id(parameter), 0))
            groups.setdefault(key, []).append(parameter)
    # Within a level, the group with weight decay comes first.
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
    """Return how many layers each parameter is below the last; {} if all rates are equal."""
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

    AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) comes from the back end of the parameters
    if it has one, else it is torch's fused AdamW; Adafactor (Shazeer and Stern 2018, arXiv
    1804.04235) is that of transformers, with the given learning rate unscaled.
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
    """Return the AdamW of the back end that computes these parameters; None if it has none for
    them."""
    backend = backend_of(*parameters) if parameters else None
    if backend is None or any(parameter.dtype != torch.float32 for parameter in parameters):
        return None
    return backend.adamw()


def put_state(
    optimizer: torch.optim.Optimizer, parameter: nn.Parameter, key: str, value: Tensor
) -> None:
    """Restore a saved value of a parameter's state in the optimizer.

    A tensor that is already there is overwritten in place. If the optimizer creates its state only
    in its first step, the value is stored as that step would store it: an integer scalar as a plain
    int (Adafactor's count of steps), anything else as a tensor.
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
    """Make the next step scale all gradients so that their total norm is at most `max_norm`.

    The result is that of torch.nn.utils.clip_grad_norm_, but a fused optimizer scales the gradients
    itself, as it reads them, by dividing by its `grad_scale`, which saves a pass over them. An
    optimizer with a `max_norm` clips by itself. A `max_norm` of 0 clips nothing.
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
    """Return the learning rate as a function of the optimizer step (0-based) alone."""
    rate, schedule = settings.learning_rate, settings.schedule
    warmup = settings.num_warmup_steps(total_steps)
    return lambda step: (
        rate * schedule.factor(step, warmup=warmup, total=total_steps, learning_rate=rate)
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every parameter group to its share of this one."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group[SHARE]
