"""A base in 4 bits is made by bitsandbytes; if that is impossible, a line says so."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

from peftlab.core.errors import UserError
from peftlab.methods.parameters import count_module
from peftlab.methods.quantize import is_quantized, quantize, replace_linear_layers
from tests.methods.architectures import tiny_model

WIDE = {"hidden_size": 64, "intermediate_size": 128}  # bitsandbytes scales blocks of 64 weights
IDS = torch.tensor([[2, 5, 7, 9], [2, 8, 8, 3]])
has_bitsandbytes = find_spec("bitsandbytes") is not None


@pytest.mark.skipif(has_bitsandbytes, reason="bitsandbytes is installed")
def test_without_bitsandbytes_a_line_says_what_is_missing() -> None:
    with pytest.raises(UserError, match="needs bitsandbytes, which is not installed"):
        quantize(tiny_model("bert"))


@pytest.mark.skipif(not has_bitsandbytes, reason="bitsandbytes is not installed")
def test_quantised_layers_compute_nearly_the_same_and_count_the_same() -> None:
    plain, model = tiny_model("bert", **WIDE), tiny_model("bert", **WIDE)
    replace_linear_layers(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)  # type: ignore[arg-type]
    assert is_quantized(model)
    with torch.no_grad():
        expected = plain(input_ids=IDS).logits
        found = model(input_ids=IDS.to(device)).logits.cpu()
    assert 0 < float((found - expected).abs().max()) < 0.05
    names = frozenset(name for name, _ in plain.named_parameters())
    counts = [count_module(one, own=names, head=frozenset()) for one in (plain, model)]
    assert counts[0].total == counts[1].total


def test_on_meta_nothing_is_quantised() -> None:
    model = tiny_model("bert").to("meta")  # type: ignore[arg-type]
    quantize(model)
    assert not is_quantized(model)
