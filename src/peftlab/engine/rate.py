"""How fast a trial trains here, found by training it for a moment."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from time import perf_counter

from peftlab.core.trial import Trial
from peftlab.data.batches import batches, epoch_order
from peftlab.engine.classifier import build_classifier
from peftlab.engine.memory import keep_freed_memory
from peftlab.engine.prepare import choose_device, prepare
from peftlab.engine.registry import ENGINES
from peftlab.engine.steps import Steps

WARM_UP_STEPS = 2


class RateMeter:
    """A trial made ready to train, whose training goes nowhere."""

    def __init__(self, trial: Trial, *, cache: Path, device: str) -> None:
        keep_freed_memory()
        place = choose_device(device)
        prepared = prepare(trial, cache=cache, device=place)
        classifier = build_classifier(
            ENGINES.get(trial.engine).classifier,
            prepared.module,
            prepared.base,
            place,
            method=prepared.method,
            recomputes=trial.training.gradient_checkpointing,
        )
        self._steps = Steps(classifier, trial, prepared.data)
        order = epoch_order(len(prepared.data.train), seed=trial.seeds.order, epoch=1)
        self._rows = cycle(batches(order, trial.training.examples_per_step))
        prepared.module.train()

    def measure(self, seconds: float) -> float:
        """Examples a second, over about so many seconds after a few steps to warm up."""
        with self._steps.active():
            for _ in range(WARM_UP_STEPS):
                self._steps.take(next(self._rows))
            began, examples = perf_counter(), 0
            while perf_counter() - began < seconds:
                rows = next(self._rows)
                self._steps.take(rows)
                examples += len(rows)
            return examples / (perf_counter() - began)
