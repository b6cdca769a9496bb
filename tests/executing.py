"""The execution of a study's trials by the names that a user gives."""

from __future__ import annotations

from typing import Any

from peftlab.runner import execute as runner
from peftlab.runner.execute import Execution
from peftlab.runner.executors.base import ExecutorOptions
from peftlab.runner.executors.registry import DEFAULT_EXECUTOR
from peftlab.store.workspace import Workspace
from peftlab.study.trials import Expanded


def execute(
    expanded: Expanded,
    workspace: Workspace,
    *,
    executor: str = DEFAULT_EXECUTOR,
    options: ExecutorOptions | None = None,
    device: str = "auto",
    **rest: Any,
) -> None:
    """Run the open trials with the executor and on the device of those names."""
    execution = Execution.of(executor, options, device)
    runner.execute(expanded, workspace, execution=execution, **rest)
