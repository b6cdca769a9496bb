"""Parameter counts are exactly those published, in both ways of counting."""

from __future__ import annotations

from typing import Any

import pytest

from peftlab.methods.parameters import count_parameters, num_frozen_layers
from peftlab.methods.registry import METHODS

BERT = "google-bert/bert-base-uncased"


@pytest.mark.parametrize(
    ("rank", "trainable", "total", "percent"),
    [
        (8, 296_450, 109_780_228, 0.2700395193203643),
        (16, 591_362, 110_075_140, 0.537234837947969),
        (32, 1_181_186, 110_664_964, 1.0673531687951392),
    ],
)
def test_lora_on_bert_base_counts_as_the_report_says(
    rank: int, trainable: int, total: int, percent: float
) -> None:
    config = METHODS.get("lora").resolve({"r": rank, "lora_alpha": 16, "lora_dropout": 0.01})
    count = count_parameters(BERT, "lora", config)
    assert count.trainable == trainable
    assert count.total_peft_counting == total
    assert count.percent == percent
    assert count.total == total - 1_538
    assert (count.backbone, count.adapter, count.head) == (0, trainable - 1_538, 1_538)


@pytest.mark.parametrize(
    ("method", "trainable", "head"),
    [
        ("full", 109_483_778, 1_538),
        ("bitfit", 104_450, 1_538),
        ("bitfit-frozen-head", 102_914, 2),
        ("head", 1_538, 1_538),
    ],
)
def test_selective_methods_count_what_trains(method: str, trainable: int, head: int) -> None:
    count = count_parameters(BERT, method, {})
    assert count.trainable == trainable
    assert count.head == head
    assert count.backbone == trainable - head
    assert count.total == count.total_peft_counting == 109_483_778


def test_peft_itself_counts_the_same() -> None:
    from peft import PeftModel

    from peftlab.models.checkpoints import build_on_meta

    method = METHODS.get("lora")
    module = method.apply(build_on_meta("minilm", num_labels=2), method.resolve({}), seed=0)
    assert isinstance(module, PeftModel)
    count = count_parameters("minilm", "lora", method.resolve({}))
    assert module.get_nb_trainable_parameters() == (count.trainable, count.total_peft_counting)


@pytest.mark.parametrize(
    ("method", "given", "expected"),
    [
        ("head", {}, 12),
        ("lora", {"layers_to_transform": [10, 11]}, 10),
        ("lora", {"layers_to_transform": [3, 11]}, 3),
        ("lora", {"layers_to_transform": 0}, 0),
        ("lora", {}, 0),
        ("lora", {"layers_to_transform": [11], "bias": "all"}, 0),
        ("bitfit", {}, 0),
        ("full", {}, 0),
    ],
)
def test_the_frozen_layers_are_those_below_all_that_trains(
    method: str, given: dict[str, Any], expected: int
) -> None:
    assert num_frozen_layers(BERT, method, METHODS.get(method).resolve(given)) == expected


def test_an_architecture_whose_layers_cannot_be_run_in_part_has_no_number() -> None:
    assert num_frozen_layers("albert/albert-base-v2", "head", {}) is None
