"""Rows from the Hub, or from a local folder laid out like a Hub repository, by load_dataset."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from peftlab.core.bounds import check_values
from peftlab.core.errors import UserError
from peftlab.core.files import folder_at
from peftlab.core.identity import content_id
from peftlab.core.types import DataRef, Example
from peftlab.tasks.spec import Task

# PyYAML raises these on a text that its own tag does not fit, as in `!!bool 3`.
NOT_ITS_TAG = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
# All that datasets says at first of a file that it cannot read.
VAGUE = "An error occurred while generating the dataset"


class HubSource:
    """The tasks of a repository: each task's own, or the one that is given (an id or a folder)."""

    def __init__(self, repository: str | None = None) -> None:
        self.repository = repository

    def has(self, task: Task) -> bool:
        """Whether the task is known to be on the Hub."""
        return task.hub is not None

    def ref(self, task: Task) -> DataRef:
        """The repository and a digest of the rows of train and dev as they were read."""
        repository = self._repository(task)
        return DataRef(source="hub", location=repository, digest=_digest(repository, task))

    def examples(self, task: Task, split: str) -> list[Example]:
        """The rows of a split in their order; a label of -1 is none."""
        return list(_examples(self._repository(task), task, split))

    def _repository(self, task: Task) -> str:
        assert task.hub is not None, "require() is called first"
        if self.repository is None:
            return task.hub.repository
        folder = folder_at(self.repository)
        return self.repository if folder is None else str(folder.resolve())


@lru_cache
def _digest(repository: str, task: Task) -> str:
    rows = [
        [example.texts, example.label]
        for split in ("train", "dev")
        for example in _examples(repository, task, split)
    ]
    return content_id(["hub", task.name, rows], length=64)


@lru_cache(maxsize=16)
def _examples(repository: str, task: Task, split: str) -> tuple[Example, ...]:
    rows = task.hub
    assert rows is not None
    dataset = _load(repository, rows.config, rows.splits.of(split))
    where = f"{repository}/{rows.config} {split}"
    for column in (*rows.text_columns, rows.label_column):
        if column not in dataset.column_names:
            raise UserError(
                f"no column '{column}'",
                where=where,
                allowed=f"it has {', '.join(dataset.column_names)}",
            )
    if not len(dataset):
        raise UserError("the split has no rows", where=where)
    _check_class_names(dataset.features[rows.label_column], task, where)
    texts = [dataset[column] for column in rows.text_columns]
    labels = dataset[rows.label_column]
    return tuple(
        Example(
            row_id=row_id,
            texts=_texts(row_texts, where, row_id),
            label=_label(label, task, where, row_id),
        )
        for row_id, (*row_texts, label) in enumerate(zip(*texts, labels, strict=True))
    )


def _check_class_names(feature: Any, task: Task, where: str) -> None:
    """UserError where the classes have the task's names in another order.

    Classes without names, or with other names, are taken to stand in the task's order.
    """
    names = [str(name).casefold() for name in getattr(feature, "names", None) or ()]
    expected = [label.casefold() for label in task.labels]
    if names != expected and sorted(names) == sorted(expected):
        raise UserError(
            f"the classes stand in another order than the task's: {', '.join(feature.names)}",
            where=where,
            allowed=", ".join(task.labels),
        )


def _texts(texts: list[Any], where: str, row_id: int) -> tuple[str, ...]:
    for text in texts:
        if not isinstance(text, str):
            raise UserError(f"{text!r} is not a text", where=f"{where} row {row_id}")
    return tuple(texts)


def _label(label: Any, task: Task, where: str, row_id: int) -> int | None:
    if label == -1 or label is None:
        return None
    if not isinstance(label, int) or not 0 <= label < task.num_labels:
        raise UserError(
            f"unknown label {label!r}",
            where=f"{where} row {row_id}",
            allowed=f"0 to {task.num_labels - 1}",
        )
    return label


def _load(repository: str, config: str, split: str) -> Any:
    """The split as a datasets.Dataset; every way in which it can fail, as one line."""
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            "reading from the Hub needs the package datasets",
            where="--data hub",
            allowed="pip install 'peftlab[hub]', --data demo, or a GLUE folder",
        ) from error
    _check_card(folder_at(repository), config)
    datasets.disable_progress_bars()
    verbosity = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        return datasets.load_dataset(repository, config, split=split)
    except Exception as error:  # a broken folder makes it raise whatever it runs into
        raise UserError(
            f"cannot load '{config}' from {repository}: {_reason(error)[:300]}",
            where="data",
            allowed="a repository that this machine can reach or has cached, a local folder in "
            "its layout (hub:FOLDER), a GLUE folder, demo",
        ) from error
    finally:
        datasets.logging.set_verbosity(verbosity)


def _check_card(folder: Path | None, config: str) -> None:
    """UserError for a README whose header is no YAML, or expands to more than memory holds."""
    card = None if folder is None else folder / "README.md"
    if card is None or not card.is_file():
        return
    import yaml

    try:
        text = card.read_text(encoding="utf-8").removeprefix("\ufeff")
        header = text.removeprefix("---").partition("\n---")[0] if text.startswith("---") else ""
        value = yaml.safe_load(header)
    except (OSError, yaml.YAMLError, *NOT_ITS_TAG) as error:
        first_line = (str(error) or repr(error)).splitlines()[0]
        raise UserError(f"cannot load '{config}': {first_line}", where=str(card)) from error
    check_values(value, where=str(card))


def _reason(error: Exception) -> str:
    """What the error says, or its cause where datasets says only that there was an error."""
    cause = error.__cause__ if str(error).startswith(VAGUE) else None
    return str(cause or error) or repr(error)
