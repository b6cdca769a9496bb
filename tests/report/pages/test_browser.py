"""A real browser, offline, draws every figure of the report without any complaint."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from tests.report.conftest import Opened

Open = Callable[..., "Opened"]


@pytest.fixture(scope="module")
def desktop(opened_page: Open, report_page: Path) -> Opened:
    """The report as shown on a desktop."""
    opened = opened_page(report_page)
    opened.draw_all()
    return opened


def test_the_page_opens_offline_without_a_complaint(desktop: Opened) -> None:
    assert desktop.complaints == []
    assert len(desktop.requests) == 1
    assert desktop.requests[0].endswith("/report.html")


def test_the_page_has_what_a_screen_reader_asks_for(desktop: Opened) -> None:
    page = desktop.page
    assert page.title() == "small-study - peftlab"
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("main").count() == 1
    assert page.locator("h1").all_inner_texts() == ["small-study"]
    for number, chart in enumerate(page.locator(".chart").all()):
        assert chart.get_attribute("role") == "img"
        label = chart.get_attribute("aria-label")
        assert number == 0 or "demo-paraphrase" in label, "the first one is of all tasks together"
        assert re.search(r" \d+\.\d", label), "the figures in words"


def test_every_mark_of_the_data_is_drawn(desktop: Opened) -> None:
    charts = desktop.page.locator(".chart")
    assert charts.count() == 4
    for chart in charts.all():
        assert chart.locator("svg").count() == 1, "the drawing was not replaced"
    advice, scores, curves, sweep = charts.all()

    def marks(chart: Any, kind: str) -> int:
        found = chart.locator(f"g.mark-{kind}.role-mark > *")
        seen = "found => found.filter(mark => mark.getAttribute('opacity') !== '0').length"
        return int(found.evaluate_all(seen))

    assert marks(advice, "symbol") == marks(advice, "rule") == 4  # no arm is recommended
    assert marks(scores, "symbol") == 2 * 4
    assert marks(scores, "rule") == 2 * 4 + 2 * 4  # and the bar of each arm
    # Of 3 arms on 2 tasks, training and validation; validation has epoch 0 too.
    assert marks(curves, "line") == 2 * 3 * 2
    assert marks(curves, "area") == 2 * 3 * 2
    assert marks(curves, "symbol") == 2 * 3 * (2 + 3)
    assert marks(sweep, "line") == 2 + 1  # and the parameters
    assert marks(sweep, "symbol") == 2 * 2 + 2


def test_the_legend_shows_colours_as_they_are_drawn_and_dashes_as_dashes(desktop: Opened) -> None:
    symbols = desktop.page.locator(".chart").nth(2).locator("g.role-legend-symbol > path")
    styles = symbols.evaluate_all(
        "found => found.map(s => [s.getAttribute('opacity') ?? '1', s.getAttribute('stroke'),"
        " s.getAttribute('stroke-dasharray') ?? ''])"
    )
    assert len(styles) == 3 + 2
    assert {opacity for opacity, _, _ in styles} == {"1"}
    assert [dashes for _, _, dashes in styles[3:]] == ["5,4", "1,0"]
    assert {stroke for _, stroke, _ in styles[3:]} == {"currentColor"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_screen_can_be_read_and_none_scrolls_sideways(
    width: int, scheme: str, opened_page: Open, report_page: Path
) -> None:
    opened = opened_page(report_page, viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened.draw_all()
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    colours = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (
        colours
        == {
            "light": ["rgb(28, 32, 36)", "rgb(255, 255, 255)"],
            "dark": ["rgb(230, 233, 236)", "rgb(21, 24, 28)"],
        }[scheme]
    )
    page.locator("details").evaluate_all("found => found.forEach(one => { one.open = true; })")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert len(found.response["passes"]) > 20
    assert opened.complaints == []


def test_without_scripts_the_drawings_are_there(opened_page: Open, report_page: Path) -> None:
    page = opened_page(report_page, java_script_enabled=False).page
    assert page.locator(".chart svg g.mark-symbol.role-mark > path").count() >= 2 * 4
    assert all(svg.is_visible() for svg in page.locator(".chart svg").all())
    assert not any(one.is_visible() for one in page.locator("button").all())


def test_printed_it_is_light_and_complete_whatever_the_screen_was(
    opened_page: Open, report_page: Path, tmp_path: Path
) -> None:
    # A4 at 96 dots an inch, without the margins of 14 mm.
    opened = opened_page(report_page, viewport={"width": 688, "height": 1000}, color_scheme="dark")
    page = opened.page
    page.emulate_media(media="print")
    colours = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert colours == ["rgb(28, 32, 36)", "rgb(255, 255, 255)"]
    for control in page.locator(".files, .contents, .filter").all():
        assert not control.is_visible()
    page_wide = page.evaluate("document.documentElement.scrollWidth")
    assert page_wide <= 688
    pdf = page.pdf(format="A4", path=tmp_path / "report.pdf")
    assert pdf.startswith(b"%PDF-")
    assert opened.complaints == []
