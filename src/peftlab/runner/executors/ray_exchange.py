"""The study's side of trials that are handed on by a URL: nodes are checked, folders come home."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from peftlab.core.errors import StorageError, UserError, first_line
from peftlab.engine.job import Job
from peftlab.runner.exchange import URLS, Exchange
from peftlab.runner.executors.ray_task import check_exchange, clear_scratch
from peftlab.store.records import CHECKPOINTS_FOLDER

SECONDS_TO_CHECK = 120.0
"""A node may have to start a process first."""
SECONDS_TO_CLEAR = 10.0


class RayExchange:
    """The place at the URL as used by the study's process; UserError if it cannot be used."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._exchange = Exchange(url)
        self._exchange.remove_note(self._exchange.leave_note())

    def check_nodes(self, ray: Any) -> None:
        """Raise UserError unless all nodes that run trials can read and write the shared folder."""
        note = self._exchange.leave_note()
        try:
            asked = {
                node["NodeID"]: call_on(ray, node["NodeID"], check_exchange, self.url, note)
                for node in _nodes(ray)
            }
            for node_id, answer in asked.items():
                self._require(ray, node_id, answer)
        finally:
            self._exchange.remove_note(note)

    def job_for_node(self, job: Job) -> Job:
        """Return the job with folders that are a node's own; what is here of it is handed on."""
        for trial in job.trials:
            if (job.folder(trial) / CHECKPOINTS_FOLDER).is_dir():
                self._exchange.folder(trial.id).offer(job.folder(trial))
        folders = {trial.id: Path(trial.id) for trial in job.trials}
        return job.with_settings(folders=folders, cache=Path("cache"))

    def bring_result(self, job: Job, trial_id: str, state: str) -> bool:
        """Make the trial's folder here what it is at its end; False if that is damaged."""
        fetched = self._exchange.folder(trial_id).fetch(
            job.folders[trial_id], only=state, with_checkpoints=False
        )
        return fetched.state is not None

    def bring_home(self, job: Job, trial_id: str) -> None:
        """Bring here what there is of a trial that has ended otherwise, if the place answers."""
        folder = self._exchange.folder(trial_id)
        with suppress(StorageError):  # it stays there, and is gone on from there
            if folder.fetch(job.folders[trial_id]).state is not None:
                folder.remove()

    def forget(self, trial_id: str) -> None:
        """Remove what is there of a trial that is stored here."""
        self._exchange.folder(trial_id).remove()

    def clear_nodes(self, ray: Any) -> None:
        """Remove the leftovers on those nodes that answer."""
        asked = [call_on(ray, node["NodeID"], clear_scratch, self.url) for node in _nodes(ray)]
        if asked:
            ray.wait(asked, num_returns=len(asked), timeout=SECONDS_TO_CLEAR)

    def _require(self, ray: Any, node_id: str, answer: Any) -> None:
        where = f"--artifacts {self.url} on the node {node_id[:8]}"
        try:
            wrong = ray.get(answer, timeout=SECONDS_TO_CHECK)
        except ray.exceptions.RayError as error:
            cause = first_line(error)
            raise UserError(f"cannot be checked: {cause}", where=where, allowed=URLS) from error
        if wrong is not None:
            raise UserError(
                wrong["what"], where=where, allowed=wrong["allowed"], remedy=wrong["remedy"]
            )


def call_on(ray: Any, node_id: str, act: Callable[..., Any], *given: Any) -> Any:
    """Ray's reference to what a call gives on that node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    task = ray.remote(num_cpus=0, max_retries=0)(act)
    return task.options(scheduling_strategy=there).remote(*given)


def _nodes(ray: Any) -> list[dict[str, Any]]:
    """Return the nodes that can run trials now."""
    return [node for node in ray.nodes() if node["Alive"] and {"CPU", "GPU"} & {*node["Resources"]}]
