"""One conformance test over every kind of report part: what it makes of any state of a study."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from peftlab.report.blocks import Figure, Heading, Missing, Table
from peftlab.report.page import Page, render_html, render_markdown
from peftlab.report.registry import MAKERS
from peftlab.report.view import StudyView
from peftlab.study.parts import PARTS

View = Callable[..., StudyView]
OPTIONS: dict[str, dict[str, Any]] = {
    "section": {"title": "A title", "text": "A text."},
    "sweep": {"of": "r", "arms": "lora"},
    "parameters": {"reported": {"lora-r2": {"trainable": 1234567, "percent": 0.5}}},
}
TASKS = ("demo-sentiment", "demo-paraphrase")
ARMS = ("full", "lora-r2", "lora-r8")
EPOCHS = [(None, 0.8, 50.0), (0.7, 0.6, 75.0)]
# What each kind shows where all is measured, and where nothing is.
SHOWN = {
    "section": ([Heading], [Heading]),
    "loss-curves": ([Figure], [Missing]),
    "scores": ([Figure, Table], [Missing]),
    "hyperparameters": ([Table], [Table]),
    "method-config": ([Table], [Table]),
    "parameters": ([Table], [Table]),
    "sweep": ([Figure], [Missing]),
}


def make(kind: str, view: StudyView) -> list[Any]:
    options = PARTS[kind].model_validate(OPTIONS.get(kind, {}))
    return list(MAKERS.get(kind)(view, options, f"figure-01-{kind}"))


def test_there_is_a_maker_for_every_part_that_a_study_can_name() -> None:
    assert set(MAKERS.names()) == set(PARTS) == set(SHOWN)


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_is_made_of_what_is_measured_and_names_what_is_not(
    kind: str, hand_made: View
) -> None:
    places = [(arm, task) for task in TASKS for arm in ARMS]
    measured, nothing = SHOWN[kind]
    done = make(kind, hand_made({place: [EPOCHS, EPOCHS] for place in places}))
    assert [type(block) for block in done] == measured
    none = make(kind, hand_made({place: [[], []] for place in places}))
    assert [type(block) for block in none] == nothing
    half = make(kind, hand_made({place: [EPOCHS, []] for place in places}))
    says_missing = Missing in nothing
    assert [type(block) for block in half] == [*measured, *([Missing] * says_missing)]
    shown = [arm for arm in ARMS if kind != "sweep" or arm != "full"]
    for blocks, seeds in ((none, (1, 2)), (half, (2,))):
        missing = [line for block in blocks if isinstance(block, Missing) for line in block.lines]
        expected = {
            f"{arm} on {task}, seed {seed} (pending)"
            for arm in shown
            for task in TASKS
            for seed in seeds
        }
        assert set(missing) == (expected if says_missing else set())


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_can_be_drawn_and_printed(kind: str, hand_made: View) -> None:
    import vl_convert

    blocks = make(kind, hand_made({(arm, task): [EPOCHS] for task in TASKS for arm in ARMS}))
    drawings = {}
    for block in blocks:
        if isinstance(block, Figure):
            assert block.name == f"figure-01-{kind}"
            assert block.title
            assert block.description
            specification = json.loads(json.dumps(block.specification, allow_nan=False))
            drawings[block.name] = vl_convert.vegalite_to_svg(specification)
        if isinstance(block, Table):
            assert block.numbers <= set(block.columns)
            assert len(set(block.columns)) == len(block.columns)
            assert {len(row) for row in block.rows} == {len(block.columns)}
    page = Page(title="t", description="d", facts={}, claims=[], blocks=blocks)
    html, markdown = render_html(page, drawings, ""), render_markdown(page, "figures")
    for block in blocks:
        assert block.title in html
        assert block.title in markdown.replace("\\", "")
