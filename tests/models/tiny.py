"""A tiny random model of every family, and a folder with one and a tokenizer."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from peftlab.data.batches import Ragged
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import without_load_report
from peftlab.models.families import FAMILIES
from peftlab.models.family import Pooling, Way
from peftlab.models.head import head_parameter_names, output_parameter_names

NAMES = ["entailment", "neutral", "contradiction"]
PRETRAINED = {"modernbert": {"head.dense.weight", "head.norm.weight"}}
"""The parts of a head that come from pretraining, like BERT's pooler."""
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
LETTERS = "abcdefghijklmnopqrstuvwxyz.,!?'-"
VOCABULARY = [*SPECIAL, *LETTERS, "the", "was", "not", "never", "used"]

NARROW: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
SHARED_KEYS = {**NARROW, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6}
WINDOWED = {**SHARED_KEYS, "sliding_window": 4}
NAMED_OTHERWISE = {"vocab_size": 50, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(FAMILIES.names(), NARROW),
    "electra": {**NARROW, "embedding_size": 16},
    "albert": {**NARROW, "embedding_size": 16},
    "distilbert": {
        "vocab_size": 50,
        "dim": 24,
        "n_layers": 2,
        "n_heads": 3,
        "hidden_dim": 40,
        "max_position_embeddings": 40,
        "pad_token_id": 1,
    },
    "modernbert": {
        **NARROW,
        "local_attention": 6,
        "global_attn_every_n_layers": 2,
        "cls_token_id": 0,
        "sep_token_id": 2,
    },
    "deberta": {
        **NARROW,
        "relative_attention": True,
        "pos_att_type": ["c2p", "p2c"],
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "deberta-v2": {
        **NARROW,
        "relative_attention": True,
        "pos_att_type": ["c2p", "p2c"],
        "position_biased_input": False,
        "position_buckets": 8,
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "type_vocab_size": 0,
    },
    "mobilebert": {
        **NARROW,
        "num_attention_heads": 4,
        "embedding_size": 16,
        "intra_bottleneck_size": 16,
    },
    "xlnet": {**NAMED_OTHERWISE, "d_model": 24, "n_layer": 2, "n_head": 4, "d_inner": 40},
    "funnel": {
        **NAMED_OTHERWISE,
        "d_model": 24,
        "n_head": 4,
        "d_head": 6,
        "d_inner": 40,
        "block_sizes": [1, 1],
    },
    "gpt2": {**NAMED_OTHERWISE, "n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 40},
    "opt": {
        **NARROW,
        "intermediate_size": None,
        "ffn_dim": 40,
        "word_embed_proj_dim": 16,
    },
    "llama": SHARED_KEYS,
    "mistral": WINDOWED,
    "phi3": WINDOWED,
    "qwen2": SHARED_KEYS,
    "qwen3": {**WINDOWED, "use_sliding_window": True, "max_window_layers": 1},
    "starcoder2": WINDOWED,
    "smollm3": SHARED_KEYS,
    "olmo2": SHARED_KEYS,
    "glm4": SHARED_KEYS,
    "gemma": SHARED_KEYS,
    "gemma2": WINDOWED,
    "gemma3_text": WINDOWED,
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "modernbert, mean": ("modernbert", {"classifier_pooling": "mean"}),
    "opt, LayerNorm behind": ("opt", {"do_layer_norm_before": False}),
    "bert, relu": ("bert", {"hidden_act": "relu"}),
}
"""Variants of a family with other computations: name -> (the family, its settings)."""


def tiny_config(name: str, *, dropout: float = 0.0, num_labels: int = 3) -> PreTrainedConfig:
    """Return the config of a family or variant, with every dropout probability `dropout`."""
    model_type, changes = VARIANTS.get(name, (name, {}))
    given = {**CONFIGS[model_type], **changes}
    config = AutoConfig.for_model(
        model_type, **{key: value for key, value in given.items() if value is not None}
    )
    for key in config.to_dict():
        if "dropout" in key or key.endswith("pdrop"):
            setattr(config, key, dropout)
    config.num_labels = num_labels
    return config


def tiny_model(name: str, *, dropout: float = 0.0) -> PreTrainedModel:
    """Return a classifier of three classes in eval mode, with large weights.

    They are so large that a wrong mask shows: with initial weights it hardly changes the loss.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = tiny_config(name, dropout=dropout)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.eval()
    return model


def write_tiny_checkpoint(folder: Path, name: str) -> str:
    """Write a folder with a pretrained model without a head and its tokenizer; return its path.

    Texts of encoders begin with <s> and end with </s>; decoders have no special tokens, not even
    for padding.
    """
    config = tiny_config(name)
    config.architectures = []  # Funnel's are asked for
    family = FAMILIES.get(config.model_type)
    is_decoder = family.pooling is Pooling.LAST and family.way is not Way.PADDED
    if is_decoder:
        config.pad_token_id = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModel.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        model.save_pretrained(folder)
    vocabulary = {token: number for number, token in enumerate(VOCABULARY)}
    pieces = {f"##{letter}": len(vocabulary) + number for number, letter in enumerate("aeiou")}
    tokenizer = Tokenizer(models.WordPiece(vocabulary | pieces, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = {"eos_token": "</s>", "unk_token": "<unk>"}
    if not is_decoder:
        names |= {"bos_token": "<s>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
        tokenizer.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 0))
    inputs = ["input_ids", "attention_mask"]
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=inputs, **names
    ).save_pretrained(folder)
    return str(folder)


def write_pair(root: Path, family: str, names: Sequence[str] = NAMES) -> tuple[Path, Path]:
    """Write folders with a pretrained model, and with it as a classifier with a trained head."""
    with without_load_report():
        write_tiny_checkpoint(root / "pretrained", family)
        shutil.copytree(root / "pretrained", root / "classifier")
        model = AutoModelForSequenceClassification.from_pretrained(
            root / "pretrained", id2label=dict(enumerate(names)), num_labels=len(names)
        )
        with torch.no_grad():
            for number, name in enumerate(head_parameter_names(model)):
                model.get_parameter(name).fill_(number + 1)
            for name in output_parameter_names(model):
                for row in range(len(names)):
                    model.get_parameter(name)[row] = 10 + row
        model.save_pretrained(root / "classifier")
    if family in PRETRAINED:  # as its masked language model has it
        stored = load_file(root / "classifier" / "model.safetensors")
        rewrite(
            root / "pretrained",
            lambda old: old | {name: stored[name] for name in PRETRAINED[family]},
        )
    return root / "pretrained", root / "classifier"


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Change the tensors in the folder's one file."""
    tensors = change(load_file(folder / "model.safetensors"))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def ragged(
    ids_T: Tensor, lengths: npt.NDArray[np.int64], type_ids_T: Tensor | None = None
) -> Ragged:
    """Return rows of these lengths, one after another."""
    return Ragged(
        ids=ids_T.numpy().astype(np.int32),
        type_ids=None if type_ids_T is None else type_ids_T.numpy().astype(np.uint8),
        lengths=lengths,
    )


def gradients(module: nn.Module, logits_BC: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    cross_entropy(logits_BC, torch.tensor([0, 1, 2, 0, 1, 2])).backward()
    named = module.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def with_method(base: PreTrainedModel, method: str, **given: Any) -> nn.Module:
    """Return the model under the method, with LoRA's B drawn at random so that A has a gradient."""
    chosen = METHODS.get(method)
    module = chosen.apply(base, chosen.resolve(given), seed=3)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(4))
    return module
