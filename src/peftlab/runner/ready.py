"""What is done once before anything trains: weights are fetched, kernels compiled."""

from __future__ import annotations

from peftlab.engine.prepare import choose_device
from peftlab.models.checkpoints import ensure_weights
from peftlab.models.fused.compile import ensure_compiled


def make_ready(model: str, *, device: str, executor: str = "inline") -> None:
    """Have the model's weights on this machine, and for a CPU the kernels compiled.

    Both are stages of the work. Raises UserError where the weights cannot be had, or there is no
    such device.
    """
    if executor != "ray":  # whose nodes have caches of their own
        ensure_weights(model)
    if choose_device(device).type == "cpu":
        ensure_compiled()
