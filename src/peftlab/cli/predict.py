"""`peftlab predict`: classify text with a trained trial."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from peftlab.cli import options
from peftlab.core.errors import UserError
from peftlab.core.quiet import quiet_libraries

NAME = "predict"
EXAMPLE = 'Example: peftlab predict 3f2a --text "a warm and funny film"'


def command(
    trial: Annotated[str, typer.Argument(help="A trial's id, or its first digits.")],
    text: Annotated[
        list[str] | None,
        typer.Option("--text", help="The text; twice for a task with pairs."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="IN", help="A row a line; pairs with a tab between."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="OUT",
            help="A TSV file; else stdout. Tabs, line ends and backslashes in a text are written "
            "as \\t, \\n, \\r and \\\\.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """Classify text: one row by --text, or all rows of a file."""
    from peftlab.store.workspace import Workspace

    rows = _rows(text, file)
    with Workspace.open(workspace, create=False) as opened:
        record = opened.trial(trial)
    quiet_libraries()
    from peftlab.outputs.predict import predict_texts

    predictions = predict_texts(record, rows, device=device)
    if as_json:
        options.print_json(
            [
                {"texts": row, "label": found.label, "probabilities": dict(found.probabilities)}
                for row, found in zip(rows, predictions, strict=True)
            ]
        )
        return 0
    lines = [
        "\t".join(
            [found.label, *(f"{p:.4f}" for p in found.probabilities.values()), *map(_field, row)]
        )
        for row, found in zip(rows, predictions, strict=True)
    ]
    if predictions:
        names = [f"p({label})" for label in predictions[0].probabilities]
        lines.insert(
            0, "\t".join(["label", *names, *(f"text{i + 1}" for i in range(len(rows[0])))])
        )
    if output is None:
        sys.stdout.write("\n".join(lines) + "\n")
    else:
        _write(output, "\n".join(lines) + "\n")
    return 0


def _field(text: str) -> str:
    r"""The text as a field of a line.

    >>> print(_field("a\tb"))
    a\tb
    """
    for sign, written in (("\\", r"\\"), ("\t", r"\t"), ("\n", r"\n"), ("\r", r"\r")):
        text = text.replace(sign, written)
    return text


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write the file: {error.strerror}", where=str(output)) from error


def _rows(text: list[str] | None, file: Path | None) -> list[tuple[str, ...]]:
    if (text is None) == (file is None):
        raise UserError("nothing to classify, or both", allowed="either --text TEXT or --file IN")
    if text is not None:
        return [tuple(text)]
    assert file is not None
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UserError(f"cannot read the file: {reason}", where=str(file)) from error
    if lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise UserError("the file has no rows", where=str(file))
    return [tuple(line.split("\t")) for line in lines]
