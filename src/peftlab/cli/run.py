"""`peftlab run`: carry out or resume a study."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peftlab.cli import completion, options, printing
from peftlab.cli.options import WRITING
from peftlab.core.errors import first_line
from peftlab.core.process import quiet_libraries
from peftlab.core.progress import stage
from peftlab.core.words import counted, duration

if TYPE_CHECKING:
    from peftlab.api.until_decided import Round
    from peftlab.runner.plan import Plan
    from peftlab.store.workspace import Workspace
    from peftlab.study.spec import StudySpec

NAME = "run"
EXAMPLE = (
    "Example: peftlab run glue-peft --model minilm --data path/to/glue "
    "--set max_train_samples=2000 --set training.num_train_epochs=2 "
    "--set training.warmup_steps=0.06"
)


def command(
    study: Annotated[
        str,
        typer.Argument(
            help="A built-in study or a YAML file.", autocompletion=completion.known_studies
        ),
    ],
    data: options.Data = None,
    model: options.Model = None,
    seeds: Annotated[str | None, typer.Option(help="For example 42,43 or 0-4.")] = None,
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and its cost; train nothing.")
    ] = False,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided",
            help="Add seeds until the claims and what to use are decided, or the study's budget "
            "(decide) is out.",
        ),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed trials again.")
    ] = False,
    workspace: options.Workspace = options.DEFAULT_WORKSPACE,
    as_json: options.Json = False,
) -> int:
    """Run or resume a study, then write its report.

    What is done already is not done again: a trial is known by its content. Stop it whenever you
    like and run the same command again.
    """
    from peftlab.study.load import Overrides, load_study

    spec = load_study(
        study,
        Overrides(
            settings=settings or (),
            data=data,
            model=model,
            engine=engine,
            seeds=options.seed_list(seeds),
            tasks=options.comma_list(tasks),
            arms=options.comma_list(arms),
        ),
    )
    quiet_libraries()
    options.settle_hub(spec, workspace)
    from peftlab.api.study import Study
    from peftlab.api.until_decided import carry_out_until_decided
    from peftlab.store.workspace import Workspace
    from peftlab.study.decide_spec import DecideSpec

    if until_decided and spec.decide is None:
        spec = spec.model_copy(update={"decide": DecideSpec()})
    found = Study(spec, workspace=workspace)
    how: dict[str, Any] = {
        "executor": executor,
        "device": device,
        "retry_failed": retry_failed,
        "workers": workers,
        "threads": threads,
        "gpus": gpus,
        "address": address,
        "artifacts": artifacts,
        "stall_seconds": stall_seconds,
    }
    if dry_run:
        plan = found.plan(**how)
        _print_plan(plan, as_json=as_json)
        if until_decided:
            printing.remark(_rule_words(spec))
        return printing.DONE
    if until_decided:
        ended = carry_out_until_decided(
            found,
            console=printing.stderr_console(),
            announce=partial(_announce, spec.name),
            announce_round=_announce_round,
            **how,
        )
        with Workspace.open(workspace, create=False) as opened:
            status = _show(spec.name, opened, as_json=as_json)
            for line in ended_words(opened, spec.name, ended):
                printing.remark(line)
            return status
    found.carry_out(
        console=printing.stderr_console(), announce=partial(_announce, spec.name), **how
    )
    with Workspace.open(workspace, create=False) as opened:
        return _show(spec.name, opened, as_json=as_json)


def _announce(study: str, plan: Plan | None, num_trials: int) -> None:
    """Say what is about to be run; nothing is where there is no plan."""
    for text in plan.of_rows if plan else ():
        printing.remark(f"remark: {text}")
    estimate = f", {_time_words(plan)}" if plan and plan.open_seconds else ""
    num_open = len(plan.open_trials) if plan else 0
    printing.remark(f"study {study}: {counted(num_trials, 'trial')}, {num_open} to run{estimate}")


def _rule_words(spec: StudySpec) -> str:
    """Return what is run after the study's own seeds, in words."""
    rule = spec.decide
    assert rule is not None
    budget = "" if rule.budget is None else f", for at most {duration(rule.budget)}"
    return (
        "after these, one seed at a time of the arms and tasks of what is not decided, up to "
        f"{rule.max_seeds} seeds of an arm{budget}"
    )


def _announce_round(state: Round) -> None:
    """Say what is decided after a round, and what the next one is."""
    names = counted(len(state.questions), "question")
    said = f"round {state.number}: {state.num_open} of {names} open"
    if state.cause is None:
        said += f"; the next seed takes about {duration(state.seconds)}"
    printing.remark(said)


def ended_words(workspace: Workspace, study: str, ended: Round) -> list[str]:
    """Return in lines why no further round was run, and what is decided and what open."""
    from peftlab.report.findings.questions import open_words
    from peftlab.report.findings.view import make_view

    causes = {
        "decided": "stopped: no further seed could decide anything",
        "the most seeds": "stopped: the most seeds (decide.max_seeds) are reached",
        "the budget": f"stopped: the next round (about {duration(ended.seconds)}) is more than is "
        "left of the budget",
    }
    lines = [causes[ended.cause or "decided"]]
    lines += [f"{one.name}: {one.why}" for one in ended.questions if one.state != "open"]
    if ended.num_open:
        lines += open_words(make_view(workspace, study), ended.questions)
    return lines


def _show(study: str, workspace: Workspace, *, as_json: bool) -> int:
    """Print the study's results; return the exit status."""
    from peftlab.report.current import current_report

    failures = workspace.failures(study)
    for failure in failures:
        cause = first_line(failure.error)
        printing.remark(f"failed: {failure.id} ({failure.task}): {cause}")
    with stage(WRITING) as writing:
        report = current_report(workspace, study, tell=writing.say)
    records = workspace.trials(study) if as_json else []
    if as_json:
        printing.print_json([record.to_json() for record in records])
    else:
        printing.print_results(report.results)
        print(f"report: {report.files.html}")
    if report.remark:
        printing.remark(report.remark)
    return printing.FAILED if failures else printing.DONE


def _print_plan(plan: Plan, *, as_json: bool) -> None:
    for text in (*plan.remarks, *plan.of_rows):
        printing.remark(f"remark: {text}")
    if as_json:
        printing.print_json(
            {"study": plan.study, "trials": [trial.to_json() for trial in plan.trials]}
        )
        return
    has_folds = any(trial.trial.fold for trial in plan.trials)
    has_sizes = any(trial.trial.train_size for trial in plan.trials)
    has_groups = bool(plan.groups)
    rows = [
        (
            trial.trial.id,
            ", ".join(trial.arms),
            trial.trial.task,
            str(trial.trial.seed),
            *([str(trial.trial.fold or "")] if has_folds else []),
            *([f"{trial.num_train_examples:,}"] if has_sizes else []),
            trial.status,
            f"{trial.parameters.trainable:,}",
            f"{trial.steps:,}",
            "?" if trial.tokens is None else f"{trial.tokens:,}",
            "?" if trial.padding is None else f"{trial.padding:.0%}",
            *([str(trial.group or "")] if has_groups else []),
            "?" if trial.expected_seconds is None else duration(trial.expected_seconds),
        )
        for trial in plan.trials
    ]
    columns = (
        "trial", "arm", "task", "#seed", *(["#fold"] if has_folds else []),
        *(["#rows"] if has_sizes else []), "status", "#trainable", "#steps", "#tokens",
        "#padding", *(["#group"] if has_groups else []), "#time",
    )  # fmt: skip
    printing.print_table(columns, rows, title=f"study {plan.study}")
    statuses = [trial.status for trial in plan.trials]
    failed = f", {statuses.count('failed')} failed" if "failed" in statuses else ""
    print(
        f"{counted(len(plan.trials), 'distinct trial')}, {statuses.count('done')} done{failed}, "
        f"{len(plan.open_trials)} to run; "
        f"time for them: {_time_words(plan)}"
    )
    for number, group in enumerate(plan.groups, 1):
        trials = counted(len(group.trials), "trial")
        print(f"group {number}: {trials}, of which up to {group.together} train in one step")


def _time_words(plan: Plan) -> str:
    """Return the time that the open trials will take, in words."""
    if plan.open_seconds is None:
        return "unknown"
    words = f"{'at most ' if plan.may_stop_early else ''}about {duration(plan.open_seconds)}"
    if not plan.groups:
        return words
    saved = plan.saved_seconds
    if saved is None:
        return f"{words} one after another; what groups save is unknown"
    than = "less" if saved >= 0 else "more"
    return f"{words}, which is {duration(abs(saved))} {than} than without groups"
