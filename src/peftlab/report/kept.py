"""The report in its usual place, and the check whether it still shows what is stored."""

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
    """The files of a report, and the scores and verdicts that it shows.

    `remark` is a line for the user if it could not be stored that they were shown.
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
    """Return the page in its usual place if it is complete and up to date.

    Raises UserError if the source of a metric is not the one that gave its scores, or may not be
    run.
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
    """Return the folder of the report with that name if no other folder is asked for."""
    return workspace.path / "reports" / name


def made_of_now(*shown: str) -> str:
    """Return an identity of a page's content: the stored results, earlier looks, and this code."""
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
