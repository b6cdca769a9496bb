"""The page as HTML and as Markdown, made of blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from peftlab.report.blocks import Block, Figure, Table


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a report says: its title, facts on top (name -> value), claims, and blocks."""

    title: str
    description: str
    facts: Mapping[str, str]
    claims: Sequence[str]
    blocks: Sequence[Block]


def render_html(page: Page, drawings: Mapping[str, str], javascript: str) -> str:
    """One self-contained HTML document.

    `drawings` are the figures' SVG texts by name; they are shown where scripts do not run, and
    `javascript` (Vega's bundle) replaces them by the interactive figures. All text is escaped.
    """
    figures = [block for block in page.blocks if isinstance(block, Figure)]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            drawings={name: Markup(svg) for name, svg in drawings.items()},
            specifications={figure.name: _script_json(figure.specification) for figure in figures},
            javascript=Markup(javascript.replace("</script", "<\\/script")),
        )
    )


def render_markdown(page: Page, figure_folder: str) -> str:
    """The same as Markdown; figures are links to the PNG files in `figure_folder`."""
    return _environment().get_template("page.md.j2").render(page=page, figure_folder=figure_folder)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markdown"] = _escape_markdown
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["rule"] = _rule
    return environment


def _script_json(value: object) -> Markup:
    """JSON that can stand inside a script element."""
    text = json.dumps(value, ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _escape_markdown(text: object) -> str:
    """Text that Markdown shows as it is, on one line."""
    shown = " ".join(str(text).split())
    for sign in "\\`*_[]<>|#&~":
        shown = shown.replace(sign, "\\" + sign)
    # A line that begins as a list does.
    return re.sub(r"^(\d*)([-+.)])(?=\s)", r"\1\\\2", shown)


def _rule(table: Table) -> str:
    """The line below a Markdown table's head."""
    return "|".join(["", *("--:" if c in table.numbers else "---" for c in table.columns), ""])
