"""Tables in a real browser are sorted by mouse and keyboard, copied and filtered, unharmed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import altair as alt
import pytest

from peftlab.core.progress import say_nothing
from peftlab.data.sheet_cells import inert
from peftlab.report.pages.blocks import (
    NOTHING,
    Cell,
    Claims,
    Figure,
    Heading,
    JudgedClaim,
    Missing,
    Table,
)
from peftlab.report.pages.files import write_files
from peftlab.report.pages.page import Page
from tests.data.test_sheet_cells import KEPT, RUN

if TYPE_CHECKING:
    from tests.report.conftest import Opened

Open = Callable[..., "Opened"]
NASTY = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
ROWS = [
    [
        "lora-r16",
        Cell("83.2 [80.1, 85.9]", value=83.2, low=80.1, high=85.9),
        Cell("59 s", value=59),
        "10",
    ],
    ["lora-r8", "-", Cell("2 min 5 s", value=125), "-2"],
    ["full", Cell("9.5 [9.1, 9.9]", value=9.5, low=9.1, high=9.9, best=True), "-", "1,000"],
]
TABLE = Table(
    name="table-01-x",
    title="Small",
    columns=["arm", "score", "training", "steps"],
    rows=ROWS,
    numbers=frozenset({"score", "training", "steps"}),
)
LONG = Table(
    name="table-02-x",
    title="Long",
    columns=["trial", "status"],
    rows=[[f"trial-{number}", "failed" if number % 10 == 0 else "done"] for number in range(200)],
)

METRICS = [f"task-{task} metric {number}" for task in "ab" for number in range(10)]
WIDE = Table(
    name="table-03-x",
    title="Wide",
    columns=["arm", *METRICS],
    rows=[
        [arm, *(Cell(f"{value}.0 [80.1, 85.9]", value=value, low=80.1, high=85.9) for _ in METRICS)]
        for arm, value in (("full", 85), ("lora", 83), ("bitfit", 84))
    ],
    numbers=frozenset(METRICS),
    groups=["task-a", "task-b"],
)


@pytest.fixture(scope="module")
def tables(opened_page: Open, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    page = Page(title="Tables", description="", facts={}, blocks=[TABLE, LONG, WIDE])
    files = write_files(page, tmp_path_factory.mktemp("tables"), say_nothing, beside={}, made_of="")
    permissions = ["clipboard-read", "clipboard-write"]
    return opened_page(files.html, permissions=permissions)


def column(opened: Opened, number: int) -> list[str]:
    cells = opened.page.locator(f"#table-01-x tbody tr > :nth-child({number + 1})")
    return [text.split("\n")[0].split(" [")[0].strip() for text in cells.all_inner_texts()]


def head(opened: Opened, name: str) -> Any:
    return opened.page.locator("#table-01-x").get_by_role("columnheader", name=name)


def wait_for_status(opened: Opened, text: str) -> None:
    opened.page.get_by_role("status").get_by_text(text, exact=True).wait_for(state="attached")


@pytest.mark.parametrize("key", ["mouse", "Enter", "Space"])
@pytest.mark.parametrize(
    ("name", "ascending", "descending"),
    [
        ("arm", ["full", "lora-r8", "lora-r16"], ["lora-r16", "lora-r8", "full"]),
        ("score", ["full", "lora-r16", "lora-r8"], ["lora-r16", "full", "lora-r8"]),
        ("training", ["lora-r16", "lora-r8", "full"], ["lora-r8", "lora-r16", "full"]),
        ("steps", ["lora-r8", "lora-r16", "full"], ["full", "lora-r16", "lora-r8"]),
    ],
)
def test_a_column_sorts_by_its_numbers_and_what_is_unknown_comes_last(
    key: str, name: str, ascending: list[str], descending: list[str], tables: Opened
) -> None:
    button = head(tables, name).get_by_role("button")

    def press() -> None:
        if key == "mouse":
            button.click()
        else:
            button.focus()
            tables.page.keyboard.press(key)

    status = tables.page.get_by_role("status")
    press()
    assert column(tables, 0) == ascending
    assert head(tables, name).get_attribute("aria-sort") == "ascending"
    assert status.inner_text() == f"Sorted by {name}, ascending"
    press()
    assert column(tables, 0) == descending
    assert head(tables, name).get_attribute("aria-sort") == "descending"
    assert tables.page.locator("[aria-sort]").count() == 1
    press()
    assert column(tables, 0) == ["lora-r16", "lora-r8", "full"]
    assert tables.page.locator("[aria-sort]").count() == 0


def test_a_table_is_copied_as_tabs_and_lines_in_the_order_shown(tables: Opened) -> None:
    button = tables.page.get_by_role("button", name="Copy: Small")
    head(tables, "arm").get_by_role("button").click()
    button.click()
    wait_for_status(tables, "Copied 3 rows")
    assert tables.page.evaluate("navigator.clipboard.readText()").splitlines() == [
        "arm\tscore\ttraining\tsteps",
        "full\t9.5 [9.1, 9.9]\t\t1,000",
        "lora-r8\t\t2 min 5 s\t-2",
        "lora-r16\t83.2 [80.1, 85.9]\t59 s\t10",
    ]
    head(tables, "arm").get_by_role("button").click(click_count=2)


def test_the_parts_of_a_wide_table_fit_the_page_and_are_sorted_and_copied_as_one(
    tables: Opened,
) -> None:
    page = tables.page
    parts = page.locator("#table-03-x table")
    assert parts.count() == 2
    for place in page.locator("#table-03-x .scroll").all():
        assert place.evaluate("own => own.scrollWidth <= own.clientWidth"), "a column is cut off"
    button = page.locator("#table-03-x").get_by_role("columnheader", name="metric 9").last
    button.get_by_role("button").click()
    for part in parts.all():
        arms = part.locator("tbody th").all_inner_texts()
        assert arms == ["lora", "bitfit", "full"], "rows of both parts stand in the same order"
    page.get_by_role("button", name="Copy: Wide").click()
    wait_for_status(tables, "Copied 3 rows")
    first, second, *_ = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert first.split("\t") == ["arm", *METRICS]
    assert second.split("\t") == ["lora", *["83.0 [80.1, 85.9]"] * len(METRICS)]
    button.get_by_role("button").click(click_count=2)


def test_a_long_table_opens_and_is_filtered(tables: Opened) -> None:
    page = tables.page
    rows = page.locator("#table-02-x tbody tr")
    assert not rows.first.is_visible()
    page.get_by_text("Long: 200 rows").click()
    assert rows.first.is_visible()
    box = page.get_by_label("Show rows with")
    box.fill("FAILED trial-1")
    assert page.locator("#table-02-x tbody tr:visible th").all_inner_texts() == [
        f"trial-{number}" for number in (10, 100, 110, 120, 130, 140, 150, 160, 170, 180, 190)
    ]
    assert page.get_by_role("status").inner_text() == "11 of 200 rows"
    page.get_by_role("button", name="Copy: Long").click()
    wait_for_status(tables, "Copied 11 rows")
    assert page.evaluate("navigator.clipboard.readText()").count("\n") == 12
    box.fill("")
    assert page.locator("#table-02-x tbody tr:visible").count() == 200
    assert tables.complaints == []


@pytest.fixture(scope="module")
def nasty(opened_page: Open, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """A page on which every text is a script."""
    data = [{"arm": NASTY, "score": 1.0}]
    chart = (
        alt.Chart(alt.Data(values=data), title=NASTY)
        .mark_bar(size=100)
        .encode(
            x=alt.X("arm:N", title=NASTY), y="score:Q", color="arm:N", tooltip=["arm:N", "score:Q"]
        )
    )
    specification = chart.properties(width=300, height=200).to_dict()
    page = Page(
        title=NASTY,
        description=NASTY,
        facts={NASTY: NASTY},
        blocks=[
            *[Heading(title=NASTY, text=NASTY)] * 3,
            Table(
                name="table-01-x",
                title=NASTY,
                columns=["arm", NASTY],
                rows=[["b", NASTY], ["a", "=1"]],
                note=NASTY,
            ),
            Figure(name="figure-01-x", title=NASTY, description=NASTY, specification=specification),
            Missing(lines=[NASTY]),
            Claims(claims=[JudgedClaim(say=NASTY, verdict=NASTY, lines=[NASTY])]),
        ],
    )
    files = write_files(page, tmp_path_factory.mktemp("nasty"), say_nothing, beside={}, made_of="")
    opened = opened_page(files.html, permissions=["clipboard-read", "clipboard-write"])
    opened.draw_all()
    return opened


def test_no_text_of_the_data_runs_wherever_it_is_shown(nasty: Opened) -> None:
    page = nasty.page
    assert page.locator("h1").inner_text() == NASTY
    sorting = page.locator("#table-01-x thead button")
    sorting.nth(1).click()
    assert page.get_by_role("status").inner_text() == f"Sorted by {NASTY}, ascending"
    page.locator(".chart .mark-rect path").first.hover()
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert NASTY in tooltip.inner_text()
    page.locator("button.copy").click()
    wait_for_status(nasty, "Copied 2 rows")
    copied = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert copied == [f"arm\t{NASTY}", f"b\t{NASTY}", "a\t'=1"]
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert nasty.complaints == []
    assert len(nasty.requests) == 1


def test_texts_are_copied_by_the_rule_by_which_files_are_written(
    opened_page: Open, tmp_path: Path
) -> None:
    every = (*RUN, *KEPT, '"=1+1"', '"-"')
    texts = [text for text in every if text == text.strip() and text not in ("", NOTHING)]
    assert {inert(text, quotes_are_text=True) == text for text in texts} == {True, False}
    table = Table(name="table-01-x", title="Small", columns=["x"], rows=[[text] for text in texts])
    page = Page(title="Cells", description="", facts={}, blocks=[table])
    files = write_files(page, tmp_path, say_nothing, beside={}, made_of="")
    opened = opened_page(files.html, permissions=["clipboard-read", "clipboard-write"])
    opened.page.get_by_role("button", name="Copy: Small").click()
    wait_for_status(opened, f"Copied {len(texts)} rows")
    copied = opened.page.evaluate("navigator.clipboard.readText()").splitlines()
    assert copied[1:] == [inert(text, quotes_are_text=True) for text in texts]


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, and the paths of its requests."""
    paths: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()


def test_even_a_script_that_got_into_the_page_would_not_run_nor_reach_the_network(
    opened_page: Open, tmp_path: Path, asked: tuple[str, list[str]]
) -> None:
    address, paths = asked
    page = Page(title="Plain", description="", facts={}, blocks=[TABLE])
    html = write_files(page, tmp_path, say_nothing, beside={}, made_of="").html
    assert try_to_escape(opened_page(html, offline=False), address) == [
        "connect-src", "img-src", "script-src-elem",
    ]  # fmt: skip
    assert paths == []
    free = tmp_path / "free.html"
    free.write_text(re.sub(r"<meta http-equiv=[^>]*>", "", html.read_text()))
    assert try_to_escape(opened_page(free, offline=False), address) is None
    assert sorted(paths) == ["/x", "/y"], "the test itself finds what is not refused"


def try_to_escape(opened: Opened, address: str) -> list[str] | None:
    """Return what the browser refused of an inline script, an image and a request, or None."""
    opened.page.evaluate(
        """(address) => {
            window.refused = [];
            document.addEventListener("securitypolicyviolation", (event) =>
                window.refused.push(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "window.hacked = 1";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", `<img src='${address}/x'>`);
            window.asked = fetch(`${address}/y`, {mode: "no-cors"}).catch(() => {});
        }""",
        address,
    )
    opened.page.wait_for_function("window.hacked || window.refused.length == 3")
    opened.page.evaluate("window.asked")
    if opened.page.evaluate("window.hacked"):
        opened.page.wait_for_function("document.images[0].complete")
        return None
    return sorted(opened.page.evaluate("window.refused"))
