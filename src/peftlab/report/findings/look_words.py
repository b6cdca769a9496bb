"""Sentences for a reader about earlier looks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from peftlab.report.findings.evidence import listed, points_words

NOT_REMEMBERED = (
    "This workspace cannot be written, so it does not remember this look, and neither will others "
    "who read it."
)
UNTIL_DECIDED = (
    "The study adds seeds until it is decided, so that the test holds for any number of looks."
)
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def date_words(at: datetime) -> str:
    """Return the day in UTC in the usual notation.

    >>> date_words(datetime(2026, 11, 6, 23, tzinfo=UTC))
    '6 November 2026'
    """
    day = at.astimezone(UTC)
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def seeds_words(seeds: Sequence[int]) -> str:
    """Return seeds in words.

    >>> seeds_words([4]), seeds_words([4, 5]), seeds_words([1, 2, 3]), seeds_words([1, 3, 9])
    ('seed 4', 'seeds 4 and 5', 'seeds 1 to 3', 'seeds 1, 3 and 9')
    """
    ordered = sorted(set(seeds))
    if len(ordered) == 1:
        return f"seed {ordered[0]}"
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"seeds {ordered[0]} to {ordered[-1]}"
    return f"seeds {listed([str(seed) for seed in ordered])}"


def added_words(
    at: datetime,
    added: Sequence[int],
    dropped: Sequence[int],
    seen: Sequence[int],
    *,
    arms: Sequence[str] = (),
) -> list[str]:
    """Return sentences on seeds added or dropped after a look, for these arms or, if none, all.

    >>> added_words(datetime(2026, 11, 6, tzinfo=UTC), [4, 5], [], [1, 2, 3])
    ['Seeds 4 and 5 were added after a look on 6 November 2026 that showed seeds 1 to 3.']
    """
    of_arms = f" of {listed(arms)}" if arms else ""
    look = f"a look on {date_words(at)}" + (f" that showed {seeds_words(seen)}" if seen else "")
    sentences = []
    if added:
        were = "was" if len(set(added)) == 1 else "were"
        sentences.append(f"{seeds_words(added).capitalize()}{of_arms} {were} added after {look}.")
    if dropped:
        were, are = ("was", "is") if len(set(dropped)) == 1 else ("were", "are")
        sentences.append(
            f"{seeds_words(dropped).capitalize()}{of_arms} {were} declared at {look} "
            f"and {are} no longer in the comparison."
        )
    return sentences


def interim_words(num_done: int, num_declared: int, of_what: str = "the verdict") -> str:
    """Return the sentence that not all declared seeds are done, so that the result is interim.

    >>> interim_words(3, 5)
    '3 of 5 declared seeds are done; until all are, the verdict is interim.'
    """
    are = "is" if num_done == 1 else "are"
    return (
        f"{num_done} of {num_declared} declared seeds {are} done; "
        f"until all are, {of_what} is interim."
    )


def claim_words(at: datetime, new: Sequence[str]) -> str:
    """Return the words for arms or tasks (if none, the claim itself) added after a look.

    >>> claim_words(datetime(2026, 11, 6, tzinfo=UTC), ["lora"])
    'Exploratory: lora was added after a look at the other results on 6 November 2026.'
    """
    day = date_words(at)
    if not new:
        return f"Exploratory: this claim was added after a look at its arms on {day}."
    were = "was" if len(new) == 1 else "were"
    return f"Exploratory: {listed(new)} {were} added after a look at the other results on {day}."


def margin_words(at: datetime, then: float, now: float, *, of_what: str = "") -> str:
    """Return the words for a margin that was different at an earlier look.

    >>> margin_words(datetime(2026, 11, 6, tzinfo=UTC), 1.0, 2.5)
    'Exploratory: the margin is 2.5 points; at a look on 6 November 2026 it was 1.'
    """
    margin = f"the margin of the {of_what}" if of_what else "the margin"
    return (
        f"Exploratory: {margin} is {points_words(now)}; at a look on {date_words(at)} it was "
        f"{then:g}."
    )


def cost_words(at: datetime, then: str, now: str) -> str:
    """Return the words for a deciding cost of the advice that was different at an earlier look.

    >>> cost_words(datetime(2026, 11, 6, tzinfo=UTC), "time", "memory")
    'Exploratory: the advice goes by memory; at a look on 6 November 2026 it went by time.'
    """
    return (
        f"Exploratory: the advice goes by {now}; at a look on {date_words(at)} it went by {then}."
    )


def reference_words(at: datetime, *, is_best: bool) -> str:
    """Return the words for advice that measured by another arm, or by the best, at a look."""
    arm = "the best arm" if is_best else "another arm"
    return f"Exploratory: at a look on {date_words(at)} the advice measured by {arm}."


def dropped_words(at: datetime) -> str:
    """Return the words for an arm or task that the advice no longer takes into account."""
    return (
        f"Exploratory: an arm or a task that was declared at a look on {date_words(at)} is no "
        "longer part of the study."
    )
