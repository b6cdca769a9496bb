"""A table as lines of text, without a library whose import takes longer than the printing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

BETWEEN = "   "
EDGE = " "
RULE = "─"
BOLD, ITALIC, PLAIN = "\x1b[1m", "\x1b[3m", "\x1b[0m"
NARROWEST = 1


def text_table(
    columns: Iterable[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    max_width: int | None = None,
    has_styles: bool = False,
) -> str:
    """Return the table between two empty lines; cells are wrapped if it would be too wide.

    A column whose name begins with # is aligned on its right, without the sign.

    >>> print(text_table(["task", "#rows"], [["sst2", "872"]]).replace(" ", "."))
    <BLANKLINE>
    .task...rows
    .───────────
    .sst2....872
    <BLANKLINE>
    """
    names = [*columns]
    are_numbers = [name.startswith("#") for name in names]
    cells = [[name.removeprefix("#") for name in names], *([*row] for row in rows)]
    wanted = [max(map(_width_of_lines, column)) for column in zip(*cells, strict=True)]
    frame = len(BETWEEN) * (len(names) - 1) + 2 * len(EDGE)
    widths = wanted if max_width is None else _narrowed(wanted, max_width - frame)
    head, *body = (
        [*_lines(row, widths, are_numbers, is_head=number == 0)] for number, row in enumerate(cells)
    )
    rule = EDGE + RULE * (sum(widths) + frame - 2 * len(EDGE))
    above = [""]
    if title:
        above = [*_wrapped(title, max_width or _width(title))]
        if has_styles:
            above = [f"{ITALIC}{line}{PLAIN}" for line in above]
        above.append("")
    if has_styles:
        head = [f"{BOLD}{line}{PLAIN}" for line in head]
    return "\n".join([*above, *head, rule, *(line for row in body for line in row), ""])


def _narrowed(wanted: Sequence[int], room: int) -> list[int]:
    """Return widths that fit into the room: the widest columns give way, to one level.

    >>> _narrowed([4, 30, 20], 34)
    [4, 15, 15]
    """
    level = max(wanted, default=0)
    while level > NARROWEST and sum(min(width, level) for width in wanted) > room:
        level -= 1
    widths = [min(width, level) for width in wanted]
    spare = room - sum(widths)
    for index, width in enumerate(wanted):
        if spare > 0 and width > level:
            widths[index] += 1
            spare -= 1
    return widths


def _lines(
    row: Sequence[str], widths: Sequence[int], are_numbers: Sequence[bool], *, is_head: bool
) -> Iterator[str]:
    """Yield the lines of a row, whose cells may have several; a head's are aligned at its foot."""
    columns = [[*_wrapped(cell, width)] for cell, width in zip(row, widths, strict=True)]
    height = max(map(len, columns), default=0)
    if is_head:
        columns = [[""] * (height - len(lines)) + lines for lines in columns]
    for number in range(height):
        parts = []
        for lines, width, is_number in zip(columns, widths, are_numbers, strict=True):
            text = lines[number] if number < len(lines) else ""
            blanks = " " * (width - _width(text))
            parts.append(blanks + text if is_number else text + blanks)
        yield (EDGE + BETWEEN.join(parts)).rstrip()


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Yield the text's lines, broken between words, or within one that is wider than a line.

    >>> [*_wrapped("a sentence", 6)]
    ['a', 'senten', 'ce']
    """
    for given in text.splitlines() or [""]:
        line = given
        while _width(line) > width:
            fits = _number_that_fits(line, width)
            blank = line.rfind(" ", 1, fits + 1)
            end = fits if blank < 0 else blank
            yield line[:end].rstrip()
            line = line[end:].lstrip()
        yield line


def _number_that_fits(text: str, width: int) -> int:
    """Return how many of the first characters fit into the width: at least one."""
    fits = 1
    while fits < len(text) and _width(text[: fits + 1]) <= width:
        fits += 1
    return fits


def _width_of_lines(text: str) -> int:
    return max(map(_width, text.splitlines()), default=0)


def _width(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
