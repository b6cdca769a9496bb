"""The LaTeX of a table has the table's content, whatever characters its texts have."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pylatexenc.latex2text import (
    LatexNodes2Text,
    MacroTextSpec,
    get_default_latex_context_db,
)

from peftlab.report.pages.blocks import Cell, Table
from peftlab.report.pages.table_latex import latex, latex_text

NASTY = [
    "<script>alert(1)</script>",
    r"\input{/etc/passwd} \write18{id}",
    "100% of R&D_1 for $5 #2 ~x^2 {y}",
    "a -- b --- c - d",
    "`quoted` 'text' | \\\\ \\",
    "full † ± ×",
    "% no comment",
    "[1] *x*",
]
TABLE = Table(
    name="table-02-scores",
    title="Scores & more",
    columns=["arm", "a_b"],
    rows=[
        ["full", Cell("83.2 [80.1, 85.9]", value=83.2, low=80.1, high=85.9, best=True)],
        ["[lora]", Cell("80.0", value=80.0, best=True)],
        ["*", "-"],
    ],
    numbers=frozenset({"a_b"}),
    note="100% of it.",
)


# Commands of LaTeX's kernel that the parser does not know, or reads otherwise.
KERNEL = {"textless": "<", "textgreater": ">", "textbar": "|", "textasciicircum": "^"}


@pytest.mark.parametrize("text", NASTY)
def test_a_text_is_shown_as_it_is(text: str) -> None:
    known = get_default_latex_context_db()
    macros = [MacroTextSpec(name, sign) for name, sign in KERNEL.items()]
    known.add_context_category("kernel", macros=macros, prepend=True)
    reader = LatexNodes2Text(latex_context=known, math_mode="text")
    assert reader.latex_to_text(latex(text)).replace("’", "'").split() == text.split()
    commands = set(re.findall(r"\\([A-Za-z]+)", latex(text)))
    assert commands <= {
        "textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater",
        "textbar", "textasciigrave", "textdagger", "pm", "times",
    }  # fmt: skip
    assert "--" not in latex(text)


def test_a_table_has_rules_a_caption_a_label_and_the_best_in_bold() -> None:
    assert latex_text(TABLE).splitlines() == [
        r"% This needs \usepackage{booktabs}.",
        r"\begin{table}",
        r"\centering",
        r"\caption{Scores \& more. 100\% of it.}",
        r"\label{tab:table-02-scores}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"arm & a\_b \\",
        r"\midrule",
        r"full & \textbf{83.2 {\scriptsize [80.1, 85.9]}} \\",
        r"{[}lora] & \textbf{80.0} \\",
        r"{*} & - \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def test_a_mark_is_set_small_behind_the_number() -> None:
    cells = [
        Cell("48.7 [32.9, 64.4]", value=48.7, low=32.9, high=64.4, mark="× no"),
        Cell("0.0", value=0, mark="? no"),
    ]
    lines = latex_text(Table(title="t", columns=[*"abc"], rows=[["x", *cells]])).splitlines()
    assert (
        r"x & 48.7 {\scriptsize [32.9, 64.4]} {\scriptsize $\times$ no} & 0.0 {\scriptsize ? no} \\"
        in lines
    )


def test_a_wide_table_is_shrunk_and_a_long_one_goes_on_over_pages() -> None:
    wide = Table(title="t", columns=[*"abcdefg"], rows=[[*"1234567"]])
    assert "booktabs, graphicx" in latex_text(wide)
    assert "\\resizebox{\\linewidth}{!}{%\n\\begin{tabular}{lllllll}" in latex_text(wide)
    assert "\\end{tabular}}\n" in latex_text(wide)
    long = latex_text(Table(title="t", columns=["a"], rows=[["1"]] * 41))
    assert "booktabs, longtable" in long
    assert "\\begin{table}" not in long
    assert long.count("1 \\\\\n") == 41
    assert "resizebox" not in latex_text(TABLE)


def test_latex_itself_takes_it(tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("there is no pdflatex on this machine")
    rows = [[text, *[text] * 2] for text in NASTY]
    tables = [TABLE, Table(name="n", title=NASTY[0], columns=NASTY[1:4], rows=rows, note=NASTY[3])]
    tables.append(Table(name="w", title="Wide", columns=[*"abcdefg"], rows=[[*"[*34567"]]))
    tables.append(Table(name="l", title="Long", columns=["a", "b"], rows=[["[1]", "%"]] * 100))
    body = "\n".join(latex_text(table) for table in tables)
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx,longtable}\\begin{document}\n"
        + f"{body}\n\\end{{document}}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 1000
