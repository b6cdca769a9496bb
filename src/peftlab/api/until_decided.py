"""Rounds of further seeds until a study is decided, or its budget is out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from peftlab.report.findings.asking import questions
from peftlab.report.findings.questions import (
    Place,
    Question,
    further_seconds,
    next_round,
    seconds_of_round,
)
from peftlab.report.findings.verdicts import verdicts
from peftlab.report.findings.view import StudyView, make_view
from peftlab.store.workspace import Workspace
from peftlab.study.decide_spec import DecideSpec
from peftlab.study.remembered_looks import remember

if TYPE_CHECKING:
    from rich.console import Console

    from peftlab.runner.plan import Plan
    from peftlab.study.spec import StudySpec

Cause = Literal["decided", "the most seeds", "the budget"]
"""Why no further round is run: nothing is open that seeds could decide, or one of the limits."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """The state of a study after a round: its questions, and the next round or why there is none.

    `further` are the seeds of the next round by arm and task. `cause` is None while there is one.
    """

    number: int
    questions: tuple[Question, ...]
    further: Mapping[Place, int]
    seconds: float
    cause: Cause | None

    @property
    def num_open(self) -> int:
        """The number of questions that are open."""
        return sum(one.state == "open" for one in self.questions)


def after_round(
    workspace: Workspace, study: str, *, number: int, seconds_left: float | None = None
) -> Round:
    """Return the state of a study whose trials are done, and remember the look at its scores.

    The budget is the study's own, or `seconds_left` where that is given. A round that would
    probably take longer is not begun.
    """
    view = make_view(workspace, study)
    rule = view.spec.decide or DecideSpec()
    asked = questions(view, verdicts(view))
    remember([workspace], [view.look])
    wanted = next_round(view, asked, rule)
    seconds = seconds_of_round(view, wanted)
    left = seconds_left if seconds_left is not None else _left(view, rule)
    cause: Cause | None = None
    if not wanted:
        is_any_open = any(one.state == "open" for one in asked)
        cause = "the most seeds" if is_any_open else "decided"
    elif left is not None and seconds > left:
        cause = "the budget"
    return Round(
        number=number,
        questions=asked,
        further=wanted if cause is None else {},
        seconds=seconds,
        cause=cause,
    )


class Runnable(Protocol):
    """The part of a `Study` (api/study.py) that rounds need."""

    spec: StudySpec
    workspace: Path

    @property
    def name(self) -> str:
        """The study's name."""

    def carry_out(self, *, console: Console, **options: Any) -> None:
        """Run the trials that are not done."""


def carry_out_until_decided(
    study: Runnable,
    *,
    console: Console,
    retry_failed: bool = False,
    announce: Callable[[Plan | None, int], None] = lambda plan, num_trials: None,
    announce_round: Callable[[Round], None] = lambda state: None,
    seconds_left: Callable[[], float | None] = lambda: None,
    **options: Any,
) -> Round:
    """Run the study, then round after round until there is no further one; return the last state.

    A study without a rule gets the usual one. `announce` is told of each plan and `announce_round`
    of each state. `seconds_left` takes the place of the study's own budget where it returns a
    number. The options are those of `Study.carry_out`.
    """
    if study.spec.decide is None:
        study.spec = study.spec.model_copy(update={"decide": DecideSpec()})
    study.carry_out(console=console, announce=announce, retry_failed=retry_failed, **options)
    for number in itertools.count():
        with Workspace.open(study.workspace) as opened:
            state = after_round(opened, study.name, number=number, seconds_left=seconds_left())
        announce_round(state)
        if state.cause is not None:
            return state
        study.carry_out(console=console, announce=announce, further=state.further, **options)
    raise AssertionError("rounds have an end")


def _left(view: StudyView, rule: DecideSpec) -> float | None:
    return None if rule.budget is None else rule.budget - further_seconds(view)
