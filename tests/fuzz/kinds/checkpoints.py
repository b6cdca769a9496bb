"""Training checkpoints: a damaged one is skipped, and the one before it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch
from safetensors.torch import save

from peftlab.core.training import EVERY_EPOCH
from peftlab.engine.checkpoint import Checkpoint, Checkpoints
from tests.fuzz.kinds.base import Kind
from tests.fuzz.mutate import mutate_bytes
from tests.fuzz.payloads import plant_pickles
from tests.fuzz.trees import json_bytes, mutate_tree

TENSORS = {"parameter.a": torch.arange(6.0).reshape(2, 3), "exp_avg.a": torch.ones(2, 3)}
PROGRESS = {"tally": {"epochs": [], "examples": 3}, "losses": [0.5, 0.25], "micro_batch": 8}


class TrainingCheckpoints(Kind):
    """The newest of two files is damaged; sometimes its name is made to match its content."""

    name = "checkpoint"
    share = 60

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        plant_pickles(folder, self.world.sentinel)
        checkpoints = Checkpoints(folder=folder, every=EVERY_EPOCH)
        checkpoints.save(Checkpoint(step=1, tensors=TENSORS, progress=PROGRESS))
        fits = rng.random() < 0.4
        if fits:
            progress = json_bytes(mutate_tree(PROGRESS, rng)).decode()
            content = save(TENSORS, metadata={"progress": progress})
        else:
            content = save(TENSORS, metadata={"progress": json.dumps(PROGRESS)})
        damaged = content if fits and rng.random() < 0.5 else mutate_bytes(content, rng)
        named = damaged if fits else content
        digest = hashlib.sha256(named).hexdigest()[:32]
        (folder / f"step-000000002-{digest}.safetensors").write_bytes(damaged)

        def resume() -> None:
            found = checkpoints.newest()
            assert found is not None
            if not fits and damaged != content:
                assert found.step == 1
                assert found.progress == PROGRESS
                assert torch.equal(found.tensors["parameter.a"], TENSORS["parameter.a"])

        return resume


KIND = TrainingCheckpoints
