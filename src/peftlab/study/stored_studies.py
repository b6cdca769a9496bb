"""A study in a workspace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id
from peftlab.core.inputs import TaskDefinition
from peftlab.models.location import locate
from peftlab.store.reader import WorkspaceReader
from peftlab.store.records import is_open
from peftlab.store.rows import damaged
from peftlab.store.workspace import Workspace
from peftlab.study.own_data import define_task
from peftlab.study.spec import StudySpec, validate
from peftlab.tasks.registry import TASKS

if TYPE_CHECKING:
    from peftlab.study.trials import Expanded


def store_study(expanded: Expanded, workspace: Workspace) -> None:
    """Write the study and its trials into the workspace; known trials keep their results."""
    workspace.save_study(
        expanded.spec.name,
        expanded.spec.model_dump(mode="json"),
        expanded.trials,
        expanded.arms_of,
        basis=_basis(
            expanded.spec,
            expanded.trials[0].model.fingerprint,
            {
                trial.task: _with_metrics(trial.data.digest, trial.definition)
                for trial in expanded.trials
            },
        ),
    )


def stored_spec(workspace: WorkspaceReader, study: str) -> StudySpec:
    """Return the study as it was last run there; raise UserError if it never was."""
    spec = validate(workspace.spec(study), where=workspace.where)
    if spec.name != study:  # which names the report's folder
        raise damaged(f"the study '{study}' is stored as '{spec.name}'", workspace.where)
    return spec


def require_checkpoint(spec: StudySpec, workspace: WorkspaceReader) -> None:
    """Raise UserError if the study's checkpoint was a folder in earlier trials and is none now.

    The name of such a folder may be one on the Hub too, which is another checkpoint.
    """
    model = locate(spec.model, where=f"{spec.name}: model")
    if model.fingerprint.startswith("hub:") and workspace.has_folder(spec.model):
        raise UserError(
            f"the checkpoint folder '{spec.model}', on which trials of {workspace.path} were "
            "trained, no longer exists",
            where=f"{spec.name}: model",
            remedy="--model with the folder where it is; another --workspace for the one on the "
            "Hub of that name",
        )


def is_settled(spec: StudySpec, workspace: WorkspaceReader, *, retry_failed: bool = False) -> bool:
    """Return whether a run of the study has nothing to do, without expanding its trials.

    False does not mean that there is something to do.
    """
    if spec.name not in workspace.studies():
        return False
    status_counts = workspace.status_counts(spec.name)
    if any(is_open(one.status, retry_failed) for one in status_counts):
        return False
    return workspace.basis(spec.name) == _basis_or_none(spec)


def basis(spec: StudySpec) -> str:
    """Return a hash of everything that determines the trials: the spec, what it names, and the
    code.

    Raises UserError where the data or the model cannot be found.
    """
    model = locate(spec.model, where=f"{spec.name}: model")
    return _basis(spec, model.fingerprint, {name: _task_digest(spec, name) for name in spec.tasks})


def _task_digest(spec: StudySpec, name: str) -> str:
    """Return the digest of a task's data and of the user's own metrics."""
    if not isinstance(spec.data, str):
        own = define_task(name, spec.data[name], where=f"{spec.name}: data.{name}")
        return _with_metrics(own.source.ref(own.task).digest, own.definition)
    from peftlab.data.source import open_source, require

    source, task = open_source(spec.data), TASKS.get(name)
    require(source, task, spec.data)
    return source.ref(task).digest


def _with_metrics(digest: str, definition: TaskDefinition | None) -> str:
    """Return the digest of a task's data with the sources of its own metrics, if it has any."""
    sources = definition.metric_sources if definition else ()
    return content_id([digest, *map(list, sources)]) if sources else digest


def _basis(spec: StudySpec, fingerprint: str, digests: Mapping[str, str]) -> str:
    """Return the basis for a checkpoint's fingerprint and the digests of the tasks' data."""
    return content_id(
        {
            "spec": spec.model_dump(mode="json"),
            "model": fingerprint,
            "data": dict(digests),
            "code": [*_code()],
            "peft": version("peft"),
        }
    )


def _basis_or_none(spec: StudySpec) -> str | None:
    try:
        return basis(spec)
    except UserError:
        return None


def _code() -> Iterator[list[str | int]]:
    """Yield this package's files, each by its name, size and time of change."""
    root = Path(str(files("peftlab")))
    for path in sorted(root.rglob("*.py")):
        found = path.stat()
        yield [str(path.relative_to(root)), found.st_size, found.st_mtime_ns]
