"""`peftlab bench`: this engine against transformers.Trainer, here, now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from peftlab.cli import completion, options, printing
from peftlab.core.errors import UserError
from peftlab.core.process import quiet_libraries
from peftlab.core.words import counted

if TYPE_CHECKING:
    from peftlab.runner.bench import BenchResult, SideResult

NAME = "bench"
EXAMPLE = "Example: peftlab bench --model minilm --data demo --task demo-sentiment --method lora"


def command(
    model: Annotated[str, typer.Option(help="A Hub id, a folder, or minilm.")] = "minilm",
    data: Annotated[str, typer.Option(help="hub, demo, hub:FOLDER or a GLUE folder.")] = "demo",
    task: Annotated[
        str, typer.Option(help="A task of 'peftlab list tasks'.", autocompletion=completion.tasks)
    ] = "demo-sentiment",
    method: Annotated[
        str,
        typer.Option(help="A method of 'peftlab list methods'.", autocompletion=completion.methods),
    ] = "lora",
    settings: options.Settings = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples of a step.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="The learning rate of both sides.")] = 5e-4,
    rounds: Annotated[
        int, typer.Option(min=1, help="Times that each side is measured, in turn.")
    ] = 5,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of each measurement.")] = 40,
    grouped: Annotated[
        bool, typer.Option(help="Also against the Trainer with batches of similar lengths.")
    ] = True,
    bf16: Annotated[bool, typer.Option("--bf16", help="Both sides in bfloat16.")] = False,
    tf32: Annotated[bool, typer.Option("--tf32", help="Both sides in TF32, on a card.")] = False,
    peers: Annotated[
        str, typer.Option(help="Peer processes at once, such as 1,8: measured beside one.")
    ] = "1",
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="The model's shape only; with a --tokenizer.")
    ] = False,
    tokenizer: Annotated[
        str | None, typer.Option(help="Another checkpoint's tokenizer; default: the model's.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of a CPU; by default torch's own number.")
    ] = None,
    device: options.Device = "auto",
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """Train the same by this engine and by transformers.Trainer + peft, in turn, and compare."""
    quiet_libraries()
    from peftlab.api.listing import bench
    from peftlab.core.safe_yaml import parse_setting

    result = bench(
        model=model,
        tokenizer=tokenizer,
        random_weights=random_weights,
        data=data,
        task=task,
        method=method,
        settings=dict(parse_setting(setting) for setting in settings or ()),
        batch_size=batch_size,
        learning_rate=learning_rate,
        rounds=rounds,
        steps=steps,
        grouped=grouped,
        bf16=bf16,
        tf32=tf32,
        peers=counts(peers),
        threads=threads,
        device=device,
        workspace=workspace,
        say=printing.remark,
    )
    if as_json:
        printing.print_json(result.to_json())
    else:
        _print(result)
    return printing.DONE


def counts(given: str) -> list[int]:
    """Return the numbers of a list such as 1,8; UserError for what is none."""
    counts = [part.strip() for part in given.split(",")]
    if not all(count.isdecimal() and int(count) > 0 for count in counts):
        raise UserError(
            f"'{given}' is not a list of numbers", where="--peers", allowed="numbers such as 1,8"
        )
    return [int(count) for count in counts]


def _print(result: BenchResult) -> None:
    rows = [_row(name, side) for name, side in result.sides.items()]
    columns = (
        "side", "#ms/step", "#train examples/s", "#tokens/s", "#packed is", "#eval s",
        "#packed is ", "#share of peak", "#in eval", "#peak memory", "computed",
    )  # fmt: skip
    setup = result.setup
    printing.print_table(
        columns, rows, title=f"{setup['method']} on {setup['model']}, {setup['task']}"
    )
    parts = ", ".join(f"{name} {share:.0%}" for name, share in result.step_split.items())
    print(f"a step of packed: {parts}")
    print(f"padding in the Trainer's random batches: {result.padding_avoided:.0%}")
    print(
        f"peak of this machine: {result.peak_gflops:.0f} GFLOP/s in matrix products of "
        f"{result.precision} ({counted(result.threads, 'thread')}); shares count useful operations "
        "only"
    )
    for name, side in result.sides.items():
        if side.launches is not None:
            found = side.launches
            print(
                f"a step of {name} starts {found.kernels:,.0f} kernels by {found.starts:,.0f} "
                f"calls, copies {found.copies:,.0f} times, waits {found.waits:,.0f} times and "
                f"keeps the card at work for {found.busy_milliseconds:.2f} ms"
            )
    print(
        f"medians of {counted(result.rounds, 'round')} of {counted(result.steps, 'step')}, the "
        "sides in turn; in brackets the min and max of the ratios"
    )


def _row(name: str, side: SideResult) -> list[str]:
    train, evaluation = side.train_ratio, side.eval_ratio
    return [
        name,
        f"{side.milliseconds_per_step:,.2f}",
        f"{side.train_examples_per_second:,.0f}",
        f"{side.train_tokens_per_second:,.0f}",
        "" if train is None else f"{train.median:.2f}x [{train.least:.2f}, {train.greatest:.2f}]",
        f"{side.eval_seconds:.2f}",
        "" if evaluation is None else f"{evaluation.median:.2f}x",
        f"{side.share_of_peak:.2f}",
        f"{side.eval_share_of_peak:.2f}",
        f"{side.peak_memory_bytes / 1e6:,.0f} MB",
        side.path,
    ]
