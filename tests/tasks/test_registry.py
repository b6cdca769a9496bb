"""One conformance test covers every task: it can be scored, named and found."""

from __future__ import annotations

import pytest

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.core.inputs import DataRef, ModelRef, TaskDefinition
from peftlab.core.training import TrainingSettings
from peftlab.core.trial import Seeds, Trial
from peftlab.tasks.metrics.registry import METRICS
from peftlab.tasks.registry import TASKS, task_of, trained_task


@pytest.mark.parametrize("name", TASKS.names())
def test_a_task_holds_together(name: str) -> None:
    task = TASKS.get(name)
    assert task.name == name
    if task.problem_type == "regression":
        assert (task.num_labels, task.labels) == (1, ())
    else:
        assert task.num_labels == len(set(task.labels)) >= 2
    assert task.main_metric == task.metrics[0]
    assert set(task.metrics) <= set(METRICS.names())
    assert len(task.texts) in {1, 2}
    assert task.answered_by is not None or task.num_train >= task.num_dev > 0
    for other in task.also_on:
        assert (other.labels, len(other.texts)) == (task.labels, len(task.texts))
        assert other.answered_by == name
    if task.hub is not None:
        assert len(task.hub.text_columns) == len(task.texts)
    if task.folder is not None:
        assert len(task.folder.label_words) == len(task.labels)
        files = task.folder.files
        for file in (files.train, files.dev, files.test):
            assert file is None or len(file.text_columns) == len(task.texts)


@pytest.mark.parametrize("name", ["mnli-mm", "ax"])
def test_a_task_that_another_ones_trials_answer_is_not_trained(name: str) -> None:
    with pytest.raises(UserError, match=f"'{name}' has no training .* trials of 'mnli' answer it"):
        trained_task(name)
    assert trained_task("mnli").further_metrics == ("accuracy_on_mnli-mm",)


def test_a_task_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown task 'sst', did you mean 'sst2'"):
        TASKS.get("sst")


def test_a_trials_task_is_its_own_definition_or_else_the_registered_one() -> None:
    trial = Trial(
        task="sst2",
        data=DataRef(source="files", location="train.csv", digest="d0"),
        model=ModelRef(name="minilm", fingerprint="f0"),
        method="full",
        method_config={},
        training=TrainingSettings(),
        seed=1,
        seeds=Seeds.of(1),
    )
    assert task_of(trial) is TASKS.get("sst2")
    definition = TaskDefinition(
        problem_type="regression", metrics=("spearman",), texts=("left", "right")
    )
    own = task_of(trial.model_copy(update={"definition": definition}))
    assert (own.name, own.problem_type, own.num_labels) == ("sst2", "regression", 1)
    assert (own.metrics, own.texts, own.labels) == (("spearman",), ("left", "right"), ())
