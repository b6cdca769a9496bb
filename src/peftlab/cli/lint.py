"""`peftlab lint`: what is wrong or doubtful in a study, before compute is spent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from peftlab.cli import completion, options, printing
from peftlab.core.process import quiet_libraries

NAME = "lint"
EXAMPLE = "Example: peftlab lint my-study.yaml"


def command(
    study: Annotated[
        str,
        typer.Argument(
            help="A built-in study or a YAML file.", autocompletion=completion.known_studies
        ),
    ],
    data: Annotated[str | None, typer.Option(help="As in 'run'.")] = None,
    model: Annotated[str | None, typer.Option(help="As in 'run'.")] = None,
    settings: options.Settings = None,
    as_json: options.Json = False,
) -> int:
    """Say what is wrong or doubtful in a study. Data that cannot be read are taken as published.

    The exit status is 1 where a remark is an error, 0 where it is not.
    """
    from peftlab.study.load import Overrides, load_study

    spec = load_study(study, Overrides(settings=settings or (), data=data, model=model))
    quiet_libraries()
    options.settle_hub(spec)
    from peftlab.api.study import Study

    findings = Study(spec).lint()
    has_error = any(finding.level == "error" for finding in findings)
    status = printing.FAILED if has_error else printing.DONE
    if as_json:
        printing.print_json([asdict(finding) for finding in findings])
        return status
    for finding in findings:
        print(f"{finding.level}: {finding.where}: {finding.message} [{finding.rule}]")
    if not findings:
        print(f"{spec.name}: no problems found")
    return status
