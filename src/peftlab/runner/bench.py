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
from peftlab.core.training import Precision, TrainingSettings
from peftlab.engine.bench import Launches, Setup, SideName, TrainTime, serve
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

    Shares of the peak, which is that of the side's precision, are those of training and of
    evaluation. Of several processes at once rates and memory are those of all together;
    `launches` are those of a step on a card.
    """

    path: str
    processes: int
    milliseconds_per_step: float
    train_examples_per_second: float
    train_tokens_per_second: float
    eval_seconds: float
    peak_memory_bytes: int
    share_of_peak: float
    eval_share_of_peak: float
    train_ratio: Ratio | None = None
    eval_ratio: Ratio | None = None
    launches: Launches | None = None


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """A benchmark. `step_split` are shares of this engine's step; `padding_avoided` the share of
    padding in the peer's random batches; `peak_gflops` the machine's matrix product in this
    engine's precision."""

    setup: dict[str, JsonValue]
    rounds: int
    steps: int
    threads: int
    precision: Precision
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
        """Wait until model and data are loaded; UserError for what is wrong with the setup."""
        self.answer()

    def send(self, name: str, *arguments: object) -> None:
        """Ask for what a method of the side returns."""
        self._connection.send((name, arguments))

    def end(self) -> None:
        """Stop the process."""
        self._process.terminate()
        self._process.join()

    def answer(self) -> Any:
        """Return the answer to what was asked, once it is there."""
        try:
            answer = self._connection.recv()
        except EOFError as error:
            raise PeftlabError("a process of the benchmark has died") from error
        if isinstance(answer, UserError):
            raise answer
        if isinstance(answer, Exception):
            raise PeftlabError(f"a process of the benchmark has failed: {answer}")
        return answer


class _Together:
    """The processes of a side, which are asked the same at once."""

    def __init__(self, processes: list[_Process]) -> None:
        self.processes = processes

    def ask(self, name: str, *arguments: object) -> Any:
        """Return what the method of the side returns, in the first process."""
        return self.ask_all(name, *arguments)[0]

    def ask_all(self, name: str, *arguments: object) -> list[Any]:
        """Return the answers of all processes, which work at the same time."""
        for process in self.processes:
            process.send(name, *arguments)
        return [process.answer() for process in self.processes]

    def train(self, rows: Any) -> TrainTime:
        """Train on the rows in each process at once; return their joint time."""
        times: list[TrainTime] = self.ask_all("train", rows)
        return TrainTime(
            seconds=max(time.seconds for time in times),
            examples=sum(time.examples for time in times),
            tokens=sum(time.tokens for time in times),
        )


def run_bench(
    setup: Setup,
    *,
    rounds: int,
    steps: int,
    sides: Sequence[SideName] = ("packed", "trainer", "trainer-grouped"),
    peers: Sequence[int] = (),
    threads: int | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> BenchResult:
    """Return the sides' results, measured in turn, `packed` first; `say` is told the progress.

    The last side is measured also in as many processes at once as each of `peers` says. Raises
    UserError for what is wrong with the setup.
    """
    num_threads = threads or torch.get_num_threads()
    size = int(str(setup.training["per_device_train_batch_size"]))
    resolve(setup.device).make_ready()
    say("loading the model on every side")
    with _started(sides, setup, num_threads, peers) as processes:
        packed = processes["packed"]
        num_examples = packed.ask("num_examples")
        draw = np.random.default_rng(0)

        def rows(count: int) -> Any:
            return draw.permutation(num_examples)[: count * size].astype(np.int64)

        say("warming up")
        warm = rows(5)
        for process in processes.values():
            process.train(warm)
            process.ask("evaluate")
        times: dict[str, list[TrainTime]] = {name: [] for name in processes}
        evaluations: dict[str, list[float]] = {name: [] for name in processes}
        peaks: dict[str, list[float]] = {name: [] for name in processes}
        flops, eval_flops = [], packed.ask("eval_flops")
        for number in range(rounds):
            chosen = rows(steps)
            flops.append(packed.ask("flops", chosen))
            for side in [*processes][:: 1 if number % 2 == 0 else -1]:
                times[side].append(processes[side].train(chosen))
                evaluations[side].append(max(processes[side].ask_all("evaluate")))
                peaks[side].append(processes[side].ask("peak_flops_per_second"))
            ours, theirs = _rates([times["packed"][-1], times[sides[-1]][-1]])
            say(f"round {number + 1} of {rounds}: {ours / theirs:.2f}x {sides[-1]}")
        split = packed.ask("split", rows(min(steps, 20)))
        results: dict[str, SideResult] = {}
        for side, process in processes.items():
            count = len(process.processes)
            results[side] = SideResult(
                path=process.ask("path"),
                processes=count,
                milliseconds_per_step=_median(1e3 * t.seconds / steps for t in times[side]),
                train_examples_per_second=_median(t.examples / t.seconds for t in times[side]),
                train_tokens_per_second=_median(t.tokens / t.seconds for t in times[side]),
                eval_seconds=_median(evaluations[side]),
                peak_memory_bytes=sum(process.ask_all("peak_memory_bytes")),
                share_of_peak=_median(
                    count * work / t.seconds / peak
                    for work, t, peak in zip(flops, times[side], peaks[side], strict=True)
                ),
                eval_share_of_peak=_median(
                    count * eval_flops / seconds / peak
                    for seconds, peak in zip(evaluations[side], peaks[side], strict=True)
                ),
                train_ratio=None
                if side == "packed"
                else Ratio.of(_rates(times["packed"]), _rates(times[side])),
                eval_ratio=None
                if side == "packed"
                else Ratio.of(
                    [1 / s for s in evaluations["packed"]], [count / s for s in evaluations[side]]
                ),
                launches=None if count > 1 else process.ask("launches", warm),
            )
        padding = packed.ask("padding_share")
    spent = sum(seconds for name, seconds in split.items() if name != "gather")
    return BenchResult(
        setup={key: value if key != "cache" else None for key, value in asdict(setup).items()},
        rounds=rounds,
        steps=steps,
        threads=num_threads,
        precision=TrainingSettings.model_validate(setup.training).precision,
        peak_gflops=_median(peaks["packed"]) / 1e9,
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
    sides: Sequence[SideName], setup: Setup, threads: int, peers: Sequence[int]
) -> Iterator[dict[str, _Together]]:
    """Yield each side's process by its name; the last side also gets several at once."""
    started: dict[str, _Together] = {}
    try:
        for side, count in [*((side, 1) for side in sides), *((sides[-1], n) for n in peers)]:
            if count > 1 or side not in started:
                name = side if count == 1 else f"{side} x{count}"
                started[name] = _Together([])
                for _ in range(count):
                    started[name].processes.append(_Process(side, setup, threads))
                for process in started[name].processes:
                    process.wait_until_ready()
        yield started
    finally:
        for together in started.values():
            for process in together.processes:
                process.end()


def _rates(times: Sequence[TrainTime]) -> list[float]:
    return [time.examples / time.seconds for time in times]


def _median(values: Any) -> float:
    return float(np.median(list(values)))
