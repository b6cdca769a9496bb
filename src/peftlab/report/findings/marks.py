"""The mark at the name of an arm whose scores come from another mathematics than the others'."""

from __future__ import annotations

from collections.abc import Iterable

from peftlab.store.records import TrialRecord

MARK = " †"
NOTE = "† Frozen lower layers ran without dropout, their outputs computed once (cache_frozen)."


def marked(name: str, records: Iterable[TrialRecord]) -> str:
    """An arm's name as tables and figures show it, with the mark where one of its records has it.

    That is where layers did run so, not where `cache_frozen` was asked for and had no effect.
    """
    return name + MARK if any(record.cached_layers for record in records) else name


def mark_note(records: Iterable[TrialRecord]) -> str:
    """What the mark means; "" where none of the records has it."""
    return NOTE if any(record.cached_layers for record in records) else ""
