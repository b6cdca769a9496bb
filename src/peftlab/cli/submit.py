"""`peftlab submit`: the zip that GLUE's server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peftlab.cli import completion, options, printing
from peftlab.core.errors import UnknownNameError, UserError
from peftlab.core.process import quiet_libraries
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
    from peftlab.store.workspace import Workspace
    from peftlab.study.train_sizes import largest_sizes

    name = options.study_name(study)
    with Workspace.open(workspace, create=False) as opened:
        found = opened.trials(name)
    arms = {one for record in found for one in record.arms.get(name, ())}
    if arm not in arms:
        raise UnknownNameError("arm", arm, arms, where=f"{name}: --arm")
    largest = largest_sizes((one.trial.task, one.trial.train_size) for one in found)
    own = [
        record
        for record in found
        if arm in record.arms[name] and record.trial.train_size == largest[record.trial.task]
    ]
    if any(record.trial.fold is not None for record in own):
        raise UserError(
            f"the trials of '{name}' are folds, each trained on a part of train",
            where=name,
            allowed="a study without folds, whose models have seen all of train",
        )
    seeds = list(dict.fromkeys(record.trial.seed for record in own))
    chosen = seeds[0] if seed is None else seed
    if chosen not in seeds:
        raise UserError(
            f"the arm '{arm}' has no seed {seed}",
            where="--seed",
            allowed=", ".join(map(str, seeds)),
        )
    quiet_libraries()
    from peftlab.engine.predict import Predictor
    from peftlab.outputs.submit import FILES, submit

    predictor = Predictor(device=device, places=model or ())
    predictor.device.make_ready()
    made = submit(
        [record for record in own if record.trial.seed == chosen],
        output,
        seed=chosen,
        predictor=predictor,
    )
    if made.missing:
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
    return 0
