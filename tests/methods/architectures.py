"""Tiny models of several architectures at random weights, for the tests of methods."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

NARROW = {
    "vocab_size": 20,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
}
SIZES: dict[str, dict[str, Any]] = {
    "distilbert": {"vocab_size": 20, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "gpt2": {"vocab_size": 20, "n_embd": 16, "n_layer": 2, "n_head": 2, "pad_token_id": 0},
    "opt": {**NARROW, "ffn_dim": 32, "word_embed_proj_dim": 16},
    "llama": {**NARROW, "num_key_value_heads": 2},
    "qwen3": {**NARROW, "num_key_value_heads": 2, "head_dim": 8},
    "gemma": {**NARROW, "num_key_value_heads": 2, "head_dim": 8},
    "bloom": {"vocab_size": 20, "hidden_size": 16, "n_layer": 2, "n_head": 2, "pad_token_id": 0},
    "albert": {**NARROW, "embedding_size": 8},
    "xlnet": {"vocab_size": 20, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32},
    "funnel": {
        "vocab_size": 20,
        "d_model": 16,
        "block_sizes": [1, 1],
        "n_head": 2,
        "d_head": 8,
        "d_inner": 32,
        "num_decoder_layers": 1,
    },
    "mobilebert": {**NARROW, "embedding_size": 16, "intra_bottleneck_size": 8},
}


def tiny_model(model_type: str, *, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """Return a model of two layers, 16 wide, with two classes, in eval mode."""
    config = AutoConfig.for_model(model_type, **{**SIZES.get(model_type, NARROW), **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    return model.eval()
