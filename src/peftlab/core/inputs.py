"""The inputs of a trial: the rows of a task, the task's description, and a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from peftlab.core.validation import Frozen, Integer
from peftlab.core.words import counted

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]
"""The kinds of labelled text problem, under transformers' own names."""
MissingPolicy = Literal["error", "drop"]
"""The treatment of a row without a text or a label: an error, or its removal from train and dev."""
Head = Literal["fresh", "keep"]
"""The origin of the classifier's head: drawn at random, or the checkpoint's own."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row of a split: where it stands (0-based), its one or two texts, and its label.

    The label is a class index, a score (always a float), a 0 or 1 for each of several labels, or
    None where the file has no label.
    """

    row_id: int
    texts: tuple[str, ...]
    label: int | float | tuple[int, ...] | None


class OwnFiles(Frozen):
    """The files of a user's own task, and how they are read.

    Without a file `dev`, `dev_fraction` of train is cut off, drawn by `split_seed`; without either
    there is no dev. `text` are the
    columns of the one or two texts, `label` that of the label, or one column for each label, 0 or
    1. Words of several labels in one column stand between `separator`. `sep`, `encoding` and
    `sheet` say how files are read that are CSV, text or a workbook; None: as their bytes say.
    """

    train: str
    dev: str | None = None
    dev_fraction: float | None = None
    split_seed: Integer = 42
    test: str | None = None
    text: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
    label: Annotated[tuple[str, ...], Field(min_length=1)]
    separator: Annotated[str, Field(min_length=1)] = ","
    sep: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    missing: MissingPolicy = "error"

    @property
    def split_words(self) -> str:
        """The origin of dev in a few words; "" if it is a file."""
        if self.dev_fraction is None:
            return ""
        share, name = 100 * self.dev_fraction, Path(self.train).name
        return f"{share:g}% of {name}, stratified, cut off by seed {self.split_seed}"


class DataRef(Frozen):
    """The origin of a task's rows; only the digest of their content is part of an identity.

    `source` is hub, demo, folder or files; `location` the place, for people. `files` says more of a
    person's own files, and `num_dropped` how many of their rows in train and dev were left out.
    `read_as` has for train and dev the `sep` and the `encoding` that were found in the file and not
    said of it, where they are not the usual ones.
    """

    source: str
    location: str
    digest: str
    files: OwnFiles | None = None
    num_dropped: dict[str, Integer] = Field(default_factory=dict)
    read_as: dict[str, dict[str, str]] = Field(default_factory=dict)

    @property
    def reading_words(self) -> str:
        """The way in which the files were read, if it was found out, in a few words; "" if usual.

        >>> found = {"sep": ";", "encoding": "cp1252"}
        >>> ref = DataRef(source="files", location="t", digest="d", read_as={"train": found})
        >>> ref.reading_words
        "train: sep ';', encoding cp1252 (found in the file)"
        """
        found = [
            f"{split}: "
            + ", ".join(
                f"{name} {value!r}" if name == "sep" else f"{name} {value}"
                for name, value in own.items()
            )
            for split, own in self.read_as.items()
        ]
        return f"{'; '.join(found)} (found in the file)" if found else ""

    @property
    def dropped_words(self) -> str:
        """The number of rows that were left out, in a few words; "" where that was not asked for.

        >>> ref = DataRef(source="files", location="t.csv", digest="d", num_dropped={"train": 1})
        >>> ref.dropped_words
        '1 row of train without a text or a label'
        """
        counts = [f"{counted(num, 'row')} of {split}" for split, num in self.num_dropped.items()]
        return f"{' and '.join(counts)} without a text or a label" if counts else ""


class TaskDefinition(Frozen):
    """The definition of a task of the user's own; the package defines its own tasks itself.

    `labels` are in the order of the logits, a regression has none; `metrics` are keys of
    tasks.metrics.METRICS, the main one first; `texts` are the columns of the one or two texts.
    `metric_sources` has the SHA-256 of the file of each of the user's own metrics.
    """

    problem_type: ProblemType
    labels: tuple[str, ...] = ()
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    texts: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)]
    metric_sources: tuple[tuple[str, str], ...] = ()

    @model_validator(mode="after")
    def _has_labels(self) -> TaskDefinition:
        wanted = 0 if self.problem_type == "regression" else 2
        if len(self.labels) < wanted or (self.labels and not wanted):
            raise ValueError(f"{self.problem_type} has {counted(len(self.labels), 'label')}")
        return self


class ModelRef(Frozen):
    """A checkpoint by the name that the user gave and a fingerprint of its content.

    `has_head` says that it has been a classifier before, `shows_padding` that a row's logits change
    with the padding behind it. Both follow from the content and are no part of an id by themselves.
    """

    name: str
    fingerprint: str
    has_head: bool = False
    shows_padding: bool = False
