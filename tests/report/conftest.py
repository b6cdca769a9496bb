"""Views of a study with hand-made records, and a half-done copy of a real study."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peftlab.core.inputs import DataRef, ModelRef
from peftlab.core.measurements import Costs, Evaluation, ParameterCount
from peftlab.core.trial import Seeds, Trial
from peftlab.data.predictions import Predictions, write_predictions
from peftlab.report.findings.view import StudyView
from peftlab.store.records import PREDICTIONS_FILE, TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.study.arms import expand_arms
from peftlab.study.spec import validate
from peftlab.tasks.metrics.registry import score
from peftlab.tasks.registry import TASKS

# (training loss, validation loss, main score) of the epochs of one trial, from epoch 0
Epochs = Sequence[tuple[float | None, float, float]]

SPEC = {
    "name": "by-hand",
    "model": "minilm",
    "data": "demo",
    "tasks": ["demo-sentiment", "demo-paraphrase"],
    "seeds": [1, 2],
    "arms": {
        "full": {"method": "full", "training": {"learning_rate": 5e-4}},
        "lora": {"method": "lora", "sweep": {"r": [2, 8]}, "lora_alpha": 16},
    },
}


@pytest.fixture
def hand_made() -> Callable[..., StudyView]:
    """Build a view from (arm, task) -> one trial per seed, each given by its epochs.

    A trial without epochs is pending, the others are done; `changes` go into the study.
    """

    def build(
        trials: Mapping[tuple[str, str], Sequence[Epochs]], changes: Mapping[str, Any] | None = None
    ) -> StudyView:
        spec = validate({**SPEC, **(changes or {})}, where="by-hand")
        arms = expand_arms(spec, resolve=False)
        by_place = {
            (arm.name, task): tuple(
                _record(spec.name, arm, task, seed, epochs)
                for seed, epochs in enumerate(trials[arm.name, task], start=1)
            )
            for task in spec.tasks
            for arm in arms
            if (arm.name, task) in trials
        }
        return StudyView(
            spec=spec,
            arms=arms,
            tasks=tuple(TASKS.get(task) for task in spec.tasks),
            records=tuple(record for records in by_place.values() for record in records),
            by_place=by_place,
        )

    return build


def _record(study: str, arm: Any, task: str, seed: int, epochs: Epochs) -> TrialRecord:
    metrics = TASKS.get(task).metrics
    return TrialRecord(
        trial=Trial(
            task=task,
            data=DataRef(source="demo", location="demo", digest="0"),
            model=ModelRef(name="minilm", fingerprint="0"),
            method=arm.method,
            method_config=dict(arm.method_config),
            training=arm.training[task],
            seed=seed,
            seeds=Seeds.of(seed),
        ),
        status="done" if epochs else "pending",
        arms={study: (arm.name,)},
        evaluations=tuple(
            Evaluation(
                epoch=number,
                step=number,
                train_loss=train_loss,
                eval_loss=eval_loss,
                scores={name: score / (1 + place) for place, name in enumerate(metrics)},
                seconds=float(number),
            )
            for number, (train_loss, eval_loss, score) in enumerate(epochs)
        ),
    )


@pytest.fixture
def predicted(hand_made: Callable[..., StudyView], tmp_path: Path) -> Callable[..., StudyView]:
    """Build a view from (arm, task) -> right or not [S, N], with files of predictions.

    Every second label is 1. A row is a seed of the arm's, in order; None is a trial that has
    failed. `changes` go into the study.
    """

    def build(
        rights: Mapping[tuple[str, str], Sequence[Any]], changes: Mapping[str, Any] | None = None
    ) -> StudyView:
        epochs = {place: [[(1.0, 1.0, 0.0)]] * len(rows) for place, rows in rights.items()}
        view = hand_made(epochs, changes)
        seeds = {arm.name: arm.seeds for arm in view.arms}
        by_place = {}
        for (arm, task), rows in rights.items():
            records = view.by_place[arm, task]
            by_place[arm, task] = tuple(
                _predicted(record, seed, row, tmp_path)
                for record, seed, row in zip(records, seeds[arm], rows, strict=False)
            )
        every = tuple(record for records in by_place.values() for record in records)
        return replace(view, by_place=by_place, records=every)

    return build


def _predicted(record: TrialRecord, seed: int, is_right: Any, folder: Path) -> TrialRecord:
    """Return the record with this seed, whose predictions are right where `is_right` is true."""
    trial = record.trial.with_run(seed, Seeds.of(seed))
    if is_right is None:
        return replace(record, trial=trial, status="failed", evaluations=())
    labels = np.arange(len(is_right)) % 2
    predicted = np.where(is_right, labels, 1 - labels)
    logits = np.eye(2, dtype=np.float32)[predicted]
    own = folder / "predicted" / trial.id
    own.mkdir(parents=True, exist_ok=True)
    write_predictions(
        own / PREDICTIONS_FILE,
        Predictions(row_ids=np.arange(len(labels)), labels=labels, logits=logits),
    )
    scores = score(TASKS.get(trial.task), logits, labels)
    epoch = replace(record.evaluations[0], epoch=1, scores=scores)
    return replace(record, trial=trial, folder=own, evaluations=(record.evaluations[0], epoch))


@pytest.fixture
def with_cached_layers() -> Callable[[StudyView, str], StudyView]:
    """Return the view with one arm's records as if their lowest layer had run in eval mode."""
    costs = Costs(
        parameters=ParameterCount(
            trainable=1, total=2, total_peft_counting=2, backbone=0, adapter=1, head=0
        ),
        device="cpu",
        threads=1,
        train_seconds=1.0,
        eval_seconds=1.0,
        total_seconds=2.0,
        train_examples_per_second=1.0,
        train_tokens_per_second=1.0,
        padding_avoided=0.0,
    )

    def change(view: StudyView, name: str) -> StudyView:
        by_place = {
            (arm, task): tuple(
                replace(record, costs=replace(costs, cached_layers=int(arm == name)))
                for record in records
            )
            for (arm, task), records in view.by_place.items()
        }
        every = tuple(record for records in by_place.values() for record in records)
        return replace(view, by_place=by_place, records=every)

    return change


@pytest.fixture
def half_done(finished_workspace: Path, tmp_path: Path) -> Path:
    """A copy in which lora-r2 on demo-sentiment failed with seed 1 and is pending with seed 2."""
    folder = Path(shutil.copytree(finished_workspace, tmp_path / "half-done"))
    with Workspace.open(folder) as opened:
        first, second = (
            record.trial.id
            for record in opened.trials("small-study")
            if record.arms["small-study"] == ("lora-r2",) and record.trial.task == "demo-sentiment"
        )
        opened.start(first, {})
        opened.fail(first, "the loss is <b>nan</b>\nat step 3")
        opened.start(second, {})
        opened.interrupt(second)
    return folder


CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass(kw_only=True)
class Opened:
    """An open page, with all messages and requests of the browser."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def draw_all(self) -> None:
        """Scroll to every figure, until each is interactive."""
        charts = self.page.locator(".chart")
        for number in range(charts.count()):
            charts.nth(number).scroll_into_view_if_needed()
            charts.nth(number).locator(".vega-embed svg.marks").wait_for(timeout=10_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def opened_page(browser: Any) -> Iterator[Callable[..., Opened]]:
    """The function that opens a file offline, in a window with Playwright's options."""
    contexts = []

    def open_page(path: Path, **options: Any) -> Opened:
        options = {"offline": True, "viewport": {"width": 1280, "height": 900}, **options}
        contexts.append(browser.new_context(**options))
        opened = Opened(page=contexts[-1].new_page())
        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.goto(path.as_uri())
        return opened

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def report_page(finished_workspace: Path) -> Path:
    """The report of small-study."""
    return finished_workspace / "reports" / "small-study" / "report.html"
