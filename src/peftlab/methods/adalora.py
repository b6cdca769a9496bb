"""AdaLoRA: low-rank updates whose ranks are pruned by importance while they train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from peftlab.core.errors import UserError
from peftlab.methods.peft_method import PeftMethod

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

FIRST_SHARE, LAST_SHARE = 0.1, 0.3
"""Shares of a training's steps: before the first pruning, and after the last."""
AVERAGES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""The averages that peft keeps of each entry: its importance, and averages of that and of its
uncertainty."""
RANKS = "rank_pattern"
OPEN = -1
"""The value of tinit and tfinal in peft's config until the number of steps is known."""
MOST_STEPS = 2**31 - 1


class AdaLora(PeftMethod):
    """peft's AdaLoRA (Zhang et al. 2023, arXiv 2303.10512) within a training of known length.

    The number of steps is the trial's. `tinit` (steps before the first pruning) and `tfinal`
    (steps after the last) are null by default: a tenth and three tenths of all. Pruned singular
    values are kept as zeros in what is saved, so that it gives the same bits when it is loaded.
    """

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(
            *args,
            **keywords,
            hidden=("total_step", RANKS, "r", "use_dora", "loftq_config"),
            defaults={"tinit": None, "tfinal": None},
        )

    def resolve(self, given: Mapping[str, JsonValue], *, where: str = "") -> dict[str, JsonValue]:
        """Return all fields of peft's config but for those that follow from the trial."""
        settings: dict[str, Any] = super().resolve(given, where=where)
        for key in ("tinit", "tfinal"):
            if settings[key] is not None and settings[key] < 0:
                raise UserError(
                    f"{key} = {settings[key]} is not valid: it is a number of steps",
                    where=where,
                    allowed="0 or more, or null for a share of the trial's steps",
                )
        if not 0 < settings["target_r"] < settings["init_r"]:
            raise UserError(
                f"target_r = {settings['target_r']} is not valid: ranks are pruned down to it "
                f"from init_r = {settings['init_r']}",
                where=where,
                allowed="1 or more, and less than init_r",
            )
        return settings

    def fitted(
        self, model: PreTrainedModel, config: Mapping[str, JsonValue], *, seed: int
    ) -> dict[str, JsonValue]:
        """Return the settings, the schedule left open until `begin_training` knows the steps."""
        settings = super().fitted(model, config, seed=seed)
        left_open = {key: OPEN for key in ("tinit", "tfinal") if settings[key] is None}
        return settings | left_open

    def begin_training(self, module: nn.Module, total_steps: int) -> None:
        """Set the schedule of the pruning; raise UserError if it does not fit into the steps."""
        config = _config_of(module)
        config.total_step = total_steps
        config.tinit = int(FIRST_SHARE * total_steps) if config.tinit == OPEN else config.tinit
        config.tfinal = int(LAST_SHARE * total_steps) if config.tfinal == OPEN else config.tfinal
        if config.tinit + config.tfinal + 2 > total_steps:
            raise UserError(
                f"{self.name} prunes between its first {config.tinit} and last {config.tfinal} "
                f"steps, and the training has {total_steps}",
                allowed="tinit + tfinal at least 2 below the number of steps",
            )

    def penalty(self, module: nn.Module) -> Tensor:
        """Return how far the singular vectors are from orthonormal, times `orth_reg_weight`."""
        import torch

        matrices = [
            parameter if ".lora_A." in name else parameter.T
            for name, parameter in module.named_parameters()
            if ".lora_A." in name or ".lora_B." in name
        ]
        norms = [
            torch.linalg.norm(matrix @ matrix.T - torch.eye(len(matrix), device=matrix.device))
            for matrix in matrices
        ]
        weight: float = _config_of(module).orth_reg_weight
        return weight * torch.stack(norms).mean()

    def after_step(self, module: nn.Module, step: int) -> None:
        """Let peft weigh the entries by their gradients, and prune if it is time."""
        _tuner(module).update_and_allocate(step)

    def state(self, module: nn.Module) -> dict[str, Tensor]:
        """Return the averages by which ranks are pruned, and the ranks that are kept."""
        import torch

        allocator = _tuner(module).rankallocator
        tensors: dict[str, Tensor] = {
            f"{kind}:{name}": tensor
            for kind in AVERAGES
            for name, tensor in getattr(allocator, kind).items()
        }
        kept: Mapping[str, list[bool]] = _config_of(module).rank_pattern or {}
        return tensors | {f"{RANKS}:{name}": torch.tensor(ranks) for name, ranks in kept.items()}

    def restore(self, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned. Raises ValueError if it is not of this method."""
        found: dict[str, dict[str, Any]] = {kind: {} for kind in (*AVERAGES, RANKS)}
        for key, tensor in tensors.items():
            kind, _, name = key.partition(":")
            if kind not in found:
                raise ValueError(f"{key} is not of {self.name}")
            found[kind][name] = tensor
        allocator = _tuner(module).rankallocator
        for kind in AVERAGES:
            setattr(allocator, kind, found[kind])
        ranks = {name: tensor.tolist() for name, tensor in found[RANKS].items()}
        _config_of(module).rank_pattern = ranks or None

    def save(self, module: nn.Module, folder: Path) -> None:
        """Write a PEFT adapter folder, without the pattern by which peft would cut zeros off."""
        config = _config_of(module)
        ranks, config.rank_pattern = config.rank_pattern, None
        try:
            super().save(module, folder)
        finally:
            config.rank_pattern = ranks

    def _config(self, settings: Mapping[str, JsonValue]) -> Any:
        return super()._config({**settings, "total_step": MOST_STEPS})


def _tuner(module: nn.Module) -> Any:
    return module.base_model


def _config_of(module: nn.Module) -> Any:
    return next(iter(_tuner(module).peft_config.values()))
