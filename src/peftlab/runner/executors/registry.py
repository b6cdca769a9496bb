"""Every executor by its name."""

from __future__ import annotations

from collections.abc import Callable

from peftlab.core.registry import Registry
from peftlab.runner.executors.base import Executor
from peftlab.runner.executors.inline import InlineExecutor

EXECUTORS = Registry[Callable[[], Executor]]("executor")
EXECUTORS.add("inline", InlineExecutor)
