"""The description of the report's parts in docs/report.md agrees with what a study may have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic.fields import FieldInfo

from peftlab.core.validation import Frozen
from peftlab.study.parts import PARTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "report.md"
ROWS = dict(
    re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
)


def test_every_part_has_a_row_and_every_row_is_a_part() -> None:
    assert list(ROWS) == list(PARTS)


@pytest.mark.parametrize("name", PARTS)
def test_a_row_says_what_the_part_says_of_itself_and_names_its_options(name: str) -> None:
    assert ROWS[name] == row(PARTS[name])


def row(part: type[Frozen]) -> str:
    """Return the cells after the name: the part's description and its options."""
    words = " ".join((part.__doc__ or "").split())
    return f"{words} | {', '.join(option(name, one) for name, one in part.model_fields.items())}"


def option(name: str, field: FieldInfo) -> str:
    """Return its name, its default if that is informative, and its values if they are few."""
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    shown = f"{name}: {json.dumps(default)}" if default not in (None, "", {}) else name
    values = [str(value) for value in get_args(field.annotation) if isinstance(value, str)]
    return f"`{shown}`" + (f" ({', '.join(values)})" if values else "")
