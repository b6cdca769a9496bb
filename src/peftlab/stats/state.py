"""The words for whether an arm has learned a task; learned.py, which decides, imports numpy."""

from __future__ import annotations

from typing import Literal

LearningState = Literal["learned", "did not learn", "cannot tell"]
