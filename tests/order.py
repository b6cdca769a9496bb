"""The order of the files of tests if several processes share them.

A process takes the next file when it is done with one, so the longest come first: one that came
last would leave the others with nothing to do.
"""

from __future__ import annotations

LONGEST = (
    "tests/runner/executors/test_ray",
    "tests/runner/test_tune.py",
    "tests/engine/cuda",
    "tests/runner/executors",
    "tests/report/test_registry.py",
    "tests/methods/test_forms.py",
    "tests/report/test_write.py",
    "tests/engine/test_settings.py",
    "tests/engine/test_schedule.py",
    "tests/report/pages/test_browser",
    "tests/models/cuda",
    "tests/models/fused/test_matmul.py",
    "tests/data/test_bombs.py",
    "tests/fuzz",
    "tests/runner/test_kills.py",
    "tests/runner/test_bench.py",
    "tests/kills",
    "tests/cli/test_run_from_hub.py",
    "tests/cli/test_interrupts.py",
    "tests/engine",
    "tests/cli",
    "tests/runner",
    "tests/report",
    "tests/methods",
)
"""The files and folders that come first, the longest first."""
CLUSTER = "Ray"
USE_CLUSTER = ("tests/runner/executors/test_ray", "tests/runner/executors/test_registry.py")
"""The beginning of the names of files that share a Ray cluster; each process would start one."""


def place(node_id: str) -> int:
    """Return the place of a test's file: a smaller one comes first.

    >>> place("tests/runner/test_kills.py::test_a") < place("tests/cli/test_app.py::test_b")
    True
    """
    return next(
        (number for number, name in enumerate(LONGEST) if node_id.startswith(name)), len(LONGEST)
    )


def group(node_id: str) -> str:
    """Return the name of the tests that one process does: a file, or those of the Ray cluster."""
    return CLUSTER if node_id.startswith(USE_CLUSTER) else node_id.partition("::")[0]
