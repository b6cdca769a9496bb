"""A real browser, offline, draws every figure of the report and finds nothing to complain of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass(kw_only=True)
class Opened:
    """A page that is open, with all that the browser has said of it and asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def desktop(browser: Any, finished_workspace: Path) -> Iterator[Opened]:
    """The report as a desktop shows it."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    yield _open(context, finished_workspace)
    context.close()


def _open(context: Any, workspace: Path) -> Opened:
    opened = Opened(page=context.new_page())
    opened.page.on("console", lambda message: opened.complaints.append(message.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.goto((workspace / "reports" / "small-study" / "report.html").as_uri())
    opened.page.wait_for_function(
        "document.querySelectorAll('.chart .vega-embed svg.marks').length == 3", timeout=10_000
    )
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
    for chart in page.locator(".chart").all():
        assert chart.get_attribute("role") == "img"
        label = chart.get_attribute("aria-label")
        assert "demo-paraphrase" in label
        assert re.search(r" \d+\.\d", label), "the figures in words"


def test_every_mark_of_the_data_is_drawn(desktop: Opened) -> None:
    charts = desktop.page.locator(".chart")
    assert charts.count() == 3
    for chart in charts.all():
        assert chart.locator("svg").count() == 1, "the drawing was not replaced"
    scores, curves, sweep = charts.all()

    def marks(chart: Any, kind: str) -> int:
        return int(chart.locator(f"g.mark-{kind}.role-mark > *").count())

    assert marks(scores, "rect") == 2 * 4
    assert marks(scores, "rule") == 2 * 4
    # Of 3 arms on 2 tasks, training and validation; validation has epoch 0 too.
    assert marks(curves, "line") == 2 * 3 * 2
    assert marks(curves, "area") == 2 * 3 * 2
    assert marks(curves, "symbol") == 2 * 3 * (2 + 3)
    assert marks(sweep, "line") == 2
    assert marks(sweep, "symbol") == 2 * 2


def test_the_legend_shows_colours_as_they_are_drawn_and_dashes_as_dashes(desktop: Opened) -> None:
    symbols = desktop.page.locator(".chart").nth(1).locator("g.role-legend-symbol > path")
    styles = symbols.evaluate_all(
        "found => found.map(s => [s.getAttribute('opacity') ?? '1', s.getAttribute('stroke'),"
        " s.getAttribute('stroke-dasharray') ?? ''])"
    )
    assert len(styles) == 3 + 2
    assert {opacity for opacity, _, _ in styles} == {"1"}
    assert [dashes for _, _, dashes in styles[3:]] == ["5,4", "1,0"]
    assert {stroke for _, stroke, _ in styles[3:]} == {"#333"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_width_makes_the_page_itself_scroll_sideways(
    width: int, scheme: str, browser: Any, finished_workspace: Path
) -> None:
    context = browser.new_context(
        offline=True, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    opened = _open(context, finished_workspace)
    wide = opened.page.evaluate("document.documentElement.scrollWidth")
    colours = opened.page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    context.close()
    assert wide == width
    assert (
        colours
        == {
            "light": ["rgb(28, 32, 36)", "rgb(255, 255, 255)"],
            "dark": ["rgb(230, 233, 236)", "rgb(21, 24, 28)"],
        }[scheme]
    )
    assert opened.complaints == []


def test_without_scripts_the_drawings_are_there(browser: Any, finished_workspace: Path) -> None:
    context = browser.new_context(offline=True, java_script_enabled=False)
    page = context.new_page()
    page.goto((finished_workspace / "reports" / "small-study" / "report.html").as_uri())
    assert page.locator(".chart svg g.mark-rect.role-mark > path").count() == 2 * 4
    assert all(svg.is_visible() for svg in page.locator(".chart svg").all())
    context.close()
