"""Tables that more than one command prints."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.cli import options
from peftlab.report.findings.marks import mark_note
from peftlab.report.findings.results import StudyResults
from peftlab.report.findings.verdicts import kind_of
from peftlab.store.records import TrialRecord


def print_results(results: StudyResults) -> None:
    """The main score of each arm on each task with its interval; each claim with its verdict."""
    tasks = {score.task: score.metric for score in results.scores}
    arms = dict.fromkeys(score.arm for score in results.scores)
    cells = {(score.arm, score.task): score.words for score in results.scores}
    rows = [[arm, *(cells.get((arm, task), "-") for task in tasks)] for arm in arms]
    columns = ["arm", *(f"#{task}\n{metric}" for task, metric in tasks.items())]
    title = f"{results.study}: scores on dev, {results.rule}"
    options.print_table(columns, rows, title=title)
    for note in results.notes:
        print(note)
    for verdict in results.verdicts:
        kind = kind_of(
            is_interim=verdict.get("is_interim") is True,
            is_exploratory=verdict.get("is_exploratory") is True,
        )
        print(f"{verdict['verdict']}{f' ({kind})' if kind else ''}: {verdict['claim']}")
        print(f"    {verdict['evidence']}")


def print_mark_note(records: Sequence[TrialRecord]) -> None:
    """A line that says what the mark at an arm's name means, where one of the records has it."""
    note = mark_note(records)
    if note:
        print(note)
