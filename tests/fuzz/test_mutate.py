"""Edits are drawn from their seed alone and give other input than the good one."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.mutate import mutate_bytes, mutate_text
from tests.fuzz.trees import json_bytes, mutate_tree, yaml_text
from tests.fuzz.world import STUDY

TEXT = "a b\tc\nd e\tf\n"
EDITS: dict[str, Callable[[Random], bytes]] = {
    "bytes": lambda rng: mutate_bytes(TEXT.encode(), rng),
    "text": lambda rng: mutate_text(TEXT, rng),
    "tree": lambda rng: json_bytes(mutate_tree(STUDY, rng)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_the_same_seed_gives_the_same_input_and_others_give_others(edit: str) -> None:
    made = [EDITS[edit](Random(seed)) for seed in range(60)]
    assert made == [EDITS[edit](Random(seed)) for seed in range(60)]
    assert len(set(made)) > 40
    unchanged = {"bytes": TEXT.encode(), "text": TEXT.encode(), "tree": json_bytes(STUDY)}[edit]
    assert made.count(unchanged) < 10


def test_the_good_value_is_never_changed() -> None:
    before = json.dumps(STUDY)
    for seed in range(60):
        mutate_tree(STUDY, Random(seed))
    assert json.dumps(STUDY) == before


@given(st.binary(max_size=200), st.integers(0, 10**6))
def test_any_bytes_can_be_changed(data: bytes, seed: int) -> None:
    assert isinstance(mutate_bytes(data, Random(seed)), bytes)


def test_a_value_is_written_as_the_yaml_of_it() -> None:
    assert yaml.safe_load(yaml_text(STUDY, Random(0), specials=())) == STUDY
