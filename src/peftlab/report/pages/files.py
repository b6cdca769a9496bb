"""A page as files: HTML, Markdown, figures as SVG, PNG and PDF, tables as CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.report.pages.blocks import Figure, Table
from peftlab.report.pages.drawing import draw, vega_script
from peftlab.report.pages.page import (
    FIGURE_FOLDER,
    TABLE_FOLDER,
    Page,
    render_html,
    render_markdown,
)
from peftlab.report.pages.table_csv import csv_text
from peftlab.report.pages.table_latex import latex_text

HTML, MARKDOWN = "report.html", "report.md"

Tell = Callable[[str], None]
"""Is told in a few words what is being done."""


@dataclass(frozen=True, kw_only=True)
class PageFiles:
    """Where a page was written."""

    html: Path
    markdown: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]


def write_files(page: Page, folder: Path, tell: Tell) -> PageFiles:
    """Write the page into the folder; its files of an earlier page are replaced or removed.

    Raises UserError where the folder cannot be written.
    """
    try:
        folder = folder.expanduser().absolute()
        for name, own in ((FIGURE_FOLDER, "figure-*.*"), (TABLE_FOLDER, "table-*.*")):
            (folder / name).mkdir(parents=True, exist_ok=True)
            for old in (folder / name).glob(own):
                old.unlink()
        drawings, figures = _write_figures(page, folder / FIGURE_FOLDER, tell)
        tables = _write_tables(page, folder / TABLE_FOLDER)
        tell("writing the page")
        html = render_html(page, drawings, vega_script() if drawings else "")
        (folder / HTML).write_text(html, encoding="utf-8")
        (folder / MARKDOWN).write_text(render_markdown(page), encoding="utf-8")
    except (OSError, RuntimeError) as error:  # the latter for the home of an unknown user
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot write the report: {reason}", where=str(folder)) from error
    return PageFiles(
        html=folder / HTML,
        markdown=folder / MARKDOWN,
        figures=tuple(figures),
        tables=tuple(tables),
    )


def _write_figures(page: Page, folder: Path, tell: Tell) -> tuple[dict[str, str], list[Path]]:
    """The drawings for the page, by the figures' names, and the files."""
    drawings: dict[str, str] = {}
    paths: list[Path] = []
    figures = [block for block in page.blocks if isinstance(block, Figure)]
    for number, figure in enumerate(figures, start=1):
        tell(f"figure {number} of {len(figures)}: {figure.title}")
        drawing = draw(figure.specification, name=figure.name)
        drawings[figure.name] = drawing.inline
        for kind, content in drawing.files.items():
            paths.append(folder / f"{figure.name}.{kind}")
            paths[-1].write_bytes(content)
    return drawings, paths


def _write_tables(page: Page, folder: Path) -> list[Path]:
    paths = []
    for block in page.blocks:
        if isinstance(block, Table):
            for kind, text in (("csv", csv_text(block)), ("tex", latex_text(block))):
                paths.append(folder / f"{block.name}.{kind}")
                paths[-1].write_text(text, encoding="utf-8", newline="\n")
    return paths
