"""A trial's run in MLflow, written by its id.

accelerate's MLflowTracker writes to the one run that is active in the process, where several trials
would mix, and one value at a time. From it come the settings that it reads from the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from time import time
from typing import Any

from peftlab.runner.tracker_run import Card, RunStatus, StepValues

TRIAL_TAG = "peftlab.trial"
STORE = "mlflow.sqlite"
STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # A server that is down holds the study up for seconds, not for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""The environment variables that hold unless the user sets them."""


class MLflowRun:
    """A run in the store of MLFLOW_TRACKING_URI, or else in a SQLite file in the card's folder."""

    def __init__(self, card: Card) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from accelerate.tracking import MLflowTracker
        from mlflow import MlflowClient
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH

        settings = MLflowTracker(experiment_name=card.study)
        uri = artifacts = None
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            card.folder.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{card.folder / STORE}"
            artifacts = (card.folder / "mlflow-artifacts").as_uri()
        self._client = MlflowClient(tracking_uri=uri)
        experiment = self._experiment(settings.experiment_name, artifacts)
        trial = card.trial.id
        for run in self._client.search_runs([experiment], f"tags.`{TRIAL_TAG}` = '{trial}'"):
            self._client.delete_run(run.info.run_id)
        tags = {**(settings.tags or {}), TRIAL_TAG: trial}
        made = self._client.create_run(experiment, tags=tags, run_name=card.name)
        self._id = made.info.run_id
        params = [Param(k, str(v)[:MAX_PARAM_VAL_LENGTH]) for k, v in card.config.items()]
        for some in _cut(params, MAX_PARAMS_TAGS_PER_BATCH):
            self._client.log_batch(self._id, params=some)

    def _experiment(self, name: str, artifacts: str | None) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(name, artifact_location=artifacts))

    def write(self, rows: Sequence[StepValues]) -> None:
        from mlflow.entities import Metric
        from mlflow.utils.validation import MAX_METRICS_PER_BATCH

        now = int(1000 * time())
        metrics = [
            Metric(key, value, now, row.step) for row in rows for key, value in row.values.items()
        ]
        for some in _cut(metrics, MAX_METRICS_PER_BATCH):
            self._client.log_batch(self._id, metrics=some)

    def close(self, end: RunStatus) -> None:
        self._client.set_terminated(self._id, STATUS[end])


def _cut(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
