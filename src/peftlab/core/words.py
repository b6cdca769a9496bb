"""Numbers, durations and texts as people read them."""

from __future__ import annotations

import re
from collections.abc import Sequence


def counted(number: int, noun: str, nouns: str = "") -> str:
    """Return the number with its noun, in the singular for one.

    >>> counted(1, "trial"), counted(2000, "trial"), counted(0, "class", "classes")
    ('1 trial', '2,000 trials', '0 classes')
    """
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def all_of(number: int, nouns: str) -> str:
    """Return the words for all of two or more.

    >>> all_of(2, "runs"), all_of(2000, "runs")
    ('both runs', 'all 2,000 runs')
    """
    return f"both {nouns}" if number == 2 else f"all {number:,} {nouns}"


def duration(seconds: float) -> str:
    """Return a duration in the usual words.

    >>> duration(7.2), duration(125), duration(7300)
    ('7 s', '2 min 5 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def any_of(names: Sequence[str]) -> str:
    """Return the names as a choice.

    >>> any_of(["inline", "pool", "ray"]), any_of(["pool"])
    ('inline, pool or ray', 'pool')
    """
    return " or ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def data_size(num_bytes: float) -> str:
    """Return a size in the usual units, with at least two digits.

    >>> data_size(3_200), data_size(302_000), data_size(8_000_000), data_size(1_061_070_000)
    ('3.2 kB', '302 kB', '8.0 MB', '1,061 MB')
    """
    size, unit = (num_bytes / 1e6, "MB") if num_bytes >= 999_500 else (num_bytes / 1e3, "kB")
    return f"{size:.1f} {unit}" if size < 9.95 else f"{size:,.0f} {unit}"


def escape_markdown(text: object) -> str:
    r"""Return the text on one line, with nothing in it that Markdown or HTML would act on.

    >>> print(escape_markdown("a|b\n<c>"))
    a\|b \<c\>
    """
    shown = " ".join(str(text).split())
    for sign in "\\`*_[]<>|#&~":
        shown = shown.replace(sign, "\\" + sign)
    # A line that begins as a list does.
    return re.sub(r"^(\d*)([-+.)])(?=\s)", r"\1\\\2", shown)
