"""The complaints of pydantic become one line in the user's words."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import ValidationError, model_validator

from peftlab.core.validation import Count, Frozen, YesNo, complaint_of


class Inner(Frozen):
    number: Count = 1
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_sense(self) -> Inner:
        if self.number == 13:
            raise ValueError("Thirteen is none")
        return self


class Outer(Frozen):
    inner: Inner
    title: str = ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"inner": {"number": 0}}, "must be greater than 0 (it is 0)"),
        ({"inner": {"names": "a"}}, "must be a list (it is 'a')"),
        ({"inner": 3}, "must be a mapping of keys (it is 3)"),
        ({"inner": {"number": "x" * 90}}, f"must be a whole number (it is '{'x' * 60}')"),
        # Of these the object is the whole, and shows nothing.
        ({"inner": {"number": 13}}, "thirteen is none"),
        ({"title": "t"}, "field required"),
        # A key that is not known is probably the misspelt one that is missing.
        ({"iner": {}}, "extra inputs are not permitted (it is {})"),
    ],
)
def test_the_first_complaint_is_said_in_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(given)
    assert str(complaint_of(caught.value).refusal(where="here")) == f"here: {message}"


class Named(Frozen):
    name: str = ""
    kind: Literal["fast", "slow"] = "fast"
    is_on: YesNo = False


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": False}, "must be a text (it is false; YAML reads yes and no as true and false, "),
        ({"kind": True}, "must be 'fast' or 'slow' (it is true; YAML reads yes and no as true"),
        ({"name": None}, "must be a text (it is null)"),
        ({"name": [1, "a"]}, "must be a text (it is [1, 'a'])"),
        ({"is_on": 3}, "must be true or false (it is 3)"),
    ],
)
def test_a_value_is_shown_as_yaml_has_it(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Named.model_validate(given)
    assert str(complaint_of(caught.value).refusal(where="a")).startswith(f"a: {message}")


def test_a_truth_where_a_number_belongs_is_not_told_of_yaml() -> None:
    with pytest.raises(ValidationError) as caught:
        Inner.model_validate({"number": True})
    complaint = complaint_of(caught.value)
    assert complaint.path == ("number",)
    assert str(complaint.refusal(where="a")).endswith("(it is true)")
