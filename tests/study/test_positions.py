"""A row cannot be longer than the checkpoint has positions, and who has no limit has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from peftlab.core.errors import UserError
from peftlab.models.builtin import BUILTIN
from peftlab.study.expand import expand
from peftlab.study.load import study_of
from peftlab.study.positions import check_max_length, num_positions

SMALL = {
    "vocab_size": 20,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 14,
}


def folder_with(config: dict[str, Any], folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.mark.parametrize("name", BUILTIN)
def test_a_builtin_checkpoint_takes_the_rows_that_its_authors_say(name: str) -> None:
    without_limit = {"microsoft/deberta-v3-base": None, "answerdotai/ModernBERT-base": 8192}
    assert num_positions(name) == without_limit.get(name, 512)


@pytest.mark.parametrize(
    ("model_type", "settings", "allowed"),
    [
        ("bert", {}, 14),
        ("electra", {"embedding_size": 16}, 14),
        ("roberta", {"pad_token_id": 1}, 12),
        ("xlm-roberta", {"pad_token_id": 1}, 12),
        ("camembert", {"pad_token_id": 3}, 10),
        ("mpnet", {"pad_token_id": 1}, 12),
    ],
)
def test_the_longest_row_is_the_longest_that_the_model_computes(
    model_type: str, settings: dict[str, Any], allowed: int, tmp_path: Path
) -> None:
    config = {"model_type": model_type, **SMALL, **settings}
    assert num_positions(folder_with(config, tmp_path)) == allowed
    model = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(**config)  # type: ignore[arg-type]
    ).eval()
    model(input_ids=torch.full((1, allowed), 7))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, allowed + 1), 7))


def test_a_model_of_relative_positions_alone_has_no_limit(tmp_path: Path) -> None:
    config = {"model_type": "deberta-v2", "relative_attention": True, **SMALL}
    alone = folder_with({**config, "position_biased_input": False}, tmp_path)
    assert num_positions(alone) is None
    check_max_length(alone, 10**6, where="max_length")
    assert num_positions(folder_with(config, tmp_path)) == 14


def test_a_length_beyond_the_positions_is_one_line_that_says_what_is_allowed() -> None:
    check_max_length("FacebookAI/roberta-base", 512, where="s: max_length")
    with pytest.raises(UserError) as caught:
        check_max_length("FacebookAI/roberta-base", 513, where="s: max_length")
    assert str(caught.value) == (
        "s: max_length: 513 tokens are more than 'FacebookAI/roberta-base' has positions for "
        "(allowed: 1 to 512)"
    )


def test_virtual_tokens_take_positions_too() -> None:
    spec = study_of(
        {
            "name": "s",
            "model": "minilm",
            "data": "demo",
            "tasks": ["demo-sentiment"],
            "max_length": 500,
            "arms": {
                "lora": {"method": "lora"},
                "prompt": {"method": "prompt", "num_virtual_tokens": 20},
            },
        }
    )
    with pytest.raises(UserError) as caught:
        expand(spec)
    assert str(caught.value) == (
        "s: max_length: 500 tokens, behind 20 virtual ones, are more than 'minilm' has positions "
        "for (allowed: 1 to 492)"
    )


def test_a_checkpoint_whose_config_cannot_be_had_is_not_checked() -> None:
    check_max_length("nobody/no-such-model", 10**6, where="max_length")
