"""This engine against transformers.Trainer, in turn, each in a process of its own.

A round lets every side train on the same randomly drawn rows, one side after the other, so that
a machine whose speed drifts is the same for all; what is reported are medians of the rounds'
ratios. Making the batches and moving the data are inside what is timed, setting up is not.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from pydantic import JsonValue

from peftlab.core.errors import PeftlabError, UserError
from peftlab.core.interrupts import children_ignore_interrupts
from peftlab.engine.bench import Setup, SideName, TrainTime, serve
from peftlab.engine.devices.registry import resolve
from peftlab.store.provenance import provenance


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """This engine's rate over the other side's: median, least and greatest of the rounds."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
        """Return the ratios round by round."""
        ratios = np.asarray(ours) / np.asarray(theirs)
        return cls(
            median=float(np.median(ratios)), least=float(ratios.min()), greatest=float(ratios.max())
        )


@dataclass(frozen=True, kw_only=True)
class SideResult:
    """The measurements of one side. Rates are medians of the rounds; `path` says how it computed.

    Shares of the peak are those of training and of evaluation.
    """

    path: str
    train_examples_per_second: float
    train_tokens_per_second: float
    eval_seconds: float
    peak_memory_bytes: int
    share_of_peak: float
    eval_share_of_peak: float
    train_ratio: Ratio | None = None
    eval_ratio: Ratio | None = None


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """A benchmark. `step_split` are shares of this engine's step; `padding_avoided` the share of
    padding in the peer's random batches; `peak_gflops` the machine's fp32 matrix product."""

    setup: dict[str, JsonValue]
    rounds: int
    steps: int
    threads: int
    peak_gflops: float
    padding_avoided: float
    step_split: dict[str, float]
    sides: dict[str, SideResult]
    provenance: dict[str, JsonValue]

    def to_json(self) -> dict[str, Any]:
        """Return the object of `bench --json`."""
        return asdict(self)


class _Process:
    """A side in its own process, called as if it were in this one."""

    def __init__(self, side: SideName, setup: Setup, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection: Connection
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, side, setup, threads), daemon=True
        )
        with children_ignore_interrupts():  # a terminal sends Ctrl-C to them as well
            self._process.start()
        theirs.close()

    def wait_until_ready(self) -> None:
        """Wait until model and data are loaded; raise UserError if the setup is wrong."""
        self._answer()

    def ask(self, name: str, *arguments: object) -> Any:
        """Return the result of the side's method."""
        self._connection.send((name, arguments))
        return self._answer()

    def end(self) -> None:
        """Stop the process."""
        self._process.terminate()
        self._process.join()

    def _answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except EOFError as error:
            raise PeftlabError("a process of the benchmark has died") from error
        if isinstance(answer, UserError):
            raise answer
        if isinstance(answer, Exception):
            raise PeftlabError(f"a process of the benchmark has failed: {answer}")
        return answer


def run_bench(
    setup: Setup,
    *,
    rounds: int,
    steps: int,
    sides: Sequence[SideName] = ("packed", "trainer", "trainer-grouped"),
    threads: int | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> BenchResult:
    """Return the sides' results, measured in turn, `packed` first; `say` is told the progress.

    Raises UserError for what is wrong with the setup.
    """
    num_threads = threads or torch.get_num_threads()
    size = int(str(setup.training["per_device_train_batch_size"]))
    resolve(setup.device).make_ready()
    say("loading the model on every side")
    with _started(sides, setup, num_threads) as processes:
        packed = processes["packed"]
        num_examples = packed.ask("num_examples")
        draw = np.random.default_rng(0)

        def rows(count: int) -> Any:
            return draw.permutation(num_examples)[: count * size].astype(np.int64)

        say("warming up")
        warm = rows(5)
        for process in processes.values():
            process.ask("train", warm)
            process.ask("evaluate")
        times: dict[str, list[TrainTime]] = {side: [] for side in sides}
        evaluations: dict[str, list[float]] = {side: [] for side in sides}
        peaks, flops, eval_flops = [], [], packed.ask("eval_flops")
        for number in range(rounds):
            chosen = rows(steps)
            flops.append(packed.ask("flops", chosen))
            for side in sides if number % 2 == 0 else reversed(sides):
                times[side].append(processes[side].ask("train", chosen))
                evaluations[side].append(processes[side].ask("evaluate"))
            peaks.append(packed.ask("peak_flops_per_second"))
            ratio = times["packed"][-1].seconds / times[sides[-1]][-1].seconds
            say(f"round {number + 1} of {rounds}: {1 / ratio:.2f}x {sides[-1]}")
        split = packed.ask("split", rows(min(steps, 20)))
        results: dict[str, SideResult] = {}
        for side in sides:
            results[side] = SideResult(
                path=processes[side].ask("path"),
                train_examples_per_second=_median(t.examples / t.seconds for t in times[side]),
                train_tokens_per_second=_median(t.tokens / t.seconds for t in times[side]),
                eval_seconds=_median(evaluations[side]),
                peak_memory_bytes=processes[side].ask("peak_memory_bytes"),
                share_of_peak=_median(
                    work / t.seconds / peak
                    for work, t, peak in zip(flops, times[side], peaks, strict=True)
                ),
                eval_share_of_peak=_median(
                    eval_flops / seconds / peak
                    for seconds, peak in zip(evaluations[side], peaks, strict=True)
                ),
                train_ratio=None
                if side == "packed"
                else Ratio.of(_rates(times["packed"]), _rates(times[side])),
                eval_ratio=None
                if side == "packed"
                else Ratio.of(
                    [1 / s for s in evaluations["packed"]], [1 / s for s in evaluations[side]]
                ),
            )
        padding = packed.ask("padding_share")
    spent = sum(seconds for name, seconds in split.items() if name != "gather")
    return BenchResult(
        setup={key: value if key != "cache" else None for key, value in asdict(setup).items()},
        rounds=rounds,
        steps=steps,
        threads=num_threads,
        peak_gflops=_median(peaks) / 1e9,
        padding_avoided=padding,
        step_split={
            "data": split["gather"] / spent,
            "forward": (split["forward"] - split["gather"]) / spent,
            "backward": split["backward"] / spent,
            "optimizer": split["optimizer"] / spent,
        },
        sides=results,
        provenance=provenance(),
    )


@contextmanager
def _started(
    sides: Sequence[SideName], setup: Setup, threads: int
) -> Iterator[dict[str, _Process]]:
    processes: dict[str, _Process] = {}
    try:
        for side in sides:
            processes[side] = _Process(side, setup, threads)
            processes[side].wait_until_ready()
        yield processes
    finally:
        for process in processes.values():
            process.end()


def _rates(times: Sequence[TrainTime]) -> list[float]:
    return [time.examples / time.seconds for time in times]


def _median(values: Any) -> float:
    return float(np.median(list(values)))
