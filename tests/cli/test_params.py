"""`peftlab params` counts what peft prints, and every tensor once beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Peftlab = Callable[..., Any]
BERT = "google-bert/bert-base-uncased"


@pytest.mark.parametrize(
    ("r", "trainable", "everything", "percent"),
    [
        (8, 296_450, 109_780_228, 0.2700395193203643),
        (16, 591_362, 110_075_140, 0.537234837947969),
        (32, 1_181_186, 110_664_964, 1.0673531687951392),
    ],
)
def test_lora_on_bert_base_has_the_figures_that_peft_prints(
    r: int, trainable: int, everything: int, percent: float, peftlab: Peftlab
) -> None:
    arguments = ("params", "--model", BERT, "--method", "lora", "--set", f"r={r}")
    answer = peftlab(*arguments, "--json")
    assert answer.status == 0
    assert answer.err == ""
    head = 2 * 768 + 2
    assert answer.json == {
        "model": BERT,
        "method": "lora",
        "trainable": trainable,
        "total": everything - head,
        "total_peft_counting": everything,
        "percent": percent,
        "backbone": 0,
        "adapter": trainable - head,
        "head": head,
    }
    # Rank r on the query and value projections of 12 layers.
    assert trainable - head == 12 * 2 * r * (768 + 768)
    table = peftlab(*arguments).out
    assert f"{trainable:,}" in table
    assert f"{everything:,}" in table
    assert table.split()[-1] == f"{percent:.3g}", "three digits are enough for a person"


@pytest.mark.parametrize(
    ("method", "trainable"), [("bitfit-frozen-head", 102_914), ("bitfit", 104_450)]
)
def test_bitfit_on_bert_base_has_its_published_size(
    method: str, trainable: int, peftlab: Peftlab
) -> None:
    answer = peftlab("params", "--model", BERT, "--method", method, "--json").json
    assert answer["trainable"] == trainable
    assert answer["total"] == answer["total_peft_counting"] == 109_483_778
    assert answer["adapter"] == 0
    assert answer["backbone"] + answer["head"] == trainable


def test_a_folder_is_counted_with_as_many_classes_as_are_asked_for(
    peftlab: Peftlab, tiny_checkpoint: Path
) -> None:
    arguments = ("params", "--model", tiny_checkpoint, "--method", "head", "--json")
    assert peftlab(*arguments).json["trainable"] == 2 * 16 + 2
    assert peftlab(*arguments, "--labels", 5).json["trainable"] == 5 * 16 + 5


def test_a_second_count_comes_from_the_cache_and_is_the_same(
    peftlab: Peftlab, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("params", "--model", "minilm", "--method", "lora", "--json")
    first = peftlab(*arguments).json

    def unwanted(*_: object, **__: object) -> None:
        raise AssertionError("counted again")

    monkeypatch.setattr("peftlab.methods.parameters.count_parameters", unwanted)
    assert peftlab(*arguments).json == first
