"""`peftlab tune`: search hyperparameters, an equal budget for every arm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from peftlab.cli import completion, options, printing
from peftlab.cli.options import WRITING
from peftlab.core.process import quiet_libraries
from peftlab.core.progress import stage
from peftlab.core.words import counted, duration

if TYPE_CHECKING:
    from peftlab.store.workspace import Workspace
    from peftlab.study.tuning.attempts import SearchAttempt
    from peftlab.study.tuning.search import Searches

NAME = "tune"
EXAMPLE = "Example: peftlab tune quickstart --trials 8 --arms lora --seeds 1,2"


def command(
    study: Annotated[
        str,
        typer.Argument(
            help="A built-in study or a YAML file.", autocompletion=completion.known_studies
        ),
    ],
    trials: Annotated[
        int | None, typer.Option(min=1, help="Settings to try for each arm on each task.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="Seconds for each arm on each task, in place of a number."),
    ] = None,
    data: options.Data = None,
    model: options.Model = None,
    seeds: Annotated[
        str | None, typer.Option(help="Seeds that each setting is trained with: 42,43 or 0-4.")
    ] = None,
    tasks: options.Tasks = None,
    arms: options.Arms = None,
    engine: options.Engine = None,
    executor: options.Executor = options.DEFAULT_EXECUTOR,
    workers: options.Workers = None,
    threads: options.Threads = None,
    gpus: options.Gpus = 1.0,
    address: options.Address = None,
    artifacts: options.Artifacts = None,
    stall_seconds: options.StallSeconds = 1800,
    device: options.Device = "auto",
    settings: options.Settings = None,
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """Search the best setting of every arm on every task, by rows held out of train.

    All arms have the same budget. Stop it whenever you like and give the same command again: what
    was tried counts. What is found is the study STUDY-tuned, of which a report is written. The exit
    status is 1 where an arm has no setting that could be trained to its end.
    """
    from peftlab.study.load import Overrides, load_study

    spec = load_study(
        study,
        Overrides(
            settings=settings or (),
            data=data,
            model=model,
            engine=engine,
            tasks=options.comma_list(tasks),
            arms=options.comma_list(arms),
        ),
    )
    wanted_seeds = options.seed_list(seeds)
    quiet_libraries()
    options.settle_hub(spec, workspace)
    if spec.track:
        printing.remark("remark: track has no effect here; trackers follow the trials of 'run'")
    from peftlab.api.study import Study
    from peftlab.store.workspace import Workspace

    searches = Study(spec, workspace=workspace).search(
        trials=trials,
        seconds=seconds,
        seeds=wanted_seeds,
        executor=executor,
        device=device,
        console=printing.stderr_console(),
        announce=lambda searches: printing.remark(_announcement(searches)),
        workers=workers,
        threads=threads,
        gpus=gpus,
        address=address,
        artifacts=artifacts,
        stall_seconds=stall_seconds,
    )
    with Workspace.open(workspace, create=False) as opened:
        return _show(searches, opened, as_json=as_json)


def _announcement(searches: Searches) -> str:
    budget = searches.tune.budget
    amount = counted(budget.trials or 0, "setting")
    if budget.seconds is not None:
        amount = duration(budget.seconds)
    seeds = {len(search.templates) for search in searches.searches}
    num_searches = len(searches.searches)
    each = "1 search" if num_searches == 1 else f"each of {num_searches:,} searches"
    of_each = "-".join(str(number) for number in sorted(seeds))
    return (
        f"study {searches.spec.name}: {amount} for {each}, "
        f"{'1 seed' if of_each == '1' else f'{of_each} seeds'} a setting"
    )


def _show(searches: Searches, workspace: Workspace, *, as_json: bool) -> int:
    """Print the findings; return the exit status."""
    from peftlab.report.write import write_report
    from peftlab.study.tuning.attempts import attempts

    study = searches.spec.name
    found = attempts(searches.spec, workspace.trials(study))
    by_search = {
        (search.arm.name, search.task): [
            one for one in found if (one.arm, one.task) == (search.arm.name, search.task)
        ]
        for search in searches.searches
    }
    with stage(WRITING) as writing:
        report = write_report(workspace, study, tell=writing.say)
    if as_json:
        printing.print_json(_json(searches, by_search, str(report.files.html)))
    else:
        _print(study, by_search)
        print(f"report: {report.files.html}")
    if report.remark:
        printing.remark(report.remark)
    is_done = all(any(one.is_best for one in tried) for tried in by_search.values())
    return printing.DONE if is_done else printing.FAILED


def _json(
    searches: Searches, by_search: dict[tuple[str, str], list[SearchAttempt]], report: str
) -> dict[str, object]:
    from peftlab.core.trial import rules_in_words

    return {
        "study": searches.spec.name,
        "rule": rules_in_words(searches.expanded.trials),
        "budget": searches.tune.budget.model_dump(),
        "report": report,
        "searches": [
            {
                "arm": arm,
                "task": task,
                "best": next((one.to_json() for one in tried if one.is_best), None),
                "settings": [one.to_json() for one in tried],
            }
            for (arm, task), tried in by_search.items()
        ],
    }


def _print(study: str, by_search: dict[tuple[str, str], list[SearchAttempt]]) -> None:
    from peftlab.study.tuning.attempts import setting_words

    rows = []
    for (arm, task), tried in by_search.items():
        best = next((one for one in tried if one.is_best), None)
        words, scores = "no setting is done", ["-", "-"]
        if best is not None:
            words = setting_words(best.setting)
            scores = [f"{best.held_out:.1f}", f"{best.dev:.1f}"]
        statuses = [one.status for one in tried]
        counts = [str(statuses.count(status)) for status in ("done", "pruned", "failed")]
        spent = duration(tried[-1].seconds) if tried else "-"
        rows.append([task, arm, words, *scores, *counts, spent])
    columns = (
        "task", "arm", "best setting", "#held out", "#dev", "#done", "#pruned", "#failed", "#time",
    )  # fmt: skip
    printing.print_table(columns, rows, title=f"{study}: chosen on held-out rows, then seen on dev")
