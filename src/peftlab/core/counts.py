"""Counts in words."""

from __future__ import annotations


def counted(number: int, noun: str, nouns: str = "") -> str:
    """The number and what is counted, in the singular where it is one.

    >>> counted(1, "trial"), counted(2000, "trial"), counted(0, "class", "classes")
    ('1 trial', '2,000 trials', '0 classes')
    """
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"
