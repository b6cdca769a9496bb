"""Text that Markdown shows as it is."""

from __future__ import annotations

import re


def escape_markdown(text: object) -> str:
    r"""The text on one line, with nothing in it that Markdown or HTML would act on.

    >>> print(escape_markdown("a|b\n<c>"))
    a\|b \<c\>
    """
    shown = " ".join(str(text).split())
    for sign in "\\`*_[]<>|#&~":
        shown = shown.replace(sign, "\\" + sign)
    # A line that begins as a list does.
    return re.sub(r"^(\d*)([-+.)])(?=\s)", r"\1\\\2", shown)
