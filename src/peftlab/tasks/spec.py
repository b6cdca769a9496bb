"""What a task is: its classes, its metrics, and where its rows are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from peftlab.core.errors import UserError
from peftlab.core.types import ProblemType

Of = TypeVar("Of")


@dataclass(frozen=True, kw_only=True)
class Splits(Generic[Of]):
    """Something of each of the three splits."""

    train: Of
    dev: Of
    test: Of

    def of(self, split: str) -> Of:
        """That of the split "train", "dev" or "test"; UserError for another name."""
        known = {"train": self.train, "dev": self.dev, "test": self.test}
        if split not in known:
            raise UserError(f"no split '{split}'", allowed=", ".join(known))
        return known[split]


@dataclass(frozen=True, kw_only=True)
class HubRows:
    """Where a task's rows are on the Hub, by datasets.load_dataset(repository, config)."""

    repository: str
    config: str
    text_columns: tuple[str, ...]
    label_column: str = "label"
    splits: Splits[str] = field(
        default_factory=lambda: Splits(train="train", dev="validation", test="test")
    )


@dataclass(frozen=True, kw_only=True)
class TsvFile:
    """One tab-separated file of a GLUE folder; fields are never quoted.

    `columns` are all columns where the file has no header line; with a header the columns that
    are read are found by their names, wherever they stand.
    """

    name: str
    text_columns: tuple[str, ...]
    label_column: str | None
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class FolderRows:
    """A task's folder in the layout of GLUE's download script, a file a split.

    `label_words` are the labels as the files write them, in the order of the classes.
    """

    directory: str
    files: Splits[TsvFile]
    label_words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A labelled text problem.

    `labels` are the names of the classes, in the order of the logits; a regression has none.
    `metrics` are keys of tasks.metrics.METRICS, the main one first. `num_train` and `num_dev` are
    the published sizes.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    texts: tuple[str, ...]
    num_train: int
    num_dev: int
    problem_type: ProblemType = "single_label_classification"
    hub: HubRows | None = None
    folder: FolderRows | None = None

    @property
    def num_labels(self) -> int:
        """Columns of the logits: a class each, or one for a regression."""
        return 1 if self.problem_type == "regression" else len(self.labels)

    @property
    def main_metric(self) -> str:
        """The metric that the task is compared by."""
        return self.metrics[0]
