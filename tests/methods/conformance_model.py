"""Random models that are wide enough for every method's defaults, and a batch for them."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from peftlab.data.batches import Ragged
from peftlab.data.encode import Encoded

LENGTHS = np.array([7, 4, 5], dtype=np.int64)
LABELS = torch.tensor([0, 1, 1])
VOCABULARY = 200


ENCODER: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
SIZES: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 64, "n_layers": 2, "n_heads": 2, "hidden_dim": 128},
    "modernbert": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 128,
        "local_attention": 6,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "cls_token_id": 0,
        "sep_token_id": 2,
    },
    # Queries are wider than keys and values, as where heads share their keys.
    "llama": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "intermediate_size": 128,
        "pad_token_id": 1,
    },
    "gpt2": {
        "n_embd": 64,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 64,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
}


def tiny_bert(seed: int = 0, model_type: str = "bert") -> PreTrainedModel:
    """Return a BERT of two layers, 64 wide, without dropout, in eval mode. Its weights are large
    enough for a change in any of them to be seen in the logits."""
    return deepcopy(_drawn(seed, model_type))


@cache
def _drawn(seed: int, model_type: str) -> PreTrainedModel:
    config = AutoConfig.for_model(
        model_type,
        **{
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 64,
            "initializer_range": 0.1,
            **SIZES.get(model_type, ENCODER),
        },
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("bias"):  # transformers begins with zeros
                    parameter.normal_(std=0.1)
    return model.eval()


def packed_ids() -> torch.Tensor:
    """Return the token ids of three examples, one after another: int64 [T]."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(3, VOCABULARY, (int(LENGTHS.sum()),), generator=generator)


def rows(*, with_types: bool = False) -> Ragged:
    """Return the examples as rows of a batch, with token types 0 if they are to have any."""
    ids = packed_ids().numpy().astype(np.int32)
    return Ragged(
        ids=ids, type_ids=ids.astype(np.uint8) * 0 if with_types else None, lengths=LENGTHS
    )


def padded_batch() -> dict[str, torch.Tensor]:
    """Return the same examples, padded to the longest: int64 [B, L]."""
    rows = packed_ids().split(LENGTHS.tolist())
    ids = nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    keep = torch.arange(ids.shape[1]) < torch.from_numpy(LENGTHS)[:, None]
    return {"input_ids": ids, "attention_mask": keep.long()}


@torch.no_grad()
def logits(module: nn.Module) -> torch.Tensor:
    """Return the logits of the padded batch, in eval mode."""
    found: torch.Tensor = module.eval()(**padded_batch()).logits
    return found


def encoded() -> Encoded:
    """Return the examples as rows of a data set."""
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)
    return Encoded(
        ids=packed_ids().numpy().astype(np.int32),
        type_ids=None,
        offsets=offsets,
        labels=LABELS.numpy(),
        row_ids=np.arange(len(LENGTHS)),
    )


@torch.no_grad()
def logits_row_by_row(module: nn.Module) -> torch.Tensor:
    """Return the logits of the examples, each computed by itself."""
    module.eval()
    rows = packed_ids().split(LENGTHS.tolist())
    ones = [torch.ones_like(row) for row in rows]
    return torch.cat(
        [
            module(input_ids=row[None], attention_mask=one[None]).logits
            for row, one in zip(rows, ones, strict=True)
        ]
    )
