"""A study that names no report parts has a page with the parts that fit it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peftlab.report.default_page import page_parts
from peftlab.report.findings.view import leading
from peftlab.report.pages.blocks import Figure, Heading, Missing
from peftlab.report.write import make_page
from tests.report.made_up import made_up

RIGHT = {"full": 0.9, "lora-r2": 0.8, "lora-r16": 0.88, "bitfit": 0.85}
ALONE: dict[str, Any] = {"arms": {"full": {"method": "full"}}, "tasks": ["demo-sentiment"]}


def kinds(view: Any) -> list[str]:
    return [part.kind for part in page_parts(view) if part.kind != "section"]


def test_the_parts_are_those_that_apply(tmp_path: Path) -> None:
    assert kinds(made_up(tmp_path / "all", RIGHT)) == [
        "scores", "seed-spread", "significance", "classes", "costs", "pareto", "pareto",
        "loss-curves", "sweep", "disagreement", "parameters", "hyperparameters", "method-config",
    ]  # fmt: skip
    assert kinds(made_up(tmp_path / "alone", RIGHT, seeds=[1], **ALONE)) == [
        "scores", "classes", "costs", "loss-curves", "parameters", "hyperparameters",
        "method-config",
    ]  # fmt: skip
    arms = {
        "bitfit": {"method": "bitfit"},
        "low": {"method": "bitfit", "training": {"learning_rate": 1e-6}},
    }
    rates = made_up(tmp_path / "rates", {"bitfit": 0.8, "low": 0.7}, arms=arms)
    assert "learning-rate" in kinds(rates)


def test_parts_that_the_study_names_are_the_page(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seeds=[1], report=[{"costs": {}}])
    assert kinds(view) == ["costs"]


def test_the_page_begins_with_the_advice_and_has_its_figures(tmp_path: Path) -> None:
    page = make_page(made_up(tmp_path, RIGHT))
    first = page.blocks[0]
    assert isinstance(first, Heading)
    assert first.title.startswith("What to use: ")
    names = [block.name for block in page.blocks if isinstance(block, Figure)]
    assert len(names) == len(set(names)) == 8


def test_a_part_that_has_nothing_to_show_says_so_where_it_was_asked_for(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, report=[{"pareto": {"against": "flops"}}])
    lines = [
        line
        for block in make_page(view).blocks
        if isinstance(block, Missing)
        for line in block.lines
    ]
    assert lines == ["pareto: there is nothing to show for these arms"]


def test_a_figure_with_room_for_few_shows_the_best_and_says_so(tmp_path: Path) -> None:
    view = made_up(tmp_path, RIGHT, seeds=[1, 2])
    assert leading(view, None, 4).arms == view.arms
    shown = leading(view, None, 2)
    assert [arm.name for arm in shown.arms] == ["full", "lora-r16"]
    assert shown.note == " (2 of 4 arms, those that score best)"
    assert [arm.name for arm in leading(view, ["lora"], 1).arms] == ["lora-r2", "lora-r16"]
