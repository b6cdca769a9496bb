"""Operations are counted as those of the matrix products of a plain model."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModel

from peftlab.core.measurements import ParameterCount
from peftlab.models.flops import EncoderShape, Operations, step_flops

SHAPE = EncoderShape(num_layers=3, width=8, inner_width=32)


def test_one_layer_by_hand() -> None:
    """One example has 2 tokens, width 1 and inner width 1: every product is counted on paper."""
    shape = EncoderShape(num_layers=1, width=1, inner_width=1)
    # keys and values 2 x 2 x 2, query 2, scores and context 2 x 2 x 2, output 2, up 2, down 2
    forward = 8 + 2 + 8 + 2 + 2 + 2
    # backward through down, up, output 6, through attention twice its 8; nothing below it
    backward = 6 + 16
    found = step_flops(shape, [2], trains_weights=False, trains_embeddings=False)
    assert found == forward + backward


def test_forward_and_backward_agree_with_torch_on_all_layers_but_the_last() -> None:
    """The reference is torch's own counter on a model of n + 1 layers minus that on n layers."""

    def counted(num_layers: int) -> float:
        config = AutoConfig.for_model(
            "bert", vocab_size=9, hidden_size=8, num_hidden_layers=num_layers,
            num_attention_heads=2, intermediate_size=32, attn_implementation="eager",
        )  # fmt: skip
        model: nn.Module = AutoModel.from_config(config, attn_implementation="eager")
        ids = torch.ones(2, 5, dtype=torch.long)
        with FlopCounterMode(display=False) as counter:
            model(input_ids=ids).last_hidden_state.sum().backward()
        return float(counter.get_total_flops())

    def ours(num_layers: int) -> float:
        shape = EncoderShape(num_layers=num_layers, width=8, inner_width=32)
        return step_flops(shape, [5, 5], trains_weights=True, trains_embeddings=True)

    assert ours(3) - ours(2) == pytest.approx(counted(3) - counted(2))


def test_what_is_frozen_is_not_counted() -> None:
    full = step_flops(SHAPE, [4, 6], trains_weights=True, trains_embeddings=True)
    lora = step_flops(SHAPE, [4, 6], trains_weights=False, trains_embeddings=False)
    bias = step_flops(SHAPE, [4, 6], trains_weights=False, trains_embeddings=True)
    assert lora < bias < full
    assert bias - lora == 2 * 10 * 3 * 8 * 8  # through the first layer's projections
    assert step_flops(SHAPE, [], trains_weights=True, trains_embeddings=True) == 0


@pytest.mark.parametrize(("backbone", "trains"), [(50, False), (51, True)])
def test_weights_train_where_more_than_half_of_the_parameters_are_the_backbones(
    backbone: int, trains: bool
) -> None:
    counts = ParameterCount(
        trainable=backbone, total=100, total_peft_counting=100, backbone=backbone, adapter=0, head=0
    )
    config = SimpleNamespace(num_hidden_layers=3, hidden_size=8, intermediate_size=32)
    found = Operations.of_config(config, counts)
    assert (found.trains_weights, found.trains_embeddings) == (trains, trains)
    assert found.shape == SHAPE


def test_below_the_lowest_layer_that_trains_there_is_no_backward_pass() -> None:
    """Frozen layers cost their forward pass; if all are frozen, only that is left."""

    def counted(shape: EncoderShape, num_frozen: int) -> float:
        return step_flops(
            shape,
            [4, 6],
            trains_weights=True,
            trains_embeddings=False,
            num_frozen_layers=num_frozen,
        )

    one = EncoderShape(num_layers=1, width=8, inner_width=32)
    two = EncoderShape(num_layers=2, width=8, inner_width=32)
    layer = counted(SHAPE, 3) - counted(two, 2)
    assert counted(SHAPE, 2) == counted(one, 0) + 2 * layer
    assert counted(SHAPE, 3) < counted(SHAPE, 2) < counted(SHAPE, 1) < counted(SHAPE, 0)


def test_an_epoch_has_the_operations_of_one_step_on_all_its_examples() -> None:
    settings = {"trains_weights": True, "trains_embeddings": True}
    parts = sum(step_flops(SHAPE, lengths, **settings) for lengths in ([4, 6], [3], [5, 5, 9]))
    assert parts == pytest.approx(step_flops(SHAPE, [4, 6, 3, 5, 5, 9], **settings))


def test_sizes_are_read_from_both_naming_schemes() -> None:
    bert = AutoConfig.for_model(
        "bert", hidden_size=8, num_hidden_layers=3, intermediate_size=32, num_attention_heads=2
    )
    distilbert = AutoConfig.for_model("distilbert", dim=8, n_layers=3, hidden_dim=32, n_heads=2)
    assert EncoderShape.of(bert) == EncoderShape.of(distilbert) == SHAPE
