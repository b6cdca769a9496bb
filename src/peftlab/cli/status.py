"""`peftlab status`: how far the studies of a workspace are."""

from __future__ import annotations

from typing import Annotated

import typer

from peftlab.cli import completion, options, progress_table
from peftlab.cli.printing import DONE

NAME = "status"
EXAMPLE = "Example: peftlab status quickstart --watch"


def command(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Only this study; else all of them.", autocompletion=completion.stored_studies
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow until all is done.")] = False,
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """Show progress, failures and the time left of one study or of all.

    The time left is that of one trial at a time, each as long as the mean of its task.
    """
    name = None if study is None else options.study_name(study)
    progress_table.print_status(study=name, watch=watch, workspace=workspace, as_json=as_json)
    return DONE
