"""The calls that need no `Study`: the choices and their costs, and all results so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from peftlab.core.files import DEFAULT_WORKSPACE
from peftlab.core.measurements import ParameterCount
from peftlab.core.process import quiet_libraries

if TYPE_CHECKING:
    import pandas as pd

    from peftlab.methods.base import Method
    from peftlab.models.builtin import BuiltinModel
    from peftlab.runner.bench import BenchResult
    from peftlab.store.reader import Result
    from peftlab.study.load import BuiltinStudy
    from peftlab.tasks.spec import Task


def list_tasks() -> list[Task]:
    """Return the tasks that are known by name: labels, metrics, the names of their texts."""
    from peftlab.tasks.registry import TASKS

    return [*TASKS]


def list_methods() -> list[Method]:
    """Return the methods: title, paper, `settings()` with their defaults, `can_merge`."""
    quiet_libraries()
    from peftlab.methods.registry import METHODS

    return [*METHODS]


def list_models() -> list[BuiltinModel]:
    """Return the checkpoints that are known by name; any other Hub id or folder works too."""
    from peftlab.models.builtin import builtin_models

    return builtin_models()


def list_studies() -> dict[str, BuiltinStudy]:
    """Return the built-in studies by name; `text` is the YAML of one."""
    from peftlab.study.load import builtin_studies

    return builtin_studies()


def load_results(workspace: Path | str, study: str | None = None) -> pd.DataFrame:
    """Return all results as a frame: one row for each trial, in plan order, and one column for each
    score and cost (store/frame.py). The look at the results is remembered.

    Raises UserError if there is no such workspace or study.
    """
    from peftlab.store.frame import frame_of
    from peftlab.store.workspace import Workspace
    from peftlab.study.declarations import placed_result
    from peftlab.study.remembered_looks import Seen

    seen = Seen(study)

    def noted(results: Iterable[Result]) -> Iterator[Result]:
        for result in results:
            yield result
            seen.note(result.arms, partial(placed_result, result))

    with Workspace.open(Path(workspace), create=False) as opened:
        found = frame_of(noted(opened.results(study)), study, where=opened.where)
        seen.remember(opened)
    return found


def params(
    model: str,
    method: str,
    settings: Mapping[str, JsonValue] | None = None,
    *,
    num_labels: int = 2,
) -> ParameterCount:
    """Return how many parameters the method trains on the model, from its config alone.

    Raises UserError for an unknown method, setting or checkpoint.
    """
    quiet_libraries()
    from peftlab.core.hub import go_offline_if_unreachable
    from peftlab.methods.counts import parameter_counts_given
    from peftlab.models.builtin import BUILTIN

    if model not in BUILTIN:
        go_offline_if_unreachable()
    return parameter_counts_given(model, method, settings or {}, num_labels=num_labels)


def bench(
    *,
    model: str = "minilm",
    tokenizer: str | None = None,
    random_weights: bool = False,
    data: str = "demo",
    task: str = "demo-sentiment",
    method: str = "lora",
    settings: Mapping[str, JsonValue] | None = None,
    batch_size: int = 16,
    learning_rate: float = 5e-4,
    rounds: int = 5,
    steps: int = 40,
    grouped: bool = True,
    bf16: bool = False,
    tf32: bool = False,
    peers: Sequence[int] = (),
    threads: int | None = None,
    device: str = "auto",
    workspace: Path | str = DEFAULT_WORKSPACE,
    say: Callable[[str], None] = lambda message: None,
) -> BenchResult:
    """Return a comparison of this engine and transformers.Trainer + peft on the same trial, in
    turn.

    Each side takes `rounds` turns of `steps` optimizer steps in a process of its own; `say` is told
    what is going on. `bf16` and `tf32` are those of the training settings, for both sides; on a
    card the peer is measured in float32 and in bfloat16. `peers` are numbers of processes in which
    it is also measured at once. Raises UserError if the setup is wrong.
    """
    quiet_libraries()
    from peftlab.engine.bench import Setup, sides_on
    from peftlab.engine.devices.registry import resolve
    from peftlab.runner.bench import run_bench

    return run_bench(
        Setup(
            model=model,
            tokenizer=tokenizer or model,
            random_weights=random_weights,
            data=data,
            task=task,
            method=method,
            settings=dict(settings or {}),
            training={
                "per_device_train_batch_size": batch_size,
                "learning_rate": learning_rate,
                "max_steps": 10**6,
                "bf16": bf16,
                "tf32": tf32,
            },
            device=device,
            cache=Path(workspace).expanduser().absolute() / "cache",
        ),
        rounds=rounds,
        steps=steps,
        sides=sides_on(resolve(device), grouped=grouped),
        peers=peers,
        threads=threads,
        say=say,
    )
