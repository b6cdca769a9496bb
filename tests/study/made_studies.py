"""Studies for tests."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.study.spec import StudySpec, validate
from peftlab.study.trials import expand

BASE: dict[str, Any] = {
    "name": "s",
    "model": "minilm",
    "data": "demo",
    "tasks": ["demo-sentiment", "demo-paraphrase"],
    "seeds": [1, 2],
    "training": {"learning_rate": 1e-3},
    "arms": {"full": {"method": "full"}, "bitfit": {"method": "bitfit"}},
}


def study(**keys: Any) -> StudySpec:
    return validate(copy.deepcopy(BASE) | keys, where="s.yaml")


def arm(**keys: Any) -> dict[str, Any]:
    return {"a": {"method": "full"} | keys}


def complaint(spec: StudySpec) -> str:
    with pytest.raises(UserError) as caught:
        expand(spec)
    message = str(caught.value)
    assert "\n" not in message
    return message
