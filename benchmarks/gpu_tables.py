"""The tables of docs/performance.md on a GPU, from what benchmarks/gpu.py has left in a folder.

    python -m benchmarks.gpu_tables gpu-results

What is not there is named below the tables: a section that failed, was cut off or left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.gpu import SECTIONS, read

OURS = ("fp32", "tf32", "bf16")
PEERS = ("trainer-fp32", "trainer-tf32", "trainer-bf16")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    results = {name: read(given.folder, name) for name in SECTIONS}
    print("\n".join(lines_of(results)))


def lines_of(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return the lines of Markdown."""
    found = {name: result.get("found", {}) for name, result in results.items()}
    lines = [machine_line(found["machine"])] if found["machine"] else []
    if found["steps"]:
        lines += ["", *step_table(found["steps"])]
    if found["evaluation"]:
        lines += ["", *evaluation_table(found["evaluation"])]
    if found["launches"]:
        lines += ["", *launch_table(found["launches"])]
    for name in ("agreement", "twins", "recorded", "resume"):
        if found[name]:
            lines += ["", f"{name}:", *(f"- {key}: {value}" for key, value in found[name].items())]
    for name in ("families", "methods"):
        if found[name]:
            lines += ["", difference_line(name, found[name])]
    missing = [
        f"- {name}: {result.get('status', 'not run')}"
        for name, result in results.items()
        if result.get("status") != "done"
    ]
    return [*lines, "", "Not measured, or not to the end:", *missing] if missing else lines


def machine_line(found: dict[str, Any]) -> str:
    """Return the card, its peaks and the versions."""
    peaks = ", ".join(f"{name} {value:.0f}" for name, value in found.get("tflops", {}).items())
    versions = ", ".join(
        f"{name} {found[name]}" for name in ("torch", "triton", "transformers") if name in found
    )
    return f"{found.get('card', 'a card')}: TFLOP/s {peaks}; {versions}."


def step_table(found: dict[str, Any]) -> list[str]:
    """Return milliseconds a step, and how many times as long the Trainer takes.

    Float32 and TF32 are compared with the Trainer's same precision, bf16 with its better one.
    """
    lines = [
        "| batch 16 | fp32 | tf32 | bf16 | Trainer: fp32 | tf32 | bf16 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for cell, sides in found.items():
        took = {name: side["ms_a_step"] for name, side in sides.items()}
        best = min(took[name] for name in ("trainer-fp32", "trainer-bf16"))
        against = {"fp32": took["trainer-fp32"], "tf32": took["trainer-tf32"], "bf16": best}
        ours = [
            f"{took[f'packed {name}']:.2f} ({against[name] / took[f'packed {name}']:.1f}x)"
            for name in OURS
        ]
        lines.append(row(cell, *ours, *(f"{took[name]:.1f}" for name in PEERS)))
    return lines


def evaluation_table(found: dict[str, Any]) -> list[str]:
    """Return rows predicted a second, and how many times as many as at the peer's best size."""
    lines = [
        "| rows predicted a second | fp32 | tf32 | bf16 | Trainer in bf16, its best batch size |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for task, rates in found.items():
        peers = {name: rate for name, rate in rates.items() if name.startswith("trainer ")}
        best = max(peers, key=lambda name: peers[name])
        ours = [f"{rates[name]:,.0f} ({rates[name] / peers[best]:.1f}x)" for name in OURS]
        lines.append(row(task, *ours, f"{peers[best]:,.0f} ({best.removeprefix('trainer ')})"))
    return lines


def launch_table(found: dict[str, Any]) -> list[str]:
    """Return what a step asks of the card."""
    fields = ("kernels", "starts", "copies", "waits", "busy_milliseconds")
    lines = [row("a step", *(name.replace("_", " ") for name in fields)), row("---", *["---:"] * 5)]
    return lines + [
        row(side, *(f"{taken[name]:.1f}" for name in fields)) for side, taken in found.items()
    ]


def difference_line(name: str, found: dict[str, Any]) -> str:
    """Return the largest difference from the CPU, relative to the largest logit, and failures."""
    failed = {key: value for key, value in found.items() if isinstance(value, str)}
    shares = {
        key: value["difference"] / value["largest"]
        for key, value in found.items()
        if key not in failed
    }
    words = f"{name}: {len(shares)} of {len(found)} ran"
    if shares:
        worst = max(shares, key=lambda key: shares[key])
        words += f", at most {shares[worst]:.1g} of the largest logit from the CPU ({worst})"
    return "; ".join([words, *(f"{key}: {value}" for key, value in failed.items())])


def row(*cells: str) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
