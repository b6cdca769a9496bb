"""A study's scores and verdicts in short, for the terminal and as a file beside the page.

The file spares `peftlab run` to compute them again where nothing has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue, ValidationError

from peftlab.core.validation import Frozen
from peftlab.report.findings.classes import classes_json
from peftlab.report.findings.learning import MARKS, learned_json, losses_words, remarks
from peftlab.report.findings.verdicts import Verdict
from peftlab.report.findings.view import StudyView
from peftlab.report.findings.warnings import leak_warnings, outdated_warnings
from peftlab.stats.learned import State

RESULTS = "results.json"


class ArmScore(Frozen):
    """The main metric of an arm on a task: the mean over its runs and the 95% interval, in points.

    `arm` is its name as tables show it. `num_seeds` is how many runs there should be. `state` says
    whether it learned the task; an interval of no width is none.
    """

    arm: str
    task: str
    metric: str
    num_values: int
    num_seeds: int
    mean: float
    low: float
    high: float
    covers: str
    state: State

    @property
    def words(self) -> str:
        """The mean with its interval, how many runs it is of where some are missing, and a mark."""
        words = [f"{self.mean:.1f}"]
        if self.low < self.high:
            words.append(f"[{self.low:.1f}, {self.high:.1f}]")
        if self.num_values < self.num_seeds:
            words.append(f"({self.num_values} of {self.num_seeds})")
        return " ".join(filter(None, (*words, MARKS[self.state])))


class StudyResults(Frozen):
    """What a study has come to. `rule` says of which epoch the scores are.

    `verdicts`, `learned` and `classes` are objects as `report STUDY --json` has them.
    `declaration` is the id of what the study declared then (store/looks.py).
    """

    study: str
    rule: str
    scores: tuple[ArmScore, ...]
    notes: tuple[str, ...]
    verdicts: tuple[dict[str, JsonValue], ...]
    learned: tuple[dict[str, JsonValue], ...]
    classes: tuple[dict[str, JsonValue], ...] = ()
    declaration: str = ""


def results_of(view: StudyView, found: Sequence[Verdict]) -> StudyResults:
    """The scores of the arms that have any, and the verdicts that were found."""
    scores = []
    for arm in view.arms:
        for task in view.tasks:
            summary = view.summary(arm, task)
            learned = view.learned(arm, task)
            if summary is not None and learned is not None:
                scores.append(
                    ArmScore(
                        arm=view.label(arm),
                        task=task.name,
                        metric=task.main_metric,
                        num_values=summary.num_values,
                        num_seeds=len(arm.seeds),
                        mean=summary.mean,
                        low=summary.low,
                        high=summary.high,
                        covers=summary.covers,
                        state=learned.state,
                    )
                )
    notes = (
        *outdated_warnings(view),
        *leak_warnings(view),
        view.note(view.arms),
        *(remark.words for remark in remarks(view, view.arms)),
        *losses_words(view, view.arms, view.tasks),
    )
    return StudyResults(
        study=view.spec.name,
        rule=view.rule,
        scores=tuple(scores),
        notes=tuple(note for note in notes if note),
        verdicts=tuple(verdict.to_json() for verdict in found),
        learned=tuple(learned_json(view)),
        classes=tuple(classes_json(view)),
        declaration=view.look.id,
    )


def results_file(results: StudyResults) -> bytes:
    """Return the content of the file RESULTS."""
    return results.model_dump_json(indent=2).encode()


def read_results(folder: Path) -> StudyResults | None:
    """What was written into the folder; None where that is not there or cannot be read."""
    try:
        return StudyResults.model_validate_json((folder / RESULTS).read_bytes())
    except (OSError, ValidationError):
        return None
