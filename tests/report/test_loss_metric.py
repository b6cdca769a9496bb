"""If a task's main metric is a loss, the arm that scores less is the better one everywhere."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peftlab.core.progress import say_nothing
from peftlab.outputs.model_card import summaries
from peftlab.report.figures.pareto import draw_pareto, pareto_data
from peftlab.report.figures.scores import scores_data
from peftlab.report.figures.significance import significance_data
from peftlab.report.findings.advice import advise
from peftlab.report.findings.verdicts import verdicts
from peftlab.report.findings.view import StudyView, leading
from peftlab.report.pages.files import write_files
from peftlab.report.tables.comparisons import claims_blocks
from peftlab.report.tables.scores import best_arm
from peftlab.report.write import make_page
from peftlab.study.spec import validate
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.registry import TASKS
from peftlab.tasks.scores import greater_is_better, sign_of
from tests.report.made_up import made_up

TASK = "demo-sentiment"
ARMS = {"full": {"method": "full"}, "lora": {"method": "lora"}, "bitfit": {"method": "bitfit"}}


@pytest.fixture
def view(tmp_path: Path) -> Iterator[StudyView]:
    """A study by the Brier score, with two equal arms and one with a higher loss."""
    own = replace(TASKS.get(TASK), metrics=("brier", "log_loss", "accuracy"))
    right = {"full": 0.95, "lora": 0.95, "bitfit": 0.75}
    claims = [
        {"say": "full is better", "better": "full", "than": "bitfit"},
        {"say": "bitfit is better", "better": "bitfit", "than": "full"},
        {"say": "LoRA is as good", "equivalent": ["full", "lora"], "margin": 5.0},
    ]
    parts = [{"advice": {"margin": 5.0}}, {"scores": {}}, {"significance": {}}, {"pareto": {}}]
    with TASKS.temporarily(TASK, own):
        made = made_up(tmp_path / "runs", right, arms=ARMS, tasks=[TASK], seconds={"lora": 1.0})
        given = made.spec.model_dump(mode="json", exclude_none=True)
        spec = validate({**given, "claims": claims, "report": parts}, where="loss")
        yield replace(made, spec=spec)


def test_the_smaller_loss_is_supported_as_better(view: StudyView) -> None:
    better, worse, alike = verdicts(view)
    assert [one.verdict for one in (better, worse, alike)] == [
        "supported", "contradicted", "supported",
    ]  # fmt: skip
    assert better.estimate is not None
    assert better.estimate > 0
    assert "points fewer than bitfit" in better.evidence
    assert "points more than full" in worse.evidence


def test_the_arm_with_the_smaller_loss_is_advised_and_marked_as_the_best(view: StudyView) -> None:
    found = advise(view, view.tasks, margin=5.0, reference=None, cost="time")
    assert found.chosen is not None
    assert found.chosen.name == "lora"
    assert [arm.name for arm in found.near] == ["full", "lora"]
    full, _, bitfit = view.arms
    best = best_arm(view, (full, bitfit), view.tasks[0])
    assert best == full
    assert [arm.name for arm in leading(view, None, 2).arms] == ["full", "lora"]


def test_figures_know_which_end_is_the_better_one(view: StudyView) -> None:
    rows = pareto_data(view, view.arms, "time", {})
    assert {row["arm"]: row["beaten_by"] for row in rows} == {
        "full": "",
        "lora": "",
        "bitfit": "lora",
    }
    title = draw_pareto(rows, against="time", name="x").title
    assert title.endswith("another arm is shown to be better and to cost less")
    outcomes = {
        (row["arm"], row["other"]): row["outcome"] for row in significance_data(view, view.arms)
    }
    assert outcomes["full", "bitfit"] == "beats"
    for row in scores_data(view, view.arms):
        assert row["state"] == "learned"
        assert row["panel"].endswith("brier (lower is better)")
        assert row["low"] < row["score"] < row["high"] < row["bar"]


def test_the_page_says_what_is_better_and_in_which_unit(view: StudyView, tmp_path: Path) -> None:
    page = make_page(view, claims=claims_blocks(verdicts(view)))
    files = write_files(page, tmp_path / "page", say_nothing, beside={}, made_of="loss")
    told = files.markdown.read_text(encoding="utf-8")
    assert "Lower is better: brier, log loss" in told
    assert "log loss (nats)" in told
    assert "stay within 5 points of" in told
    (scores,) = [path for path in files.tables if path.name.endswith("scores.csv")]
    with scores.open(encoding="utf-8", newline="") as stream:
        rows = {row["arm"]: row for row in csv.DictReader(stream)}
    records = view.done(view.arms[0], view.tasks[0])
    for head, metric in (("brier", "brier"), ("log loss (nats)", "log_loss")):
        expected = np.mean([record.scores[metric] for record in records])
        assert float(rows["full"][f"{TASK} {head}"]) == pytest.approx(expected)
    card = summaries(records[0])
    assert 0 < card["log_loss"].low < card["log_loss"].mean < card["log_loss"].high


def test_every_metric_has_the_direction_that_its_name_says() -> None:
    """Right answers must score better than wrong ones."""
    generator = np.random.default_rng(2)
    for name in METRICS.names():
        metric = METRICS.get(name)
        kind = metric.kinds[0]
        if kind == "regression":
            labels = generator.random(40)
            good, bad = labels[:, None], -labels[:, None]
        elif kind == "multi_label_classification":
            labels = generator.integers(0, 2, (40, 2))
            good, bad = 8.0 * labels - 4, 4 - 8.0 * labels
        else:
            labels = generator.integers(0, 2, 40)
            good, bad = 8 * np.eye(2)[labels], 8 * np.eye(2)[1 - labels]
        scores = [metric.scores(labels, metric.read(own, kind)[None])[0] for own in (good, bad)]
        assert sign_of(name) * (scores[0] - scores[1]) > 0, name
    losses = {name for name in METRICS.names() if not greater_is_better(name)}
    assert losses == {"log_loss", "brier", "calibration_error"}
