"""A figure is drawn once for the page and as files, and shares no id with another figure."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from peftlab.report.pages.drawing import draw, vega_script

SVG = "{http://www.w3.org/2000/svg}"
NASTY = '</text><script>alert(1)</script> "x" id="y" url(#z) & \'q\''


def specification(text: str) -> dict[str, Any]:
    return {
        "data": {"values": [{"a": text, "b": 1}, {"a": "other", "b": 2}]},
        "title": text,
        "mark": {"type": "bar", "clip": True, "tooltip": True},
        "encoding": {
            "x": {"field": "a", "type": "nominal", "axis": {"labelLimit": 1000}},
            "y": {"field": "b", "type": "quantitative"},
            "color": {"field": "b", "type": "quantitative"},
        },
        "background": None,
    }


def test_ids_of_two_drawings_differ_and_each_reference_finds_its_own() -> None:
    seen: set[str] = set()
    for name in ("figure-01-a", "figure-02-b"):
        inline = draw(specification("x"), name=name).inline
        ids = re.findall(r'\bid="([^"]*)"', inline)
        used = re.findall(r"url\(#([^)]*)\)", inline)
        assert ids
        assert used
        assert set(used) <= set(ids)
        assert all(one.startswith(f"{name}-") for one in ids)
        assert not seen & set(ids)
        seen |= set(ids)


def test_texts_of_the_data_are_texts_of_the_drawing() -> None:
    drawing = draw(specification(NASTY), name="figure-01-a")
    for svg in (drawing.inline, drawing.files["svg"].decode()):
        root = ElementTree.fromstring(svg)
        assert root.tag == f"{SVG}svg"
        assert not list(root.iter(f"{SVG}script"))
        assert [text.text for text in root.iter(f"{SVG}text")].count(NASTY) == 2


@pytest.mark.parametrize("background", [None, "white"])
def test_files_have_a_white_ground_whatever_the_page_has(background: str | None) -> None:
    drawing = draw({**specification("x"), "background": background}, name="figure-01-a")
    first = ElementTree.fromstring(drawing.files["svg"])[0]
    assert (first.tag, first.get("fill"), first.get("width")) == (f"{SVG}rect", "white", "100%")
    assert ElementTree.fromstring(drawing.inline)[0].get("width") != "100%"
    assert drawing.files["png"].startswith(b"\x89PNG")
    assert drawing.files["pdf"].startswith(b"%PDF")


def test_vega_is_in_one_script_that_asks_for_no_other() -> None:
    script = vega_script()
    assert "window.vegaEmbed" in script
    assert not re.search(r"""\bimport\s*[("'{*]""", script)
