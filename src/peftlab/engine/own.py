"""The engines `packed` and `padded`: our own loop, over classifiers that pack or pad."""

from __future__ import annotations

from typing import Literal

from peftlab.engine.base import Trained, TrialRun
from peftlab.engine.checkpoint import Checkpoints
from peftlab.engine.classifier import build_classifier
from peftlab.engine.frozen import cache_frozen_layers
from peftlab.engine.loop import train
from peftlab.engine.memory import keep_freed_memory
from peftlab.engine.prepare import Prepared
from peftlab.store.records import CHECKPOINTS_FOLDER


class OwnEngine:
    """Trains by the loop of engine/loop.py, and goes on from checkpoints."""

    def __init__(self, classifier: Literal["packed", "padded"]) -> None:
        self._classifier = classifier

    def train(self, prepared: Prepared, run: TrialRun) -> Trained:
        """Train the module in place, from the newest checkpoint if there is one."""
        keep_freed_memory()
        trial, data = run.trial, prepared.data
        classifier = build_classifier(
            self._classifier,
            prepared.module,
            prepared.base,
            run.device.torch,
            dropout_seed=trial.seeds.dropout,
            method=prepared.method,
            recomputes=trial.training.gradient_checkpointing,
            bf16=trial.training.bf16,
        )
        cached = None
        if trial.cache_frozen:
            cached = cache_frozen_layers(classifier, trial, data, run.job.cache)
        checkpoints = Checkpoints(
            folder=run.folder / CHECKPOINTS_FOLDER,
            every=run.job.checkpoint_every,
            on_saved=run.on_saved,
        )
        with run.energy:
            tally = train(
                classifier,
                trial,
                data if cached is None else cached.data,
                run.tell,
                checkpoints,
                best=run.best,
                stop_after=run.job.stop_after,
                micro_batch=run.job.micro_batch,
                energy=run.energy,
            )
        words = (classifier.path, "" if cached is None else cached.words, tally.words)
        return Trained(
            tally=tally,
            path=", ".join(filter(None, words)),
            pads=not classifier.packs,
            cached=cached,
        )
