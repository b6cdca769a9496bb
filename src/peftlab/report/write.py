"""The report of a study, or of several side by side: its content and its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from peftlab.core.errors import UserError
from peftlab.core.progress import Tell, say_nothing
from peftlab.core.words import counted
from peftlab.report.default_page import page_parts
from peftlab.report.figures.trajectory import draw_trajectory, trajectory_data
from peftlab.report.findings.asking import questions
from peftlab.report.findings.combine import LabelledView, combine
from peftlab.report.findings.limits import limit_words
from peftlab.report.findings.results import results_of
from peftlab.report.findings.runs import folds_note
from peftlab.report.findings.stored_results import RESULTS, results_file
from peftlab.report.findings.verdicts import Verdict, verdicts
from peftlab.report.findings.view import StudyView, make_view
from peftlab.report.findings.warnings import leak_warnings, outdated_warnings, settings_warnings
from peftlab.report.kept import ReportFiles, made_of_now, usual_folder
from peftlab.report.pages.blocks import Block, Heading, Missing, Table, Warnings
from peftlab.report.pages.files import write_files
from peftlab.report.pages.page import Page
from peftlab.report.registry import MAKERS
from peftlab.report.tables.comparisons import claims_blocks
from peftlab.report.tables.deciding import deciding_blocks
from peftlab.report.tables.settings import seeds_in_short
from peftlab.report.tables.sources import sources_blocks
from peftlab.report.tables.trials import trials_table
from peftlab.store.looks import joined, looks_digest, now
from peftlab.store.workspace import Workspace
from peftlab.study.declarations import advice_options, look_at
from peftlab.study.further_seeds import is_further
from peftlab.study.remembered_looks import remember

LONGEST_FOLDER = 120
ADVICE = "advice"


def write_report(
    workspace: Workspace, study: str, output: Path | None = None, tell: Tell = say_nothing
) -> ReportFiles:
    """Write the report of a study's results so far.

    It is written into `output`, or reports/<study> in the workspace; files of the same names are
    replaced. Raises UserError if the study has not been run or the folder cannot be written.
    """
    tell("reading the results")
    stored = workspace.results_digest(study)  # later results make the page old
    view = make_view(workspace, study)
    made_of = made_of_now(stored, looks_digest(view.looks, view.look.id))
    tell("testing the claims")
    found = verdicts(view)
    claims = claims_blocks(found, len(view.spec.claims) - len(found))
    if view.spec.decide is not None:
        tell("asking what is open")
        claims = [*claims, *_deciding(view, found)]
    page = make_page(view, claims=claims, tell=tell)
    written = _write(view, page, found, output or usual_folder(workspace, study), tell, made_of)
    return replace(written, remark=remember([workspace], [view.look]))


def write_comparison(
    chosen: Sequence[tuple[Workspace, str]], output: Path | None = None, tell: Tell = say_nothing
) -> ReportFiles:
    """Write one report on several studies, each given as (workspace, study).

    It is written into `output`, or reports/<their labels> in the first workspace. Raises UserError
    as `write_report` does, and if they have no task in common.
    """
    tell("reading the results")
    sources = [
        LabelledView(label=label, view=make_view(workspace, study))
        for label, (workspace, study) in zip(_labels(chosen), chosen, strict=True)
    ]
    studies = list(dict.fromkeys(study for _, study in chosen))
    title = " and ".join(source.label for source in sources)
    if len(studies) == 1:
        title = f"{studies[0]}: {title}"
    view = combine(title, sources)
    name = "+".join(_as_file_name(source.label) for source in sources)
    name = name if len(studies) > 1 else f"{studies[0]}+{name}"
    folder = output or usual_folder(chosen[0][0], name[:LONGEST_FOLDER])
    page = make_page(view, before=sources_blocks(sources), tell=tell)
    moment = now()
    look = joined(
        title, [look_at(source.view.spec, source.view.placed, moment) for source in sources]
    )
    written = _write(view, page, (), folder, tell)
    workspaces = {workspace.path: workspace for workspace, _ in chosen}
    return replace(written, remark=remember(workspaces.values(), [look]))


def make_page(
    view: StudyView,
    *,
    before: Sequence[Block] = (),
    claims: Sequence[Block] = (),
    tell: Tell = say_nothing,
) -> Page:
    """Return the report's content: `before`, the advice, the claims, the study's parts, all trials.

    If the study names the advice as a part, it is placed there instead.
    """
    chosen = page_parts(view)
    blocks: list[Block] = [*before]
    for title, lines in (
        ("Measured by an older version", outdated_warnings(view)),
        ("Rows of dev are in train", leak_warnings(view)),
        ("Settings that cannot work", settings_warnings(view)),
    ):
        if lines:
            blocks.append(Warnings(title=title, lines=lines))
    if not any(part.kind == ADVICE for part in chosen):
        tell("weighing the arms")
        advice = MAKERS.get(ADVICE)(view, advice_options(view.spec)[0], f"figure-{ADVICE}")
        blocks += _with_table_names(advice, ADVICE)
    blocks += claims
    for number, part in enumerate(chosen, start=1):
        tell(f"part {number} of {len(chosen)}: {part.kind}")
        stem = f"{number:02d}-{part.kind}"
        made = MAKERS.get(part.kind)(view, part.options, f"figure-{stem}")
        if not made and view.spec.report:
            made = [Missing(lines=[f"{part.kind}: there is nothing to show for these arms"])]
        blocks += _with_table_names(made, stem)
    blocks += [Heading(title="All trials"), trials_table(view)]
    if not view.spec.report:
        blocks = _without_empty_sections(blocks)
    return Page(
        title=view.spec.name,
        description=view.spec.description,
        facts=_facts(view),
        blocks=blocks,
    )


def _deciding(view: StudyView, found: Sequence[Verdict]) -> list[Block]:
    """Return the study's rule for further seeds, what it has decided, and how that went."""
    asked = questions(view, found)
    rows = trajectory_data(view, asked)
    drawn = [draw_trajectory(rows, name="figure-trajectory")] if rows else []
    return [*_with_table_names(deciding_blocks(view, asked), "deciding"), *drawn]


def _write(
    view: StudyView,
    page: Page,
    found: Sequence[Verdict],
    folder: Path,
    tell: Tell,
    made_of: str = "several studies",
) -> ReportFiles:
    results = results_of(view, found)
    beside = {RESULTS: results_file(results)}
    files = write_files(page, folder, tell, beside=beside, made_of=made_of)
    return ReportFiles(files=files, results=results)


def _labels(chosen: Sequence[tuple[Workspace, str]]) -> list[str]:
    """Return a label for each: its study, its workspace if all are of one study, or both."""
    studies = [study for _, study in chosen]
    folders = [workspace.path.name for workspace, _ in chosen]
    for names in (studies, folders, [f"{a}/{b}" for a, b in zip(folders, studies, strict=True)]):
        if len(set(names)) == len(names):
            return names
    paths = [f"{workspace.path}/{study}" for workspace, study in chosen]
    for path in paths:
        if paths.count(path) > 1:
            raise UserError("this study is named twice", where=path)
    return paths


def _as_file_name(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", label).strip(".") or "_"


def _with_table_names(blocks: Sequence[Block], stem: str) -> list[Block]:
    """Return the blocks, with names added to the tables that have none."""
    named: list[Block] = []
    for block in blocks:
        if isinstance(block, Table) and not block.name:
            number = 1 + sum(isinstance(other, Table) for other in named)
            suffix = f"-{number}" if number > 1 else ""
            block = replace(block, name=f"table-{stem}{suffix}")
        named.append(block)
    return named


def _without_empty_sections(blocks: Sequence[Block]) -> list[Block]:
    """Return the blocks without headings that have nothing below them."""
    following = [*blocks[1:], Heading(title="")]
    return [
        block
        for block, after in zip(blocks, following, strict=True)
        if not isinstance(block, Heading) or block.text or not isinstance(after, Heading)
    ]


def _facts(view: StudyView) -> dict[str, str]:
    spec = view.spec
    done = sum(record.status == "done" for record in view.records)
    facts = {
        "trials": f"{done:,} of {len(view.records):,} done",
        "model": spec.model,
        "data": spec.data_words,
        "tasks": ", ".join(spec.tasks),
        "seeds": seeds_in_short(spec.seeds),
    }
    num_further = sum(is_further(spec, record.trial.seed) for record in view.records)
    if num_further:
        facts["further seeds"] = f"{counted(num_further, 'trial')} of seeds added until decided"
    failed = sum(record.status == "failed" for record in view.records)
    if failed:
        facts["failed"] = f"{failed:,}"
    pruned = sum(record.status == "pruned" for record in view.records)
    if pruned:
        facts["pruned"] = f"{pruned:,} pruned by the search"
    if spec.split_words:
        facts["split"] = spec.split_words
    if spec.folds is not None:
        facts["folds"] = folds_note(view.by_place)
    refs = [(record.trial.task, record.trial.data) for record in view.records]
    for name, words in (
        ("read as", {task: ref.reading_words for task, ref in refs if ref.reading_words}),
        ("rows left out", {task: ref.dropped_words for task, ref in refs if ref.dropped_words}),
    ):
        if words:
            facts[name] = "; ".join(f"{task}: {own}" for task, own in words.items())
    if spec.max_train_samples is not None:
        facts["training rows"] = (
            f"at most {limit_words(spec.max_train_samples, spec, ' of each task')}"
        )
    if spec.train_sizes is not None:
        sizes = ", ".join(
            size if isinstance(size, str) else f"{size:,}" for size in spec.train_sizes
        )
        facts["train_sizes"] = f"{sizes}; whatever names none is of the largest"
    if spec.max_eval_samples is not None:
        facts["dev rows"] = f"at most {limit_words(spec.max_eval_samples, spec, ' of each task')}"
    for name, source in view.metric_sources:
        facts[f"metric {name}"] = f"SHA-256 of its source {source}"
    for record in view.records:
        versions = record.provenance.get("versions")
        machine = record.provenance.get("machine")
        if isinstance(versions, dict) and isinstance(machine, dict):
            facts["machine"] = f"{machine.get('processor')}, {machine.get('cores')} cores"
            names = ("peftlab", "torch", "transformers", "peft")
            facts["versions"] = ", ".join(f"{name} {versions.get(name)}" for name in names)
            break
    return facts
