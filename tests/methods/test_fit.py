"""A method that cannot work on an architecture is refused from its config, before it is run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from peftlab.core.errors import UserError
from peftlab.methods.fit import require_fit
from peftlab.methods.parameters import count_parameters
from peftlab.methods.registry import METHODS
from tests.methods.architectures import tiny_model
from tests.models.tiny import write_tiny_checkpoint

POSITIONS = {"max_position_embeddings": 40}


def counted(folder: Path, architecture: str, method: str, **given: object) -> object:
    name = write_tiny_checkpoint(folder, architecture)
    return count_parameters(name, method, METHODS.get(method).resolve(given))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("architecture", "method", "cause"),
    [
        ("gpt2", "olora", "gpt2 keeps its weights transposed"),
        ("llama", "bitfit-frozen-head", "the architecture llama has no bias terms"),
        ("bert", "trainable-tokens", "has 127, the model has 50 tokens"),
    ],
)
def test_a_pair_that_cannot_work_is_refused_with_a_reason(
    architecture: str, method: str, cause: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=cause) as caught:
        counted(tmp_path, architecture, method)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["prompt", "p-tuning"])
@pytest.mark.parametrize("architecture", ["electra", "albert", "opt"])
def test_virtual_tokens_are_as_wide_as_the_words(method: str, architecture: str) -> None:
    model, chosen = tiny_model(architecture, **POSITIONS), METHODS.get(method)
    if architecture == "opt":
        model = tiny_model(architecture, word_embed_proj_dim=8, **POSITIONS)
    if architecture == "electra":
        model = tiny_model(architecture, embedding_size=8, **POSITIONS)
    module = chosen.apply(model, chosen.resolve({}), seed=1)
    ids = torch.tensor([[3, 4, 5]])
    assert module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.shape == (1, 2)


def test_a_forward_pass_that_fails_for_its_shapes_is_refused(tmp_path: Path) -> None:
    with torch.device("meta"):
        plain, spoilt = tiny_model("bert"), tiny_model("bert")
        spoilt.bert.encoder.layer[1].output.dense = torch.nn.Linear(7, 16)
    require_fit(plain, plain, method="it")
    with pytest.raises(UserError, match="it does not fit this model"):
        require_fit(plain, spoilt, method="it")


def test_a_method_that_trains_nothing_is_refused() -> None:
    model = tiny_model("bert").requires_grad_(False)
    with pytest.raises(UserError, match="it has nothing that the method trains"):
        require_fit(model, model, method="it")


@pytest.mark.parametrize("method", ["full", "layernorm", "prompt", "lora"])
def test_names_that_begin_with_model_are_counted_where_they_belong(
    method: str, tmp_path: Path
) -> None:
    count = counted(tmp_path, "llama", method)
    is_adapter = method in {"prompt", "lora"}
    assert (count.adapter > 0, count.backbone > 0) == (is_adapter, not is_adapter)  # type: ignore[attr-defined]
    assert count.head == 2 * 24  # type: ignore[attr-defined]
