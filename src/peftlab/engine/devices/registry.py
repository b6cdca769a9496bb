"""The registry of devices, which finds the device that a user's name stands for on this machine.

Nothing here imports PyTorch before a device other than the processor is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from peftlab.core.errors import UserError
from peftlab.core.process import may_have_card
from peftlab.core.registry import Registry
from peftlab.engine.devices.base import Device
from peftlab.engine.devices.processor import Processor

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class DeviceEntry:
    """The facts about a kind of device that are needed before one is opened.

    `pattern` matches the names of the kind. `names` lists the devices of this machine, `has` tells
    whether a device of a matching name is among them, and `open` returns it; `needs` says what a
    machine must have for one. `auto` chooses the available kind with the lowest `order`, never a
    kind whose order is None. `is_everywhere` says that every machine has such a device, and
    `resource` is the Ray resource that it counts as.
    """

    pattern: str
    names: Callable[[], list[str]]
    has: Callable[[str], bool]
    open: Callable[[str], Device]
    needs: str = ""
    order: int | None = None
    is_everywhere: bool = False
    resource: Literal["CPU", "GPU"] = "CPU"


def resolve(name: str) -> Device:
    """Return the device of that name; "auto" is the preferred device of this machine.

    Raises UserError if this machine has no device of that name.
    """
    found = device_here(name)
    if found is None:
        raise UserError(f"no device '{name}' here", where="--device", allowed=_allowed())
    return found


def device_here(name: str) -> Device | None:
    """Return the device of that name ("auto": the preferred one); None if it is not here."""
    if name == AUTO:
        return next(_preferred())
    entry = _entry(name) if isinstance(name, str) else None
    return entry.open(name) if entry is not None and entry.has(name) else None


def is_known(name: str) -> bool:
    """Return whether some machine may have a device of that name."""
    return name == AUTO or _entry(name) is not None


def is_everywhere(name: str) -> bool:
    """Return whether every machine has a device of that name, so that nothing need be checked."""
    entry = _entry(name)
    return name == AUTO or (entry is not None and entry.is_everywhere)


def resource_of(name: str) -> Literal["CPU", "GPU"] | None:
    """Return the Ray resource of a device of that name; None if each node chooses its own."""
    if name == AUTO:
        return None
    entry = _entry(name)
    return "CPU" if entry is None else entry.resource


def _preferred() -> Iterator[Device]:
    """Yield the first device of each available kind, in the order in which `auto` prefers them."""
    ordered = [entry for entry in DEVICES if entry.order is not None]
    for entry in sorted(ordered, key=lambda entry: entry.order or 0):
        yield from map(entry.open, entry.names()[:1])


def _entry(name: str) -> DeviceEntry | None:
    """Return the entry of a device's name; None for any other value, whatever its type."""
    text = name if isinstance(name, str) else ""
    return next((entry for entry in DEVICES if re.fullmatch(entry.pattern, text)), None)


def _allowed() -> str:
    """Return the names of the devices of this machine, and the needs of the kinds that it lacks."""
    names, missing = [AUTO], []
    for entry in DEVICES:
        found = entry.names()
        names += found
        if not found and entry.needs:
            missing.append(entry.needs)
    return "; ".join([", ".join(names), *missing])


def _cuda_names() -> list[str]:
    if not may_have_card():
        return []
    import torch

    if not torch.cuda.is_available():
        return []
    return ["cuda", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]


def _cuda(name: str) -> Device:
    from peftlab.engine.devices.accelerators import Cuda

    return Cuda(name)


def _computes(name: str) -> bool:
    from peftlab.engine.devices.accelerators import computes

    return computes(name)


def _accelerator(name: str) -> Device:
    from peftlab.engine.devices.accelerators import Accelerator

    return Accelerator(name)


DEVICES = Registry[DeviceEntry]("device")
DEVICES.add(
    "cpu",
    DeviceEntry(
        pattern=r"cpu(:0)?",
        names=lambda: ["cpu"],
        has=lambda name: True,
        open=Processor,
        order=100,
        is_everywhere=True,
    ),
)
DEVICES.add(
    "cuda",
    DeviceEntry(
        pattern=r"cuda(:\d+)?",
        names=_cuda_names,
        has=lambda name: name in _cuda_names(),
        open=_cuda,
        needs="cuda needs an NVIDIA card that PyTorch sees",
        order=0,
        resource="GPU",
    ),
)
DEVICES.add(
    "torch",
    DeviceEntry(
        pattern=r"(mps|xpu|mtia|hpu|npu|xla|privateuseone)(:\d+)?",
        names=list,
        has=_computes,
        open=_accelerator,
    ),
)
