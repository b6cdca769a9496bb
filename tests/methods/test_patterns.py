"""An expression that never ends is refused in one line; usual expressions are not."""

from __future__ import annotations

from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.methods.parameters import count_parameters
from peftlab.methods.patterns import is_plain, require_bounded
from peftlab.methods.registry import METHODS

NAMES = [
    f"bert.encoder.layer.{layer}.attention.self.{name}"
    for layer in range(12)
    for name in ("query", "key", "value", "dropout")
]


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": "([a-z.0-9]+)+!"},
        {"exclude_modules": "(.*)*(.*)*!"},
        {"feedforward_modules": ".*.*.*.*.*.*.*.*!"},
        {"target_modules": "(.|.)" * 25 + "!"},
        {"rank_pattern": {"([a-z0-9.]+)+!": 4}},
        {"alpha_pattern": {"query": 1, "([a-z0-9.]*)*!": 4}},
        {"layers_pattern": ["layer", "([a-z.0-9]*)*!"]},
        {"layers_pattern": "([a-z.0-9]*)*!"},
        {"modules_to_save": ["classifier", "([a-z.0-9]*)*!"]},
    ],
)
def test_an_expression_that_never_ends_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        require_bounded(settings, NAMES, where="arms.x")
    assert str(caught.value).startswith("arms.x: the regular expression ")
    assert "takes too long on the names of the model's modules" in str(caught.value)


@pytest.mark.parametrize(
    "pattern",
    [
        r".*\.(query|value)$",
        r".*encoder.*(self|output).*(query|value)$",
        r".*\.layer\.(\d+)\..*\.(query|value)",
        r"(?:.*\.)?(?:query|key|value|dense)",
        r"^(?!.*head).*(query|value)$",
        r"bert\.encoder\.layer\.(0|1|2|3|10|11)\.attention\.self\.(query|value)",
        r"(.*)(.*)(.*)query",
    ],
)
def test_what_people_write_is_left_to_peft(pattern: str) -> None:
    require_bounded({"target_modules": pattern, "rank_pattern": {pattern: 4}}, NAMES)


@pytest.mark.parametrize("pattern", ["(a|a)*(", "x{1000000000000}", "["])
@pytest.mark.parametrize("key", ["target_modules", "exclude_modules"])
def test_what_is_no_expression_is_said_to_be_none(key: str, pattern: str) -> None:
    with pytest.raises(UserError) as caught:
        require_bounded({key: pattern, "init_text": "good (or bad"}, NAMES, where="arms.x")
    assert str(caught.value).startswith(f"arms.x: {key}: {pattern!r} is not a regular expression: ")


def test_names_in_a_list_are_no_expressions() -> None:
    require_bounded({"target_modules": ["([a-z.]+)+!"], "r": 8, "bias": "none"}, NAMES)
    assert is_plain("query")
    assert not is_plain("(a?){50}")


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("lora", {"target_modules": "([a-z0-9.]+)+!"}),
        ("lora", {"rank_pattern": {"([a-z0-9.]+)+!": 4}}),
        ("ia3", {"target_modules": ["query"], "feedforward_modules": "([a-z0-9.]+)+!"}),
    ],
)
def test_a_plan_with_such_an_expression_ends(
    method: str, settings: dict[str, Any], tiny_checkpoint: Any
) -> None:
    config = METHODS.get(method).resolve(settings, where="arms.x")
    with pytest.raises(
        UserError, match=r"the regular expression '\(\[a-z0-9\.\]\+\)\+!' takes too"
    ):
        count_parameters(str(tiny_checkpoint), method, config, num_labels=2)
