"""Whether an arm has learned a task, in a word (learned.py says how that is judged)."""

from __future__ import annotations

from typing import Literal

LearningState = Literal["learned", "did not learn", "cannot tell"]
