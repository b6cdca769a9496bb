"""The rule by which a study adds seeds until it is decided, and what is decided by now."""

from __future__ import annotations

from collections.abc import Sequence

from peftlab.core.words import counted, duration
from peftlab.report.findings.evidence import listed, points_words
from peftlab.report.findings.questions import Needed, Question, needed, open_words
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import NOTHING, Block, Cell, Heading, Table
from peftlab.study.declarations import advice_options

QUESTION, SEEDS, FURTHER, TIME = "question", "seeds", "further seeds", "their time"


def deciding_blocks(view: StudyView, asked: Sequence[Question]) -> list[Block]:
    """Return a heading with the rule and what is open, and a table of the questions."""
    num_open = sum(one.state == "open" for one in asked)
    title = "Until it is decided: " + (
        f"{num_open} of {counted(len(asked), 'question')} open" if num_open else "nothing is open"
    )
    text = " ".join([rule_words(view), *open_words(view, asked)])
    return [Heading(title=title, text=text), _table(view, asked)]


def rule_words(view: StudyView) -> str:
    """Return the study's rule in sentences."""
    rule = view.spec.decide
    if rule is None:
        return ""
    margin = points_words(advice_options(view.spec)[0].margin)
    budget = "" if rule.budget is None else f", or until they took {duration(rule.budget)}"
    return (
        "After its own seeds the study adds one seed at a time to the arms and tasks of what is "
        f"not decided, up to {rule.max_seeds} of an arm{budget}. Differences of less than "
        f"{margin} are not worth a seed. The tests hold for any number of looks."
    )


def _table(view: StudyView, asked: Sequence[Question]) -> Table:
    rows: list[list[str]] = []
    for one in asked:
        more, found = needed(view, one), one.found
        known = more if isinstance(more, Needed) else None
        rows.append(
            [
                one.name,
                one.state,
                one.why,
                NOTHING if one.pair is None else listed(one.pair),
                NOTHING if found is None else Cell(str(found.num_seeds), value=found.num_seeds),
                NOTHING if known is None else Cell(str(known.num_seeds), value=known.num_seeds),
                NOTHING if known is None else Cell(duration(known.seconds), value=known.seconds),
            ]
        )
    return Table(
        title="What is decided, and what it would take",
        columns=[QUESTION, "state", "why", "arms", SEEDS, FURTHER, TIME],
        rows=rows,
        numbers=frozenset({SEEDS, FURTHER, TIME}),
        units={TIME: "seconds"},
        note="state: closed is what no seed can decide, or what is too small to be worth one. "
        "arms: the comparison on which it hangs. further seeds: with so many 80% would be decided "
        "if the estimate is true; their time is that of all arms and tasks of the question.",
    )
