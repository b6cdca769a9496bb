"""The shared fixtures of the executors' tests: the jobs of a study, and a small Ray cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from peftlab.engine.job import Job
from peftlab.study.trials import Expanded
from tests.warm import ray_worker
from tests.warm.process import server


@pytest.fixture(scope="session")
def ray_cluster(s3_port: int) -> Iterator[Any]:
    """A Ray cluster of this process: a head that runs nothing, and two nodes of one CPU each.

    Its processes use the tests' S3 server. Its workers are warm (tests/warm), except for Ray.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray", reason="the package ray is not installed")
    from ray.cluster_utils import Cluster

    quick = {"health_check_period_ms": 300, "health_check_failure_threshold": 3}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "include_dashboard": False,
            "_system_config": {**quick, "health_check_initial_delay_ms": 500},
        },
    )
    warm = {}
    if sys.platform == "linux":
        os.environ[ray_worker.SOCKET] = server()
        warm["setup_worker_path"] = ray_worker.__file__
    cluster.add_node = partial(cluster.add_node, **warm)
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def task_processes() -> list[int]:
    """Return the ids of the processes that now run a trial for a Ray cluster of this process."""
    import psutil

    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith("ray::run_told"):
                found.append(process.pid)
    return found


@pytest.fixture
def trial_processes() -> Any:
    """The function task_processes."""
    return task_processes


def make_jobs(expanded: Expanded, folder: Path, **keys: Any) -> list[Job]:
    """Return the jobs of the study's trials, each with its artifacts in a folder of its own."""
    return [
        Job(
            trials=(trial,),
            folders={trial.id: folder / trial.id},
            cache=folder / "cache",
            device="cpu",
            checkpoint_every=expanded.spec.checkpoint_every,
            **keys,
        )
        for trial in expanded.trials
    ]


@pytest.fixture
def jobs_of() -> Any:
    """The function make_jobs."""
    return make_jobs
