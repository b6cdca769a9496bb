"""A remark on a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One remark: how grave it is, which rule made it, where, and what to do."""

    level: Level
    rule: str
    where: str
    message: str
