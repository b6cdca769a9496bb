"""The results of a study as a table, which `run` and `report` print."""

from __future__ import annotations

from peftlab.cli import printing
from peftlab.report.findings.marks import kind_of
from peftlab.report.findings.stored_results import StudyResults


def print_results(results: StudyResults) -> None:
    """Print the main score of each arm on each task with its interval, and each verdict."""
    tasks = {score.task: score.metric for score in results.scores}
    arms = dict.fromkeys(score.arm for score in results.scores)
    cells = {(score.arm, score.task): score.words for score in results.scores}
    rows = [[arm, *(cells.get((arm, task), "-") for task in tasks)] for arm in arms]
    columns = ["arm", *(f"#{task}\n{metric}" for task, metric in tasks.items())]
    title = f"{results.study}: scores {results.scored}, {results.rule}"
    printing.print_table(columns, rows, title=title)
    for note in results.notes:
        print(note)
    for verdict in results.verdicts:
        kind = kind_of(
            is_interim=verdict.get("is_interim") is True,
            is_exploratory=verdict.get("is_exploratory") is True,
        )
        print(f"{verdict['verdict']}{f' ({kind})' if kind else ''}: {verdict['claim']}")
        print(f"    {verdict['evidence']}")
