"""The study glue-peft on MiniLM against a shell loop with a Trainer + peft process per trial.

    python -m benchmarks.study --data path/to/glue --output study

Start-up, encoding, evaluation after each epoch and saving are timed on both sides. The sides take
turns, an arm at a time: `peftlab run` with this arm, then one process of
benchmarks/trainer_trial.py for each of its trials. Both thus find the machine in the same state,
and this package starts once per arm instead of once per study. The measurements are kept in the
output folder; if it is stopped and run again, it continues. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from peftlab.models.checkpoints import load_model, load_tokenizer

TASKS = ("sst2", "cola", "mrpc")
RATES = {"sst2": 5e-4, "cola": 1e-3, "mrpc": 5e-4}
ARMS: dict[str, dict[str, Any]] = {
    "full": {"method": "full", "rate": 1e-5},
    "bitfit-frozen-head": {"method": "bitfit-frozen-head"},
    "bitfit-frozen-head-1e-5": {"method": "bitfit-frozen-head", "rate": 1e-5},
    "bitfit": {"method": "bitfit"},
    "lora-r8": {"method": "lora", "r": 8},
    "lora-r16": {"method": "lora", "r": 16},
    "lora-r32": {"method": "lora", "r": 32},
}
"""The study's arms as options of the peer; lora-10-epochs is lora-r8 here, with two epochs."""


def main() -> None:
    """Time the missing arms, then print a line for each arm and the ratio over all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a GLUE folder")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--arms", default=",".join(ARMS))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    if not _checkpoint(given).is_dir():
        model: Any = load_model("minilm", num_labels=2, seed=0)
        model.base_model.save_pretrained(_checkpoint(given))
        load_tokenizer("minilm").tokenizer.save_pretrained(_checkpoint(given))
    results = given.output / "seconds.jsonl"
    known = {}
    if results.is_file():
        known = {row["arm"]: row for row in map(json.loads, results.read_text().splitlines())}
    totals = [0.0, 0.0]
    for arm in given.arms.split(","):
        if arm not in known:
            ours = _timed([_ours(given, arm)])
            peer = _timed([_peer(given, arm, task) for task in TASKS])
            known[arm] = {"arm": arm, "rows": given.rows, "ours": ours, "peer": peer}
            with results.open("a") as stream:
                stream.write(json.dumps(known[arm]) + "\n")
        ours, peer = known[arm]["ours"], known[arm]["peer"]
        totals = [totals[0] + ours, totals[1] + peer]
        print(f"{arm}: {ours:.0f} s, the loop {peer:.0f} s, {peer / ours:.2f}x", flush=True)
    print(f"all: {totals[0]:.0f} s, the loop {totals[1]:.0f} s, {totals[1] / totals[0]:.2f}x")


def _checkpoint(given: argparse.Namespace) -> Path:
    """Return a folder with MiniLM that transformers loads, for the peer."""
    folder: Path = given.output / "minilm"
    return folder


def _ours(given: argparse.Namespace, arm: str) -> list[str]:
    return [
        sys.executable, "-m", "peftlab", "run", "glue-peft", "--model", "minilm",
        "--data", given.data, "--arms", arm, "--workspace", str(given.output / "runs"),
        "--set", f"max_train_samples={given.rows}",
        "--set", f"training.num_train_epochs={given.epochs}",
    ]  # fmt: skip


def _peer(given: argparse.Namespace, arm: str, task: str) -> list[str]:
    settings = ARMS[arm]
    return [
        sys.executable, str(Path(__file__).with_name("trainer_trial.py")),
        "--data", given.data, "--model", str(_checkpoint(given)), "--task", task,
        "--output", str(given.output / "trainer" / f"{arm}-{task}"),
        "--method", settings["method"], "--r", str(settings.get("r", 8)),
        "--rows", str(given.rows), "--epochs", str(given.epochs),
        "--learning-rate", str(settings.get("rate", RATES[task])),
    ]  # fmt: skip


def _timed(commands: list[list[str]]) -> float:
    """Return the seconds that the commands take one after another."""
    began = perf_counter()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - began


if __name__ == "__main__":
    main()
