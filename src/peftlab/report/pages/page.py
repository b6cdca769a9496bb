"""The page as HTML and as Markdown, made from blocks."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from itertools import groupby

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from peftlab.core.words import escape_markdown
from peftlab.report.pages.blocks import Block, Cell, Figure, Heading, Table
from peftlab.report.pages.manifest import FIGURE_FOLDER, TABLE_FOLDER
from peftlab.report.pages.printable import printable
from peftlab.report.pages.table_parts import cell_parts, head_lines, is_wide, split_table

FIGURE_FORMATS = ("svg", "png", "pdf")
MOST_ROWS = 2000
"""The number of rows of a table that the page shows; its CSV file has all."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """The content of a report: its title, the facts at its top (name -> value), and its blocks.

    All of its text is made printable.
    """

    title: str
    description: str
    facts: Mapping[str, str]
    blocks: Sequence[Block]

    def __post_init__(self) -> None:
        for name in ("title", "description", "facts", "blocks"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    @property
    def shown(self) -> Page:
        """The page with its tables as they are shown: without empty columns."""
        blocks = [block.shown if isinstance(block, Table) else block for block in self.blocks]
        return replace(self, blocks=blocks)


def render_html(page: Page, drawings: Mapping[str, str], vega: str) -> str:
    """Return one self-contained HTML document.

    `drawings` has the figures' SVG texts by name; they are shown if scripts do not run, and are
    otherwise replaced by interactive figures, with `vega`, the script that defines vegaEmbed. All
    text is escaped, and the browser is told to run no script but the page's own.
    """
    figures = [block for block in page.blocks if isinstance(block, Figure)]
    own = resources.files(__package__).joinpath("templates", "page.js").read_text("utf-8")
    scripts = [_inside_script(script) for script in (vega, own) if script]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page.shown,
            sections=[block.title for block in page.blocks if isinstance(block, Heading)],
            drawings={name: Markup(svg) for name, svg in drawings.items()},
            specifications={figure.name: _script_json(figure.specification) for figure in figures},
            style=_style(),
            scripts=[Markup(script) for script in scripts],
            policy=_policy(scripts),
        )
    )


def render_markdown(page: Page) -> str:
    """Return the page as Markdown; figures are links to their PNG files."""
    return _environment().get_template("page.md.j2").render(page=page.shown)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markdown"] = escape_markdown
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["rule"] = _rule
    environment.filters["cell_parts"] = cell_parts
    environment.filters["spans"] = _spans
    environment.filters["table_parts"] = split_table
    environment.filters["head_lines"] = head_lines
    environment.tests["valued"] = _is_valued
    environment.tests["wide"] = is_wide
    environment.globals.update(
        figure_folder=FIGURE_FOLDER,
        figure_formats=FIGURE_FORMATS,
        table_folder=TABLE_FOLDER,
        most_rows=MOST_ROWS,
    )
    return environment


def _style() -> Markup:
    return Markup(resources.files(__package__).joinpath("templates", "page.css").read_text("utf-8"))


def _policy(scripts: Sequence[str]) -> str:
    """Return a Content-Security-Policy: nothing is fetched, and no script runs but these.

    Vega compiles a figure's expressions, which needs 'unsafe-eval'.
    """
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    return "; ".join(
        (
            "default-src 'none'",
            "style-src 'unsafe-inline'",
            f"script-src 'unsafe-eval' {' '.join(hashes)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _inside_script(script: str) -> str:
    """Return the script in a form that can stand inside its element, as the browser reads it."""
    return script.replace("\r\n", "\n").replace("</script", "<\\/script")


def _script_json(value: object) -> Markup:
    """Return JSON that can stand inside a script element."""
    text = json.dumps(value, ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _rule(table: Table) -> str:
    """Return the line below the head of a Markdown table."""
    return "|".join(["", *("--:" if c in table.numbers else "---" for c in table.columns), ""])


def _spans(grouped: Sequence[tuple[str, str]]) -> list[tuple[str, int]]:
    """Return the row of groups above the columns, each with the number of columns that it spans.

    >>> _spans([("", "arm"), ("sst2", "accuracy"), ("sst2", "f1")])
    [('', 1), ('sst2', 2)]
    """
    return [(group, len(list(same))) for group, same in groupby(group for group, _ in grouped)]


def _is_valued(cell: str) -> bool:
    return isinstance(cell, Cell) and cell.value is not None and math.isfinite(cell.value)
