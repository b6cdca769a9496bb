"""The precision in which a device multiplies float32 matrices while a trial runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from peftlab.core.errors import UserError
from peftlab.core.training import TrainingSettings
from peftlab.engine.devices.base import Device
from peftlab.models.precision import multiplying


@contextmanager
def precision_of(training: TrainingSettings, device: Device) -> Iterator[None]:
    """Multiply float32 matrices within the block in the precision of the settings.

    The device is the current one of its kind within.

    Raises UserError if the device has no matrix units for that precision: a trial that ran in
    another one would store different numbers under its id.
    """
    for name, is_asked, why_not in (
        ("bf16", training.bf16, device.why_not_bf16),
        ("bf16_full_eval", training.bf16_full_eval, device.why_not_bf16),
        ("tf32", training.tf32, device.why_not_tf32),
    ):
        if is_asked and why_not is not None:
            raise UserError(
                f"{name} = true cannot be computed on '{device.name}': {why_not}",
                where="--device",
                allowed=f"an NVIDIA card of capability 8.0 or more, or {name}: false",
            )
    with device.current(), multiplying("tf32" if training.tf32 else "fp32"):
        yield
