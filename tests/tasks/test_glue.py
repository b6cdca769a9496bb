"""GLUE's table says what the benchmark's paper and its files say."""

from __future__ import annotations

import pytest

from peftlab.tasks.glue import COLA, GLUE, MRPC, SST2
from peftlab.tasks.spec import Task


@pytest.mark.parametrize(
    ("task", "sizes", "metrics", "labels"),
    [
        (SST2, (67349, 872), ("accuracy",), ("negative", "positive")),
        (COLA, (8551, 1043), ("matthews_correlation",), ("unacceptable", "acceptable")),
        (MRPC, (3668, 408), ("f1", "accuracy"), ("not_equivalent", "equivalent")),
    ],
)
def test_a_task_has_its_published_sizes_metrics_and_classes(
    task: Task, sizes: tuple[int, int], metrics: tuple[str, ...], labels: tuple[str, ...]
) -> None:
    assert (task.num_train, task.num_dev) == sizes
    assert task.metrics == metrics
    assert task.labels == labels


@pytest.mark.parametrize("task", GLUE, ids=lambda task: task.name)
def test_only_the_test_file_is_without_labels(task: Task) -> None:
    assert task.folder is not None
    files = task.folder.files
    assert files.train.label_column == files.dev.label_column
    assert files.train.label_column is not None
    assert files.test.label_column is None
    assert (files.train.name, files.dev.name, files.test.name) == (
        "train.tsv",
        "dev.tsv",
        "test.tsv",
    )


@pytest.mark.parametrize("task", GLUE, ids=lambda task: task.name)
def test_the_hub_calls_dev_validation(task: Task) -> None:
    assert task.hub is not None
    assert task.hub.repository == "nyu-mll/glue"
    assert task.hub.config == task.name
    assert task.hub.splits.of("train") == "train"
    assert task.hub.splits.of("dev") == "validation"
    assert task.hub.splits.of("test") == "test"
