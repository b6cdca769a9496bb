"""The report of a study, or of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from peftlab.core.errors import UserError
from peftlab.core.files import DEFAULT_WORKSPACE
from peftlab.core.process import quiet_libraries
from peftlab.core.progress import Tell, say_nothing
from peftlab.store.workspace import Workspace

if TYPE_CHECKING:
    from peftlab.report.kept import ReportFiles


def report_on(
    studies: Sequence[str],
    *,
    workspaces: Sequence[Path | str] = (DEFAULT_WORKSPACE,),
    output: Path | str | None = None,
    tell: Tell = say_nothing,
) -> ReportFiles:
    """Write the report of studies that have been run, side by side if there are several.

    A study is compared with itself where several workspaces have it. The report is written into
    `output`, by default in the first workspace; one of a single study is kept there where it shows
    all that is measured. `tell` is told what is going on.

    Raises UserError for a study that is in none of the workspaces, for a workspace with none of
    them, and for one that is named twice.
    """
    with ExitStack() as stack:
        opened = [
            stack.enter_context(Workspace.open(Path(path), create=False)) for path in workspaces
        ]
        chosen = _chosen(opened, studies)
        quiet_libraries()
        if len(chosen) == 1 and output is None:
            from peftlab.report.current import current_report

            return current_report(*chosen[0], tell)
        from peftlab.report.write import write_comparison, write_report

        folder = None if output is None else Path(output)
        if len(chosen) == 1:
            return write_report(*chosen[0], folder, tell)
        return write_comparison(chosen, folder, tell)


def _chosen(workspaces: Sequence[Workspace], studies: Sequence[str]) -> list[tuple[Workspace, str]]:
    """Return each study in each workspace that has it."""
    for kind, names in (("study", list(studies)), ("workspace", [str(w.path) for w in workspaces])):
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"the {kind} '{name}' is named twice", where="report")
    pairs = [(workspace, study) for study in studies for workspace in workspaces]
    if len(workspaces) > 1 and len(studies) > 1:
        pairs = [pair for pair in pairs if pair[1] in pair[0].studies()]
    for workspace, study in pairs:
        workspace.spec(study)
    for study in studies:
        if study not in [name for _, name in pairs]:
            raise UserError(f"the study '{study}' has not been run in any of the workspaces")
    for workspace in workspaces:
        if workspace not in [owner for owner, _ in pairs]:
            raise UserError("none of the studies has been run here", where=str(workspace.path))
    return pairs
