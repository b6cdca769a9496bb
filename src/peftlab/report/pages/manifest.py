"""The manifest of a page: the identity of its content, and its files, to recognise a whole page."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from peftlab.core.files import ASIDE
from peftlab.core.identity import file_sha256

HTML, MARKDOWN = "report.html", "report.md"
MANIFEST = "report.json"
"""The file with the identity of the page's content, and the SHA-256 of each of its files."""

FIGURE_FOLDER, TABLE_FOLDER = "figures", "tables"
OF_PARTS = {FIGURE_FOLDER: "figure-*.*", TABLE_FOLDER: "table-*.*"}
"""The folders of a page, and the pattern of the names of its files in them."""


@dataclass(frozen=True, kw_only=True)
class PageFiles:
    """The paths of a written page."""

    html: Path
    markdown: Path
    figures: tuple[Path, ...]
    tables: tuple[Path, ...]


def page_in(folder: Path) -> PageFiles:
    """Return the files of the whole page in the folder, by its manifest."""
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
    """Return whether a page with that content is in the folder, with every file as it was written.

    Files of an earlier page, and temporary files, must be gone: a process may have been killed
    before it removed them.
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
    """Yield the files of an earlier page: those named like a page's that are not in `files`."""
    for name, own in OF_PARTS.items():
        for file in (folder / name).glob(own):
            if f"{name}/{file.name}" not in files:
                yield file
