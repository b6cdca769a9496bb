"""A cache for figures that many tests have on their pages: each is drawn once in a process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from peftlab.report.pages.drawing import Drawing, draw

MOST_KEPT = 64


def draw_once(specification: Mapping[str, Any], *, name: str) -> Drawing:
    """Return the result of `draw`, which depends only on its arguments."""
    return _drawn(json.dumps(specification), name)


@lru_cache(maxsize=MOST_KEPT)
def _drawn(specification: str, name: str) -> Drawing:
    return draw(json.loads(specification), name=name)
