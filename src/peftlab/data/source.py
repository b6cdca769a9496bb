"""The sources of rows, behind one interface: the demo, the Hub, a GLUE folder, or own files."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from peftlab.core.errors import AbsentError, UserError
from peftlab.core.files import folder_at
from peftlab.core.inputs import DataRef, Example
from peftlab.data.demo.source import DemoSource
from peftlab.data.glue_folder import GlueFolder
from peftlab.data.hub import HubSource
from peftlab.data.own_files import OwnSource
from peftlab.tasks.registry import TASKS
from peftlab.tasks.spec import Task

HUB_PREFIX = "hub:"
NO_REPOSITORY = ("/", ".", "~")
"""The beginnings that no repository's name has: it is a folder's."""
FORMS = "demo, hub, hub:REPOSITORY, hub:FOLDER, or a GLUE folder"


class DataSource(Protocol):
    """A source of the rows of tasks."""

    def has(self, task: Task) -> bool:
        """Return whether this kind of source knows the task; its files may still be missing."""

    def ref(self, task: Task) -> DataRef:
        """Return the location of the task's rows, with a digest of their content (train and
        dev)."""

    def examples(self, task: Task, split: str) -> list[Example]:
        """Return the rows of a split ("train", "dev" or "test") in their order.

        Raises UserError, with file and line, where they cannot be read.
        """


def open_source(data: str, *, where: str = "") -> DataSource:
    """Return the source that a study's `data` names; raise UserError if there is none."""
    if data in {"", HUB_PREFIX}:
        raise UserError(f"unknown data '{data}'", where=where, allowed=FORMS)
    if data == "demo":
        return DemoSource()
    if data == "hub":
        return HubSource()
    if data.startswith(HUB_PREFIX):
        repository = data.removeprefix(HUB_PREFIX)
        if repository.startswith(NO_REPOSITORY) and folder_at(repository) is None:
            raise AbsentError(f"unknown data '{data}': no such folder", where=where, allowed=FORMS)
        return HubSource(repository)
    folder = folder_at(data)
    if folder is None:
        raise AbsentError(f"unknown data '{data}': not a folder", where=where, allowed=FORMS)
    return GlueFolder(folder.resolve())


def is_on_hub(data: str) -> bool:
    """Return whether a study's `data` names a repository of the Hub, not a folder."""
    if not data.startswith(HUB_PREFIX):
        return data == "hub"
    repository = data.removeprefix(HUB_PREFIX)
    return not repository.startswith(NO_REPOSITORY) and folder_at(repository) is None


def open_ref(ref: DataRef) -> DataSource:
    """Return the source that a trial's rows came from."""
    if ref.source == "demo":
        return DemoSource()
    if ref.source == "hub":
        return HubSource(ref.location)
    if ref.files is not None:
        return OwnSource(ref.files)
    return GlueFolder(Path(ref.location))


def require(source: DataSource, task: Task, data: str, *, where: str = "") -> None:
    """Raise UserError unless the source knows the task."""
    if source.has(task):
        return
    known = ", ".join(other.name for other in TASKS if source.has(other) and not other.answered_by)
    raise UserError(f"the data '{data}' has no task '{task.name}'", where=where, allowed=known)
