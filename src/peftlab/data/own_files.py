"""The rows of a user's own files, in any supported format, each cell checked at its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id, derived_seed
from peftlab.core.inputs import DataRef, Example, OwnFiles, ProblemType
from peftlab.core.selection import Selection
from peftlab.core.words import counted
from peftlab.data.class_names import MEANING, class_names, named, names_of
from peftlab.data.encode import labels_of
from peftlab.data.file_bytes import content_sha256, format_of, require_file, stamp_of
from peftlab.data.held_out import is_held_out
from peftlab.data.label_cells import MissingCellError, is_absent, is_nothing
from peftlab.data.own_labels import LabelReader, Notation, lacks_label, notation_of
from peftlab.data.read_options import ReadOptions, found_out, read_options, unusual
from peftlab.data.row_files import read_numbered, require_columns
from peftlab.data.workbook_rows import DateText
from peftlab.tasks.spec import Task

WITH_LABELS = "a split that has labels, as train or validation, or the rows with one"


@dataclass(frozen=True, kw_only=True)
class OwnRow:
    """A row of a file: its number, its texts, and the cells of its label's columns.

    The number is that of its line, or in Parquet and in a workbook of its row; the cells are as
    they are there.
    """

    number: int
    texts: tuple[str, ...]
    cells: tuple[Any, ...]


class OwnSource:
    """One task's files; their digest is of the bytes of train and dev, and of how they are read."""

    def __init__(self, files: OwnFiles) -> None:
        self.files = files

    def has(self, task: Task) -> bool:
        """Return True: it was made for the task."""
        return True

    def ref(self, task: Task) -> DataRef:
        """Return the files, and a digest of what the rows of train and dev follow from."""
        files = self.files
        dev: list[Any] = [files.dev_fraction, files.split_seed]
        if files.dev is not None:
            dev = _identity(files.dev, files)
        reading: list[Any] = [
            files.text, files.label, files.separator, task.problem_type, task.labels,
        ]  # fmt: skip
        names = class_names_of(files, task.labels, task.problem_type)
        num_flags = notation_in(files, names, task.problem_type).num_flags
        if names or num_flags:  # else it is as it was before there was either
            reading.append([names, num_flags])
        if files.missing == "drop":
            reading.append(["missing", "drop"])
        return DataRef(
            source="files",
            location=files.train,
            digest=content_id(["files", _identity(files.train, files), dev, reading], length=64),
            files=files,
            num_dropped=self._num_dropped(task, bool(names)),
            read_as=found_out({"train": files.train, "dev": files.dev}, options_of(files)),
        )

    def _num_dropped(self, task: Task, by_name: bool) -> dict[str, int]:
        """Return how many rows of each file are left out; none if that was not asked for."""
        files = self.files
        if files.missing != "drop":
            return {}
        notation = _notation(files, by_name, task.problem_type, _stamp(files.train))
        read = _Reading(files=files, notation=notation, labels=task.labels, by_name=by_name)
        paths = {"train": files.train} | ({} if files.dev is None else {"dev": files.dev})
        return {
            split: _read_rows(path, files, files.label).num_rows
            - len(_kept(read, path, _stamp(path)))
            for split, path in paths.items()
        }

    def is_train(self, split: str) -> bool:
        """Return whether the file of "dev" or "test" is train's own, or has the same bytes."""
        other = self.files.dev if split == "dev" else self.files.test
        return other is not None and _content(other) == _content(self.files.train)

    def examples(self, task: Task, split: str) -> list[Example]:
        """Return the rows of a split in the file's order; a UserError names file, line and column.

        Rows of dev that are split off train keep train's order in both parts. Rows of test have no
        labels.
        """
        files = self.files
        if split == "test":
            if files.test is None:
                raise UserError(
                    f"the task '{task.name}' has no test file", where=files.train,
                    allowed="test: FILE in the study's data",
                )  # fmt: skip
            rows = own_rows(files.test, files, has_labels=False)
            return [_example(row_id, row.texts, None) for row_id, row in enumerate(rows)]
        names = class_names_of(files, task.labels, task.problem_type)
        notation = notation_in(files, names, task.problem_type)
        read = _Reading(files=files, notation=notation, labels=task.labels, by_name=bool(names))
        if split == "train" and files.dev_fraction is None:
            return [*_labelled(read, files.train, _stamp(files.train))]
        if files.dev is not None:
            return [*_labelled(read, files.dev, _stamp(files.dev))]
        if files.dev_fraction is None:
            raise UserError(
                f"the task '{task.name}' has no dev: it is scored on the folds of train",
                where=files.train,
            )
        return [*_parts(read, _stamp(files.train))[split == "dev"]]


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """The settings and findings by which the labels of the files' rows are read."""

    files: OwnFiles
    notation: Notation
    labels: tuple[str, ...]
    by_name: bool


@lru_cache(maxsize=4)
def _labelled(read: _Reading, path: str, stamp: tuple[int, int]) -> tuple[Example, ...]:
    labels = LabelReader(read.files, read.notation, read.labels)
    return tuple(
        _example(row_id, row.texts, labels.read(row.cells, f"{path}:{row.number}"))
        for row_id, row in enumerate(_kept(read, path, stamp))
    )


@lru_cache(maxsize=4)
def _kept(read: _Reading, path: str, stamp: tuple[int, int]) -> tuple[OwnRow, ...]:
    return kept_rows(path, read.files, read.notation, read.labels, by_name=read.by_name)


@lru_cache(maxsize=2)
def _parts(
    read: _Reading, stamp: tuple[int, int]
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return train without the rows that are cut off for dev, and the rows that are."""
    every = _labelled(read, read.files.train, stamp)
    chosen = is_dev(every, read.files)
    train, dev = (
        tuple(
            _example(row_id, every[row].texts, every[row].label)
            for row_id, row in enumerate(np.flatnonzero(own).tolist())
        )
        for own in (~chosen, chosen)
    )
    return train, dev


def own_rows(
    path: str, files: OwnFiles, *, has_labels: bool = True, by_name: bool = False
) -> tuple[OwnRow, ...]:
    """Return the rows of a file; raise UserError if a column is missing or a cell is no text.

    With `by_name` the cells of labels hold the names that the file has for the numbers of classes.
    If `files` says so, rows without a text or a cell of a label are left out, unless they are those
    of test. The notation decides which other cells are missing labels (`kept_rows`).
    """
    columns = files.label if has_labels else ()
    rows = _read_rows(path, files, columns).rows
    names = {column: names_of(path, column) for column in columns} if by_name else {}
    if not any(names.values()):
        return rows
    return tuple(
        replace(
            row,
            cells=tuple(
                _as_names(cell, names[column], files, f"{path}:{row.number}: column '{column}'")
                if names[column]
                else cell
                for cell, column in zip(row.cells, columns, strict=True)
            ),
        )
        for row in rows
    )


def kept_rows(
    path: str,
    files: OwnFiles,
    notation: Notation,
    labels: Sequence[str] = (),
    *,
    by_name: bool = False,
) -> tuple[OwnRow, ...]:
    """Return the rows of train's or dev's file; with `missing: drop`, only those with a label."""
    rows = own_rows(path, files, by_name=by_name)
    if files.missing != "drop":
        return rows
    kept = tuple(row for row in rows if not lacks_label(row.cells, notation, labels))
    if not kept:
        raise UserError("no row has both a text and a label", where=path)
    return kept


def _as_names(cell: Any, names: Sequence[str], files: OwnFiles, where: str) -> Any:
    """Return the cell with each class number replaced by the name in the file's metadata.

    A number without a name is returned as it is, and -1 as None where rows without a label are
    left out. Raises UserError if a list has a number twice: it is then not a list of classes but
    a 0 or 1 for each class, to which the names do not apply.
    """
    if files.missing == "drop" and cell == -1:
        return None
    if isinstance(cell, list) and len(set(map(str, cell))) < len(cell):
        raise UserError(
            f"the list {repr(cell)[:40]} has a class twice",
            where=where,
            allowed="the numbers of its classes, each once, as the file's metadata say",
        )
    for one in cell if isinstance(cell, list) else [cell]:
        if isinstance(one, int) and not 0 <= one < len(names):
            what, allowed = (
                f"{one} is no class",
                f"0 to {len(names) - 1}, as the metadata name them",
            )
            if one < 0:
                what, allowed = f"no label but {one}, {MEANING}", WITH_LABELS
            raise UserError(what, where=where, allowed=allowed)
    return named(cell, names)


def class_names_of(
    files: OwnFiles, labels: Sequence[str] | None, problem_type: ProblemType | None
) -> tuple[str, ...]:
    """Return the names that train's file has for the numbers in its column of labels.

    There are none if the file has no names, or if `labels` are given that are not such names: they
    are then the numbers themselves.
    """
    if len(files.label) > 1 or problem_type == "regression":
        return ()
    _stamp(files.train)
    column = files.label[0]
    known = class_names(files.train).get(column, ())
    return names_of(files.train, column) if labels is None or {*labels} <= {*known} else ()


def notation_in(
    files: OwnFiles, names: tuple[str, ...], problem_type: ProblemType | None
) -> Notation:
    """Return the notation of train's labels, with the names of its numbers, if any."""
    return _notation(files, bool(names), problem_type, _stamp(files.train))


@lru_cache(maxsize=8)
def _notation(
    files: OwnFiles, by_name: bool, problem_type: ProblemType | None, stamp: tuple[int, int]
) -> Notation:
    rows = own_rows(files.train, files, by_name=by_name)
    if files.missing == "drop":
        rows = tuple(row for row in rows if not any(map(is_nothing, row.cells)))
    return notation_of((row.cells for row in rows), files.separator, problem_type)


def is_dev(examples: Sequence[Example], files: OwnFiles) -> npt.NDArray[np.bool_]:
    """Return whether each row of train is cut off: of each label a share, by `split_seed`."""
    fraction = files.dev_fraction
    assert fraction is not None, "without a file of dev there is a share"
    selection = Selection(fraction=fraction)
    if not 0 < selection.num_held_out(len(examples)) < len(examples):
        raise UserError(
            f"{fraction:g} of {counted(len(examples), 'row')} leaves nothing for dev or for train",
            where=files.train,
            allowed="a share that leaves at least one row on either side, or a file",
        )
    seed = derived_seed(files.split_seed, "dev")
    return is_held_out(labels_of(examples), selection, seed=seed)


@dataclass(frozen=True, kw_only=True)
class _File:
    """The rows of a file, and how many there are with those that are left out."""

    rows: tuple[OwnRow, ...]
    num_rows: int


def _read_rows(path: str, files: OwnFiles, labels: tuple[str, ...]) -> _File:
    drops = files.missing == "drop" and bool(labels)
    return _rows(Path(path), _stamp(path), files.text, labels, options_of(files), drops)


@lru_cache(maxsize=4)
def _rows(
    path: Path,
    stamp: tuple[int, int],
    texts: tuple[str, ...],
    labels: tuple[str, ...],
    options: ReadOptions,
    drops: bool,
) -> _File:
    rows: list[OwnRow] = []
    num_rows = 0
    for part in read_numbered(path, options=options):
        num_rows += len(part)
        for number, row in part:
            require_columns(row, (*texts, *labels), where=f"{path}:{number}")
            cells = tuple(row[name] for name in labels)
            # Without drops each of these is an error, where the text or the label is read.
            if drops and any(is_absent(row[name]) for name in texts):
                continue
            for name, cell in zip(labels, cells, strict=True):
                if isinstance(cell, DateText):
                    raise _is_date(cell, f"{path}:{number}: column '{name}'")
            where = [f"{path}:{number}: column '{name}'" for name in texts]
            rows.append(
                OwnRow(
                    number=number,
                    texts=tuple(map(_text, (row[name] for name in texts), where)),
                    cells=cells,
                )
            )
    if not rows:
        raise UserError("no row has both a text and a label", where=str(path))
    return _File(rows=tuple(rows), num_rows=num_rows)


def options_of(files: OwnFiles) -> ReadOptions:
    """Return the given options by which the files are read."""
    return ReadOptions(sep=files.sep, encoding=files.encoding, sheet=files.sheet)


def _text(value: Any, where: str) -> str:
    """Return the value if it is a text; raise UserError if it is not."""
    if isinstance(value, DateText):
        raise _is_date(value, where)
    if not isinstance(value, str) or not value.strip():
        shown = "no text" if value is None or isinstance(value, str) else f"{value!r} is no text"
        wanted = "a text with something in it"
        if is_absent(value):
            raise MissingCellError(shown, where=where, wanted=wanted)
        raise UserError(shown, where=where, allowed=wanted)
    return value


def _is_date(cell: DateText, where: str) -> UserError:
    return UserError(
        f"the cell is stored as a date ({cell[:40]}), so its original text is lost",
        where=where,
        allowed="cells whose format is Text",
    )


def _example(row_id: int, texts: tuple[str, ...], label: Any) -> Example:
    return Example(row_id=row_id, texts=texts, label=label)


def _identity(path: str, files: OwnFiles) -> list[Any]:
    """Return the format of the file, the digest of its unpacked bytes, and its reading options."""
    own: list[Any] = [format_of(path).ending, _content(path)]
    otherwise = unusual(read_options(Path(path), options_of(files)))
    return [*own, otherwise] if otherwise else own


def _content(path: str) -> str:
    stamp = _stamp(path)
    try:
        return _digest_of(path, stamp)
    except OSError as error:
        raise _unreadable(path, error) from error


@lru_cache(maxsize=64)
def _digest_of(path: str, stamp: tuple[int, int]) -> str:
    return content_sha256(Path(path))


def _stamp(path: str) -> tuple[int, int]:
    """Return the file's stamp; raise UserError if there is no readable file."""
    try:
        require_file(Path(path))
        return stamp_of(Path(path))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error)
    return UserError(f"cannot read the file: {reason}", where=path)
