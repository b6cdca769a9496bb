"""A tokenizer must belong to its model, and a device must be able to hold the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from peftlab.core.errors import UserError
from peftlab.engine.devices.processor import Processor
from peftlab.engine.prepare import check_ids, placed
from peftlab.models.checkpoints import load_model
from tests.methods.architectures import tiny_model


def test_weights_in_4_bits_are_refused_on_a_device_that_cannot_hold_them() -> None:
    base = tiny_model("bert")
    base.is_loaded_in_4bit = True  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"^--device: quantization = 4bit .* to run on 'cpu'"):
        placed(base, base, Processor("cpu"))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("ids", 10**6, r"ids of tokens up to 1000000, the model has \d+"),
        ("ids", -1, "ids of tokens"),
        ("type_ids", 7, "ids of token types up to 7, the model has 2"),
    ],
)
def test_ids_without_an_embedding_are_refused(
    field: str, value: int, words: str, make_trial: Callable[..., Any], data_of: Callable[..., Any]
) -> None:
    trial = make_trial()
    data = data_of(trial).train
    base = load_model(trial.model.name, num_labels=2, seed=0)
    check_ids(data, base, where="here")
    changed = np.array(getattr(data, field))
    changed[-1] = value
    with pytest.raises(UserError, match=f"^here: the tokenizer gives {words}"):
        check_ids(replace(data, **{field: changed}), base, where="here")
