"""Kill peftlab's commands and give them again: `python -m tests.kills --count 200 --seed 1`.

The kills, by SIGKILL, are spread over every stage, at counted moments and at random times; of a
pool they hit the driver, a worker or all. What is there at the end is compared with what the same
command leaves when nobody kills it. A difference is printed with the options that bring it back,
and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from peftlab.models.fused import jit
from tests.conftest import write_tiny_checkpoint
from tests.kills.run import Attempt, Verdict, carry_out_attempt
from tests.kills.scenes import SCENES, shares
from tests.kills.world import World, import_all

OF_ALL = 200
TITLES = f"{'stage':18} {'kills':>5} {'moments':>7}  {'whom':34} at the end"


@dataclass
class KillCounts:
    """The outcomes of the attempts at one stage."""

    scene: str
    kills: list[str] = field(default_factory=list)
    num_faults: int = 0
    seconds: float = 0.0

    def add(self, verdict: Verdict) -> None:
        """Add one attempt."""
        self.seconds += verdict.seconds
        self.kills += verdict.kills
        self.num_faults += bool(verdict.faults)

    def __str__(self) -> str:
        moments = {kill.partition(": ")[2].rpartition(" #")[0] for kill in self.kills}
        victims = Counter(kill.partition(" ")[0] for kill in self.kills)
        hit = ", ".join(f"{who} {count}" for who, count in sorted(victims.items()))
        end = f"{self.num_faults} differ" if self.num_faults else "all equal"
        words = f"{hit:34} {end}, {self.seconds:.0f} s"
        return f"{self.scene:18} {len(self.kills):5} {len(moments):7}  {words}"


def main() -> int:
    """Kill the asked number of times; return 1 if anything differs from an undisturbed run."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--count", type=int, default=OF_ALL, help="kills in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(SCENES), action="append", help="stages; else all")
    parser.add_argument("--at", type=int, help="this attempt alone")
    parser.add_argument("--verbose", action="store_true", help="tell of each kill")
    given = parser.parse_args()
    began = perf_counter()
    jit.ENABLED = False  # compiled kernels do not work in a forked process
    import_all()
    tallies = []
    with tempfile.TemporaryDirectory(prefix="peftlab-kills-") as root:
        world = World(Path(root).resolve())
        write_tiny_checkpoint(world.checkpoint)
        for name, wanted in shares(given.count, given.only or list(SCENES)):
            tallies.append(_killed(given, name, wanted, world))
            print(tallies[-1], flush=True)
    num_faults = sum(tally.num_faults for tally in tallies)
    num_kills = sum(len(tally.kills) for tally in tallies)
    print("\n".join(["", TITLES, *map(str, tallies)]) if len(tallies) > 1 else "")
    print(
        f"{num_kills} kills in {perf_counter() - began:.0f} s, {num_faults} attempts with a fault"
    )
    return 1 if num_faults else 0


def _killed(given: argparse.Namespace, name: str, wanted: int, world: World) -> KillCounts:
    """Return the outcomes of attempts at a stage until enough kills have struck, or of one."""
    tally, index = KillCounts(name), given.at or 0
    while len(tally.kills) < wanted:
        attempt = Attempt(given.seed, name, index)
        verdict = carry_out_attempt(attempt, world)
        tally.add(verdict)
        if given.verbose or given.at is not None:
            print(f"{attempt}: {verdict.command}: {'; '.join(verdict.kills)}", flush=True)
        if verdict.faults:
            told = "\n  ".join([verdict.command, *verdict.kills, *verdict.faults])
            print(f"FAULT {attempt}\n  {told}", flush=True)
        if given.at is not None:
            break
        index += 1
    return tally


if __name__ == "__main__":
    sys.exit(main())
