"""A study's scores and verdicts in short, for the terminal and as a file beside the page.

The file saves `peftlab run` and `peftlab report` from computing them again if nothing has changed.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import JsonValue, ValidationError

from peftlab.core.validation import Frozen
from peftlab.report.findings.marks import MARKS
from peftlab.stats.state import LearningState

RESULTS = "results.json"


class ArmScore(Frozen):
    """The main metric of an arm on a task: the mean over its runs and the 95% interval, in points.

    `arm` is its name as tables show it. `num_seeds` is the number of runs that there should be.
    `state` says whether it learned the task; an interval without width means that there is none.
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
    state: LearningState

    @property
    def words(self) -> str:
        """The mean with its interval, the number of runs if some are missing, and a mark."""
        words = [f"{self.mean:.1f}"]
        if self.low < self.high:
            words.append(f"[{self.low:.1f}, {self.high:.1f}]")
        if self.num_values < self.num_seeds:
            words.append(f"({self.num_values} of {self.num_seeds})")
        return " ".join(filter(None, (*words, MARKS[self.state])))


class StudyResults(Frozen):
    """The results of a study. `rule` names the epoch of the scores, and `scored` their rows.

    `verdicts`, `learned` and `classes` are objects in the form of `report STUDY --json`.
    `declaration` is the id of the study's declaration at that time (store/looks.py).
    `metric_sources` has the SHA-256 of the source of each of the user's own metrics.
    """

    study: str
    rule: str
    scored: str
    scores: tuple[ArmScore, ...]
    notes: tuple[str, ...]
    verdicts: tuple[dict[str, JsonValue], ...]
    learned: tuple[dict[str, JsonValue], ...]
    classes: tuple[dict[str, JsonValue], ...] = ()
    declaration: str = ""
    metric_sources: tuple[tuple[str, str], ...] = ()


def results_file(results: StudyResults) -> bytes:
    """Return the content of the file RESULTS."""
    return results.model_dump_json(indent=2).encode()


def read_results(folder: Path) -> StudyResults | None:
    """Return the results in the folder; None if they are missing or cannot be read."""
    try:
        return StudyResults.model_validate_json((folder / RESULTS).read_bytes())
    except (OSError, ValidationError):
        return None
