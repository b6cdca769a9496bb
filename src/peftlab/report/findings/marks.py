"""The marks beside the name of an arm, beside its score, and before a verdict."""

from __future__ import annotations

from collections.abc import Iterable

from peftlab.stats.state import LearningState
from peftlab.store.records import TrialRecord

MARK = " †"
NOTE = "† Frozen lower layers ran without dropout, their outputs computed once (cache_frozen)."
MARKS: dict[LearningState, str] = {
    "learned": "",
    "did not learn": "× did not learn",
    "cannot tell": "? cannot tell",
}
"""The mark beside the score of an arm in each state."""


def marked(name: str, records: Iterable[TrialRecord]) -> str:
    """Return an arm's name as tables and figures show it.

    The name has a mark if any of its records was trained differently: if lower layers did run
    without dropout, not if `cache_frozen` was asked for without effect.
    """
    return name + MARK if any(record.cached_layers for record in records) else name


def mark_note(records: Iterable[TrialRecord]) -> str:
    """Return the meaning of the mark; "" if no record has it."""
    return NOTE if any(record.cached_layers for record in records) else ""


def kind_of(*, is_interim: bool, is_exploratory: bool) -> str:
    """Return the words for the kind of a verdict; "" for the usual kind.

    >>> kind_of(is_interim=True, is_exploratory=True)
    'interim, exploratory'
    """
    return ", ".join(filter(None, ("interim" * is_interim, "exploratory" * is_exploratory)))
