"""Rows from the Hub, or from a local folder laid out like a Hub repository."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from typing import Any

import numpy as np

from peftlab.core.errors import UserError
from peftlab.core.files import folder_at
from peftlab.core.identity import content_id
from peftlab.core.inputs import DataRef, Example
from peftlab.data.hub_dataset import load_split
from peftlab.tasks.spec import Task

BETWEEN = ": "
"""The separator between the columns of a text that has several."""


class HubSource:
    """The tasks of a repository: each task's own, or the one that is given (an id or a folder)."""

    def __init__(self, repository: str | None = None) -> None:
        self.repository = repository

    def has(self, task: Task) -> bool:
        """Return whether the task is known to be on the Hub."""
        return task.hub is not None

    def ref(self, task: Task) -> DataRef:
        """Return the repository and a digest of the rows of train and dev as read."""
        repository = self._repository(task)
        return DataRef(source="hub", location=repository, digest=_digest(repository, task))

    def examples(self, task: Task, split: str) -> list[Example]:
        """Return the rows of a split in their order; a label of -1 means no label."""
        columns = _columns(self._repository(task), task, split)
        rows = zip(*(column.to_pylist() for column in columns.texts), strict=True)
        return [
            Example(row_id=row_id, texts=texts, label=label)
            for row_id, (texts, label) in enumerate(zip(rows, columns.labels, strict=True))
        ]

    def _repository(self, task: Task) -> str:
        assert task.hub is not None, "require() is called first"
        if self.repository is None:
            return task.hub.repository
        folder = folder_at(self.repository)
        return self.repository if folder is None else str(folder.resolve())


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """The checked columns of a split: its texts as Arrow, which lies in a file map, and labels."""

    texts: tuple[Any, ...]
    labels: tuple[int | float | None, ...]


@lru_cache
def _digest(repository: str, task: Task) -> str:
    """Return a digest of texts and labels, the same from every file, in whatever pieces it comes.

    Where trials of a task are evaluated on other tasks too, their dev rows count as well.
    """
    splits = [_columns(repository, task, split) for split in ("train", "dev")]
    splits += [_columns(repository, one, "dev") for one in task.also_on]
    content = [[[text_digest(text) for text in one.texts], one.labels] for one in splits]
    return content_id(["hub", task.name, content], length=64)


def text_digest(texts: Any) -> str:
    """Return the SHA-256 of an Arrow column of texts: of their lengths, int64, and their UTF-8."""
    import pyarrow as pa

    array = texts.cast(pa.large_string()).combine_chunks()
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, "<i8")[array.offset : array.offset + len(array) + 1]
    digest = sha256(np.diff(ends).tobytes())
    if data is not None:
        digest.update(memoryview(data)[ends[0] : ends[-1]])
    return digest.hexdigest()


@lru_cache(maxsize=16)
def _columns(repository: str, task: Task, split: str) -> _Columns:
    rows = task.hub
    assert rows is not None
    # A folder that is given in the Hub's place has no branches.
    revision = rows.revision if repository == rows.repository else None
    dataset = load_split(repository, rows.config, rows.splits.of(split), revision=revision)
    where = f"{repository}/{rows.config} {split}"
    parts = [(one,) if isinstance(one, str) else one for one in rows.text_columns]
    for column in (*chain(*parts), rows.label_column):
        if column not in dataset.column_names:
            raise UserError(
                f"no column '{column}'",
                where=where,
                allowed=f"it has {', '.join(dataset.column_names)}",
            )
    if not len(dataset):
        raise UserError("the split has no rows", where=where)
    _check_class_names(dataset.features[rows.label_column], task, where)
    table = dataset.with_format("arrow")[:]
    _check_texts(tuple(table[column] for column in chain(*parts)), where)
    texts = tuple(_joined([table[column] for column in columns]) for columns in parts)
    labels = enumerate(table[rows.label_column].to_pylist())
    return _Columns(
        texts=texts, labels=tuple(_label(label, task, where, row_id) for row_id, label in labels)
    )


def _joined(columns: Sequence[Any]) -> Any:
    """Return one Arrow column of texts from several, with BETWEEN between them."""
    import pyarrow.compute as pc

    return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, BETWEEN)


def _check_class_names(feature: Any, task: Task, where: str) -> None:
    """Raise UserError if the classes have the task's names in another order.

    Classes without names, or with other names, are taken to stand in the task's order.
    """
    names = [str(name).casefold() for name in getattr(feature, "names", None) or ()]
    expected = [label.casefold() for label in task.labels]
    if names != expected and sorted(names) == sorted(expected):
        raise UserError(
            f"the classes are in another order than the task's: {', '.join(feature.names)}",
            where=where,
            allowed=", ".join(task.labels),
        )


def _check_texts(texts: tuple[Any, ...], where: str) -> None:
    """Raise UserError that names the first row in which one of the columns has no text."""
    import pyarrow as pa

    kinds = (pa.string(), pa.large_string(), pa.string_view())
    if all(column.type in kinds and not column.null_count for column in texts):
        return
    for row_id, row in enumerate(zip(*(column.to_pylist() for column in texts), strict=True)):
        for text in row:
            if not isinstance(text, str):
                raise UserError(f"{text!r} is not a text", where=f"{where} row {row_id}")


def _label(label: Any, task: Task, where: str, row_id: int) -> int | float | None:
    if label == -1 or label is None:
        return None
    if task.problem_type == "regression":
        if isinstance(label, bool | str) or not math.isfinite(label):
            raise UserError(
                f"{label!r} is not a score", where=f"{where} row {row_id}", allowed="a number"
            )
        return float(label)
    if not isinstance(label, int) or not 0 <= label < task.num_labels:
        raise UserError(
            f"unknown label {label!r}",
            where=f"{where} row {row_id}",
            allowed=f"0 to {task.num_labels - 1}",
        )
    return label
