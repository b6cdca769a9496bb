"""A study in a workspace."""

from __future__ import annotations

from peftlab.store.reader import Reader
from peftlab.store.rows import damaged
from peftlab.store.workspace import Workspace
from peftlab.study.expand import Expanded
from peftlab.study.spec import StudySpec, validate


def store_study(expanded: Expanded, workspace: Workspace) -> None:
    """Write the study and its trials into the workspace; known trials keep their results."""
    workspace.save_study(
        expanded.spec.name,
        expanded.spec.model_dump(mode="json"),
        expanded.trials,
        expanded.arms_of,
    )


def stored_spec(workspace: Reader, study: str) -> StudySpec:
    """The study as it was last run there; UserError where it has not been."""
    spec = validate(workspace.spec(study), where=workspace.where)
    if spec.name != study:  # which names the report's folder
        raise damaged(f"the study '{study}' is stored as '{spec.name}'", workspace.where)
    return spec
