"""`peftlab submit`: the zip that GLUE's server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peftlab.cli import completion, options, printing
from peftlab.core.words import counted

NAME = "submit"
EXAMPLE = "Example: peftlab submit glue-peft --arm lora-r8 --output glue.zip"


def command(
    study: Annotated[
        str,
        typer.Argument(
            help="A study of the workspace, or its YAML file.",
            autocompletion=completion.stored_studies,
        ),
    ],
    arm: Annotated[
        str,
        typer.Option(
            "--arm",
            metavar="ARM",
            help="The arm whose trials answer.",
            autocompletion=completion.arms,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", metavar="ZIP", help="The file to write.")],
    seed: Annotated[
        int | None,
        typer.Option(help="The seed whose trials answer; else the first, never the best on dev."),
    ] = None,
    model: options.MovedModel = None,
    device: options.Device = "auto",
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """Write predictions on the test rows of GLUE's tasks as its server takes them.

    All of one arm and one seed. A trial of mnli answers both of its test files and the diagnostic
    rows. Tasks that were not run are named; the server wants all of them.
    """
    from peftlab.api.submission import submit

    name = options.study_name(study)
    made = submit(
        name, arm, output, seed=seed, workspace=workspace, device=device, places=model or ()
    )
    if made.missing:
        from peftlab.outputs.submit import FILES

        files = ", ".join(FILES[task] for task in made.missing)
        printing.remark(
            f"remark: not run, so not in the zip, which the server will refuse: {files}"
        )
    if as_json:
        printing.print_json(
            {
                "output": str(made.path),
                "study": name,
                "arm": arm,
                "seed": made.seed,
                "trials": dict(made.trials),
                "missing": list(made.missing),
            }
        )
    else:
        print(f"{made.path}: {counted(len(made.trials), 'file')}, of seed {made.seed}")
    return printing.DONE
