"""A table of the report as LaTeX, in the style of the package booktabs."""

from __future__ import annotations

import re

from peftlab.report.pages.blocks import Cell, Table

SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}",
    "†": r"\textdagger{}", "±": r"$\pm$", "×": r"$\times$", "−": "$-$", "≤": r"$\leq$",
    "≥": r"$\geq$", "–": r"\textendash{}", "—": r"\textemdash{}",
}  # fmt: skip


MOST_COLUMNS, MOST_ROWS = 6, 40
"""The numbers of columns and rows that fit on a page without changes."""


def latex_text(table: Table) -> str:
    """Return a `table` environment with caption and label, or a `longtable` if it has many rows.

    Columns that are empty in every row are left out. The package booktabs is needed, and longtable
    or graphicx (to shrink a wide table to the width of the line) if the first line says so. A cell
    that a test shows to be the best is bold, and an interval is set small. The Styler of pandas
    takes 6 to 11 times as long, and neither shrinks a table nor escapes characters such as `<` and
    `†`.
    """
    table = table.shown
    sides = "".join("r" if column in table.numbers else "l" for column in table.columns)
    caption = latex(" ".join(filter(None, (_sentence(table.title), table.notes))))
    head = ["\\toprule", _row([latex(column) for column in table.columns]), "\\midrule"]
    rows = [_row([_cell(cell) for cell in row]) for row in table.rows]
    named = f"\\caption{{{caption}}}", f"\\label{{tab:{table.name}}}"
    if len(rows) > MOST_ROWS:
        packages = "booktabs, longtable"
        lines = [
            f"\\begin{{longtable}}{{{sides}}}",
            *named,
            "\\\\",
            *head,
            "\\endhead",
            *rows,
            "\\bottomrule",
            "\\end{longtable}",
        ]
    else:
        is_wide = len(table.columns) > MOST_COLUMNS
        packages = "booktabs, graphicx" if is_wide else "booktabs"
        lines = [
            "\\begin{table}",
            "\\centering",
            *named,
            *(["\\resizebox{\\linewidth}{!}{%"] if is_wide else []),
            f"\\begin{{tabular}}{{{sides}}}",
            *head,
            *rows,
            "\\bottomrule",
            "\\end{tabular}" + ("}" if is_wide else ""),
            "\\end{table}",
        ]
    return "\n".join([f"% This needs \\usepackage{{{packages}}}.", *lines]) + "\n"


def latex(text: str) -> str:
    r"""Return LaTeX that shows the text unchanged, on one line.

    >>> latex("R&D_{1}")
    'R\\&D\\_\\{1\\}'
    """
    shown = " ".join(text.split())
    written = "".join(SIGNS.get(sign, sign) for sign in shown if sign.isprintable())
    return re.sub("-(?=-)", "-{}", written)  # two in a row would become one longer dash


def _cell(cell: str) -> str:
    mark = cell.mark if isinstance(cell, Cell) else ""
    text = cell.removesuffix(mark).rstrip()
    if not isinstance(cell, Cell) or cell.low is None:
        written = latex(text)
    else:
        score, bracket, interval = text.partition(" [")
        written = latex(score) + (f" {{\\scriptsize {latex(bracket.strip() + interval)}}}")
    if getattr(cell, "best", False):
        written = f"\\textbf{{{written}}}"
    return f"{written} {{\\scriptsize {latex(mark)}}}" if mark else written


def _row(cells: list[str]) -> str:
    """Return a line of the table; a first `[` or `*` would belong to the line break before it."""
    if cells[0].startswith(("[", "*")):
        cells = [f"{{{cells[0][0]}}}{cells[0][1:]}", *cells[1:]]
    return " & ".join(cells) + " \\\\"


def _sentence(title: str) -> str:
    return title if title.endswith((".", "?", "!")) else f"{title}."
