"""Whatever a label, a name or a text holds, the page and its figures are made and can be read."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from peftlab.report.figures.confusion import draw_confusion
from peftlab.report.pages.blocks import Cell, Figure, Heading, Table
from peftlab.report.pages.drawing import draw
from peftlab.report.pages.page import Page, render_html, render_markdown
from peftlab.report.pages.printable import UNPRINTABLE, printable, printable_text
from peftlab.report.pages.table_csv import csv_text
from peftlab.report.pages.table_latex import latex_text

HIDDEN = [
    *("\u2028", "\u2029", "\x00", "\x0b", "\x1b", "\x7f", "\x85", "\u202e", "\u2066"),
    *("\ud800", "\uffff"),
]
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
SHOWN = [
    *("a\nb", "a\rb", "a\tb", "naïve", FAMILY, "مرحبا", "e" + "\u0301" * 50, "x" * 3000),
    *("datum.x", "${1}", "a.b[c]", "\\u2028"),
]


def matrix_of(label: str) -> Figure:
    labels = (label, "other")
    rows = [
        {"task": label, "arm": label, "label": one, "answer": answer, "count": 1, "share": 0.5}
        for one in labels
        for answer in labels
    ]
    return draw_confusion(rows, name="figure-01-x")


def page_of(text: str) -> Page:
    cell = Cell(text, value=1.5, low=1, high=2, best=True)
    table = Table(name="t", title=text, columns=[text, "c"], rows=[[cell, text]], note=text)
    return Page(
        title=text,
        description=text,
        facts={text: text},
        blocks=[Heading(title=text, text=text), table, matrix_of(text)],
    )


@pytest.mark.parametrize("text", [*(f"a{sign}b" for sign in HIDDEN), *SHOWN])
def test_a_page_with_such_a_label_is_made_whole(text: str) -> None:
    page = page_of(text)
    figure, table = page.blocks[2], page.blocks[1]
    assert isinstance(figure, Figure)
    assert isinstance(table, Table)
    drawing = draw(figure.specification, name=figure.name)
    root = ElementTree.fromstring(drawing.files["svg"])
    drawn = "".join(root.itertext())
    html = render_html(page, {figure.name: drawing.inline}, "")
    written = (html, render_markdown(page), csv_text(table), latex_text(table))
    for one in (*written, drawn):
        one.encode()
        assert UNPRINTABLE.search(one) is None
    if text in SHOWN:
        assert page.title == text
    else:
        assert all("U+" in one for one in (*written, drawn))
    cell = table.rows[0][0]
    assert isinstance(cell, Cell)
    assert (cell.value, cell.low, cell.high, cell.best) == (1.5, 1, 2, True)


def test_labels_that_differ_in_what_cannot_be_seen_stay_apart() -> None:
    texts = ["ab", *(f"a{sign}b" for sign in HIDDEN)]
    assert len({printable_text(text) for text in texts}) == len(texts)


def test_a_cell_keeps_its_mark_once() -> None:
    shown = printable(Cell("a\x00 1.0", value=1.0, mark="× no"))
    assert shown == "a⟨U+0000⟩ 1.0 × no"
    assert (shown.value, shown.mark) == (1.0, "× no")
