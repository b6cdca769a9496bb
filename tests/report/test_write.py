"""A report is made from measured trials only, is self-contained, and says what is missing."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from peftlab.core.errors import UserError
from peftlab.report.findings.results import results_of
from peftlab.report.findings.stored_results import read_results
from peftlab.report.findings.verdicts import verdicts
from peftlab.report.findings.view import StudyView, make_view
from peftlab.report.kept import kept_report
from peftlab.report.pages.blocks import Figure, Heading, Missing, Table
from peftlab.report.pages.manifest import PageFiles
from peftlab.report.pages.page import Page
from peftlab.report.pages.table_parts import head_lines, split_table
from peftlab.report.tables.comparisons import claims_blocks
from peftlab.report.write import make_page, write_comparison, write_report
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import DATABASE, Workspace
from peftlab.study.declarations import look_at
from tests.report.made_up import made_up, with_places

Rows = list[list[str]]
View = Callable[..., StudyView]
# Attributes by which a browser fetches or goes somewhere.
FETCHING = {"src", "href", "srcset", "data", "poster", "action", "formaction", "xlink:href"}
FETCHING |= {"background", "ping", "manifest", "cite"}


class Reader(HTMLParser):
    """A reader of a document's tags, tables as cells, inline styles and JSON scripts."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[Rows] = []
        self.styles: list[str] = []
        self.json: list[str] = []
        self.texts: list[str] = []
        self.inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in {"b", "span"}:
            self.inside = "json" if attributes.get("type") == "application/json" else tag
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"b", "span"}:
            self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in {"td", "th"}:
            self.tables[-1][-1][-1] += data
        elif self.inside == "style":
            self.styles.append(data)
        elif self.inside == "json":
            self.json.append(data)
        elif self.inside != "script":
            self.texts.append(data)


def markdown_tables(text: str) -> list[Rows]:
    tables: list[Rows] = []
    is_cell = False
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and is_cell:
            tables[-1][-1].append("".join(child.content for child in token.children or []))
        is_cell = token.type in {"td_open", "th_open"}
    return tables


def write(workspace: Path, output: Path) -> PageFiles:
    with Workspace.open(workspace) as opened:
        return write_report(opened, "small-study", output).files


def page_of(opened: Workspace) -> Page:
    view = make_view(opened, "small-study")
    return make_page(view, claims=claims_blocks(verdicts(view)))


def data_of(specification: Any) -> list[dict[str, Any]]:
    """Return all rows of data in a specification, wherever they are."""
    if isinstance(specification, list):
        return [row for part in specification for row in data_of(part)]
    if not isinstance(specification, dict):
        return []
    values = specification.get("values")
    if isinstance(values, list) and isinstance(values[0], dict):
        return values
    return [row for part in specification.values() for row in data_of(part)]


@pytest.fixture(scope="module")
def report(finished_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> PageFiles:
    return write(finished_workspace, tmp_path_factory.mktemp("report"))


def test_every_figure_is_there_as_svg_png_and_pdf(report: PageFiles) -> None:
    stems = ["figure-advice", "figure-02-scores", "figure-03-loss-curves", "figure-07-sweep"]
    names = [f"{stem}.{kind}" for stem in stems for kind in ("svg", "png", "pdf")]
    assert [path.name for path in report.figures] == names
    folder = report.html.parent / "figures"
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for path in report.figures:
        content = path.read_bytes()
        if path.suffix == ".png":
            assert content.startswith(b"\x89PNG\r\n\x1a\n")
            assert content.endswith(b"IEND\xaeB`\x82")
        elif path.suffix == ".pdf":
            assert content.startswith(b"%PDF-1.")
            assert content.rstrip().endswith(b"%%EOF")
        else:
            root = ElementTree.fromstring(content)
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 10


def test_every_table_is_there_as_csv_and_latex(report: PageFiles, finished_workspace: Path) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        page = page_of(opened)
    tables = [block for block in page.blocks if isinstance(block, Table)]
    names = [f"{table.name}.{kind}" for table in tables for kind in ("csv", "tex")]
    assert "table-02-scores.csv" in names
    assert "table-trials.tex" in names
    assert [path.name for path in report.tables] == names
    for table, path in zip(tables, report.tables[::2], strict=True):
        with path.open(newline="", encoding="utf-8") as stream:
            head, *rows = csv.reader(stream)
        assert len(rows) == len(table.rows)
        assert {len(row) for row in rows} == {len(head)}
        assert [row[0] for row in rows] == [row[0] for row in table.rows]


def test_figures_of_an_earlier_report_do_not_stay(finished_workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "figure-99-scores.png").write_bytes(b"old")
    (tmp_path / "figures" / "my-own.png").write_bytes(b"mine")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "table-99-scores.csv").write_bytes(b"old")
    files = write(finished_workspace, tmp_path)
    there = {path.name for path in (tmp_path / "figures").iterdir()}
    assert there == {"my-own.png", *(path.name for path in files.figures)}
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {
        path.name for path in files.tables
    }


def test_the_page_fetches_nothing(report: PageFiles) -> None:
    html = report.html.read_text()
    read = Reader(html)
    for tag, attributes in read.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "img", "image"}, tag
        for name in FETCHING & attributes.keys():
            target = attributes[name] or ""
            is_file = (
                tag == "a" and "download" in attributes and (report.html.parent / target).is_file()
            )
            assert is_file or target.startswith("#"), (tag, attributes)
        assert tag != "script" or attributes.get("type") in {None, "application/json"}
        assert not any(name.startswith("on") for name in attributes)
        assert "url(" not in (attributes.get("style") or "").replace("url(#", "")
    for style in read.styles:
        assert "url(" not in style
        assert "@import" not in style
    for specification in read.json:
        assert '"url"' not in specification
    assert read.tags[0] == ("html", {"lang": "en"})
    assert [tag for tag, _ in read.tags].count("h1") == 1
    assert [tag for tag, _ in read.tags].count("main") == 1


def test_html_and_markdown_hold_the_tables_of_the_page(
    report: PageFiles, finished_workspace: Path
) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        page = page_of(opened)
    blocks = [block.shown for block in page.blocks if isinstance(block, Table)]
    assert len(blocks) > 5
    parts = [part for block in blocks for part in split_table(block)]
    shown = [
        [row for row in table if len(row) == len(table[-1])]  # not that of the groups
        for table in Reader(report.html.read_text()).tables
    ]
    for table, part in zip(shown, parts, strict=True):
        assert [cell.replace("  ", " ") for cell in table[0]] == [
            " ".join(head_lines(name)) for _, name in part.grouped
        ]
    assert [table[1:] for table in shown] == [[list(row) for row in part.rows] for part in parts]
    assert markdown_tables(report.markdown.read_text()) == [
        [list(block.columns), *(list(row) for row in block.rows)] for block in blocks
    ]


def test_the_markdown_shows_the_figures_that_were_written(report: PageFiles) -> None:
    text = report.markdown.read_text()
    links = re.findall(r"^!\[.+\]\((.+)\)$", text, re.MULTILINE)
    assert links == [f"figures/{path.name}" for path in report.figures if path.suffix == ".png"]
    of_tables = re.findall(r"\]\((tables/[^)]+)\)", text)
    assert of_tables == [f"tables/{path.name}" for path in report.tables]
    assert all((report.markdown.parent / link).is_file() for link in [*links, *of_tables])


def test_the_figures_in_the_page_carry_the_data_of_the_figures(
    report: PageFiles, finished_workspace: Path
) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        page = page_of(opened)
    specifications = [json.loads(text) for text in Reader(report.html.read_text()).json]
    assert specifications == [
        json.loads(json.dumps(block.specification))
        for block in page.blocks
        if isinstance(block, Figure)
    ]


def test_results_lie_beside_the_page(report: PageFiles, finished_workspace: Path) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        view = make_view(opened, "small-study")
        declared = look_at(view.spec, view.placed, datetime.now(UTC)).id
        found = results_of(view, verdicts(view))
        kept = found.model_copy(update={"declaration": declared})
        assert read_results(report.html.parent) == kept


def test_every_claim_stands_with_its_verdict_and_its_evidence(
    report: PageFiles, finished_workspace: Path
) -> None:
    with Workspace.open(finished_workspace, create=False) as opened:
        found = verdicts(make_view(opened, "small-study"))
    read = Reader(report.html.read_text())
    inline = [
        "".join(child.content for child in token.children or [])
        for token in MarkdownIt("commonmark").parse(report.markdown.read_text())
        if token.type == "inline"
    ]
    assert [one.claim for one in found] == [
        "LoRA beats full fine-tuning",
        "The rank hardly matters",
    ]
    for one in found:
        assert one.evidence
        assert {one.claim, one.verdict, one.evidence} <= set(read.texts)
        assert f"{one.claim}: {one.verdict}{one.evidence}" in inline


def test_a_half_done_study_shows_what_is_measured_and_names_the_rest(
    half_done: Path, tmp_path: Path
) -> None:
    files = write(half_done, tmp_path / "report")
    read, markdown = Reader(files.html.read_text()), files.markdown.read_text()
    lines = [
        "lora-r2 on demo-sentiment, seed 1 (failed: the loss is <b>nan</b>)",
        "lora-r2 on demo-sentiment, seed 2 (pending)",
    ]
    # Once below the scores, the curves and the sweep.
    assert [read.texts.count(line) for line in lines] == [3, 3]
    assert "14 of 16 done" in read.texts
    assert ["Not measured yet" in text for text in read.texts].count(True) == 3
    assert markdown.count("**Not measured yet**") == 3
    assert "seed 1 (failed: the loss is \\<b\\>nan\\</b\\>)" in markdown
    assert "- **failed**: 1" in markdown
    scores = next(table for table in read.tables if table[0][1:2] == ["demo-sentiment"])
    assert [row[1] == "-" for row in scores[2:]] == [False, False, True, False]
    advice, bars, curves, sweep = (data_of(json.loads(text)) for text in read.json)
    assert not any(row["arm"] == "lora-r2" for row in advice), "it is not done on every task"
    for rows in (bars, curves, sweep):
        assert not any(
            row["arm"] == "lora-r2" and row["task"].startswith("demo-sentiment") for row in rows
        )
        assert any(row["arm"] == "lora-r2" for row in rows)


def test_a_study_of_which_nothing_is_measured_has_a_page_without_figures(
    half_done: Path, tmp_path: Path
) -> None:
    with Workspace.open(half_done) as opened:
        for record in opened.trials("small-study"):
            opened.start(record.trial.id, {})
            opened.interrupt(record.trial.id)
        page = page_of(opened)
        files = write_report(opened, "small-study", tmp_path / "report").files
    assert page.facts["trials"] == "0 of 16 done"
    assert not any(isinstance(block, Figure) for block in page.blocks)
    missing = [block for block in page.blocks if isinstance(block, Missing)]
    assert [len(block.lines) for block in missing] == [16, 12, 8]
    assert files.figures == ()
    assert Reader(files.html.read_text()).json == []


def test_texts_of_the_study_are_shown_as_they_are(half_done: Path, tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script> **bold** [x](http://example.org) | & </main>"
    with sqlite3.connect(half_done / DATABASE) as database:
        (text,) = database.execute("SELECT spec FROM studies").fetchone()
        spec = json.loads(text)
        spec["description"] = f"description {nasty}"
        spec["claims"][0]["say"] = f"claim {nasty}"
        spec["report"][0]["options"] = {"title": f"title {nasty}", "text": f"text {nasty}"}
        database.execute("UPDATE studies SET spec = ?", (json.dumps(spec),))
    database.close()
    files = write(half_done, tmp_path / "report")
    read = Reader(files.html.read_text())
    inline = [
        "".join(child.content for child in token.children or [])
        for token in MarkdownIt("commonmark").parse(files.markdown.read_text())
        if token.type == "inline"
    ]
    for place in ("description", "claim", "title", "text"):
        # A section's title stands in the contents too.
        assert read.texts.count(f"{place} {nasty}") == (2 if place == "title" else 1)
        assert sum(line.startswith(f"{place} {nasty}") for line in inline) == 1
    assert [tag for tag, _ in read.tags].count("script") == 2 + len(read.json)


def test_what_is_being_done_is_told(finished_workspace: Path, tmp_path: Path) -> None:
    told: list[str] = []
    with Workspace.open(finished_workspace) as opened:
        write_report(opened, "small-study", tmp_path, told.append)
    assert told[:2] == ["reading the results", "testing the claims"]
    assert "part 2 of 7: scores" in told
    assert any(line.startswith("figure 2 of 4: Scores by task and arm") for line in told)
    assert told[-1] == "writing the page"


def test_a_default_page_has_no_section_without_anything_in_it(hand_made: View) -> None:
    view = hand_made({("full", "demo-sentiment"): [[(None, 1, 50), (1, 1, 60)]]})
    blocks = make_page(view).blocks
    titles = [block.title for block in blocks if isinstance(block, Heading)]
    assert {"Scores", "Settings", "All trials"} <= set(titles)
    assert "Where the methods disagree" not in titles
    assert isinstance(blocks[-1], Table)
    own = [{"section": {"title": "One"}}, {"section": {"title": "Two"}}]
    blocks = make_page(hand_made({}, {"report": own})).blocks
    assert [block.title for block in blocks if isinstance(block, Heading)][-3:-1] == ["One", "Two"]


def test_a_folder_that_cannot_be_written_is_one_line(
    finished_workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"/file/deep: cannot write the report: Not a directory"):
        write(finished_workspace, tmp_path / "file" / "deep")


def test_whatever_the_database_holds_is_shown_as_text(half_done: Path, tmp_path: Path) -> None:
    nasty = "</script><img src=x onerror=alert(1)><b>"
    plain = Reader(write(half_done, tmp_path / "plain").html.read_text())
    with sqlite3.connect(half_done / DATABASE) as database:
        (text,) = database.execute("SELECT spec FROM studies").fetchone()
        spec = json.loads(text) | {"model": f"model {nasty}", "data": f"data {nasty}"}
        database.execute("UPDATE studies SET spec = ?", (json.dumps(spec),))
        database.execute("UPDATE trials SET error = ? WHERE status = 'failed'", (f"e {nasty}",))
        for trial_id, text in database.execute("SELECT id, costs FROM trials").fetchall():
            costs = json.dumps(json.loads(text) | {"path": f"path {nasty}"}) if text else None
            machine = {"processor": f"processor {nasty}", "cores": 2}
            found = json.dumps({"versions": {"torch": f"torch {nasty}"}, "machine": machine})
            database.execute(
                "UPDATE trials SET costs = ?, provenance = ? WHERE id = ?", (costs, found, trial_id)
            )
    database.close()
    html = write(half_done, tmp_path / "report").html.read_text()
    read = Reader(html)
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in plain.tags]
    for place in ("model", "data", "path", "processor", "torch"):
        assert f"{place} &lt;/script&gt;&lt;img src=x" in html
    assert nasty not in html


@pytest.mark.parametrize("name", ["../../x", "/x", "..", "<b>x</b>", "a/b"])
def test_a_study_whose_name_is_a_path_writes_nothing(
    name: str, half_done: Path, tmp_path: Path
) -> None:
    with sqlite3.connect(half_done / DATABASE) as database:
        (text,) = database.execute("SELECT spec FROM studies").fetchone()
        spec = json.dumps(json.loads(text) | {"name": name})
        for statement, value in (
            ("UPDATE studies SET spec = ?", spec),
            ("UPDATE studies SET name = ?", name),
            ("UPDATE placements SET study = ?", name),
        ):
            database.execute(statement, (value,))
    database.close()
    before = set(tmp_path.rglob("*"))
    with (
        Workspace.open(half_done, create=False) as opened,
        pytest.raises(UserError, match="is not a name"),
    ):
        write_report(opened, name)
    assert set(tmp_path.rglob("*")) - before <= set(half_done.glob("results.sqlite-*"))


def test_a_study_under_another_name_than_its_own_is_refused(half_done: Path) -> None:
    with sqlite3.connect(half_done / DATABASE) as database:
        database.execute("UPDATE studies SET name = 'other'")
        database.execute("UPDATE placements SET study = 'other'")
    database.close()
    with (
        Workspace.open(half_done, create=False) as opened,
        pytest.raises(UserError, match="the study 'other' is stored as 'small-study'"),
    ):
        write_report(opened, "other")


# What is kept

NAME = "small-study"


@pytest.fixture
def own(finished_workspace: Path, tmp_path: Path) -> Path:
    """A workspace with its page in the usual place, which may be changed."""
    return Path(shutil.copytree(finished_workspace, tmp_path / "own"))


def kept(workspace: Path) -> Path | None:
    with Workspace.open(workspace, create=False) as opened:
        return kept_report(opened, NAME)


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@contextmanager
def no_file_above(num_bytes: int) -> Iterator[None]:
    """Let no file grow beyond this size within the block, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_page_is_kept_whatever_the_clock_says(own: Path) -> None:
    page = own / "reports" / NAME / "report.html"
    for seconds in (1, 2**31):
        os.utime(page, (seconds, seconds))
        assert kept(own) == page
    with Workspace.open(own) as opened:
        opened.fail(opened.trials(NAME)[0].trial.id, "lost")
    assert kept(own) is None, "though the page is younger than anything"


def test_whatever_is_stored_anew_makes_a_page_old(own: Path) -> None:
    with Workspace.open(own) as opened:
        record = opened.trials(NAME)[0]
        last = record.evaluations[-1]
        better = replace(last, scores={name: score + 1 for name, score in last.scores.items()})
        for change in (
            lambda: opened.add_evaluation(record.trial.id, better),
            lambda: opened.fail(record.trial.id, "an error"),
        ):
            write_report(opened, NAME)
            assert kept_report(opened, NAME) is not None
            change()
            assert kept_report(opened, NAME) is None


def test_a_page_of_another_version_is_not_kept(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept(own) is not None
    monkeypatch.setattr("peftlab.report.kept._code", lambda: "other code")
    assert kept(own) is None


@pytest.mark.parametrize("how", ["missing", "short"])
def test_a_page_of_which_any_file_is_torn_is_not_kept(how: str, own: Path) -> None:
    folder = own / "reports" / NAME
    whole = files_below(folder)
    assert len(whole) > 15
    for name, content in whole.items():
        path = folder / name
        if how == "missing":
            path.unlink()
        else:
            path.write_bytes(content[:-1])
        assert kept(own) is None, name
        path.write_bytes(content)
    assert kept(own) is not None


def test_where_the_disk_is_full_the_old_page_stays_and_is_not_taken_for_the_new_one(
    own: Path,
) -> None:
    folder = own / "reports" / NAME
    before = files_below(folder)
    with Workspace.open(own) as opened:
        opened.fail(opened.trials(NAME)[0].trial.id, "lost")
        for num_bytes in (0, 3000, 200_000):
            with no_file_above(num_bytes), pytest.raises(UserError, match="File too large"):
                write_report(opened, NAME)
            assert files_below(folder) == before
        assert kept_report(opened, NAME) is None
        written = write_report(opened, NAME).files
        assert kept_report(opened, NAME) == written.html
    assert "lost" in written.html.read_text()


def test_a_process_that_dies_between_two_files_leaves_no_page_that_is_kept(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peftlab.core import files

    folder, rename = own / "reports" / NAME, files.rename
    with Workspace.open(own) as opened:
        opened.fail(opened.trials(NAME)[0].trial.id, "lost")
        html = (folder / "report.html").read_bytes()
        left: list[Path] = []

        def dies(source: Path, target: Path) -> None:
            if not left:
                raise KeyboardInterrupt
            left.pop()
            rename(source, target)

        monkeypatch.setattr(files, "rename", dies)
        for number in range(7):
            left[:] = [folder] * number
            with pytest.raises(KeyboardInterrupt):
                write_report(opened, NAME)
            assert (folder / "report.html").read_bytes() == html
            assert kept_report(opened, NAME) is None
    assert not list(folder.glob(".writing-*"))


def test_files_of_an_earlier_page_go(own: Path) -> None:
    folder = own / "reports" / NAME
    (folder / "figures" / "figure-99-old.svg").write_text("old")
    (folder / "figures" / "mine.svg").write_text("mine")
    with Workspace.open(own) as opened:
        write_report(opened, NAME)
    names = {path.name for path in (folder / "figures").iterdir()}
    assert "mine.svg" in names
    assert "figure-99-old.svg" not in names


@pytest.mark.parametrize("left", ["figures/figure-99-old.svg", ".writing-1234/report.md"])
def test_a_page_whose_writer_was_killed_before_it_had_tidied_up_is_written_again(
    left: str, own: Path
) -> None:
    file = own / "reports" / NAME / left
    file.parent.mkdir(exist_ok=True)
    file.write_text("old")
    os.utime(file.parent, (1, 1))
    assert kept(own) is None
    with Workspace.open(own) as opened:
        write_report(opened, NAME)
    assert not file.exists()
    assert kept(own) is not None


def test_a_report_of_several_studies_is_never_taken_for_that_of_one(own: Path) -> None:
    other = shutil.copytree(own, own.parent / "other")
    with Workspace.open(own) as left, Workspace.open(other) as right:
        write_comparison([(left, NAME), (right, NAME)], own / "reports" / NAME)
        assert kept_report(left, NAME) is None


def test_the_page_says_how_files_were_read_where_nobody_said_it(tmp_path: Path) -> None:
    view = made_up(tmp_path, {"full": 0.9}, arms={"full": {"method": "full"}}, seeds=[1])
    assert "read as" not in make_page(view).facts

    def found_out(record: TrialRecord) -> TrialRecord:
        read_as = {"train": {"sep": ";", "encoding": "cp1252"}}
        data = record.trial.data.model_copy(update={"read_as": read_as})
        return replace(record, trial=record.trial.model_copy(update={"data": data}))

    by_place = {place: tuple(map(found_out, own)) for place, own in view.by_place.items()}
    facts = make_page(with_places(view, by_place)).facts
    assert facts["read as"] == (
        "demo-sentiment: train: sep ';', encoding cp1252 (found in the file); "
        "demo-paraphrase: train: sep ';', encoding cp1252 (found in the file)"
    )
