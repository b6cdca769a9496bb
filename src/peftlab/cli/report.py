"""`peftlab report`: the report of what has been measured so far."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peftlab.cli import completion, options, printing
from peftlab.cli.options import WRITING
from peftlab.core.errors import UserError
from peftlab.core.process import quiet_libraries
from peftlab.core.progress import stage

if TYPE_CHECKING:
    from peftlab.store.workspace import Workspace

NAME = "report"
EXAMPLE = (
    "Example: peftlab report quickstart --output my-report; side by side: peftlab report "
    "first-try second-try, or peftlab report quickstart --workspace on-cpu --workspace on-gpu"
)


def command(
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY...",
            help="Studies that have been run here.",
            autocompletion=completion.stored_studies,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="DIR",
            help="The folder to write to; by default in the first workspace.",
        ),
    ] = None,
    workspaces: Annotated[
        list[Path] | None,
        typer.Option(
            "--workspace",
            metavar="DIR",
            help="The folder where results live; several are compared.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Write the report of a study, or of several side by side.

    One HTML file, the same as Markdown, every figure as SVG, PNG and PDF, every table as CSV and
    LaTeX.
    """
    from peftlab.store.workspace import Workspace

    with ExitStack() as stack:
        opened = [
            stack.enter_context(Workspace.open(path, create=False))
            for path in workspaces or [options.DEFAULT_WORKSPACE]
        ]
        chosen = _chosen(opened, [options.study_name(study) for study in studies])
        quiet_libraries()
        tell = stack.enter_context(stage(WRITING)).say
        if len(chosen) == 1 and output is None:
            from peftlab.report.current import current_report

            report = current_report(*chosen[0], tell)
        else:
            from peftlab.report.write import write_comparison, write_report

            if len(chosen) == 1:
                report = write_report(*chosen[0], output, tell)
            else:
                report = write_comparison(chosen, output, tell)
    if as_json:
        printing.print_json(report.to_json())
    else:
        printing.print_results(report.results)
        print(f"report: {report.files.html}")
    if report.remark:
        printing.remark(report.remark)
    return printing.DONE


def _chosen(workspaces: list[Workspace], studies: list[str]) -> list[tuple[Workspace, str]]:
    """Return each study in each workspace that has it.

    Raises UserError for a study that is nowhere, for a workspace with none of them, and for one
    that is named twice.
    """
    for kind, names in (("study", studies), ("workspace", [str(w.path) for w in workspaces])):
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
