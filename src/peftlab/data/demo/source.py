"""The demo's rows: made when they are asked for, the same ones everywhere."""

from __future__ import annotations

from functools import lru_cache

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id
from peftlab.core.inputs import DataRef, Example
from peftlab.data.demo.acceptability import acceptability
from peftlab.data.demo.draw import Draw
from peftlab.data.demo.paraphrase import paraphrase
from peftlab.data.demo.sentiment import sentiment
from peftlab.data.demo.words import LEXICONS
from peftlab.tasks.demo import ACCEPTABILITY, PARAPHRASE, SENTIMENT
from peftlab.tasks.spec import Task

MAKERS = {
    SENTIMENT.name: sentiment,
    ACCEPTABILITY.name: acceptability,
    PARAPHRASE.name: paraphrase,
}
NOISE_PERCENT = 4
"""The percentage of labels in train and dev that are flipped."""


class DemoSource:
    """The three demo tasks, each a train and a dev split without a row in common."""

    def has(self, task: Task) -> bool:
        """Return whether the task is one of the three."""
        return task.name in MAKERS

    def ref(self, task: Task) -> DataRef:
        """Return a digest of all rows of train and dev."""
        return DataRef(source="demo", location="demo", digest=_digest(task))

    def examples(self, task: Task, split: str) -> list[Example]:
        """Return the rows of train or dev, each of them different."""
        return list(_examples(task, split))


@lru_cache
def _digest(task: Task) -> str:
    rows = [
        [example.texts, example.label] for split in LEXICONS for example in _examples(task, split)
    ]
    return content_id(["demo", task.name, rows], length=64)


@lru_cache
def _examples(task: Task, split: str) -> tuple[Example, ...]:
    if split not in LEXICONS:
        raise UserError(
            f"the task '{task.name}' has no split '{split}'", allowed=", ".join(LEXICONS)
        )
    wanted = task.num_train if split == "train" else task.num_dev
    make, words = MAKERS[task.name], LEXICONS[split]
    rows: dict[tuple[str, ...], int] = {}
    number = 0
    while len(rows) < wanted:
        draw = Draw(task.name, split, number)
        texts, label = make(draw, words)
        rows.setdefault(texts, 1 - label if draw.chance(NOISE_PERCENT) else label)
        number += 1
    return tuple(
        Example(row_id=row_id, texts=texts, label=label)
        for row_id, (texts, label) in enumerate(rows.items())
    )
