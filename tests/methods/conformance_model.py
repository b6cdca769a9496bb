"""A random BERT that is wide enough for every method's defaults, and a batch for it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

LENGTHS = np.array([7, 4, 5], dtype=np.int64)
LABELS = torch.tensor([0, 1, 1])
VOCABULARY = 200


def tiny_bert(seed: int = 0, model_type: str = "bert") -> PreTrainedModel:
    """Two layers, 64 wide, no dropout, in eval mode; its weights are drawn wide enough for a
    change in one of them to be seen in the logits."""
    sizes = (
        {"dim": 64, "n_layers": 2, "n_heads": 2, "hidden_dim": 128}
        if model_type == "distilbert"
        else {
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 128,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        }
    )
    config = AutoConfig.for_model(
        model_type,
        vocab_size=VOCABULARY,
        max_position_embeddings=64,
        initializer_range=0.1,
        **sizes,
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
    """Token ids of three examples, one after another: int64 [T]."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(3, VOCABULARY, (int(LENGTHS.sum()),), generator=generator)


def padded_batch() -> dict[str, torch.Tensor]:
    """The same examples padded to the longest: int64 [B, L]."""
    rows = packed_ids().split(LENGTHS.tolist())
    ids = nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    keep = torch.arange(ids.shape[1]) < torch.from_numpy(LENGTHS)[:, None]
    return {"input_ids": ids, "attention_mask": keep.long()}


@torch.no_grad()
def logits(module: nn.Module) -> torch.Tensor:
    """Those of the padded batch, in eval mode."""
    found: torch.Tensor = module.eval()(**padded_batch()).logits
    return found
