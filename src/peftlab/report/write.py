"""The report's files: one HTML page, the same as Markdown, every figure as SVG and PNG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import JsonValue

from peftlab.core.errors import UserError
from peftlab.report.blocks import Block, Figure, Heading
from peftlab.report.page import Page, render_html, render_markdown
from peftlab.report.registry import MAKERS
from peftlab.report.tables.trials import trials_table
from peftlab.report.view import StudyView, make_view
from peftlab.store.workspace import Workspace

HTML = "report.html"
FIGURES = "figures"
PNG_SCALE = 2.0
# Replaces each drawing by its interactive figure, once the page is there.
EMBED = """
for (const holder of document.querySelectorAll('script[data-figure]')) {
  vegaEmbed('#' + holder.dataset.figure, JSON.parse(holder.textContent),
            {actions: false, renderer: 'svg'});
}
"""


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """Where the report was written, and the verdicts on the study's claims."""

    html: Path
    markdown: Path
    figures: tuple[Path, ...]
    verdicts: tuple[dict[str, JsonValue], ...]

    def to_json(self) -> dict[str, JsonValue]:
        """The object of `report STUDY --json`."""
        return {
            "html": str(self.html),
            "markdown": str(self.markdown),
            "figures": [str(path) for path in self.figures],
            "verdicts": list(self.verdicts),
        }


def kept_report(workspace: Workspace, study: str) -> Path | None:
    """The page in its usual place, if nothing has changed since it was written."""
    path = _folder(workspace, study) / HTML
    try:
        written_at = int(path.stat().st_mtime)
    except OSError:
        return None
    return path if written_at > workspace.changed_at(study).timestamp() else None


def write_report(workspace: Workspace, study: str, output: Path | None = None) -> ReportFiles:
    """Write the report of what is measured of a study.

    Into `output`, or reports/<study> of the workspace; files of the same names are replaced.
    Raises UserError where the study has not been run or the folder cannot be written.
    """
    import vl_convert

    view = make_view(workspace, study)
    page = make_page(view)
    drawings: dict[str, str] = {}
    figures: list[Path] = []
    folder = output or _folder(workspace, study)
    try:
        folder = folder.expanduser().absolute()
        (folder / FIGURES).mkdir(parents=True, exist_ok=True)
        for old in (folder / FIGURES).glob("figure-*.*"):
            old.unlink()
        for block in page.blocks:
            if isinstance(block, Figure):
                specification = dict(block.specification)
                svg = vl_convert.vegalite_to_svg(specification)
                png = vl_convert.vegalite_to_png(specification, scale=PNG_SCALE)
                drawings[block.name] = svg
                figures += [folder / FIGURES / f"{block.name}.{kind}" for kind in ("svg", "png")]
                figures[-2].write_text(svg, encoding="utf-8")
                figures[-1].write_bytes(png)
        html = render_html(page, drawings, _javascript() if drawings else "")
        paths = folder / HTML, folder / "report.md"
        paths[0].write_text(html, encoding="utf-8")
        paths[1].write_text(render_markdown(page, FIGURES), encoding="utf-8")
    except (OSError, RuntimeError) as error:  # the latter for the home of an unknown user
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"cannot write the report: {reason}", where=str(folder)) from error
    return ReportFiles(
        html=paths[0], markdown=paths[1], figures=tuple(figures), verdicts=_verdicts(view)
    )


def _folder(workspace: Workspace, study: str) -> Path:
    return workspace.path / "reports" / study


def make_page(view: StudyView) -> Page:
    """The report's content: the parts that the study names, then all trials."""
    blocks: list[Block] = []
    for number, part in enumerate(view.spec.report, start=1):
        blocks += MAKERS.get(part.kind)(view, part.options, f"figure-{number:02d}-{part.kind}")
    blocks += [Heading(title="All trials"), trials_table(view)]
    return Page(
        title=view.spec.name,
        description=view.spec.description,
        facts=_facts(view),
        claims=[claim.say for claim in view.spec.claims],
        blocks=blocks,
    )


@lru_cache
def _javascript() -> str:
    """Vega with what embeds the figures; bundling takes over a second, so once a process."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle(EMBED)
    return bundle


def _facts(view: StudyView) -> dict[str, str]:
    spec = view.spec
    done = sum(record.status == "done" for record in view.records)
    facts = {
        "trials": f"{done} of {len(view.records)} done",
        "model": spec.model,
        "data": spec.data,
        "tasks": ", ".join(spec.tasks),
        "seeds": ", ".join(str(seed) for seed in spec.seeds),
    }
    failed = sum(record.status == "failed" for record in view.records)
    if failed:
        facts["failed"] = str(failed)
    if spec.max_train_samples is not None:
        facts["training rows"] = f"the first {spec.max_train_samples:,} of each task"
    for record in view.records:
        versions = record.provenance.get("versions")
        machine = record.provenance.get("machine")
        if isinstance(versions, dict) and isinstance(machine, dict):
            facts["machine"] = f"{machine.get('processor')}, {machine.get('cores')} cores"
            names = ("peftlab", "torch", "transformers", "peft")
            facts["versions"] = ", ".join(f"{name} {versions.get(name)}" for name in names)
            break
    return facts


def _verdicts(view: StudyView) -> tuple[dict[str, JsonValue], ...]:
    """Every claim, as not tested: the tests are not built yet."""
    return tuple(
        {
            "claim": claim.say,
            "verdict": "not tested",
            "estimate": None,
            "low": None,
            "high": None,
            "p_value": None,
        }
        for claim in view.spec.claims
    )
