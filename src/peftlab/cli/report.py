"""`peftlab report`: the report of what has been measured so far."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peftlab.cli import options
from peftlab.core.quiet import quiet_libraries

NAME = "report"
EXAMPLE = "Example: peftlab report quickstart --output my-report"


def command(
    study: Annotated[str, typer.Argument(help="A study that has been run here.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Where to; else the workspace."),
    ] = None,
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """Write the report of a study: one HTML file, Markdown, and every figure as SVG and PNG."""
    from peftlab.store.workspace import Workspace
    from peftlab.study.load import study_name

    with Workspace.open(workspace, create=False) as opened:
        name = study_name(study)
        opened.spec(name)
        quiet_libraries()
        from peftlab.report.write import write_report

        files = write_report(opened, name, output)
    if as_json:
        options.print_json(files.to_json())
    else:
        print(f"report: {files.html}")
    return 0
