"""Every executor by its name."""

from __future__ import annotations

from collections.abc import Callable

from peftlab.core.registry import Registry
from peftlab.runner.executors.base import Executor, ExecutorOptions
from peftlab.runner.executors.inline import InlineExecutor
from peftlab.runner.executors.pool import PoolExecutor
from peftlab.runner.executors.ray_cluster import RayExecutor

EXECUTORS = Registry[Callable[[ExecutorOptions], Executor]]("executor")
EXECUTORS.add("inline", InlineExecutor)
EXECUTORS.add("pool", PoolExecutor)
EXECUTORS.add("ray", RayExecutor)
