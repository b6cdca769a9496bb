"""The manifest of a page: what it was made of, and its files, by which a whole page is known."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from peftlab.core.files import ASIDE
from peftlab.core.identity import file_sha256

HTML, MARKDOWN = "report.html", "report.md"
MANIFEST = "report.json"
"""What the page was made of, and the SHA-256 of each of its files."""

FIGURE_FOLDER, TABLE_FOLDER = "figures", "tables"
OF_PARTS = {FIGURE_FOLDER: "figure-*.*", TABLE_FOLDER: "table-*.*"}
"""Folders of a page, and how the names in them begin that are the page's."""


@dataclass(frozen=True, kw_only=True)
class PageFiles:
    """Where a page was written."""

    html: Path
    markdown: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]


def page_in(folder: Path) -> PageFiles:
    """Return the files of the whole page that lies there, by its manifest."""
    names = json.loads((folder / MANIFEST).read_bytes())["files"]
    kinds = {
        kind: tuple(folder / name for name in names if name.startswith(f"{kind}/"))
        for kind in OF_PARTS
    }
    return PageFiles(
        html=folder / HTML,
        markdown=folder / MARKDOWN,
        figures=kinds[FIGURE_FOLDER],
        tables=kinds[TABLE_FOLDER],
    )


def is_whole_page(folder: Path, *, made_of: str) -> bool:
    """Return whether a page made of that lies there, and every file of it as it was written.

    Files of an earlier page must be gone, and what was written aside: a process may have been
    killed before it had removed them.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        return bool(
            manifest["of"] == made_of
            and HTML in manifest["files"]
            and all(
                (folder / name).is_file() and file_sha256(folder / name) == own
                for name, own in manifest["files"].items()
            )
            and all((folder / name).is_dir() for name in OF_PARTS)
            and not any(files_of_others(folder, manifest["files"]))
            and not any(folder.glob(f"{ASIDE}*"))
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def files_of_others(folder: Path, files: Collection[str]) -> Iterator[Path]:
    """Yield files of an earlier page: those that are named as a page's and are none of these."""
    for name, own in OF_PARTS.items():
        for file in (folder / name).glob(own):
            if f"{name}/{file.name}" not in files:
                yield file
