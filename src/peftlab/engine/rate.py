"""The speed of training on this machine: examples per second, and the parts of a step."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from time import perf_counter

from peftlab.core.trial import Trial
from peftlab.data.batches import batches, epoch_order
from peftlab.engine.classifier import build_classifier
from peftlab.engine.devices.base import Device
from peftlab.engine.devices.registry import resolve
from peftlab.engine.memory import keep_freed_memory
from peftlab.engine.precision import precision_of
from peftlab.engine.prepare import prepare
from peftlab.engine.registry import ENGINES
from peftlab.engine.steps import PARTS, Steps

WARM_UP_STEPS = 2


class RateMeter:
    """A trial that is trained only to measure its speed; its result is discarded."""

    def __init__(self, trial: Trial, *, cache: Path, device: str) -> None:
        keep_freed_memory()
        place = resolve(device)
        with precision_of(trial.training, place):
            prepared = prepare(trial, cache=cache, device=place)
            self._classifier = build_classifier(
                ENGINES.get(trial.engine).classifier,
                prepared.module,
                prepared.base,
                place.torch,
                method=prepared.method,
                training=trial.training,
            )
        self._trial, self._data, self._device = trial, prepared.data, place
        order = epoch_order(len(prepared.data.train), seed=trial.seeds.order, epoch=1)
        self._rows = cycle(batches(order, trial.training.examples_per_step))
        prepared.module.train()

    def measure(self, seconds: float) -> float:
        """Return the examples per second, measured for `seconds` after a few warm-up steps."""
        with (
            precision_of(self._trial.training, self._device),
            Steps.active(self._classifier, self._trial, self._data) as steps,
        ):
            for _ in range(WARM_UP_STEPS):
                steps.take(next(self._rows))
            self._device.synchronize()
            began, examples = perf_counter(), 0
            while perf_counter() - began < seconds:
                rows = next(self._rows)
                steps.take(rows)
                examples += len(rows)
            self._device.synchronize()
            return examples / (perf_counter() - began)


class PartsClock:
    """A clock for the parts of steps, to be called at the end of each (as Steps.mark)."""

    def __init__(self, device: Device) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._device = device
        self._since = 0.0

    def begin(self) -> None:
        """Note that a step begins."""
        self._device.synchronize()
        self._since = perf_counter()

    def __call__(self, part: str) -> None:
        """Note that a part of the step has ended, after the device has finished it."""
        self._device.synchronize()
        now = perf_counter()
        self.seconds[part] += now - self._since
        self._since = now
