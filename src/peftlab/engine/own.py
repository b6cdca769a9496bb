"""The engines `packed` and `padded`: our own loop, over classifiers that pack or pad."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from peftlab.engine.base import Trained, TrialRun
from peftlab.engine.checkpoint import Checkpoints
from peftlab.engine.classifier import Classifier, build_classifier
from peftlab.engine.frozen import CachedLayers, cache_frozen_layers
from peftlab.engine.loop import Training, training
from peftlab.engine.memory import keep_freed_memory
from peftlab.engine.prepare import Prepared
from peftlab.store.records import CHECKPOINTS_FOLDER


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A training that is ready to go, and what it trains."""

    training: Training
    classifier: Classifier
    cached: CachedLayers | None

    def trained(self) -> Trained:
        """Return the facts of the training so far."""
        tally, cached = self.training.tally, self.cached
        words = (
            self.classifier.path,
            self.training.choices.words,
            "" if cached is None else cached.words,
            tally.words,
        )
        return Trained(
            tally=tally,
            path=", ".join(filter(None, words)),
            pads=not self.classifier.packs,
            cached=cached,
        )


class OwnEngine:
    """Trains by the loop of engine/loop.py, and goes on from checkpoints."""

    def __init__(self, classifier: Literal["packed", "padded"]) -> None:
        self._classifier = classifier

    def train(self, prepared: Prepared, run: TrialRun) -> Trained:
        """Train the module in place, from the newest checkpoint if there is one."""
        with self.opened(prepared, run) as opened:
            opened.training.run()
        return opened.trained()

    @contextmanager
    def opened(self, prepared: Prepared, run: TrialRun) -> Iterator[Opened]:
        """Yield the trial's training, ready to run; close what it opened when the block ends."""
        keep_freed_memory()
        trial, data = run.trial, prepared.data
        classifier = build_classifier(
            self._classifier,
            prepared.module,
            prepared.base,
            run.device.torch,
            dropout_seed=trial.seeds.dropout,
            method=prepared.method,
            training=trial.training,
            eval_tokens=run.device.eval_tokens_per_batch,
        )
        cached = None
        if trial.cache_frozen:
            cached = cache_frozen_layers(classifier, trial, data, run.job.cache)
        checkpoints = Checkpoints(
            folder=run.folder / CHECKPOINTS_FOLDER,
            every=run.job.checkpoint_every,
            on_saved=run.on_saved,
        )
        with (
            run.energy,
            training(
                classifier,
                trial,
                data if cached is None else cached.data,
                run.tell,
                checkpoints,
                best=run.best,
                stop_after=run.job.stop_after,
                micro_batch=run.job.micro_batch,
                energy=run.energy,
                clock=run.clock,
            ) as opened,
        ):
            yield Opened(training=opened, classifier=classifier, cached=cached)
