"""A study and the workspace of its results: planned, run, searched, reported, read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.api.trial import Trial, list_trials
from peftlab.core.errors import UnknownNameError, UserError
from peftlab.core.files import DEFAULT_WORKSPACE
from peftlab.core.process import quiet_libraries
from peftlab.core.progress import watched_by
from peftlab.runner.bars import StageBars
from peftlab.runner.executors.registry import DEFAULT_EXECUTOR, EXECUTORS, names_with
from peftlab.store.workspace import Workspace
from peftlab.study.load import Overrides, load_study, study_of
from peftlab.study.spec import StudySpec

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from peftlab.api.until_decided import Round
    from peftlab.report.kept import ReportFiles
    from peftlab.runner.execute import Execution
    from peftlab.runner.executors.base import ExecutorOptions
    from peftlab.runner.plan import Plan
    from peftlab.study.further_seeds import Further
    from peftlab.study.remarks.finding import Finding
    from peftlab.study.trials import Expanded
    from peftlab.study.tuning.attempts import SearchAttempt
    from peftlab.study.tuning.search import Searches


class Study:
    """A study and the place of its results.

    Every method that computes raises UserError for a mistake that its user can mend: one line with
    what is wrong, where, and what is allowed.
    """

    def __init__(self, spec: StudySpec, *, workspace: Path | str = DEFAULT_WORKSPACE) -> None:
        self.spec = spec
        self.workspace = Path(workspace)

    @classmethod
    def load(
        cls, name: Path | str, *, workspace: Path | str = DEFAULT_WORKSPACE, **changes: Any
    ) -> Study:
        """Return the study of a built-in name or in a YAML file.

        `changes` are as the options of `peftlab run`: data, model, engine, seeds, tasks, arms, and
        `settings`, a mapping from dotted keys to values ({"training.num_train_epochs": 2}).
        Raises UserError for an unknown name, and for whatever is wrong in the file.
        """
        return cls(load_study(str(name), _overrides(**changes)), workspace=workspace)

    @classmethod
    def from_dict(
        cls,
        study: Mapping[str, Any],
        *,
        workspace: Path | str = DEFAULT_WORKSPACE,
        **changes: Any,
    ) -> Study:
        """Return the study of a study file's keys; `changes` are those of `load`.

        In the place of a file of own data may stand a pandas DataFrame, a datasets.Dataset or a
        list of dicts, and in that of train a DatasetDict: they are written into the workspace, each
        content once.
        """
        from peftlab.api.given_rows import with_files

        overrides = _overrides(**changes)
        return cls(study_of(with_files(study, Path(workspace)), overrides), workspace=workspace)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.spec.name

    def __repr__(self) -> str:
        return f"<Study {self.name} in {self.workspace}>"

    def lint(self) -> list[Finding]:
        """Return the findings of lint: level ("error" or "warning"), where, message, rule."""
        from peftlab.study.remarks.lint import lint

        return lint(self._expanded(data_needed=False))

    def plan(
        self,
        *,
        executor: str = DEFAULT_EXECUTOR,
        device: str = "auto",
        retry_failed: bool = False,
        **options: Any,
    ) -> Plan:
        """Return what `run` would do: status, steps, tokens and estimated seconds of each trial.

        The executor, the device and `options` are as in `run`, and checked in the same way.
        """
        execution = self._execution(executor, device, options)
        from peftlab.runner.plan import make_plan

        expanded = self._expanded(data_needed=False, further=self._further())
        with Workspace.open(self.workspace) as opened:
            return make_plan(
                expanded,
                opened,
                device=execution.here,
                threads=execution.options.threads,
                retry_failed=retry_failed,
            )

    def run(
        self,
        *,
        executor: str = DEFAULT_EXECUTOR,
        device: str = "auto",
        retry_failed: bool = False,
        progress: bool = True,
        **options: Any,
    ) -> list[Trial]:
        """Run the trials that are not done; return all trials of the study, failed ones included.

        `options` are those of the executor, by the names of runner.executors.base.ExecutorOptions:
        workers, threads, gpus, address, stall_seconds. With `progress` a display is drawn on
        stderr. Stopped at any moment, the same call goes on from there.
        """
        self.carry_out(
            executor=executor,
            device=device,
            retry_failed=retry_failed,
            console=_console(progress),
            **options,
        )
        return self.trials()

    def carry_out(
        self,
        *,
        executor: str = DEFAULT_EXECUTOR,
        device: str = "auto",
        retry_failed: bool = False,
        console: Console,
        announce: Callable[[Plan | None, int], None] = lambda plan, num_trials: None,
        further: Further | None = None,
        **options: Any,
    ) -> None:
        """Run the trials that are not done, as `run` does, without reading the results.

        `announce` is told the plan of what is open, and how many trials the study has, before
        anything is trained; where the workspace shows at once that all are done, there is no plan.
        The `further` seeds of a study that adds them are, by default, those
        that it has.
        """
        if further is None and self._is_settled(executor, device, retry_failed, options):
            announce(None, self._tidied())
            return
        execution = self._execution(executor, device, options)
        from peftlab.runner.execute import execute
        from peftlab.runner.plan import make_plan
        from peftlab.runner.progress import ProgressDisplay
        from peftlab.study.remarks.lint import errors_before_run
        from peftlab.study.trials import expand

        with watched_by(StageBars(lambda: console)):
            expanded = expand(self.spec, further=self._further() if further is None else further)
        with Workspace.open(self.workspace) as opened:
            with watched_by(StageBars(lambda: console)):
                plan = make_plan(
                    expanded,
                    opened,
                    device=execution.here,
                    threads=execution.options.threads,
                    retry_failed=retry_failed,
                    only_open=True,
                )
                said = [f"remark: {text}" for text in plan.remarks]
                said += [
                    f"error: {one.where}: {one.message}" for one in errors_before_run(expanded)
                ]
                _print(console, said)
                if plan.open_trials:
                    found = execution.make_ready(self.spec.model)
                    _print(console, [f"remark: {one}" for one in found if one not in plan.remarks])
            announce(plan, len(expanded.trials))
            with ProgressDisplay(plan, console) as display:
                execute(
                    expanded,
                    opened,
                    display=display,
                    execution=execution,
                    retry_failed=retry_failed,
                    seconds={one.trial.id: one.expected_seconds or 0.0 for one in plan.open_trials},
                    groups=plan.groups,
                )

    def run_until_decided(
        self,
        *,
        executor: str = DEFAULT_EXECUTOR,
        device: str = "auto",
        retry_failed: bool = False,
        progress: bool = True,
        **options: Any,
    ) -> Round:
        """Run the study, and add seeds by its rule (`decide`) until it is decided; return the end.

        A round adds a seed to the arms and tasks of claims that are not decided and of the choice
        of what to use. Without a rule of its own the study gets the usual one. The arguments are
        those of `run`; stopped at any moment, the same call goes on from there.
        """
        from peftlab.api.until_decided import carry_out_until_decided

        return carry_out_until_decided(
            self,
            executor=executor,
            device=device,
            retry_failed=retry_failed,
            console=_console(progress),
            **options,
        )

    def tune(
        self,
        *,
        trials: int | None = None,
        seconds: float | None = None,
        seeds: Sequence[int] | None = None,
        executor: str | None = None,
        device: str = "auto",
        progress: bool = True,
        **options: Any,
    ) -> list[SearchAttempt]:
        """Search the best setting of every arm on every task, with the same budget for each.

        The budget is `trials` settings or so many `seconds`, else the study's own. What is found
        is the study NAME-tuned of the workspace; returned are all settings that were tried, the
        chosen ones with `is_best`. The executor is `inline`, or `pool` where `workers` are among
        the options, which are as in `run`.
        """
        from peftlab.study.remembered_looks import remember_records
        from peftlab.study.tuning.attempts import attempts

        searches = self.search(
            trials=trials,
            seconds=seconds,
            seeds=seeds,
            executor=executor or _usual_executor(options),
            device=device,
            console=_console(progress),
            **options,
        )
        with Workspace.open(self.workspace) as opened:
            records = opened.trials(searches.spec.name)
            remember_records(opened, records, searches.spec.name)
            return [*attempts(searches.spec, records)]

    def search(
        self,
        *,
        trials: int | None = None,
        seconds: float | None = None,
        seeds: Sequence[int] | None = None,
        executor: str = DEFAULT_EXECUTOR,
        device: str = "auto",
        console: Console,
        announce: Callable[[Searches], None] = lambda searches: None,
        **options: Any,
    ) -> Searches:
        """Search as `tune` does, without reading the results; return the searches.

        `announce` is told that before anything is trained.
        """
        _require_optuna()
        execution = self._execution(executor, device, options)
        from peftlab.runner.tune import tune
        from peftlab.runner.tune_progress import TuneDisplay
        from peftlab.study.tuning.search import expand_searches, wanted_tune

        with watched_by(StageBars(lambda: console)):
            searches = expand_searches(self.spec, wanted_tune(self.spec, trials, seconds, seeds))
        with Workspace.open(self.workspace) as opened:
            with watched_by(StageBars(lambda: console)):
                found = execution.make_ready(self.spec.model)
                _print(console, [f"remark: {one}" for one in found])
            announce(searches)
            with TuneDisplay(searches, console) as display:
                tune(
                    searches,
                    opened,
                    display=display,
                    attempted=display.attempted,
                    executor=execution.executor(),
                    device=execution.device,
                    here=execution.here,
                )
        return searches

    def report(self, output: Path | str | None = None) -> ReportFiles:
        """Return the files of the report, and the scores and verdicts in it.

        It is written into `output`, else into reports/NAME of the workspace unless what is there
        shows all that is measured. Raises UserError where nothing has been run.
        """
        from peftlab.api.reports import report_on

        return report_on([self.name], workspaces=[self.workspace], output=output)

    def results(self) -> pd.DataFrame:
        """Return one row a trial: scores in points, costs, settings (store.frame.load_results).

        It shows scores of all arms, so it counts as a look at them.
        """
        from peftlab.api.listing import load_results

        return load_results(self.workspace, self.name)

    def trials(self) -> list[Trial]:
        """Return the study's trials in plan order; raise UserError if it has not been run.

        They show scores of all arms, so this counts as a look at them.
        """
        return list_trials(self.workspace, self.name)

    def status(self) -> dict[str, int]:
        """Return how many of the trials are done, running, pending, failed, pruned."""
        counts: Counter[str] = Counter()
        with Workspace.open(self.workspace, create=False) as opened:
            for one in opened.status_counts(self.name):
                counts[one.status] += one.count
        return dict(counts)

    def _settle(self) -> None:
        """Work from the cache alone if the study needs the Hub and it does not answer."""
        from peftlab.core.hub import go_offline_if_unreachable
        from peftlab.study.load import needs_hub

        if needs_hub(self.spec):
            go_offline_if_unreachable()

    def _further(self) -> Further:
        """Return the further seeds that the study has in its workspace; none without a rule."""
        from peftlab.study.further_seeds import stored_further

        if self.spec.decide is None or not self.workspace.is_dir():
            return {}
        with Workspace.open(self.workspace) as opened:
            return stored_further(self.spec, opened)

    def _expanded(self, *, data_needed: bool = True, further: Further | None = None) -> Expanded:
        quiet_libraries()
        self._settle()
        from peftlab.study.trials import expand

        return expand(self.spec, data_needed=data_needed, further=further or {})

    def _options(self, given: Mapping[str, Any]) -> ExecutorOptions:
        """Return the executor's options, with logs in the workspace unless they say otherwise."""
        from peftlab.runner.executors.base import ExecutorOptions

        logs = self.workspace.expanduser().absolute() / "logs"
        return ExecutorOptions.of({"logs": logs, **given})

    def _execution(self, executor: str, device: str, options: Mapping[str, Any]) -> Execution:
        """Return where trials run; UserError if that cannot be."""
        quiet_libraries()
        self._settle()
        from peftlab.runner.execute import Execution

        return Execution.of(executor, self._options(options), device)

    def _is_settled(
        self, executor: str, device: str, retry_failed: bool, options: Mapping[str, Any]
    ) -> bool:
        """Return whether the workspace shows at once that a run has nothing to do or to refuse.

        Raises UserError for an unknown executor or option.
        """
        from peftlab.engine.devices.registry import is_everywhere
        from peftlab.study.stored_studies import is_settled

        EXECUTORS.get(executor, where="--executor")
        given = self._options(options)
        if given.artifacts is not None or not is_everywhere(device):
            return False
        try:
            with Workspace.open(self.workspace, create=False) as opened:
                return is_settled(self.spec, opened, retry_failed=retry_failed)
        except UserError:  # the run itself says what is wrong with the workspace
            return False

    def _tidied(self) -> int:
        """Remove what earlier runs have left behind; return the number of the study's trials."""
        from peftlab.store.lock import forget_dead_holder

        with Workspace.open(self.workspace, create=False) as opened:
            opened.remove_spent_checkpoints()
            forget_dead_holder(opened.path)
            return sum(one.count for one in opened.status_counts(self.name))


def _require_optuna() -> None:
    """Raise UserError if the package for searches is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UserError(
            "searching needs the package optuna",
            where="tune",
            remedy="pip install 'peftlab[tune]'",
        ) from error


def _usual_executor(options: Mapping[str, Any]) -> str:
    """Return the default executor, or the first that heeds `workers` where they are given."""
    return names_with("workers")[0] if options.get("workers") else DEFAULT_EXECUTOR


def _overrides(
    *, settings: Mapping[str, Any] | None = None, model: Any = None, data: Any = None, **rest: Any
) -> Overrides:
    known = [field.name for field in fields(Overrides)]
    for name in rest:
        if name not in known:
            raise UnknownNameError("change", name, known)
    if data is not None and not isinstance(data, str | Path):
        raise UserError(
            "data must be a string or a path", where="data",
            allowed="a name or a path here; rows only in the data of Study.from_dict",
        )  # fmt: skip
    as_text = [f"{key}={json.dumps(value)}" for key, value in (settings or {}).items()]
    return Overrides(
        settings=as_text,
        model=None if model is None else str(model),
        data=None if data is None else str(data),
        **rest,
    )


def _print(console: Console, lines: Sequence[str]) -> None:
    """Print lines as they are, each on one line of its own however long it is."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _console(shown: bool) -> Console:
    from rich.console import Console

    return Console(stderr=True, quiet=not shown)
