"""Regular expressions in settings, tried on a model's names if they may never end.

peft matches `target_modules` and its kin with Python's `re`, which goes back over what it has
matched: `(a+)+b` takes a time that doubles with every letter. Nothing in a process can end a match
that has begun, so what is not plainly fast is tried in a process of its own, which a timer ends.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from peftlab.core.errors import UserError

SECONDS = 0.3
"""The processor time that matching all names may take; peft matches them a few times over."""
WAIT_SECONDS = 30.0
"""The longest wait for the trial process to use that much processor time."""

REPEATED_GROUP = re.compile(r"\)[*+?{]")
MOST_REPEATS, MOST_CHOICES, MOST_GROUPS = 2, 10, 3

MODULES = ("target_modules", "exclude_modules")
"""The settings in which a text is a regular expression for names of modules."""
WHOLE = (r"(?:{})\Z",)
"""The form in which peft matches a setting's text; in lists, only those of IN_LIST are matched."""
IN_LIST = {
    "layers_pattern": (r"(?:^|.*?\.){}\.(?P<layer_index>\d+)\.",),
    "modules_to_save": (r"(^|.*\.){}($|\..*)",),
}
AS_KEY = (r"(.*\.)?({})$", r".*\.{}$", r".*?(?:{})")
"""The form in which peft matches a key: rank_pattern, alpha_pattern and their kin."""

TRIAL = """
import json, re, signal, sys
signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
given = json.load(sys.stdin)
signal.setitimer(signal.ITIMER_VIRTUAL, given["seconds"])
for pattern in given["patterns"]:
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        continue  # is peft's to refuse
    for name in given["names"]:
        compiled.match(name)
"""


def require_bounded(
    settings: Mapping[str, object], names: Iterable[str], *, where: str = ""
) -> None:
    """Raise UserError if an expression of the settings is invalid, or takes long on the names."""
    _require_expressions(settings, where=where)
    names = tuple(names)
    for text, uses in _expressions(settings):
        if not is_plain(text) and not _ends(tuple(use.replace("{}", text) for use in uses), names):
            raise UserError(
                f"the regular expression {text!r} takes too long on the names of the model's "
                "modules",
                where=where,
                allowed="one without a repeat of what repeats, as (a+)+ is, or a list of names",
            )


def _require_expressions(settings: Mapping[str, object], *, where: str) -> None:
    """Raise UserError if a text in place of a list of modules is not a regular expression."""
    for key in MODULES:
        text = settings.get(key)
        try:
            re.compile(text if isinstance(text, str) else "")
        except (re.error, RecursionError, OverflowError) as error:
            raise UserError(
                f"{key}: {text!r} is not a regular expression: {error}",
                where=where,
                allowed="one that Python's re reads, or a list of names",
            ) from error


def is_plain(text: str) -> bool:
    """Return whether the time of matching is at most a small power of a name's length.

    >>> is_plain(r".*\\.(query|value)$"), is_plain("(a+)+b")
    (True, False)
    """
    return (
        not REPEATED_GROUP.search(text)
        and sum(map(text.count, "*+?{")) <= MOST_REPEATS
        and text.count("|") <= MOST_CHOICES
        and text.count("(") <= MOST_GROUPS
    )


@lru_cache(maxsize=256)
def _ends(patterns: tuple[str, ...], names: tuple[str, ...]) -> bool:
    """Return whether matching the names ends in time."""
    given = {"patterns": patterns, "names": names, "seconds": SECONDS}
    try:
        tried = subprocess.run(
            [sys.executable, "-I", "-S", "-c", TRIAL],
            input=json.dumps(given).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=WAIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0


def _expressions(settings: Mapping[str, object]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every text in the settings that peft may use as an expression, with its form."""
    for key, value in settings.items():
        of_list = IN_LIST.get(key, ())
        if isinstance(value, str):
            yield value, of_list or WHOLE
        elif isinstance(value, list | tuple):
            yield from ((str(one), of_list) for one in value if of_list)
        elif isinstance(value, Mapping):
            yield from ((str(one), AS_KEY) for one in value)
