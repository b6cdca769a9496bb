"""`peftlab params`: parameters of a method on a model, from its config alone."""

from __future__ import annotations

from typing import Annotated

import typer

from peftlab.cli import completion, options, printing

NAME = "params"
EXAMPLE = "Example: peftlab params --model google-bert/bert-base-uncased --method lora --set r=8"


def command(
    model: Annotated[str, typer.Option(help="A Hub id, a folder, or a built-in name.")],
    method: Annotated[
        str,
        typer.Option(help="A method of 'peftlab list methods'.", autocompletion=completion.methods),
    ],
    settings: options.Settings = None,
    labels: Annotated[int, typer.Option(min=1, help="Classes of the head.")] = 2,
    as_json: options.Json = False,
) -> int:
    """Count the parameters that a method trains on a model; needs no weights."""
    from peftlab.api.listing import params
    from peftlab.core.safe_yaml import parse_setting

    given = dict(parse_setting(setting) for setting in settings or ())
    count = params(model, method, given, num_labels=labels)
    if as_json:
        printing.print_json(
            {
                "model": model,
                "method": method,
                "trainable": count.trainable,
                "total": count.total,
                "total_peft_counting": count.total_peft_counting,
                "percent": count.percent,
                "backbone": count.backbone,
                "adapter": count.adapter,
                "head": count.head,
            }
        )
        return printing.DONE
    rows = [
        ("trainable", f"{count.trainable:,}"),
        ("  in the checkpoint's own tensors", f"{count.backbone:,}"),
        ("  in the adapter", f"{count.adapter:,}"),
        ("  in the head", f"{count.head:,}"),
        ("all, every tensor once", f"{count.total:,}"),
        ("all, as peft counts (the head twice)", f"{count.total_peft_counting:,}"),
        ("trainable %, every tensor once", f"{count.percent_of_total:.3g}"),
        ("trainable %, as peft counts", f"{count.percent:.3g}"),
    ]
    printing.print_table((f"{method} on {model}", "#parameters"), rows)
    return printing.DONE
