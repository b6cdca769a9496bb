"""Model folders: config.json, tokenizer files and safetensors weights, loaded and used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch

from peftlab.core.inputs import Example
from peftlab.data.encode import encode
from peftlab.engine.classifier import build_classifier
from peftlab.engine.evaluate import predict_logits
from peftlab.engine.prepare import check_ids
from peftlab.methods.parameters import count_parameters
from peftlab.models.checkpoints import load_model, load_tokenizer
from peftlab.models.location import locate
from peftlab.study.checks import check_max_length
from tests.fuzz.kinds.base import Kind
from tests.fuzz.mutate import mutate_bytes
from tests.fuzz.payloads import MODULE, plant_module, plant_pickles
from tests.fuzz.trees import json_bytes, mutate_tree

ROWS = [Example(row_id=0, texts=("a warm film, not the cold one",), label=None)]
CODE = {
    "auto_map": {
        "AutoConfig": f"{MODULE}.Config",
        "AutoTokenizer": [None, f"{MODULE}.Tokenizer"],
        "AutoModelForSequenceClassification": f"{MODULE}.Model",
    },
    "custom_pipelines": {"x": {"impl": f"{MODULE}.Pipeline"}},
}


class ModelFolders(Kind):
    """One of the files is damaged; there are also pickles and code that must not be touched."""

    name = "model"
    share = 20

    def attempt(self, rng: Random, folder: Path) -> Callable[[], object]:
        model = folder / "model"
        shutil.copytree(self.world.checkpoint, model)
        plant_pickles(model, self.world.sentinel)
        plant_module(model, self.world.sentinel)
        bad = model / rng.choice(
            ("config.json", "config.json", "tokenizer.json", "tokenizer_config.json",
             "model.safetensors", "model.safetensors")
        )  # fmt: skip
        content = bad.read_bytes()
        if rng.random() < 0.1:
            bad.unlink()
        elif bad.suffix == ".json" and rng.random() < 0.75:
            value = json.loads(content)
            if rng.random() < 0.1:
                value |= CODE
                value["model_type"] = rng.choice(("bert", MODULE, None))
            if bad.name != "config.json" or rng.random() < 0.9:
                value = mutate_tree(value, rng)
            bad.write_bytes(json_bytes(value))
        else:
            bad.write_bytes(mutate_bytes(content, rng))
        return lambda: use(str(model))


def use(name: str) -> None:
    """Use a checkpoint as a plan and then a trial do."""
    locate(name)
    check_max_length(name, 32, where="max_length")
    count_parameters(name, "full", {}, num_labels=2)
    tokenizer = load_tokenizer(name)
    base = load_model(name, num_labels=2, seed=1)
    encoded = encode(ROWS, tokenizer, max_length=32)
    check_ids(encoded, base, where=name)
    classifier = build_classifier("packed", base, base, torch.device("cpu"))
    with classifier.active():
        assert predict_logits(classifier, encoded, batch_size=8).shape == (1, 2)


KIND = ModelFolders
