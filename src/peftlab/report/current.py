"""The current report of a study, which is written only if it does not exist yet."""

from __future__ import annotations

from peftlab.core.progress import Tell, say_nothing
from peftlab.report.findings.stored_results import read_results
from peftlab.report.kept import ReportFiles, kept_report
from peftlab.report.pages.manifest import page_in
from peftlab.store.workspace import Workspace
from peftlab.study.remembered_looks import remember_again


def current_report(workspace: Workspace, study: str, tell: Tell = say_nothing) -> ReportFiles:
    """Return the report in its usual place, after writing it if it is not up to date.

    Raises UserError as `write_report` does.
    """
    page = kept_report(workspace, study)
    results = None if page is None else read_results(page.parent)
    if page is None or results is None:
        from peftlab.report.write import write_report

        return write_report(workspace, study, tell=tell)
    remark = remember_again(workspace, study, results.declaration)
    return ReportFiles(files=page_in(page.parent), results=results, remark=remark)
