"""Options that several commands share are read as they are meant, and tables printed whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from peftlab.cli.options import (
    comma_list,
    json_alone,
    print_json,
    print_table,
    seed_list,
    study_name,
)
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


def test_a_table_is_as_wide_as_its_cells_and_shows_markup_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("name", "#value"), [("[red]" + "x" * 300, "1"), ("y", "100")])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["[red]" + "x" * 300, "1"] for line in lines)
    assert any(line.rstrip().endswith("  1") for line in lines)


def test_what_libraries_print_is_kept_from_json(capsys: pytest.CaptureFixture[str]) -> None:
    with json_alone():
        print("a library was imported")
        print_json({"a": 1})
    print("as ever")
    out, err = capsys.readouterr()
    assert (out, err) == ('{\n  "a": 1\n}\nas ever\n', "a library was imported\n")


def test_the_name_of_a_study_is_that_in_its_file(study_file: Path) -> None:
    assert study_name(str(study_file)) == "small-study"
    assert study_name("anything") == "anything"
