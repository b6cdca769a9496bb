"""Pages show every text as it is: as HTML, as JSON inside HTML, and as Markdown."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from peftlab.report.pages.blocks import (
    Block,
    Cell,
    Claims,
    Figure,
    Heading,
    JudgedClaim,
    Missing,
    Table,
    Warnings,
)
from peftlab.report.pages.page import MOST_ROWS, Page, render_html, render_markdown
from peftlab.report.pages.table_parts import head_lines

NASTY = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!-- <img src=x onerror=alert(1)>",
    "\"><b onclick='alert(1)'>",
    "&lt;b&gt; &amp; R&D",
    "**bold** _soft_ ~~gone~~ `code`",
    "[link](javascript:alert(1)) ![picture](http://example.org/x.png) <http://example.org>",
    "a | b \\| c \\",
    "# no heading",
    "- no item",
    "1. no item",
    "> no quote",
    "{{ page.title }} {% raw %}",
]


class Reader(HTMLParser):
    """A reader of a document's texts, tags, and JSON scripts."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.json: list[str] = []
        self.inside: str | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        is_json = tag == "script" and dict(attrs).get("type") == "application/json"
        self.inside = "json" if is_json else tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside == "json":
            self.json.append(data)
        elif self.inside not in {"style", "script"}:
            self.texts.append(data)


def page_of(text: str) -> Page:
    specification = {"data": {"values": [{"arm": text}]}, "title": text}
    return Page(
        title=text,
        description=text,
        facts={"fact": text},
        blocks=[
            *[Heading(title=text, text=text)] * 3,
            Table(name="table-x", title=text, columns=["c", text], rows=[["r", text]], note=text),
            Figure(name="figure-01-x", title=text, description=text, specification=specification),
            Missing(lines=[text]),
            Warnings(title=text, lines=[text]),
            Claims(claims=[JudgedClaim(say=text, verdict=text, lines=[text])]),
        ],
    )


def page_with(*blocks: Block) -> Page:
    return Page(title="t", description="", facts={}, blocks=blocks)


@pytest.mark.parametrize("text", NASTY)
def test_html_shows_a_text_as_it_is_wherever_it_stands(text: str) -> None:
    page = page_of(text)
    page_of_p = page_of(re.sub(r"\S", "p", text))
    plain = Reader(render_html(page_of_p, {"figure-01-x": "<svg></svg>"}, ""))
    read = Reader(render_html(page, {"figure-01-x": "<svg></svg>"}, ""))
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attributes) for _, attributes in read.tags if attributes] == [
        sorted(attributes) for _, attributes in plain.tags if attributes
    ]
    shown = sum(found.strip() == text for found in read.texts)
    # h1, lead, fact, 3 headings with links to them and texts, caption, column, cell, note,
    # caption, missing, title and line of a remark, claim, verdict, evidence
    in_lines = len(head_lines(text)) > 1  # the head of a column is split where it is long
    assert shown == 23 - in_lines
    if in_lines:
        assert [found for found in read.texts if found in head_lines(text)] == head_lines(text)
    labels = [attributes.get("aria-label") for _, attributes in read.tags]
    assert labels.count(text) == 2
    (script,) = read.json
    assert json.loads(script) == page.blocks[4].specification  # type: ignore[union-attr]
    assert "<" not in script


@pytest.mark.parametrize("text", NASTY)
def test_markdown_shows_a_text_as_it_is_wherever_it_stands(text: str) -> None:
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = reader.parse(render_markdown(page_of(text)))
    plain = reader.parse(render_markdown(page_of("p" * len(text))))
    assert [token.type for token in tokens] == [token.type for token in plain]
    words = [_words(token.children or []) for token in tokens if token.type == "inline"]
    expected = [_words(token.children or []) for token in plain if token.type == "inline"]
    assert words == [line.replace("p" * len(text), text) for line in expected]
    assert sum(text in line for line in words) == 19
    inside = {child.type for token in tokens for child in token.children or []}
    assert inside - {"text_special"} == {
        "text", "strong_open", "strong_close", "image", "link_open", "link_close", "softbreak",
    }  # fmt: skip
    links = [
        child.attrs["href"]
        for t in tokens
        for child in t.children or []
        if child.type == "link_open"
    ]
    assert links == ["tables/table-x.csv", "tables/table-x.tex"]


def _words(children: list) -> str:
    """Return the visible text of a line."""
    return "".join(
        _words(child.children or []) if child.type == "image" else child.content
        for child in children
    )


def test_a_column_of_numbers_is_set_to_the_right_in_both() -> None:
    table = Table(
        title="t", columns=["arm", "score"], rows=[["full", "1"]], numbers=frozenset({"score"})
    )
    page = page_with(table)
    assert "|---|--:|" in render_markdown(page)
    cells = Reader(render_html(page, {}, "")).tags
    assert ("td", {"class": "number"}) in cells
    assert ("th", {"scope": "row", "class": "short"}) in cells


def test_a_number_is_there_to_sort_by_and_the_best_is_bold() -> None:
    cells = [
        Cell("1,234.5", value=1234.5),
        Cell("9.0 [8.0, 9.9]", value=9, low=8, high=9.9, best=True),
    ]
    page = page_with(Table(title="t", columns=["arm", "a", "b"], rows=[["full", *cells]]))
    html = render_html(page, {}, "")
    assert '<td class="short" data-value="1234.5">1,234.5</td>' in html
    assert 'data-value="9"><b>9.0</b> <span class="interval">[8.0, 9.9]</span></td>' in html
    assert "| 1,234.5 | **9.0 \\[8.0, 9.9\\]** |" in render_markdown(page)


def test_a_mark_stands_behind_the_number_and_its_interval() -> None:
    cells = [
        Cell("9.0 [8.0, 9.9]", value=9, low=8, high=9.9, mark="× no"),
        Cell("7.0", value=7, mark="× no"),
    ]
    page = page_with(Table(title="t", columns=["arm", "a", "b"], rows=[["full", *cells]]))
    html = render_html(page, {}, "")
    mark = '<span class="mark">× no</span></td>'
    assert f'>9.0 <span class="interval">[8.0, 9.9]</span> {mark}' in html
    assert f'data-value="7">7.0 {mark}' in html
    assert "| 9.0 \\[8.0, 9.9\\] × no | 7.0 × no |" in render_markdown(page)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_what_is_no_number_is_not_sorted_as_one(value: float | None) -> None:
    rows = [["full", Cell("nan", value=value)]]
    page = page_with(Table(title="t", columns=["arm", "a"], rows=rows))
    assert "data-value" not in render_html(page, {}, "")


def test_a_long_table_is_folded_and_a_very_long_one_is_cut_and_says_so() -> None:
    def html(num_rows: int) -> Reader:
        rows = [[f"row {number}"] for number in range(num_rows)]
        return Reader(render_html(page_with(Table(title="t", columns=["arm"], rows=rows)), {}, ""))

    def count(read: Reader, tag: str) -> int:
        return [name for name, _ in read.tags].count(tag)

    assert [count(html(40), tag) for tag in ("details", "input", "tr")] == [0, 0, 41]
    assert [count(html(41), tag) for tag in ("details", "input", "tr")] == [1, 1, 42]
    cut = html(MOST_ROWS + 1)
    assert count(cut, "tr") == MOST_ROWS + 1
    assert "These are the first 2,000 rows; the CSV file has all." in cut.texts
    assert not any("are the first" in text for text in html(MOST_ROWS).texts)


def test_many_missing_trials_are_folded() -> None:
    few, many = (
        Reader(render_html(page_with(Missing(lines=["line"] * count)), {}, ""))
        for count in (10, 11)
    )
    assert [few.texts.count("line"), many.texts.count("line")] == [10, 11]
    assert "details" not in [tag for tag, _ in few.tags]
    assert "Not measured yet: 11 trials" in many.texts


def test_javascript_cannot_close_its_own_element() -> None:
    html = render_html(page_with(), {}, 'const x = "</script><b>";')
    assert "b" not in [tag for tag, _ in Reader(html).tags]


@pytest.mark.parametrize("num_sections", [0, 1, 2, 3])
def test_the_answer_comes_before_the_facts(num_sections: int) -> None:
    """The facts stand once, behind the first section, in Markdown as in HTML."""
    headings = [Heading(title=f"section {k}", text="") for k in range(num_sections)]
    page = Page(title="t", description="", facts={"seeds": "1, 2"}, blocks=headings)
    for text in (render_markdown(page), render_html(page, {}, "")):
        assert text.count("1, 2") == 1
        at = text.index("1, 2")
        assert [text.rindex(f"section {k}") < at for k in range(num_sections)] == [
            k == 0 for k in range(num_sections)
        ]
