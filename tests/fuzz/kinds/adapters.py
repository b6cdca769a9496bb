"""The saved models of trials: PEFT adapters and changed tensors, with which `predict` works."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from random import Random

from peftlab.outputs.predict import predict_texts
from peftlab.store.records import MODEL_FOLDER, TrialRecord
from peftlab.store.workspace import Workspace
from tests.fuzz.kinds.base import Kind
from tests.fuzz.mutate import mutate_bytes
from tests.fuzz.payloads import MODULE, plant_pickles
from tests.fuzz.trees import json_bytes, mutate_tree

CODE = {
    "megatron_config": {"tensor_model_parallel_size": 1, "params_dtype": "x"},
    "megatron_core": MODULE,
    "auto_mapping": {"base_model_class": "Model", "parent_library": MODULE},
    "base_model_name_or_path": f"../{MODULE}",
}


class Adapters(Kind):
    """One file of a trial's model is damaged or lost; pickles of the same tensors lie beside it."""

    name = "adapter"
    share = 25

    @cached_property
    def records(self) -> list[TrialRecord]:
        """Return a trial of each method."""
        with Workspace.open(self.world.workspace, create=False) as opened:
            found = {record.trial.method: record for record in opened.trials()}
        return list(found.values())

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        record = rng.choice(self.records)
        assert record.model_path is not None
        assert record.costs is not None
        # As of an older version, which kept no checksum: else nothing damaged would be looked into.
        costs = replace(record.costs, model_sha256=None)
        model = Path(shutil.copytree(record.model_path, folder / MODEL_FOLDER))
        bad = rng.choice(sorted(model.iterdir()))
        plant_pickles(model, self.world.sentinel)
        content = bad.read_bytes()
        if rng.random() < 0.1:
            bad.unlink()
        elif bad.suffix == ".json" and rng.random() < 0.8:
            value = json.loads(content)
            if rng.random() < 0.1:
                value |= CODE
            if rng.random() < 0.9:
                value = mutate_tree(value, rng)
            bad.write_bytes(json_bytes(value))
        else:
            bad.write_bytes(mutate_bytes(content, rng))

        def classify() -> None:
            (found,) = predict_texts(
                replace(record, folder=folder, costs=costs), [("a warm film",)]
            )
            assert abs(sum(found.probabilities.values()) - 1) < 1e-6

        return classify


KIND = Adapters
