"""`peftlab list`: the tasks, methods, models, architectures, studies and trials there are."""

from __future__ import annotations

from typing import Annotated

import typer

from peftlab.cli import completion, lists, options
from peftlab.cli.printing import DONE

NAME = "list"
app = typer.Typer(
    help="List tasks, methods, models, architectures, studies or trials.",
    epilog="Example: peftlab list trials --study quickstart",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog="Example: peftlab list tasks --json")
def tasks(as_json: options.Json = False) -> int:
    """List the tasks with their metrics and sizes."""
    lists.print_tasks(as_json=as_json)
    return DONE


@app.command(epilog="Example: peftlab list methods")
def methods(as_json: options.Json = False) -> int:
    """List the methods with their papers and defaults, and whether they pack and merge.

    With --json every setting of each, which takes the seconds in which peft is imported.
    """
    lists.print_methods(as_json=as_json)
    return DONE


@app.command(epilog="Example: peftlab list models")
def models(as_json: options.Json = False) -> int:
    """List the checkpoints that are known by name; any other Hub id or folder works too.

    'peftlab list architectures' says how they are computed.
    """
    lists.print_models(as_json=as_json)
    return DONE


@app.command(epilog="Example: peftlab list architectures")
def architectures(as_json: options.Json = False) -> int:
    """List the architectures that are tested, how they are computed, and why some are padded.

    Any other one of which transformers makes a sequence classifier is padded, and not tested.
    """
    lists.print_architectures(as_json=as_json)
    return DONE


@app.command(epilog="Example: peftlab list studies")
def studies(
    workspace: options.Workspace = options.DEFAULT_WORKSPACE, as_json: options.Json = False
) -> int:
    """List the built-in studies, and those that the workspace holds."""
    lists.print_studies(workspace=workspace, as_json=as_json)
    return DONE


@app.command(epilog="Example: peftlab list trials --study quickstart --json")
def trials(
    study: Annotated[
        str | None,
        typer.Option(
            help="Only the trials of this study.", autocompletion=completion.stored_studies
        ),
    ] = None,
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """List the trials of the workspace with their scores in points."""
    name = None if study is None else options.study_name(study)
    lists.print_trials(study=name, workspace=workspace, as_json=as_json)
    return DONE
