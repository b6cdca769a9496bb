"""A device is one that computes, and a tokenizer one that belongs to its model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from peftlab.core.errors import UserError
from peftlab.engine.prepare import check_ids, choose_device
from peftlab.models.checkpoints import load_model


def test_a_device_by_name_and_by_default() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in {"cpu", "cuda"}


@pytest.mark.parametrize("name", ["meta", "toaster", "cuda:99", "", "cpu:x", "mps", "\x1b"])
def test_what_does_not_compute_here_is_no_device(name: str) -> None:
    with pytest.raises(UserError, match=r"^--device: no device '.*' here \(allowed: auto, cpu"):
        choose_device(name)


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
