"""The files of a page: HTML, Markdown, figures as SVG, PNG and PDF, tables as CSV and LaTeX."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.core.files import write_whole_files
from peftlab.core.progress import Tell
from peftlab.report.pages.blocks import Figure, Table
from peftlab.report.pages.drawing import draw, vega_script
from peftlab.report.pages.manifest import (
    FIGURE_FOLDER,
    HTML,
    MANIFEST,
    MARKDOWN,
    OF_PARTS,
    TABLE_FOLDER,
    PageFiles,
    files_of_others,
)
from peftlab.report.pages.page import Page, render_html, render_markdown
from peftlab.report.pages.table_csv import csv_text
from peftlab.report.pages.table_latex import latex_text


def write_files(
    page: Page, folder: Path, tell: Tell, *, beside: Mapping[str, bytes], made_of: str
) -> PageFiles:
    """Write the page into the folder, with the files `beside` it: either all files or none.

    `made_of` identifies its content, by which `is_whole_page` recognises it. Files of an earlier
    page are replaced or removed, the HTML last. Raises UserError if the folder cannot be written;
    its files are then left as they were.
    """
    try:
        folder = folder.expanduser().absolute()
        drawings, figures = _figures(page, tell)
        tables = _tables(page)
        tell("writing the page")
        html = render_html(page, drawings, vega_script() if drawings else "").encode()
        markdown = render_markdown(page).encode()
        files = {**figures, **tables, **beside, MARKDOWN: markdown, HTML: html}
        manifest = {"of": made_of, "files": {name: _sha256(files[name]) for name in files}}
        files = {MANIFEST: json.dumps(manifest, indent=2).encode(), **files}
        write_whole_files(folder, files)
        for name in OF_PARTS:
            (folder / name).mkdir(exist_ok=True)
        for old in files_of_others(folder, files):
            old.unlink()
    except (OSError, RuntimeError) as error:  # RuntimeError for the home of an unknown user
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"cannot write the report: {reason}", where=str(folder), remedy="--output DIR"
        ) from error
    return PageFiles(
        html=folder / HTML,
        markdown=folder / MARKDOWN,
        figures=tuple(folder / name for name in figures),
        tables=tuple(folder / name for name in tables),
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _figures(page: Page, tell: Tell) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return the drawings for the page by the figures' names, and the files by their names."""
    drawings: dict[str, str] = {}
    files: dict[str, bytes] = {}
    figures = [block for block in page.blocks if isinstance(block, Figure)]
    for number, figure in enumerate(figures, start=1):
        tell(f"figure {number} of {len(figures)}: {figure.title}")
        drawing = draw(figure.specification, name=figure.name)
        drawings[figure.name] = drawing.inline
        for kind, content in drawing.files.items():
            files[f"{FIGURE_FOLDER}/{figure.name}.{kind}"] = content
    return drawings, files


def _tables(page: Page) -> dict[str, bytes]:
    """Return the files of the tables by their names."""
    return {
        f"{TABLE_FOLDER}/{block.name}.{kind}": text.encode()
        for block in page.blocks
        if isinstance(block, Table)
        for kind, text in (("csv", csv_text(block)), ("tex", latex_text(block)))
    }
