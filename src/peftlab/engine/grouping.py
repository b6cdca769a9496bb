"""Which trials may train in one step: those whose products with the checkpoint's matrices are the
same."""

from __future__ import annotations

from dataclasses import dataclass

from peftlab.core.trial import Trial
from peftlab.engine.registry import ENGINES
from peftlab.methods.registry import METHODS
from peftlab.models.facts import config_facts
from peftlab.models.families import family_of


@dataclass(frozen=True, kw_only=True)
class SharedStep:
    """The values that all trials in one step have in common; all else is each trial's own.

    Tasks, methods, learning rates, schedules, numbers of epochs and seeds may differ.
    """

    model: str
    model_fingerprint: str
    batch_size: int
    bf16: bool
    tf32: bool


def shared_step(trial: Trial) -> SharedStep | None:
    """Return what the trials that may share its steps have in common; None if it trains alone."""
    if why_alone(trial) is not None:
        return None
    return SharedStep(
        model=trial.model.name,
        model_fingerprint=trial.model.fingerprint,
        batch_size=trial.training.per_device_train_batch_size,
        bf16=trial.training.bf16,
        tf32=trial.training.tf32,
    )


def why_alone(trial: Trial) -> str | None:
    """Return None if other trials may share the steps of this one, else the reason in a few
    words."""
    if ENGINES.get(trial.engine).load_group is None:
        return f"the engine {trial.engine} trains one trial at a time"
    if trial.cache_frozen:
        return "cache_frozen begins above the layers that would be shared"
    if trial.training.gradient_checkpointing:
        return "gradient_checkpointing computes the layers of one trial again"
    if not METHODS.get(trial.method).shares_base(trial.method_config):
        return f"{trial.method}, with these settings, may change the checkpoint's matrices"
    model_type = str(config_facts(trial.model.name).model_type)
    if family_of(model_type).head is None:
        return f"{model_type} has no fused blocks"
    return None
