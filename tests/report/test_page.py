"""Pages show every text as it is: as HTML, as JSON inside HTML, and as Markdown."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from peftlab.report.blocks import Figure, Heading, Missing, Table
from peftlab.report.page import Page, render_html, render_markdown

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
    """The texts of a document, its tags, and the contents of its JSON scripts."""

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
        claims=[text],
        blocks=[
            Heading(title=text, text=text),
            Table(title=text, columns=["c", text], rows=[["r", text]], note=text),
            Figure(name="figure-01-x", title=text, description=text, specification=specification),
            Missing(lines=[text]),
        ],
    )


@pytest.mark.parametrize("text", NASTY)
def test_html_shows_a_text_as_it_is_wherever_it_stands(text: str) -> None:
    page = page_of(text)
    plain = Reader(render_html(page_of("p" * len(text)), {"figure-01-x": "<svg></svg>"}, ""))
    read = Reader(render_html(page, {"figure-01-x": "<svg></svg>"}, ""))
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attributes) for _, attributes in read.tags if attributes] == [
        sorted(attributes) for _, attributes in plain.tags if attributes
    ]
    shown = sum(found.strip() == text for found in read.texts)
    # h1, lead, fact, claim, heading and its text, caption, column, cell, note, caption, missing
    assert shown == 12
    labels = [attributes.get("aria-label") for _, attributes in read.tags]
    assert labels.count(text) == 2
    (script,) = read.json
    assert json.loads(script) == page.blocks[2].specification  # type: ignore[union-attr]
    assert "<" not in script


@pytest.mark.parametrize("text", NASTY)
def test_markdown_shows_a_text_as_it_is_wherever_it_stands(text: str) -> None:
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = reader.parse(render_markdown(page_of(text), "figures"))
    plain = reader.parse(render_markdown(page_of("p" * len(text)), "figures"))
    assert [token.type for token in tokens] == [token.type for token in plain]
    words = [_words(token.children or []) for token in tokens if token.type == "inline"]
    expected = [_words(token.children or []) for token in plain if token.type == "inline"]
    assert words == [line.replace("p" * len(text), text) for line in expected]
    assert sum(text in line for line in words) == 13
    inside = {child.type for token in tokens for child in token.children or []}
    assert inside - {"text_special"} == {"text", "strong_open", "strong_close", "image"}


def _words(children: list) -> str:
    """What a reader sees of a line."""
    return "".join(
        _words(child.children or []) if child.type == "image" else child.content
        for child in children
    )


def test_a_column_of_numbers_is_set_to_the_right_in_both() -> None:
    table = Table(
        title="t", columns=["arm", "score"], rows=[["full", "1"]], numbers=frozenset({"score"})
    )
    page = Page(title="t", description="", facts={}, claims=[], blocks=[table])
    assert "|---|--:|" in render_markdown(page, "figures")
    cells = [(tag, attrs) for tag, attrs in Reader(render_html(page, {}, "")).tags]
    assert ("td", {"class": "number"}) in cells
    assert ("th", {"scope": "row"}) in cells


def test_javascript_cannot_close_its_own_element() -> None:
    page = Page(title="t", description="", facts={}, claims=[], blocks=[])
    html = render_html(page, {}, 'const x = "</script><b>";')
    assert "b" not in [tag for tag, _ in Reader(html).tags]


def test_a_page_without_claims_has_no_section_for_them() -> None:
    page = Page(title="t", description="", facts={}, claims=[], blocks=[])
    assert "Claims" not in render_html(page, {}, "")
    assert "Claims" not in render_markdown(page, "figures")
