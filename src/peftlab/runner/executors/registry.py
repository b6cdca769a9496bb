"""Every executor by its name; none of them is imported before it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from peftlab.core.registry import Registry

if TYPE_CHECKING:
    from peftlab.runner.executors.base import Executor, ExecutorOptions


@dataclass(frozen=True, kw_only=True)
class ExecutorEntry:
    """The facts about an executor that are needed before it is loaded.

    `words` say where its jobs run, as in "trials run ...", and `options` are the names of those
    ExecutorOptions that it heeds. `computes_here` says whether jobs run on this machine, so that
    the device and the weights must be here; where they do not, each node looks for itself.
    """

    words: str
    load: Callable[[], Callable[[ExecutorOptions], Executor]]
    computes_here: bool = True
    options: frozenset[str] = frozenset()


def names_with(option: str) -> list[str]:
    """Return the names of the executors that heed an option."""
    return [name for name in EXECUTORS.names() if option in EXECUTORS.get(name).options]


def _inline() -> Callable[[ExecutorOptions], Executor]:
    from peftlab.runner.executors.inline import InlineExecutor

    return InlineExecutor


def _pool() -> Callable[[ExecutorOptions], Executor]:
    from peftlab.runner.executors.pool import PoolExecutor

    return PoolExecutor


def _ray() -> Callable[[ExecutorOptions], Executor]:
    from peftlab.runner.executors.ray_cluster import RayExecutor

    return RayExecutor


DEFAULT_EXECUTOR = "inline"
EXECUTORS = Registry[ExecutorEntry]("executor")
EXECUTORS.add(
    DEFAULT_EXECUTOR,
    ExecutorEntry(
        words="one after another in this process", load=_inline, options=frozenset({"threads"})
    ),
)
EXECUTORS.add(
    "pool",
    ExecutorEntry(
        words="in worker processes of this machine",
        load=_pool,
        options=frozenset({"workers", "threads", "stall_seconds"}),
    ),
)
EXECUTORS.add(
    "ray",
    ExecutorEntry(
        words="on the nodes of a Ray cluster",
        load=_ray,
        computes_here=False,
        options=frozenset({"threads", "gpus", "address", "artifacts", "stall_seconds"}),
    ),
)
