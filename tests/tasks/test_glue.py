"""GLUE's table agrees with the benchmark's paper and files."""

from __future__ import annotations

import pytest

from peftlab.tasks.glue import GLUE
from peftlab.tasks.registry import TASKS
from peftlab.tasks.spec import Task

# Train and dev as the Hub has them, the metrics of the GLUE paper, the Hub's names of classes.
FACTS = {
    "cola": (8551, 1043, ("matthews_correlation",), ("unacceptable", "acceptable")),
    "sst2": (67349, 872, ("accuracy",), ("negative", "positive")),
    "mrpc": (3668, 408, ("f1", "accuracy"), ("not_equivalent", "equivalent")),
    "stsb": (5749, 1500, ("pearson", "spearman"), ()),
    "qqp": (363846, 40430, ("f1", "accuracy"), ("not_duplicate", "duplicate")),
    "mnli": (392702, 9815, ("accuracy",), ("entailment", "neutral", "contradiction")),
    "mnli-mm": (392702, 9832, ("accuracy",), ("entailment", "neutral", "contradiction")),
    "qnli": (104743, 5463, ("accuracy",), ("entailment", "not_entailment")),
    "rte": (2490, 277, ("accuracy",), ("entailment", "not_entailment")),
    "wnli": (635, 71, ("accuracy",), ("not_entailment", "entailment")),
    "ax": (0, 0, ("matthews_correlation",), ("entailment", "neutral", "contradiction")),
}
TRAINED = [task for task in GLUE if task.answered_by is None]


def test_a_task_has_its_published_sizes_metrics_and_classes() -> None:
    assert {
        task.name: (task.num_train, task.num_dev, task.metrics, task.labels) for task in GLUE
    } == FACTS
    assert [task.name for task in GLUE if task.problem_type == "regression"] == ["stsb"]


@pytest.mark.parametrize("task", TRAINED, ids=lambda task: task.name)
def test_only_the_test_file_is_without_labels(task: Task) -> None:
    assert task.folder is not None
    train, dev, test = (task.folder.files.of(split) for split in ("train", "dev", "test"))
    assert train.label_column == dev.label_column is not None
    assert test.label_column is None
    matched = "_matched" if task.name == "mnli" else ""
    assert (train.name, dev.name, test.name) == (
        "train.tsv",
        f"dev{matched}.tsv",
        f"test{matched}.tsv",
    )


@pytest.mark.parametrize("task", TRAINED, ids=lambda task: task.name)
def test_the_hub_calls_dev_validation(task: Task) -> None:
    assert task.hub is not None
    assert task.hub.repository == "nyu-mll/glue"
    assert task.hub.config == task.name
    matched = "_matched" if task.name == "mnli" else ""
    assert task.hub.splits.of("train") == "train"
    assert task.hub.splits.of("dev") == f"validation{matched}"
    assert task.hub.splits.of("test") == f"test{matched}"


def test_sets_that_have_no_validation_split_say_that_their_dev_is_test() -> None:
    on_test = {
        task.name for task in TASKS if task.hub is not None and task.hub.splits.dev == "test"
    }
    assert on_test == {"imdb", "ag_news", "trec", "yelp_polarity"}
    assert all("dev is the test split" in TASKS.get(name).title for name in on_test)
