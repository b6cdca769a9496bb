"""One conformance test covers every kind of report part, for any state of a study."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import vl_convert

from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Block, Figure, Heading, Missing, Table, Warnings
from peftlab.report.pages.page import Page, render_html, render_markdown
from peftlab.report.registry import MAKERS
from peftlab.study.parts import PARTS
from tests.report.made_up import made_up

Make = Callable[[str, str], list[Block]]

OPTIONS: dict[str, dict[str, Any]] = {
    "advice": {"margin": 10},  # what three seeds can show
    "section": {"title": "A title", "text": "A text."},
    "scores": {"published": True},
    "sweep": {"of": "r", "arms": "lora"},
    "parameters": {"reported": {"lora-r2": {"trainable": 1234567, "percent": 0.5}}},
}
ARMS = {
    "full": {"method": "full", "training": {"learning_rate": 1e-4}},
    "lora": {"method": "lora", "sweep": {"r": [2, 16]}},
    "bitfit": {"method": "bitfit"},
    "bitfit-low": {"method": "bitfit", "training": {"learning_rate": 1e-5}},
}
RIGHT = {"full": 0.9, "lora-r2": 0.88, "lora-r16": 0.9, "bitfit": 0.8, "bitfit-low": 0.6}
SECONDS = {"full": 90, "lora-r2": 40, "lora-r16": 50, "bitfit": 30, "bitfit-low": 30}
SIZES, LOST = (100, 300, 1000, 3000), (0.08, 0.05, 0.02)
"""Numbers of training rows, and how much worse the arms are on all but the most."""
NASTY = "<script>alert(1)</script>"
# What each kind shows where all is measured.
SHOWN = {
    "advice": [Heading, Figure, Table, Table],
    "section": [Heading],
    "scores": [Figure, Table, Warnings],  # by F1, one arm is not shown to have learned
    "train-sizes": [Figure, Table, Table],
    "seed-spread": [Figure, Table],
    "significance": [Figure, Table],
    "costs": [Table],
    "pareto": [Figure],
    "loss-curves": [Figure],
    "learning-rate": [Figure],
    "sweep": [Figure],
    "tuning": [Missing],
    "classes": [Table, Table],
    "confusion": [Figure],
    "disagreement": [Table, Table],
    "parameters": [Table],
    "hyperparameters": [Table],
    "method-config": [Table],
}
# Those that say nothing of what is not measured, or say it in their own words.
SILENT = {"advice", "section", "tuning", "parameters", "hyperparameters", "method-config"}
ALL_STATES = (
    "done",
    "one seed",
    "one task",
    "some missing",
    "one arm missing",
    "nothing",
    "predictions gone",
    "nasty names",
)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], StudyView]:
    """The view of a study in one of the states, made once."""
    made: dict[str, StudyView] = {}

    def view(state: str) -> StudyView:
        if state not in made:
            made[state] = _in_state(state, tmp_path_factory.mktemp("state"))
        return made[state]

    return view


def _in_state(state: str, folder: Path) -> StudyView:
    tasks, seeds = ("demo-sentiment", "demo-paraphrase"), (1, 2, 3)
    every = [(arm, task, seed) for arm in RIGHT for task in tasks for seed in seeds]
    changes: dict[str, Any] = {
        "one seed": {"seeds": (1,)},
        "one task": {"tasks": tasks[:1]},
        "some missing": {
            "pending": [place for place in every if place[2] == 3],
            "failed": [("full", tasks[1], 1)],
        },
        "one arm missing": {"pending": [place for place in every if place[0] == "lora-r16"]},
        "nothing": {"pending": every},
    }.get(state, {})
    given = {"tasks": tasks, "seeds": seeds, **changes}
    view = made_up(folder, RIGHT, arms=ARMS, seconds=SECONDS, num_train=SIZES[-1], **given)
    smaller = {
        size: made_up(
            folder / str(size), {arm: share - lost for arm, share in RIGHT.items()}, arms=ARMS,
            seconds=SECONDS, num_train=size, **given,
        )
        for size, lost in zip(SIZES[:-1], LOST, strict=True)
    }  # fmt: skip
    view = replace(view, smaller=smaller)
    if state == "predictions gone":
        for path in folder.rglob("*.parquet"):
            path.unlink()
    return _nastily_named(view) if state == "nasty names" else view


def _nastily_named(view: StudyView) -> StudyView:
    """Return the view with names and labels that are HTML, as a user's own task may have."""
    tasks = {
        task.name: replace(task, name=f"{NASTY} {task.name}", labels=(NASTY, f"'\"&{NASTY}"))
        for task in view.tasks
    }
    arms = tuple(replace(arm, name=f"{NASTY}/{arm.name}") for arm in view.arms)
    return replace(
        view,
        smaller={size: _nastily_named(own) for size, own in view.smaller.items()},
        arms=arms,
        tasks=tuple(tasks.values()),
        by_place={
            (f"{NASTY}/{arm}", tasks[task].name): records
            for (arm, task), records in view.by_place.items()
        },
    )


@pytest.fixture(scope="module")
def made(views: Callable[[str], StudyView]) -> Make:
    """The function that returns the blocks of a part of a study in one of the states, made once."""
    return cache(lambda kind, state: make(kind, views(state)))


@cache
def drawn(specification: str) -> str:
    """Return the figure of a specification, drawn once."""
    return vl_convert.vegalite_to_svg(json.loads(specification), show_warnings=True)


def make(kind: str, view: StudyView) -> list[Block]:
    options = dict(OPTIONS.get(kind, {}))
    if view.arms[0].name.startswith(NASTY) and kind == "sweep":
        return []  # arms of other names than the study's cannot be named in its file
    return list(MAKERS.get(kind)(view, PARTS[kind].model_validate(options), f"figure-01-{kind}"))


def blocks_of(blocks: list[Block], kind: type) -> Iterator[Any]:
    return (block for block in blocks if isinstance(block, kind))


def test_there_is_a_maker_for_every_part_that_a_study_can_name() -> None:
    assert MAKERS.names() == list(PARTS) == list(SHOWN)


@pytest.mark.parametrize("state", ALL_STATES)
@pytest.mark.parametrize("kind", PARTS)
def test_a_part_can_be_drawn_and_printed_in_any_state(
    kind: str,
    state: str,
    made: Make,
    capfd: pytest.CaptureFixture[str],
) -> None:
    blocks = made(kind, state)
    drawings = {}
    for figure in blocks_of(blocks, Figure):
        assert figure.name == f"figure-01-{kind}"
        assert figure.title
        assert len(figure.description.split()) > 5
        svg = drawn(json.dumps(figure.specification, allow_nan=False))
        assert "role-mark" in svg
        assert "<script" not in svg
        assert "NaN" not in svg
        assert "undefined" not in svg
        drawings[figure.name] = svg
    for table in blocks_of(blocks, Table):
        assert table.rows
        assert table.numbers <= set(table.columns)
        assert len(set(table.columns)) == len(table.columns)
        assert {len(row) for row in table.rows} == {len(table.columns)}
    page = Page(title="t", description="d", facts={}, blocks=blocks)
    html, markdown = render_html(page, drawings, ""), render_markdown(page)
    assert NASTY not in html
    assert NASTY not in markdown
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_is_made_of_what_is_measured_and_names_what_is_not(
    kind: str, views: Callable[[str], StudyView], made: Make
) -> None:
    assert [type(block) for block in made(kind, "done")] == SHOWN[kind]
    for state in ("some missing", "one arm missing", "nothing"):
        view = views(state)
        told = [line for block in blocks_of(made(kind, state), Missing) for line in block.lines]
        names = {arm.name for arm in view.arms if kind != "sweep" or arm.base == "lora"}
        lacking = {
            f"{arm} on {task}, seed {record.trial.seed}"
            for (arm, task), records in view.by_place.items()
            for record in records
            if record.status != "done" and arm in names
        }
        if kind not in SILENT:
            assert {line.split(" (")[0] for line in told} == lacking
    nothing = made(kind, "nothing")
    assert not list(blocks_of(nothing, Figure))
    assert nothing


@pytest.mark.parametrize("kind", [kind for kind in PARTS if Figure in SHOWN[kind]])
def test_a_figure_has_no_paper_of_its_own_and_writes_in_the_colour_of_the_page(
    kind: str, made: Make
) -> None:
    for figure in blocks_of(made(kind, "done"), Figure):
        svg = drawn(json.dumps(figure.specification))
        assert 'fill="white"' not in svg
        for black in ('fill="#000"', 'fill="black"', 'fill="#333"', 'stroke="#888"'):
            assert black not in svg
        assert 'fill="currentColor"' in svg
