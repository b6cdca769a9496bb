"""A watcher of stages for tests: it notes how far each of them is."""

from __future__ import annotations

from dataclasses import dataclass

from peftlab.core.progress import Stage


@dataclass(frozen=True)
class Seen:
    """A stage at one moment."""

    words: str
    done: int
    total: int | None
    unit: str


class Watcher:
    """Notes how far a stage is, at every change."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []

    def _note(self, stage: Stage) -> None:
        self.seen.append(Seen(stage.words, stage.done, stage.total, stage.unit))

    began = changed = ended = _note
