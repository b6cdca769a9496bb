"""The description of a task: its classes, its metrics, and the place of its rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from peftlab.core.errors import UserError
from peftlab.core.scores import score_on

if TYPE_CHECKING:
    from peftlab.core.inputs import ProblemType

Of = TypeVar("Of")


@dataclass(frozen=True, kw_only=True)
class Splits(Generic[Of]):
    """A value for each of the three splits; None for a split that does not exist."""

    train: Of | None = None
    dev: Of | None = None
    test: Of | None = None

    def of(self, split: str) -> Of:
        """Return the value for "train", "dev" or "test"; raise UserError for another name."""
        known = {"train": self.train, "dev": self.dev, "test": self.test}
        found = known.get(split)
        if found is None:
            there = [name for name, one in known.items() if one is not None]
            raise UserError(f"no split '{split}'", allowed=", ".join(there))
        return found


@dataclass(frozen=True, kw_only=True)
class HubRows:
    """The place of a task's rows on the Hub, for datasets.load_dataset(repository, config).

    A text of several columns has them with ": " between. `revision` is the branch that holds the
    rows where it is not the repository's own.
    """

    repository: str
    config: str
    text_columns: tuple[str | tuple[str, ...], ...]
    label_column: str = "label"
    splits: Splits[str] = field(
        default_factory=lambda: Splits(train="train", dev="validation", test="test")
    )
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class TsvFile:
    """One tab-separated file of a GLUE folder; fields are never quoted.

    `columns` are all columns where the file has no header line; with a header the columns that
    are read are found by their names, wherever they stand. With `may_lack_fields` a row that has
    too few fields is left out; else it is refused. `other_names` are places where it lies in some
    downloads.
    """

    name: str
    text_columns: tuple[str, ...]
    label_column: str | None
    columns: tuple[str, ...] | None = None
    may_lack_fields: bool = False
    other_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FolderRows:
    """A task's folder in the layout of GLUE's download script, a file a split.

    `label_words` are the labels as the files write them, in the order of the classes; of a
    regression there are none, its labels are numbers.
    """

    directory: str
    files: Splits[TsvFile]
    label_words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A labelled text problem.

    `labels` are the names of the classes, in the order of the logits; a regression has none.
    `metrics` are keys of METRICS (metrics/registry.py), the main one first. `num_train` and
    `num_dev` are the published sizes.

    Trials of the task are evaluated `also_on` the dev splits of others, which have the same labels
    and texts. A task that is `answered_by` another one has no training of its own: trials of that
    one predict it. `metric_sources` are the SHA-256 of the sources of a person's own metrics.
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
    also_on: tuple[Task, ...] = ()
    answered_by: str | None = None
    metric_sources: tuple[tuple[str, str], ...] = ()

    @property
    def num_labels(self) -> int:
        """The number of columns of the logits: a class each, or one for a regression."""
        return 1 if self.problem_type == "regression" else len(self.labels)

    @property
    def main_metric(self) -> str:
        """The metric that the task is compared by."""
        return self.metrics[0]

    @property
    def further_metrics(self) -> tuple[str, ...]:
        """Names of the scores on the other tasks' dev splits, as in accuracy_on_mnli-mm."""
        return tuple(score_on(name, one.name) for one in self.also_on for name in one.metrics)
