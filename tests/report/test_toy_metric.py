"""A new metric is one entry of the registry: a study is scored, tested and reported by it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peftlab.api.study import Study
from peftlab.core.errors import UnknownNameError
from peftlab.core.progress import say_nothing
from peftlab.outputs.model_card import summaries
from peftlab.report.findings.results import results_of
from peftlab.report.findings.verdicts import verdicts
from peftlab.report.findings.view import StudyView, leading, make_view
from peftlab.report.pages.files import write_files
from peftlab.report.tables.comparisons import claims_blocks
from peftlab.report.write import make_page
from peftlab.store.workspace import Workspace
from peftlab.study.spec import validate
from peftlab.tasks.metrics.metric import Metric
from peftlab.tasks.metrics.registry import METRICS, require_metrics, score
from peftlab.tasks.problem import Floats, Logits, Values, probabilities
from peftlab.tasks.registry import TASKS
from peftlab.tasks.scores import scores_words, sign_of
from tests.report.made_up import made_up
from tests.toy_study import toy_study

TASK, NAME = "demo-sentiment", "nearness"
ARMS = {"full": {"method": "full"}, "lora": {"method": "lora"}, "bitfit": {"method": "bitfit"}}


def nearness(logits_NC: Logits, labels_N: Values) -> float:
    """Return 1 minus the mean squared error of the probabilities of the labels (Brier 1950)."""
    errors_NC = probabilities(logits_NC, "single_label_classification")
    errors_NC[np.arange(len(labels_N)), labels_N] -= 1
    return 1 - float((errors_NC**2).mean())


def weighted_nearness(weights_RN: Floats, labels_N: Values, logits_SNC: Logits) -> Floats:
    kind = "single_label_classification"
    wrong_SN = np.stack([probabilities(own, kind) for own in logits_SNC])
    wrong_SN[:, np.arange(len(labels_N)), labels_N] -= 1
    right_SN = 1 - (wrong_SN**2).mean(axis=2)
    return weights_RN @ right_SN.T / weights_RN.sum(axis=1, keepdims=True)


TOY = Metric(kinds=("single_label_classification",), measure=nearness)
TOY_WEIGHTED = replace(TOY, measure=None, weighted=weighted_nearness)


@pytest.fixture
def toy() -> Iterator[None]:
    """Register the toy as a metric, and as the main one of a task."""
    own = replace(TASKS.get(TASK), metrics=(NAME, "accuracy"))
    with METRICS.temporarily(NAME, TOY), TASKS.temporarily(TASK, own):
        yield


@pytest.fixture
def view(toy: None, tmp_path: Path) -> StudyView:
    """A study that the toy decides: two equal arms, and one far below them."""
    made = made_up(
        tmp_path / "runs", {"full": 0.9, "lora": 0.9, "bitfit": 0.3}, arms=ARMS, tasks=[TASK]
    )
    claims = [
        {"say": "full is better", "better": "full", "than": "bitfit"},
        {"say": "LoRA is as good", "equivalent": ["full", "lora"], "margin": 5.0},
    ]
    parts = [{"scores": {}}, {"significance": {}}, {"confusion": {}}]
    spec = validate(
        {**made.spec.model_dump(mode="json", exclude_none=True), "claims": claims, "report": parts},
        where="toy",
    )
    return replace(made, spec=spec)


def test_a_report_is_made_by_it(view: StudyView, tmp_path: Path) -> None:
    found = verdicts(view)
    page = make_page(view, claims=claims_blocks(found))
    files = write_files(page, tmp_path / "page", say_nothing, beside={}, made_of="toy")
    assert [one.verdict for one in found] == ["supported", "supported"]
    assert NAME in files.markdown.read_text(encoding="utf-8")
    (scores,) = [path for path in files.tables if path.name.endswith("scores.csv")]
    with scores.open(encoding="utf-8", newline="") as stream:
        rows = {row["arm"]: row for row in csv.DictReader(stream)}
    for arm in view.arms:
        shown = float(rows[arm.name][f"{TASK} {NAME}"])
        own = [record.scores[NAME] for record in view.done(arm, view.tasks[0])]
        assert shown == pytest.approx(np.mean(own))
        assert float(rows[arm.name][f"{TASK} {NAME} low"]) < shown


def test_its_best_constant_is_the_labels_own_shares(view: StudyView) -> None:
    results = {one.arm: one for one in results_of(view, ()).scores}
    assert {name: one.metric for name, one in results.items()} == dict.fromkeys(ARMS, NAME)
    assert results["full"].state == "learned"
    outcomes = view.outcomes(view.arms[0], view.tasks[0])
    assert outcomes is not None
    share = outcomes.labels_N.mean()
    assert outcomes.best_constant.score == pytest.approx(100 * (1 - share * (1 - share)), rel=1e-6)
    accuracy = view.outcomes(view.arms[0], view.tasks[0], "accuracy")
    assert accuracy is not None
    assert accuracy.predictions_SN.shape == outcomes.predictions_SN.shape[:2]


def test_its_weighted_form_changes_no_number(view: StudyView) -> None:
    first, second = view.arms[:2]
    task = view.tasks[0]
    rows = view.comparison(first, second, task)
    with METRICS.temporarily(NAME, TOY_WEIGHTED):
        weighted = replace(view).comparison(first, second, task)
    assert rows is not None
    assert weighted is not None
    for name in ("estimate", "low", "high", "p_value", "swap_p"):
        assert getattr(rows, name) == pytest.approx(getattr(weighted, name), rel=1e-9), name


def test_a_model_card_has_its_interval(view: StudyView) -> None:
    record = view.done(view.arms[0], view.tasks[0])[0]
    found = summaries(record)
    assert list(found) == [NAME, "accuracy"]
    assert found[NAME].mean == pytest.approx(record.scores[NAME])
    assert found[NAME].has_interval


def test_a_toy_loss_is_ranked_by_its_entry(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A study is trained by it: the least loss is the best epoch, and the best arm."""
    loss = Metric(
        kinds=TOY.kinds,
        measure=lambda *given: 8 * (1 - nearness(*given)),
        highest=math.inf,
        greater_is_better=False,
        unit="stings",
    )
    own = replace(TASKS.get(TASK), metrics=("stings", "accuracy"))
    far = {"method": "full", "training": {"learning_rate": 0.3}}
    given = toy_study(
        tiny_checkpoint,
        arms={"near": {"method": "full"}, "far": far},
        selection={"split": "train", "fraction": 0.5},
        training={"num_train_epochs": 3, "learning_rate": 1e-3},
    )
    with METRICS.temporarily("stings", loss), TASKS.temporarily(TASK, own):
        study = Study.from_dict(given, workspace=tmp_path / "runs")
        trials = {trial.arms[0]: trial for trial in study.run(progress=False)}
        for trial in trials.values():
            held_out = [one.held_out_scores["stings"] for one in trial.evaluations[1:]]
            (best,) = [one for one in trial.evaluations if one.scores == trial.scores][:1]
            assert best.held_out_scores["stings"] == min(held_out) < max(held_out)
        scores = {arm: trial.scores["stings"] for arm, trial in trials.items()}
        assert scores["near"] < scores["far"]
        with Workspace.open(study.workspace) as opened:
            view = make_view(opened, study.name)
        assert [arm.name for arm in leading(view, None, 1).arms] == ["near"]
        assert "stings" in (study.report().markdown).read_text(encoding="utf-8")
        assert scores_words({"stings": 0.12345}) == "stings 0.123"
    with pytest.raises(UnknownNameError, match="unknown metric 'stings'"):
        sign_of("stings")


def test_it_is_offered_where_it_fits(toy: None) -> None:
    require_metrics((NAME,), "single_label_classification", 3, where="here")
    with pytest.raises(Exception, match="allowed: pearson, spearman"):
        require_metrics((NAME,), "regression", 0, where="here")
    logits = np.array([[0.0, 0.0], [50.0, 0.0]], dtype=np.float32)
    assert score(TASKS.get(TASK), logits, np.array([0, 0])) == {NAME: 87.5, "accuracy": 100.0}
