"""Studies are combined: each arm has one name, and scores on other rows are not compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.core.inputs import DataRef
from peftlab.report.findings.combine import LabelledView, combine
from peftlab.report.findings.view import StudyView
from peftlab.report.pages.blocks import Heading, Table
from peftlab.report.tables.sources import sources_blocks

View = Callable[..., StudyView]
EPOCHS = [(None, 0.8, 50.0), (0.7, 0.6, 75.0)]
OTHER = [(None, 0.8, 50.0), (0.7, 0.6, 85.0)]
SENTIMENT, PARAPHRASE = "demo-sentiment", "demo-paraphrase"


@pytest.fixture
def sources(hand_made: View) -> Callable[..., list[LabelledView]]:
    """Return the studies a and b; b has the seeds 1 to 3, scores more, and takes `changes`."""

    def build(changes: dict[str, Any] | None = None) -> list[LabelledView]:
        first = hand_made({("full", SENTIMENT): [EPOCHS, []]}, {"name": "a"})
        second = hand_made(
            {("full", SENTIMENT): [OTHER] * 3, ("lora-r2", SENTIMENT): [OTHER] * 3},
            {"name": "b", "seeds": [1, 2, 3], **(changes or {})},
        )
        return [LabelledView(label="a", view=first), LabelledView(label="b", view=second)]

    return build


def with_records(view: StudyView, change: Callable[[Any], Any]) -> StudyView:
    by_place = {key: tuple(map(change, found)) for key, found in view.by_place.items()}
    records = tuple(record for found in by_place.values() for record in found)
    return replace(view, by_place=by_place, records=records)


def test_arms_of_one_name_are_named_by_their_source_and_keep_their_records(
    sources: Callable[..., list[LabelledView]],
) -> None:
    both = sources()
    view = combine("a and b", both)
    names = [arm.name for arm in view.arms]
    # Neither has a trial of lora-r8: nothing tells those two apart.
    assert names == ["a/full", "a/lora-r2", "lora-r8", "b/full", "b/lora-r2"]
    by_name = {arm.name: arm for arm in view.arms}
    task = view.tasks[0]
    for name, source in (("a/full", both[0]), ("b/full", both[1])):
        found = view.of(by_name[name], task)
        own = source.view.of(source.view.arms[0], source.view.tasks[0])
        assert [record.evaluations for record in found] == [record.evaluations for record in own]
        assert {record.arms["a and b"] for record in found} == {(name,)}
    assert len(view.records) == 2 + 3 + 3
    assert view.spec.seeds == (1, 2, 3)
    assert view.choose(None) == view.arms


def test_the_very_same_trials_are_shown_once(hand_made: View) -> None:
    places = {("full", SENTIMENT): [EPOCHS], ("lora-r2", SENTIMENT): [EPOCHS]}
    first, second = (hand_made(places, {"name": name}) for name in ("a", "b"))
    pair = [LabelledView(label="a", view=first), LabelledView(label="b", view=second)]
    view = combine("a and b", pair)
    assert [arm.name for arm in view.arms] == ["full", "lora-r2", "lora-r8"]
    assert len(view.records) == 2
    elsewhere = with_records(second, lambda record: replace(record, folder=Path("elsewhere")))
    view = combine("a and b", [pair[0], LabelledView(label="b", view=elsewhere)])
    assert [arm.name for arm in view.arms] == [
        "a/full",
        "a/lora-r2",
        "lora-r8",
        "b/full",
        "b/lora-r2",
    ]
    assert len(view.records) == 4


def test_claims_and_parts_of_the_studies_do_not_come_along(
    sources: Callable[..., list[LabelledView]],
) -> None:
    claims = [{"say": "x", "better": "full", "than": "lora-r2"}]
    view = combine(
        "a and b", sources({"claims": claims, "report": [{"scores": {"arms": ["full"]}}]})
    )
    assert view.spec.claims == ()
    assert view.spec.report == ()


def test_scores_on_other_rows_are_shown_apart_and_said_to_be_so(
    sources: Callable[..., list[LabelledView]],
) -> None:
    first, second = sources()
    data = DataRef(source="demo", location="demo", digest="abcdef0123")
    moved = with_records(
        second.view,
        lambda record: replace(record, trial=record.trial.model_copy(update={"data": data})),
    )
    both = [first, LabelledView(label="b", view=moved)]
    view = combine("a and b", both)
    assert [task.name for task in view.tasks] == [
        f"{SENTIMENT} (a)", f"{SENTIMENT} (b)", PARAPHRASE,
    ]  # fmt: skip
    arms = {arm.name: arm for arm in view.arms}
    shown = {
        (name, task.name): len(view.of(arm, task))
        for name, arm in arms.items()
        for task in view.tasks
    }
    assert {place: count for place, count in shown.items() if count} == {
        ("a/full", f"{SENTIMENT} (a)"): 2,
        ("b/full", f"{SENTIMENT} (b)"): 3,
        ("b/lora-r2", f"{SENTIMENT} (b)"): 3,
    }
    text = remarks(both)
    assert f"The dev rows of {SENTIMENT} differ" in text
    assert "not comparable" in text
    assert "b: all rows of data abcdef01" in text
    assert PARAPHRASE not in text


@pytest.mark.parametrize("counts", [(400, 100), (400, 400)])
def test_as_many_rows_of_the_same_data_are_the_same_rows(
    counts: tuple[int, int], sources: Callable[..., list[LabelledView]]
) -> None:
    counted = [
        LabelledView(
            label=source.label,
            view=with_records(source.view, partial(replace, num_eval_examples=count)),
        )
        for source, count in zip(sources(), counts, strict=True)
    ]
    is_same = counts[0] == counts[1]
    assert len(combine("a and b", counted).tasks) == (2 if is_same else 3)
    assert ("not comparable" in remarks(counted)) == (not is_same)


def test_what_only_one_of_them_measured_is_told(sources: Callable[..., list[LabelledView]]) -> None:
    both = sources({"tasks": [SENTIMENT], "max_train_samples": 100, "model": "elsewhere"})
    text = remarks(both)
    assert f"Only a measured {PARAPHRASE}." in text
    assert "not trained on the same number of rows" in text
    assert "not adapt the same checkpoint" in text
    assert "not trained" not in remarks(sources())
    table = sources_blocks(both)[1]
    assert isinstance(table, Table)
    assert [row[:3] for row in table.rows] == [["a", "a", "1 of 2"], ["b", "b", "6 of 6"]]
    assert [row[-1] for row in table.rows] == ["all", "the first 100"]


def test_studies_without_a_task_in_common_are_refused(hand_made: View) -> None:
    pair = [
        LabelledView(label=name, view=hand_made({}, {"name": name, "tasks": [task]}))
        for name, task in (("a", SENTIMENT), ("b", PARAPHRASE))
    ]
    with pytest.raises(
        UserError, match=rf"^a: none of its tasks \({SENTIMENT}\) is in any of"
    ) as error:
        combine("a and b", pair)
    assert PARAPHRASE in error.value.allowed


def remarks(sources: list[LabelledView]) -> str:
    heading = sources_blocks(sources)[0]
    assert isinstance(heading, Heading)
    return heading.text
