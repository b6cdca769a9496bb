"""A checkpoint's config, tokenizer and weights, read by its name.

Importing this module is cheap: torch and transformers are imported by the functions that need them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.core.errors import UserError
from peftlab.core.files import folder_at
from peftlab.core.process import trusts_remote_code
from peftlab.core.remembered import remembered
from peftlab.models.builtin import BUILTIN, builtin_config
from peftlab.models.families import family_of
from peftlab.models.head import output_parameter_names
from peftlab.models.headers import INDEX, WHOLE, headers_digest
from peftlab.models.location import locate, source_of
from peftlab.models.own_head import reorder, require_head, rows_by_name
from peftlab.models.reading import cached_file, folder_of, read, refusing
from peftlab.models.tokenizer import HubTokenizer, require_words
from peftlab.models.weights import PretrainedWeights, load_weights, remarks_on

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

MOST_LAYERS = 1000
SIZES = ("num_attention_heads", "num_key_value_heads", "hidden_size", "intermediate_size")
"""The keys of a config that must be at least 1 if they are present."""


def load_config(name: str, *, num_labels: int = 2) -> PretrainedConfig:
    """Return the config with a classifier of `num_labels` classes; built-in ones need no network.

    Raises UserError if no config is found under the name.
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
    """Return the names of the labels in the checkpoint's config, in the order of its logits."""
    names: Any = _read_config(name).id2label or {}
    return tuple(str(names[number]) for number in sorted(names))


def _read_config(name: str) -> PretrainedConfig:
    from transformers import AutoConfig

    if name in BUILTIN:
        return AutoConfig.for_model(**builtin_config(name))
    config: PretrainedConfig = read(AutoConfig.from_pretrained, name)
    return config


def load_tokenizer(name: str) -> HubTokenizer:
    """Return the checkpoint's tokenizer, which is read once in a process.

    If it has no padding token, as is common for decoders, or one for which the model has no
    embedding, its end-of-text token is used for padding. Raises UserError if its vocabulary has no
    words.
    """
    found = tokenizer_of(name)
    _ = found.tokenizer
    return found


@lru_cache(maxsize=4)
def tokenizer_of(name: str) -> HubTokenizer:
    """Return the tokenizer that `load_tokenizer` loads, read only when something is encoded."""
    return HubTokenizer(partial(_read_tokenizer, name), locate(name).fingerprint)


def save_tokenizer(name: str, folder: Path, *, max_length: int) -> None:
    """Write the checkpoint's tokenizer, set to truncate rows to `max_length` tokens if asked to."""
    # Read anew: a used tokenizer would also write its last truncation and padding.
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
    in_front = family_of(config.model_type).pads_in_front
    tokenizer.padding_side = "left" if in_front else "right"
    return tokenizer


def ensure_weights(name: str) -> None:
    """Ensure that a checkpoint's weights are on this machine; raise UserError if they cannot be.

    Otherwise each process would download them when it first loads the model.
    """
    folder_of(source_of(name), weights=True)


def load_model(
    name: str, *, num_labels: int, seed: int, keep: Sequence[str] | None = None
) -> PreTrainedModel:
    """Return the checkpoint with a fresh head drawn from `seed`, in fp32, in eval mode.

    The checkpoint's own head, if it has one, is used only if the labels to `keep` are given: its
    rows are then reordered to match them (an empty sequence for a regression). Weights are read
    from safetensors only. The state of torch's global generator is restored afterwards. Raises
    UserError if the checkpoint lacks any of its tensors, or if its head is not for the labels to
    keep.
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
        # transformers finds the last token of a row by this id, so it must be the tokenizer's.
        model.config.pad_token_id = load_tokenizer(name).pad_id
    model.eval()
    return model


def remarks_on_weights(name: str, *, keeps_head: bool = False) -> list[str]:
    """Return remarks on oddities in a checkpoint's weights, if they are on this machine.

    Raises UserError if the checkpoint lacks any of its tensors.
    """
    source = source_of(name)
    folder = folder_at(source)
    if folder is None:
        found = next(filter(None, (cached_file(source, one) for one in (WHOLE, INDEX))), None)
        if found is None:
            return []
        folder = found.parent
    question = [name, headers_digest(folder), trusts_remote_code(), keeps_head]
    remarks: list[str] = remembered(
        "weights", question, lambda: _remarks_on_weights(name, keeps_head=keeps_head)
    )
    return remarks


def _remarks_on_weights(name: str, *, keeps_head: bool) -> list[str]:
    num_labels = len(own_labels(name)) if keeps_head else 2
    with without_load_report():
        return remarks_on(_checkpoint(name, num_labels=num_labels, keeps_head=keeps_head))


def rows_of_head(name: str, labels: Sequence[str], *, where: str = "", task: str = "") -> list[int]:
    """Return the rows of the checkpoint's own head for these labels; none for a regression.

    Raises UserError if it has no head, or a head for other labels.
    """
    require_head(locate(name).has_head, name=name, where=where)
    return rows_by_name(own_labels(name), labels, name=name, where=where, task=task)


def _checkpoint(name: str, *, num_labels: int, keeps_head: bool) -> PretrainedWeights:
    """Return what to load, by the source's own config rather than the packaged one."""
    from transformers import AutoConfig

    source = source_of(name)
    load_config(name)  # which refuses a model that would be built for ever
    return PretrainedWeights(
        name=name,
        folder=folder_of(source, weights=True),
        config=read(AutoConfig.from_pretrained, source, num_labels=num_labels),
        empty=partial(build_on_meta, name, num_labels=num_labels),
        keeps_head=keeps_head,
    )


@contextmanager
def without_load_report() -> Iterator[None]:
    """Silence transformers' progress bar and its report that the head is new, as it always is."""
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
    """Return the architecture with its head on the meta device: shapes and names, no weights."""
    import torch
    from transformers import AutoModelForSequenceClassification

    config = load_config(name, num_labels=num_labels)
    with refusing(name), torch.device("meta"):
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    return model
