"""Options that several commands share are read as they are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftlab.cli.options import comma_list, seed_list, study_name
from peftlab.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "seeds"),
    [(None, None), ("42", [42]), ("0-4", [0, 1, 2, 3, 4]), (" 7 , 3-3,", [7, 3])],
)
def test_seeds_are_read_from_numbers_and_ranges(text: str | None, seeds: list[int] | None) -> None:
    assert seed_list(text) == seeds


@pytest.mark.parametrize("text", ["", ",", "a", "-1", "3-", "1.5", "4-2", "1-2-3", "²"])
def test_anything_else_is_not_a_seed(text: str) -> None:
    with pytest.raises(UserError, match=r"^--seeds: .*\(allowed: 42 or 42,43 or 0-4\)$"):
        seed_list(text)


def test_items_between_commas_are_stripped_and_empty_ones_dropped() -> None:
    assert comma_list(" a, b,,") == ["a", "b"]
    assert comma_list(None) is None


def test_the_name_of_a_study_is_that_in_its_file(study_file: Path) -> None:
    assert study_name(str(study_file)) == "small-study"
    assert study_name("anything") == "anything"
