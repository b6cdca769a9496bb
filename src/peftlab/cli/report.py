"""`peftlab report`: the report of what has been measured so far."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peftlab.cli import completion, options, printing
from peftlab.cli.options import WRITING
from peftlab.core.progress import stage

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
    from peftlab.api.reports import report_on

    names = [options.study_name(study) for study in studies]
    places = workspaces or [options.DEFAULT_WORKSPACE]
    with stage(WRITING) as writing:
        report = report_on(names, workspaces=places, output=output, tell=writing.say)
    if as_json:
        printing.print_json(report.to_json())
    else:
        printing.print_results(report.results)
        print(f"report: {report.files.html}")
    if report.remark:
        printing.remark(report.remark)
    return printing.DONE
