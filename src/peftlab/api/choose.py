"""The choice of a method for the rows of a file, within a budget of time.

A study of six methods is drafted as `peftlab new` drafts one. A part of the budget searches each
one's learning rate, as many settings for each, by rows held out of train; the rest trains seeds
until the choice is decided. The dev rows are looked at for the choice among methods alone. What is
trained is stored as it ends, so that the same call goes on where one was stopped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peftlab.api.study import Study
from peftlab.api.until_decided import Round, carry_out_until_decided
from peftlab.core.durations import seconds_of
from peftlab.core.errors import UserError
from peftlab.core.files import DEFAULT_WORKSPACE, whole_file
from peftlab.core.inputs import MissingPolicy
from peftlab.core.interrupts import forget_request, request_stop
from peftlab.core.progress import watched_by
from peftlab.core.words import counted, duration
from peftlab.data.read_options import AS_FOUND, ReadOptions
from peftlab.report.findings.choice import Answer, answer_of, answer_of_search
from peftlab.runner.bars import StageBars
from peftlab.store.workspace import Workspace
from peftlab.study.new.choice import comparison, spec_in, to_search
from peftlab.study.new.draft import Draft, draft
from peftlab.study.tuning.search import SUFFIX

if TYPE_CHECKING:
    from rich.console import Console

    from peftlab.study.spec import StudySpec

SEARCH_SHARE, RESERVE_SHARE = 0.3, 0.05
"""The parts of the budget that the search may take, and that are kept for the report."""
MOST_SETTINGS = 6
"""The most learning rates that are tried for each method."""
WRITTEN = "# Written by peftlab choose, which may write it again.\n"
MARGIN, MAX_SEEDS = 1.0, 20

CHOICE_OPTIONS = (
    "study", "workspace", "dev", "text", "label", "model", "margin", "options", "missing",
)  # fmt: skip
"""The options of `Choice`, the others being those of a run."""

OF_RUN = ("executor", "device", "retry_failed")
"""The options of a run that are none of its executor."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The result of a budget: the answer, and the paths of the study, its report and the model.

    `model` is None where no arm can be named yet, or the call was stopped before it was written.
    """

    study: Path
    answer: Answer
    report: Path | None
    model: Path | None
    seconds: float
    num_trials: int


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The plan of a budget in seconds: for the search, for one seed of all methods, and the rest.

    `by_arm` are the seconds of one training, None where they are not known.
    """

    seconds: float
    by_arm: Mapping[str, float | None]

    @property
    def of_seed(self) -> float | None:
        """The seconds of one seed of every method; None if one is not known."""
        known = [one for one in self.by_arm.values() if one is not None]
        return sum(known) if len(known) == len(self.by_arm) else None

    @property
    def num_settings(self) -> int:
        """The learning rates that are tried for each method, the usual one among them."""
        of_seed = self.of_seed
        if of_seed is None:
            return MOST_SETTINGS
        return max(min(int(SEARCH_SHARE * self.seconds / max(of_seed, 0.001)), MOST_SETTINGS), 1)

    @property
    def num_seeds(self) -> int | None:
        """The seeds of all methods that what is left after the search is enough for, about."""
        of_seed = self.of_seed
        if of_seed is None:
            return None
        left = (1 - RESERVE_SHARE) * self.seconds - self.num_settings * of_seed
        return max(min(int(left / max(of_seed, 0.001)), MAX_SEEDS), 0)


def choose(
    data: Path | str, *, budget: float | str, progress: bool = True, **options: Any
) -> Chosen:
    """Return which of six methods to use for the rows of a file, as far as the budget can tell.

    `budget` is in seconds of the clock, or a text such as "30 minutes". The options are those of
    `Choice`, and those of `Study.run`: executor, device, workers, threads. Called again with the
    same data it goes on from what is trained.
    """
    from rich.console import Console

    try:
        seconds = seconds_of(budget) if isinstance(budget, str) else float(budget)
    except ValueError as error:
        raise UserError(str(error), where="budget") from error
    own = {name: options.pop(name) for name in CHOICE_OPTIONS if name in options}
    choice = Choice(Path(data), budget=seconds, **own)
    return choice.carry_out(console=Console(stderr=True, quiet=not progress), **options)


class Choice:
    """A choice among methods for the rows of a file: its study, and the budget that it spends."""

    def __init__(
        self,
        data: Path,
        *,
        budget: float,
        study: Path | None = None,
        workspace: Path | str = DEFAULT_WORKSPACE,
        dev: Path | None = None,
        text: Sequence[str] | None = None,
        label: Sequence[str] | None = None,
        model: str | None = None,
        margin: float = MARGIN,
        options: ReadOptions = AS_FOUND,
        missing: MissingPolicy = "error",
    ) -> None:
        """Draft the study; raise UserError where the data cannot be read or a file is in the way.

        `budget` is in seconds of the clock. The study file is NAME-choice.yaml here unless `study`
        says otherwise.
        """
        stem = data.name.split(".")[0] or "data"
        self.path = study or Path(f"{stem}-choice.yaml")
        self.workspace = Path(workspace)
        self.budget = budget
        _require_own(self.path)

        def drafted(rates: Mapping[str, float]) -> Draft:
            return draft(
                self.path,
                data,
                dev=dev,
                text=text,
                label=label,
                model=model,
                options=options,
                missing=missing,
                comparison=comparison(rates, margin=margin, max_seeds=MAX_SEEDS),
            )

        self._drafted = drafted
        self.draft = drafted({})
        self.spec = spec_in(self.draft.text, self.path)

    def plan(self, **options: Any) -> Budget:
        """Return how the budget would be spent; nothing is trained or written but the cache."""
        plan = Study(self.spec, workspace=self.workspace).plan(**options)
        by_arm = {name: one.seconds for one in plan.trials for name in one.arms}
        return Budget(seconds=self.budget, by_arm=by_arm)

    def carry_out(
        self, *, console: Console, say: Say = lambda words: None, **options: Any
    ) -> Chosen:
        """Spend the budget, or less where the choice is decided before; return what came of it.

        `say` is told of each step. The options are those of `Study.carry_out`. KeyboardInterrupt
        leaves everything stored: `answer` then has what can be said so far. The time begins once
        the checkpoint is here and the device is ready, which may take minutes the first time.
        """
        self._make_ready(console, options)
        clock = _Clock(self.budget)
        with _stopped_at(clock.end_of(1 - RESERVE_SHARE)) as timer:
            try:
                rates = self._search(clock, console, say, options)
                spec = self._write(rates)
                study = Study(spec, workspace=self.workspace)
                carry_out_until_decided(
                    study,
                    console=console,
                    announce_round=lambda state: say(_round_words(state, clock)),
                    seconds_left=lambda: clock.left(1 - RESERVE_SHARE),
                    **options,
                )
            except KeyboardInterrupt:
                if not timer.is_out:
                    raise
                forget_request()
                say("the budget is out")
        return self.finish(clock.spent, say)

    def answer(self) -> Answer | None:
        """Return what can be said by now; None where nothing of the study is stored.

        Before a run of the study is done it is what the search has found on rows held out of train.
        """
        if not self.workspace.is_dir():
            return None
        searched = f"{self.spec.name}{SUFFIX}"
        with Workspace.open(self.workspace) as opened:
            found = None
            if self.spec.name in opened.studies():
                found = answer_of(opened, self.spec.name)
            if (found is None or found.arm is None) and searched in opened.studies():
                found = answer_of_search(opened, searched)
            return found

    def finish(self, seconds: float, say: Say = lambda words: None) -> Chosen:
        """Write the report, and the model of the arm to use; return what came of `seconds`.

        `say` is told why a model cannot be written.
        """
        from peftlab.outputs.export import export
        from peftlab.report.current import current_report

        found = self.answer()
        if found is None:
            return Chosen(
                study=self.path,
                answer=Answer.of_nothing(),
                report=None,
                model=None,
                seconds=seconds,
                num_trials=0,
            )
        model: Path | None = None
        with Workspace.open(self.workspace) as opened:
            report, num_trials = None, 0
            if self.spec.name in opened.studies():
                report = current_report(opened, self.spec.name).files.html
                records = opened.trials(self.spec.name)
                num_trials = sum(record.status == "done" for record in records)
            if found.trial is not None:
                model = self.workspace / "models" / f"{self.spec.name}-{found.arm}-{found.trial}"
                try:
                    if not model.exists():
                        model.parent.mkdir(parents=True, exist_ok=True)
                        export(opened.trial(found.trial), model)
                except UserError as error:  # the answer is worth more than its model
                    model = None
                    say(f"no model is written: {error}")
        return Chosen(
            study=self.path,
            answer=found,
            report=report,
            model=model,
            seconds=seconds,
            num_trials=num_trials,
        )

    def _make_ready(self, console: Console, options: Mapping[str, Any]) -> None:
        """Fetch the checkpoint and make the device ready, as the first training would."""
        from peftlab.runner.execute import Execution
        from peftlab.runner.executors.base import ExecutorOptions
        from peftlab.runner.executors.registry import DEFAULT_EXECUTOR

        own = {name: options[name] for name in options if name not in OF_RUN}
        execution = Execution.of(
            options.get("executor", DEFAULT_EXECUTOR),
            ExecutorOptions.of(own),
            options.get("device", "auto"),
        )
        with watched_by(StageBars(lambda: console)):
            execution.make_ready(self.spec.model)

    def _search(
        self,
        clock: _Clock,
        console: Console,
        say: Say,
        options: Mapping[str, Any],
    ) -> dict[str, float]:
        """Return the learning rate of each method that was best on rows held out of train.

        One setting of every method after another is tried while the search's part of the budget
        lasts, by the time that the one before took: all have the same number. The usual rates are
        tried in any case, since that tells what a training takes. What is not found is left out.
        """
        study = Study(to_search(self.spec), workspace=self.workspace)
        own = {name: options[name] for name in options if name != "retry_failed"}
        rates: dict[str, float] = {}
        of_one = 0.0
        for number in range(1, MOST_SETTINGS + 1):
            if number > 1 and clock.spent + of_one > SEARCH_SHARE * self.budget:
                break
            say(f"search: learning rate {number} of at most {MOST_SETTINGS} of each method")
            began = clock.spent
            searches = study.search(trials=number, console=console, **own)
            of_one = clock.spent - began
            with Workspace.open(self.workspace) as opened:
                rates = _best_rates(searches.spec, opened)
        return rates

    def _write(self, rates: Mapping[str, float]) -> StudySpec:
        """Write the study file with these learning rates, and return the study in it."""
        text = WRITTEN + self._drafted(rates).text
        with whole_file(self.path) as stream:
            stream.write(text.encode())
        self.spec = spec_in(text, self.path)
        return self.spec


def _best_rates(spec: StudySpec, workspace: Workspace) -> dict[str, float]:
    from peftlab.study.tuning.attempts import attempts

    return {
        one.arm: float(str(one.setting["learning_rate"]))
        for one in attempts(spec, workspace.trials(spec.name))
        if one.is_best
    }


def _require_own(path: Path) -> None:
    """Raise UserError unless the file is not there, or was written by this command."""
    if path.suffix not in {".yaml", ".yml"}:
        raise UserError(
            "a study file has the ending .yaml or .yml", where=str(path), allowed="NAME.yaml"
        )
    if not path.absolute().parent.is_dir():
        raise UserError("no such folder", where=str(path.parent))
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(WRITTEN):
        raise UserError(
            "this file already exists, and is not of this command", where=str(path),
            remedy="--study with another name",
        )  # fmt: skip


def budget_words(budget: Budget) -> list[str]:
    """Return in lines how a budget would be spent."""
    of_seed = budget.of_seed
    lines = [
        f"{name}: {'time unknown' if seconds is None else f'about {duration(seconds)} a training'}"
        for name, seconds in budget.by_arm.items()
    ]
    if of_seed is None:
        return [*lines, "how far the budget goes is not known before the first training"]
    rates, seeds = budget.num_settings, budget.num_seeds or 0
    lines.append(
        f"search: {counted(rates, 'learning rate')} of each of {len(budget.by_arm)} methods, on "
        f"rows held out of train, about {duration(rates * of_seed)}"
    )
    lines.append(
        f"then one seed after another of what is not decided, about {duration(of_seed)} for a seed "
        f"of all methods: up to {counted(seeds, 'seed')} of all, or more of the methods that are "
        "left"
    )
    lines.append(f"the report and the model: what is left of {duration(budget.seconds)}")
    if seeds < 1:
        lines.append(
            "remark: by these times the budget is too small for a search and a seed of each "
            f"method; {duration(10 * of_seed)} would do more"
        )
    return lines


def _round_words(state: Round, clock: _Clock) -> str:
    (question, *_) = state.questions
    said = f"after {duration(clock.spent)}: {question.name}: {question.state} ({question.why})"
    if state.cause is None:
        said += f"; the next seed takes about {duration(state.seconds)}"
    return said


class _Clock:
    """The time since a budget began to be spent."""

    def __init__(self, budget: float) -> None:
        self._budget, self._began = budget, time.monotonic()

    @property
    def spent(self) -> float:
        """The seconds that have passed."""
        return time.monotonic() - self._began

    def left(self, share: float) -> float:
        """Return the seconds that are left of this share of the budget."""
        return share * self._budget - self.spent

    def end_of(self, share: float) -> float:
        """Return the seconds until that share of the budget has passed, at least none."""
        return max(self.left(share), 0.0)


@dataclass(kw_only=True)
class _Timer:
    """Whether the time is out."""

    is_out: bool = False


@contextmanager
def _stopped_at(seconds: float) -> Iterator[_Timer]:
    """Ask the work within the block to stop after so many seconds, as a signal does."""
    found = _Timer()

    def stop() -> None:
        found.is_out = True
        request_stop()

    thread = threading.Timer(seconds, stop)
    thread.daemon = True
    thread.start()
    try:
        yield found
    finally:
        thread.cancel()
