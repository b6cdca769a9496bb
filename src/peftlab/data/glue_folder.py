"""Rows from a GLUE folder: one directory a task, tab-separated files, a quote being a quote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id, file_sha256
from peftlab.core.types import DataRef, Example
from peftlab.tasks.spec import FolderRows, Task, TsvFile

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class GlueFolder:
    """The tasks below a folder; their digest is that of the bytes of train and dev."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, task: Task) -> bool:
        """Whether the task has a known layout here."""
        return task.folder is not None

    def ref(self, task: Task) -> DataRef:
        """The folder and the digest of the task's train and dev files."""
        digests = [_digest(self._path(task, split)) for split in ("train", "dev")]
        return DataRef(
            source="folder",
            location=str(self.folder),
            digest=content_id(["folder", task.name, *digests], length=64),
        )

    def examples(self, task: Task, split: str) -> list[Example]:
        """The rows of a split in the file's order; UserError names file and line of a bad one."""
        rows = _rows(task)
        return read_tsv(self._path(task, split), rows.files.of(split), rows.label_words)

    def _path(self, task: Task, split: str) -> Path:
        rows = _rows(task)
        path = self.folder / rows.directory / rows.files.of(split).name
        with _reading(path):
            is_there = path.exists()
        if not is_there:
            raise UserError(
                f"the task '{task.name}' has no {split} file: {path} is missing",
                where=str(self.folder),
                allowed="a folder in the layout of GLUE's download script "
                f"({rows.directory}/{rows.files.of(split).name})",
            )
        return path


def read_tsv(path: Path, file: TsvFile, label_words: tuple[str, ...]) -> list[Example]:
    """The rows of one file; a field ends at a tab, a row at a line feed, nothing is quoted.

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
        raise UserError("the file has no rows", where=str(path))
    columns = file.columns or tuple(_decode(lines[0], path, 1).split("\t"))
    text_places = [_place(columns, name, path) for name in file.text_columns]
    label_place = None if file.label_column is None else _place(columns, file.label_column, path)
    classes = {word: number for number, word in enumerate(label_words)}
    examples = []
    for row_id, line in enumerate(lines[first:]):
        number = row_id + first + 1
        fields = _decode(line, path, number).split("\t")
        if len(fields) != len(columns):
            raise UserError(
                f"{len(fields)} field(s) where there must be {len(columns)}",
                where=f"{path}:{number}",
                allowed=" | ".join(columns),
            )
        label = None
        if label_place is not None:
            label = classes.get(fields[label_place])
            if label is None:
                raise UserError(
                    f"unknown label {fields[label_place][:40]!r}",
                    where=f"{path}:{number}: column '{file.label_column}'",
                    allowed=", ".join(label_words),
                )
        texts = tuple(fields[place] for place in text_places)
        examples.append(Example(row_id=row_id, texts=texts, label=label))
    return examples


def _rows(task: Task) -> FolderRows:
    assert task.folder is not None, "require() is called first"
    return task.folder


def _digest(path: Path) -> str:
    with _reading(path):
        status = path.stat()
        return _digest_of(path, status.st_mtime_ns, status.st_size)


@lru_cache
def _digest_of(path: Path, mtime_ns: int, size: int) -> str:
    return file_sha256(path)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What keeps the file from being read, as one line."""
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
