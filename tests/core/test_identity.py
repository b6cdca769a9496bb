"""The same content has the same name on every machine, and other content another."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peftlab.core.identity import (
    canonical_json,
    content_id,
    derived_seed,
    file_sha256,
)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates are no text: UTF-8 has none.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": {"d": 2, "c": 3}}, '{"a":{"c":3,"d":2},"b":1}'),
        ([1, 1.0, -0.0, 1e-05, 0.1], "[1,1.0,-0.0,1e-05,0.1]"),
        ([True, False, None, ""], '[true,false,null,""]'),
        ((1, 2), "[1,2]"),
        ("é\n\u2028", '"é\\n\u2028"'),
    ],
)
def test_canonical_json_is_exactly_this_text(value: object, text: str) -> None:
    assert canonical_json(value) == text


@settings(max_examples=100, deadline=None)
@given(JSON_VALUES)
def test_canonical_json_reads_back_to_the_value(value: object) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_lacks_is_refused(value: float) -> None:
    with pytest.raises(ValueError):
        canonical_json({"a": [value]})


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", Path("a"), object()])
def test_a_type_that_json_lacks_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json({"a": value})


def test_a_content_id_is_pinned_for_good() -> None:
    # Stored results are found by such ids: were this to change, all of them would be orphans.
    assert content_id({"b": 1.0, "a": [True, None, "é"]}) == "a8c8ed7df5dc"
    assert content_id({"a": [True, None, "é"], "b": 1.0}) == "a8c8ed7df5dc"


def test_a_content_id_is_the_start_of_the_sha256_of_the_canonical_json() -> None:
    digest = hashlib.sha256(b'{"a":1}').hexdigest()
    assert content_id({"a": 1}) == digest[:12]
    assert content_id({"a": 1}, length=64) == digest


@pytest.mark.parametrize("other", [{"a": 1.0}, {"a": "1"}, {"a": True}, {"b": 1}, [{"a": 1}], {}])
def test_other_content_has_another_id(other: object) -> None:
    assert content_id(other) != content_id({"a": 1})


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_files_sha256_is_that_of_its_bytes_on_both_sides_of_a_chunk(
    size: int, tmp_path: Path
) -> None:
    content = b"\r\n\x00" + bytes(size)
    path = tmp_path / "file"
    path.write_bytes(content[:size])
    assert file_sha256(path) == hashlib.sha256(content[:size]).hexdigest()


def test_derived_seeds_are_pinned_for_good() -> None:
    assert derived_seed(42, "order", 1) == 1143166065309375178
    assert derived_seed(0) == 1999793380834467432


def test_derived_seeds_of_different_seeds_and_purposes_never_meet() -> None:
    seeds = [
        derived_seed(seed, *purpose)
        for seed in range(50)
        for purpose in [(), ("init",), ("order",), ("order", 1), ("order", 2), ("order", "1"), (1,)]
    ]
    assert len(set(seeds)) == len(seeds)


def test_derived_seeds_fill_63_bits_and_no_more() -> None:
    seeds = [derived_seed(seed, "x") for seed in range(200)]
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    assert max(seeds) >= 1 << 62
    assert {seed & 1 for seed in seeds} == {0, 1}
