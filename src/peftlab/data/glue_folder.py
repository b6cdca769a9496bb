"""Rows from a GLUE folder: one directory a task, tab-separated files, a quote being a quote."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from peftlab.core.errors import AbsentError, UserError
from peftlab.core.identity import content_id, file_sha256
from peftlab.core.inputs import DataRef, Example
from peftlab.core.words import counted
from peftlab.data.file_bytes import no_rows
from peftlab.tasks.spec import FolderRows, Task, TsvFile

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class GlueFolder:
    """The tasks below a folder; their digest is that of the bytes of train and dev.

    Where trials of a task are evaluated on other tasks too, their dev files count as well.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, task: Task) -> bool:
        """Return whether the task has a known layout here."""
        return task.folder is not None

    def ref(self, task: Task) -> DataRef:
        """Return the folder and the digest of the task's train and dev files."""
        digests = [_file_digest(self._path(task, split)) for split in ("train", "dev")]
        digests += [_file_digest(self._path(one, "dev")) for one in task.also_on]
        return DataRef(
            source="folder",
            location=str(self.folder),
            digest=content_id(["folder", task.name, *digests], length=64),
        )

    def examples(self, task: Task, split: str) -> list[Example]:
        """Return the rows of a split in the file's order; raise UserError naming a bad line."""
        rows = _rows(task)
        return read_tsv(self._path(task, split), rows.files.of(split), rows.label_words)

    def left_out(self, task: Task, split: str) -> int:
        """Return how many rows of the split are left out for lack of fields (only in QQP)."""
        return num_left_out(self._path(task, split), _rows(task).files.of(split))

    def _path(self, task: Task, split: str) -> Path:
        rows = _rows(task)
        file = rows.files.of(split)
        for name in (file.name, *file.other_names):
            path = self.folder / rows.directory / name
            with _reading(path):
                if path.exists():
                    return path
        path = self.folder / rows.directory / file.name
        raise AbsentError(
            f"the task '{task.name}' has no {split} file: {path} is missing",
            where=str(self.folder),
            allowed="a folder in the layout of GLUE's download script "
            f"({(Path(rows.directory) / file.name).as_posix()})",
        )


def read_tsv(path: Path, file: TsvFile, label_words: tuple[str, ...]) -> list[Example]:
    """Return the rows of one file; a field ends at a tab, a row at a line feed, nothing is quoted.

    Labels are the places of `label_words`, or without such scores. Rows that lack fields are left
    out where the file may have such; `row_id` counts those that are kept.
    Raises UserError that names the file, the line (from 1) and the column, and for a file that
    cannot be read.
    """
    with _reading(path):
        data = path.read_bytes().removeprefix(BYTE_ORDER_MARK)
    lines = data.split(b"\n")
    if lines and lines[-1] == b"":
        lines.pop()
    first = 0 if file.columns else 1
    if len(lines) <= first:
        raise no_rows(path)
    columns = file.columns or tuple(_decode(lines[0], path, 1).split("\t"))
    text_places = [_place(columns, name, path) for name in file.text_columns]
    label_place = None if file.label_column is None else _place(columns, file.label_column, path)
    examples: list[Example] = []
    for number, line in enumerate(lines[first:], start=first + 1):
        fields = _decode(line, path, number).split("\t")
        if len(fields) < len(columns) and file.may_lack_fields:
            continue
        if len(fields) != len(columns):
            raise UserError(
                f"{counted(len(fields), 'field')} where there must be {len(columns)}",
                where=f"{path}:{number}",
                allowed=" | ".join(columns),
            )
        label = None
        if label_place is not None:
            where = f"{path}:{number}: column '{file.label_column}'"
            label = _label(fields[label_place], label_words, where)
        texts = tuple(fields[place] for place in text_places)
        examples.append(Example(row_id=len(examples), texts=texts, label=label))
    if not examples:
        raise UserError("every row of the file lacks fields", where=str(path))
    return examples


def num_left_out(path: Path, file: TsvFile) -> int:
    """Return how many rows of the file are left out for lack of fields, where that is allowed."""
    if not file.may_lack_fields:
        return 0
    with _reading(path):
        lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    num_columns = len(file.columns) if file.columns else lines[0].count(b"\t") + 1
    return sum(line.count(b"\t") + 1 < num_columns for line in lines)


def _label(word: str, label_words: tuple[str, ...], where: str) -> int | float:
    """Return the class of that name, or the score where classes have no names."""
    if label_words:
        if word not in label_words:
            raise UserError(
                f"unknown label {word[:40]!r}", where=where, allowed=", ".join(label_words)
            )
        return label_words.index(word)
    try:
        score = float(word)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise UserError(f"{word[:40]!r} is not a score", where=where, allowed="a number")
    return score


def _rows(task: Task) -> FolderRows:
    assert task.folder is not None, "require() is called first"
    return task.folder


def _file_digest(path: Path) -> str:
    with _reading(path):
        status = path.stat()
        return _digest_of(path, status.st_mtime_ns, status.st_size)


@lru_cache
def _digest_of(path: Path, mtime_ns: int, size: int) -> str:
    return file_sha256(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn an error in reading the file into one line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot read the file: {error.strerror or error}", where=str(path)
        ) from error


def _decode(line: bytes, path: Path, number: int) -> str:
    try:
        return line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"byte {error.start + 1} of the line (0x{line[error.start]:02x}) is not UTF-8",
            where=f"{path}:{number}",
            allowed="UTF-8 text",
        ) from error


def _place(columns: tuple[str, ...], name: str, path: Path) -> int:
    if name not in columns:
        shown = ", ".join(repr(column[:30]) for column in columns[:12])
        raise UserError(
            f"no column '{name}' in the header", where=f"{path}:1", allowed=f"it has {shown}"
        )
    return columns.index(name)
