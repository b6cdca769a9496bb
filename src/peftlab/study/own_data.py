"""A user's own files as the study file describes them, one task each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, WithJsonSchema, field_validator

from peftlab.core.errors import UserError
from peftlab.core.inputs import MissingPolicy, OwnFiles, ProblemType, TaskDefinition
from peftlab.core.validation import Frozen, Integer
from peftlab.data.label_cells import word_of
from peftlab.data.read_options import check_encoding, check_sep
from peftlab.tasks.registry import own_task
from peftlab.tasks.spec import Task

if TYPE_CHECKING:
    from peftlab.data.own_files import OwnSource

FILES = ("train", "dev", "test")
DEV_FRACTION = 0.1
LONGEST_SCALAR = 40
YES_AND_NO = ": YAML reads yes and on as true, no and off as false; write them in quotes"
_WORDS = WithJsonSchema(
    {"type": "array", "minItems": 2, "items": {"type": ["string", "number", "boolean"]}}
)


class OwnData(Frozen):
    """One task: its files, whose endings say the format, and what is in them.

    `dev` is a file or the share of train that is cut off, of each label the same, drawn by
    `split_seed` (a tenth where nothing is said); `test` is for predictions alone. `text` names one
    column or two, `label` a column, or for several labels one for each. `labels` are in the order
    of the classes; without them they are those of train, sorted. Several labels in one text stand
    between `separator`. `sep` stands between the fields of a .csv, `encoding` is that of text
    files, `sheet` the one of a workbook; each is found out where it is not said. A row without a
    text or a label is an error, or with `missing: drop` is left out of train and dev.
    """

    train: str
    dev: str | float | None = None
    test: str | None = None
    text: str | tuple[str, ...]
    label: str | tuple[str, ...]
    labels: Annotated[tuple[str, ...], _WORDS] | None = None
    problem_type: ProblemType | None = None
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    separator: Annotated[str, Field(min_length=1)] = ","
    sep: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    missing: MissingPolicy = "error"
    split_seed: Annotated[Integer, Field(ge=0)] = 42

    @field_validator("dev", mode="before")
    @classmethod
    def _file_or_share(cls, dev: Any) -> Any:
        if dev is None:
            return None
        is_share = isinstance(dev, int | float) and not isinstance(dev, bool) and 0 < dev < 1
        if not isinstance(dev, str) and not is_share:
            raise ValueError("must be a file, or a share of train between 0 and 1")
        return dev

    @field_validator("text", "label", mode="before")
    @classmethod
    def _columns(cls, columns: Any) -> Any:
        every = [columns] if isinstance(columns, str) else columns
        if (
            not isinstance(every, list | tuple)
            or not every
            or not all(isinstance(one, str) for one in every)
        ):
            has_boolean = isinstance(every, list | tuple) and any(
                isinstance(one, bool) for one in every
            )
            hint = YES_AND_NO if has_boolean or isinstance(columns, bool) else ""
            raise ValueError(f"must be the name of a column, or a list of them{hint}")
        if len(set(every)) < len(every):
            raise ValueError("a column appears twice")
        return columns if isinstance(columns, str) else tuple(every)

    @field_validator("text")
    @classmethod
    def _one_or_two(cls, text: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not isinstance(text, str) and len(text) > 2:
            raise ValueError("must be one column, or two for a pair of texts")
        return text

    @field_validator("labels", mode="before")
    @classmethod
    def _as_words(cls, labels: Any) -> Any:
        if labels is None:
            return None
        words = [word_of(one) for one in labels] if isinstance(labels, list | tuple) else [None]
        if len(words) > 1 and None in words:
            no_word = labels[words.index(None)]
            raise ValueError(
                f"label {words.index(None) + 1} is {str(no_word)[:40]!r} to YAML, which is not a "
                "word: write it in quotes, as it is in the file"
            )
        if len(words) < 2 or None in words or "" in words:
            raise ValueError("must be a list of two or more words or numbers")
        if len(set(words)) < len(words):
            has_booleans = any(isinstance(one, bool) for one in labels)
            raise ValueError(f"a label appears twice{YES_AND_NO if has_booleans else ''}")
        return tuple(words)

    @field_validator("sep")
    @classmethod
    def _is_separator(cls, sep: str | None) -> str | None:
        return sep if sep is None else check_sep(sep)

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, encoding: str | None) -> str | None:
        return encoding if encoding is None else check_encoding(encoding)

    def files(self, *, folds: bool = False) -> OwnFiles:
        """Return the files and their options; with folds there is no dev, given or cut off."""
        dev = DEV_FRACTION if self.dev is None else self.dev
        return OwnFiles(
            train=self.train,
            dev=dev if isinstance(dev, str) and not folds else None,
            dev_fraction=dev if isinstance(dev, float) and not folds else None,
            split_seed=self.split_seed,
            test=self.test,
            text=(self.text,) if isinstance(self.text, str) else self.text,
            label=(self.label,) if isinstance(self.label, str) else self.label,
            separator=self.separator,
            sep=self.sep,
            encoding=self.encoding,
            sheet=self.sheet,
            missing=self.missing,
        )


@dataclass(frozen=True, kw_only=True)
class Defined:
    """An inspected task: what it is, and where its rows are."""

    definition: TaskDefinition
    task: Task
    source: OwnSource


def define_task(name: str, own: OwnData, *, where: str, folds: bool = False) -> Defined:
    """Return the task of that name; raise UserError if its files cannot be read or do not fit.

    With folds it has no dev.
    """
    from peftlab.data.own_files import OwnSource
    from peftlab.data.own_tasks import Asked, define

    files = own.files(folds=folds)
    asked = Asked(problem_type=own.problem_type, labels=own.labels, metrics=own.metrics)
    definition = define(files, asked, where=where)
    if own.labels is not None and definition.problem_type == "single_label_classification":
        _require_quoted(own, files, where=f"{where}.labels")
    return Defined(definition=definition, task=own_task(name, definition), source=OwnSource(files))


def _require_quoted(own: OwnData, files: OwnFiles, *, where: str) -> None:
    """Raise UserError if YAML misread a label of the study that train has."""
    from peftlab.core.safe_yaml import parse_yaml
    from peftlab.data.own_files import class_names_of, own_rows

    labels = own.labels or ()
    names = class_names_of(files, labels, "single_label_classification")
    for row in own_rows(files.train, files, by_name=bool(names)):
        word = row.cells[0]
        if not isinstance(word, str) or word in labels or len(word) > LONGEST_SCALAR:
            continue
        try:
            value = parse_yaml(word, where=where)
        except UserError:
            continue
        if word_of(value) in labels:
            raise UserError(
                f"YAML reads the label {word} of {Path(files.train).name}:{row.number} as "
                f"{word_of(value)}: write it in quotes",
                where=where,
                allowed=f"'{word}'",
            )


def anchored(raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the study with the names of its own files relative to the folder made absolute.

    >>> study = {"data": {"mood": {"train": "a.csv", "dev": 0.2, "text": "body"}}}
    >>> anchored(study, Path("/my"))["data"]["mood"]["train"]
    '/my/a.csv'
    """
    data = raw.get("data")
    if not isinstance(data, Mapping):
        return dict(raw)
    return {
        **raw,
        "data": {
            name: {key: _path(value, key, folder) for key, value in one.items()}
            if isinstance(one, Mapping)
            else one
            for name, one in data.items()
        },
    }


def _path(value: Any, key: Any, folder: Path) -> Any:
    if key not in FILES or not isinstance(value, str):
        return value
    try:
        return str(folder / Path(value).expanduser())
    except RuntimeError as error:  # an unknown user
        raise UserError(f"no such location: {error}", where=value) from error
