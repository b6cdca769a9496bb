"""The cost of the report of a study with very many trials: time to make, size, time to open.

    python -m benchmarks.report --output report-benchmark --chromium /usr/bin/chromium

The trials are real except for their training: the events of an engine are made up, and so are the
predictions, on as many dev rows as the demo's tasks have. Opening is timed in Chromium without a
window, from the call to the end of the page's loading, and to the first figure that is interactive.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from time import perf_counter

import numpy as np

from peftlab.core.measurements import Costs, Evaluation, ParameterCount
from peftlab.core.trial import Trial
from peftlab.data.predictions import Predictions, write_predictions
from peftlab.store.provenance import provenance
from peftlab.store.workspace import Workspace
from peftlab.study.load import load_study
from peftlab.study.stored_studies import store_study
from peftlab.study.trials import expand
from peftlab.tasks.metrics.registry import score
from peftlab.tasks.registry import TASKS

NAME = "many-trials"
STUDY = """\
name: many-trials
model: minilm
data: demo
tasks: [demo-sentiment, demo-acceptability, demo-paraphrase]
seeds: {seeds}
arms:
  full: {{method: full}}
  bitfit: {{method: bitfit}}
  lora: {{method: lora, lora_alpha: 16, sweep: {{r: [1, 2, 4, 8, 16, 32, 64, 128]}}}}
claims:
  - {{say: LoRA beats full fine-tuning, better: lora-r8, than: full}}
  - {{say: The rank hardly matters, equivalent: [lora-r8, lora-r64], margin: 1.0}}
"""
TRIALS_A_SEED = 30
NUM_ROWS, NUM_EPOCHS = 400, 5


def main() -> None:
    """Make the workspace, then the report, then open it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--chromium", type=Path, help="a browser to open the page in")
    given = parser.parse_args()
    given.output.mkdir(parents=True)
    num_trials = fill(given.output, given.trials)
    print(f"{num_trials:,} trials", flush=True)
    html = measured_report(given.output / "runs")
    if given.chromium is not None:
        open_page(html.absolute(), given.chromium)


def fill(folder: Path, num_trials: int) -> int:
    """Fill a workspace with the study, all of whose trials are done, and return their number."""
    file = folder / "study.yaml"
    file.write_text(STUDY.format(seeds=[*range(math.ceil(num_trials / TRIALS_A_SEED))]))
    expanded = expand(load_study(str(file)))
    with Workspace.open(folder / "runs") as workspace:
        store_study(expanded, workspace)
        for number, trial in enumerate(expanded.trials):
            record(workspace, trial, np.random.default_rng(number))
    return len(expanded.trials)


def record(workspace: Workspace, trial: Trial, generator: np.random.Generator) -> None:
    """Store the epochs, predictions and costs of a trial that learns a little."""
    task = TASKS.get(trial.task)
    labels = np.random.default_rng(0).integers(task.num_labels, size=NUM_ROWS)
    workspace.start(trial.id, provenance())
    for epoch in range(NUM_EPOCHS + 1):
        logits = generator.normal(size=(NUM_ROWS, task.num_labels)).astype(np.float32)
        logits[np.arange(NUM_ROWS), labels] += 0.5 * epoch
        loss = 0.7 * 0.8**epoch + generator.normal(scale=0.01)
        workspace.add_evaluation(
            trial.id,
            Evaluation(
                epoch=epoch,
                step=10 * epoch,
                train_loss=loss - 0.05 if epoch else None,
                eval_loss=loss,
                scores=score(task, logits, labels),
                seconds=float(epoch),
                step_losses=(loss,) * 10,
            ),
        )
    predictions = Predictions(row_ids=np.arange(NUM_ROWS), labels=labels, logits=logits)
    write_predictions(workspace.artifacts(trial.id) / "predictions.parquet", predictions)
    workspace.finish(trial.id, COSTS, num_train_examples=1200, num_eval_examples=NUM_ROWS)


PARAMETERS = ParameterCount(
    trainable=148_994, total=22_900_000, total_peft_counting=22_900_000, backbone=0,
    adapter=148_224, head=770,
)  # fmt: skip
COSTS = Costs(
    parameters=PARAMETERS, device="cpu", threads=2, train_seconds=95.5, eval_seconds=1.5,
    total_seconds=97.0, train_examples_per_second=250.0, train_tokens_per_second=5000.0,
    padding_avoided=0.4, path="packed", peak_memory_bytes=900_000_000, artifact_bytes=600_000,
)  # fmt: skip


def measured_report(runs: Path) -> Path:
    """Print the cost of `peftlab report` in a process of its own, and return the page."""
    import subprocess
    import sys

    command = [sys.executable, "-m", "peftlab", "report", NAME, "--workspace", str(runs)]
    began = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    html = runs / "reports" / NAME / "report.html"
    print(f"made in {perf_counter() - began:.1f} s, imports included")
    print(f"{html.name}: {html.stat().st_size / 1e6:.2f} MB", flush=True)
    return html


def open_page(html: Path, chromium: Path) -> None:
    """Print the time that Chromium takes to open the page, the best of three."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        loaded, drawn = [], []
        for _ in range(3):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            began = perf_counter()
            page.goto(html.as_uri())
            loaded.append(perf_counter() - began)
            page.locator(".chart").first.scroll_into_view_if_needed()
            page.locator(".vega-embed svg.marks").first.wait_for()
            drawn.append(perf_counter() - began)
            page.close()
        browser.close()
    print(
        f"opened in {min(loaded):.2f} s; the first figure is interactive after {min(drawn):.2f} s"
    )


if __name__ == "__main__":
    main()
