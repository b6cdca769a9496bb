"""Whether bf16 is worth asking for on a device."""

from __future__ import annotations

from collections.abc import Iterable

from peftlab.core.trial import Trial
from peftlab.engine.devices.base import Device


def bf16_remark(trials: Iterable[Trial], device: Device) -> str:
    """Return what is to be said of bf16 on a device, asked for or not; "" for nothing."""
    is_asked = any(trial.training.bf16 for trial in trials)
    name = device.model_name or device.name
    if is_asked and not device.is_faster_in_bf16:
        return f"training: {{bf16: true}} saves no time on {name}"
    if device.is_faster_in_bf16 and not is_asked:
        return (
            f"training: {{bf16: true}} takes less time on {name}, and gives scores of its own: it "
            "is part of what a trial is"
        )
    return ""
