"""A terminal shows study, trial, epoch and time left; elsewhere there is a line per trial."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from peftlab.core.measurements import Evaluation
from peftlab.core.trial import Trial
from peftlab.runner import progress
from peftlab.runner.plan import Plan, TrialPlan, make_plan
from peftlab.runner.progress import ProgressDisplay
from peftlab.store.workspace import Workspace
from peftlab.study.trials import Expanded
from tests.runner.conftest import Telling


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """The clock that the display reads."""
    stopped = Watch()
    monkeypatch.setattr(progress, "perf_counter", stopped)
    return stopped


def timed(plan: TrialPlan, seconds: float | None) -> TrialPlan:
    return TrialPlan(**{**vars(plan), "seconds": seconds})


@pytest.fixture
def plan(tmp_path: Path, tiny_study: Callable[..., Expanded]) -> Plan:
    """Three trials, estimated at 10, 30 and 60 seconds."""
    with Workspace.open(tmp_path) as workspace:
        made = make_plan(tiny_study(), workspace)
    trials = zip(made.trials, (10.0, 30.0, 60.0), strict=True)
    return Plan(study="tiny", trials=tuple(timed(*pair) for pair in trials), remarks=())


def epoch(number: int) -> Evaluation:
    return Evaluation(
        epoch=number, step=number, train_loss=0.5, eval_loss=0.5, scores={}, seconds=0.0
    )


# The display


def lines_of(plan: Plan, act: Callable[[ProgressDisplay, list[Trial]], None]) -> list[str]:
    """Return the lines that the display writes without a terminal."""
    written = StringIO()
    console = Console(file=written, force_terminal=False, width=80)
    with ProgressDisplay(plan, console) as display:
        act(display, [one.trial for one in plan.trials])
    return written.getvalue().splitlines()


def run(display: ProgressDisplay, trial: Trial, watch: Watch, seconds: float) -> None:
    Telling(display).started(trial)
    Telling(display).began(trial, 4, 2)
    for step in (1, 2, 3, 4):
        Telling(display).stepped(trial, step, 0.5)
    Telling(display).evaluated(trial, epoch(1))
    watch.seconds += seconds


def test_without_a_terminal_there_is_one_line_a_trial(plan: Plan, watch: Watch) -> None:
    def act(display: ProgressDisplay, trials: list[Trial]) -> None:
        run(display, trials[0], watch, 20.0)
        Telling(display).finished(trials[0])
        run(display, trials[1], watch, 60.0)
        Telling(display).failed(trials[1], "the loss is nan\nand a traceback")
        run(display, trials[2], watch, 5.0)
        Telling(display).finished(trials[2])

    assert lines_of(plan, act) == [
        "[1/3] full on demo-paraphrase, seed 1: done in 20 s, 3 min 0 s left",
        "[2/3] bitfit on demo-paraphrase, seed 1: failed: the loss is nan, 2 min 0 s left",
        "[3/3] lora on demo-paraphrase, seed 1: done in 5 s",
    ]


def test_a_trial_that_is_stopped_has_its_line_too(plan: Plan, watch: Watch) -> None:
    def act(display: ProgressDisplay, trials: list[Trial]) -> None:
        run(display, trials[1], watch, 3.0)
        Telling(display).interrupted(trials[1])

    assert lines_of(plan, act) == [
        "bitfit on demo-paraphrase, seed 1 stopped; it goes on with the next run"
    ]


def test_a_failed_trial_that_is_not_run_counts_neither_as_a_trial_nor_in_the_time_left(
    plan: Plan, watch: Watch
) -> None:
    failed = TrialPlan(**{**vars(plan.trials[2]), "status": "failed"})
    trials = (*plan.trials[:2], failed)

    def act(display: ProgressDisplay, trials: list[Trial]) -> None:
        run(display, trials[0], watch, 20.0)
        Telling(display).finished(trials[0])

    kept = Plan(study="tiny", trials=trials, remarks=())
    assert lines_of(kept, act) == [
        "[1/2] full on demo-paraphrase, seed 1: done in 20 s, 1 min 0 s left"
    ]
    retried = Plan(study="tiny", trials=trials, remarks=(), retry_failed=True)
    assert lines_of(retried, act) == [
        "[1/3] full on demo-paraphrase, seed 1: done in 20 s, 3 min 0 s left"
    ]


def test_a_failure_without_words_has_its_line(plan: Plan, watch: Watch) -> None:
    def act(display: ProgressDisplay, trials: list[Trial]) -> None:
        run(display, trials[0], watch, 1.0)
        Telling(display).failed(trials[0], "")

    (line,) = lines_of(plan, act)
    assert "seed 1: failed: no cause is known, " in line


def test_a_line_is_never_broken_nor_read_as_markup(plan: Plan, watch: Watch) -> None:
    error = "[red]" + "a long word of complaint " * 20

    def act(display: ProgressDisplay, trials: list[Trial]) -> None:
        many = TrialPlan(**{**vars(plan.trials[0]), "arms": ("[bold]arm", "another-arm-" * 9)})
        display.plans[trials[0].id] = many
        run(display, trials[0], watch, 1.0)
        Telling(display).failed(trials[0], error)
        Telling(display).interrupted(trials[0])

    failed, stopped = lines_of(plan, act)
    assert failed.startswith("[1/3] [bold]arm/another-arm-another-arm-")
    assert error.strip() in failed
    assert stopped.endswith("it goes on with the next run")


def test_a_trial_that_nobody_planned_is_named_by_its_method(plan: Plan, watch: Watch) -> None:
    def act(display: ProgressDisplay, trials: list[Trial]) -> None:
        stranger = Trial.model_validate(trials[0].model_dump() | {"seed": 99, "method": "head"})
        Telling(display).started(stranger)
        Telling(display).failed(stranger, "x")

    assert lines_of(plan, act)[0].startswith("[1/3] head on demo-paraphrase, seed 99: failed: x")


def test_a_terminal_shows_study_trial_epoch_and_time_left(
    plan: Plan, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    written = StringIO()
    console = Console(file=written, force_terminal=True, width=140)
    trial = plan.trials[0].trial

    def shown() -> str:
        """Return the content of the screen after one more refresh, without colours."""
        written.seek(0)
        written.truncate()
        display.bars.refresh()
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())

    with ProgressDisplay(plan, console) as display:
        Telling(display).started(trial)
        assert "full on demo-paraphrase, seed 1" in shown()
        Telling(display).began(trial, 4, 2)
        assert "epoch 0 of 2" in shown()
        watch.seconds += 5.0
        Telling(display).stepped(trial, 1, 0.6931)
        screen = shown()
        assert re.search(r"study tiny .* 0/3 +trials +3 min 15 s left", screen)
        assert re.search(r"full on demo-paraphrase, seed 1 .* 1/4 +steps", screen)
        assert "epoch 1 of 2, loss 0.693" in screen
        Telling(display).stepped(trial, 2, 0.5)
        Telling(display).evaluated(trial, epoch(1))
        Telling(display).stepped(trial, 3, 0.5)
        assert "epoch 2 of 2" in shown()
        Telling(display).stepped(trial, 4, 0.5)
        Telling(display).evaluated(trial, epoch(2))
        Telling(display).finished(trial)
        screen = shown()
        assert re.search(r"study tiny .* 1/3 +trials +[\d,]+ trials an hour, 45 s left", screen)
        Telling(display).started(plan.trials[1].trial)
        screen = shown()
        assert "bitfit on demo-paraphrase" in screen
        assert "full on" not in screen, "an ended trial leaves the screen"


def test_members_of_a_group_that_wait_take_no_time_and_those_that_train_share_it(
    plan: Plan, watch: Watch
) -> None:
    def act(display: ProgressDisplay, trials: list[Trial]) -> None:
        for trial in trials:
            Telling(display).started(trial)
        watch.seconds += 100.0
        for trial in trials[:2]:
            Telling(display).began(trial, 4, 2)
        watch.seconds += 20.0
        for trial, step in zip(trials, (4, 2), strict=False):
            Telling(display).stepped(trial, step, 0.5)
        (study,) = [task for task in display.bars.tasks if task.id == display.study_bar]
        # 10 and 15 of their 25 s are done in 20 s each; 75 are left, and two train at a time.
        assert study.fields["note"] == "2 at once, 1 min 0 s left"
        Telling(display).finished(trials[0])
        Telling(display).began(trials[2], 4, 2)
        watch.seconds += 20.0
        Telling(display).finished(trials[2])

    assert lines_of(plan, act)[0].startswith(
        "[1/3] full on demo-paraphrase, seed 1: done in 20 s, "
    )
    assert lines_of(plan, act)[1].startswith(
        "[2/3] lora on demo-paraphrase, seed 1: done in 20 s, "
    )


def test_how_long_members_of_a_group_take_says_nothing_of_trials_that_train_alone(
    plan: Plan, watch: Watch
) -> None:
    """Two members, of 30 and 60 s alone, take 45 s each: one trial of 10 s is still left."""
    alone, *others = plan.trials
    members = [TrialPlan(**{**vars(one), "group": 1, "together": 2}) for one in others]
    mixed = Plan(study="tiny", trials=(alone, *members), remarks=())

    def act(display: ProgressDisplay, trials: list[Trial]) -> None:
        for trial in trials[1:]:
            Telling(display).started(trial)
            Telling(display).began(trial, 4, 2)
        watch.seconds += 45.0
        for trial in trials[1:]:
            Telling(display).stepped(trial, 2, 0.5)
        (study,) = [task for task in display.bars.tasks if task.id == display.study_bar]
        # Half of the two, 45 s, took 45 s for each; so does the other half, and then the one alone.
        assert study.fields["note"] == "2 at once, 55 s left"
        for trial in trials[1:]:
            Telling(display).finished(trial)

    assert lines_of(mixed, act)[1].endswith(": done in 45 s, 10 s left")
