"""The report in its usual place: where it is, and whether it still shows what is stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from pydantic import JsonValue

from peftlab.core.identity import content_id
from peftlab.report.findings.stored_results import StudyResults, read_results
from peftlab.report.pages.manifest import HTML, PageFiles, is_whole_page
from peftlab.store.ledger import known_looks
from peftlab.store.looks import looks_digest
from peftlab.store.workspace import Workspace

CODE = {".py", ".j2", ".css", ".js", ".yaml"}


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """Where the report was written, and the scores and verdicts that it says.

    `remark` is a line for the user where it could not be remembered that they were shown.
    """

    files: PageFiles
    results: StudyResults
    remark: str = ""

    def to_json(self) -> dict[str, JsonValue]:
        """Return the object of `report STUDY --json`."""
        return {
            "html": str(self.files.html),
            "markdown": str(self.files.markdown),
            "figures": [str(path) for path in self.files.figures],
            "tables": [str(path) for path in self.files.tables],
            "verdicts": list(self.results.verdicts),
            "learned": list(self.results.learned),
            "classes": list(self.results.classes),
        }


def kept_report(workspace: Workspace, study: str) -> Path | None:
    """Return the page in its usual place, if it is whole and shows what is stored now.

    Raises UserError where the source of a metric is not the one that its scores are by, or may
    not be run.
    """
    folder = usual_folder(workspace, study)
    kept = read_results(folder)
    if kept is None:
        return None
    looks = known_looks(workspace, workspace.trial_ids(study))
    made_of = made_of_now(workspace.results_digest(study), looks_digest(looks, kept.declaration))
    if not is_whole_page(folder, made_of=made_of):
        return None
    if kept.metric_sources:
        from peftlab.tasks.metrics.own import require_sources

        require_sources(kept.metric_sources, where=workspace.where)
    return folder / HTML


def usual_folder(workspace: Workspace, name: str) -> Path:
    """Return the folder of the report of that name, if no other one is asked for."""
    return workspace.path / "reports" / name


def made_of_now(*shown: str) -> str:
    """Return a name for what a page shows: what is stored, earlier looks, and this code."""
    return content_id([_code(), *shown], length=32)


@lru_cache
def _code() -> str:
    """Return a SHA-256 of this package's files."""
    root = Path(str(resources.files("peftlab")))
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in CODE:
            digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()
