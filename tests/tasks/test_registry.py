"""One conformance test over every task: it can be scored, named and found."""

from __future__ import annotations

import pytest

from peftlab.core.errors import UnknownNameError
from peftlab.tasks.metrics import METRICS
from peftlab.tasks.registry import TASKS


@pytest.mark.parametrize("name", TASKS.names())
def test_a_task_holds_together(name: str) -> None:
    task = TASKS.get(name)
    assert task.name == name
    assert task.num_labels == len(set(task.labels)) >= 2
    assert task.main_metric == task.metrics[0]
    assert set(task.metrics) <= set(METRICS.names())
    assert len(task.texts) in {1, 2}
    assert task.num_train > task.num_dev > 0
    if task.hub is not None:
        assert len(task.hub.text_columns) == len(task.texts)
    if task.folder is not None:
        assert len(task.folder.label_words) == task.num_labels
        for split in ("train", "dev", "test"):
            assert len(task.folder.files.of(split).text_columns) == len(task.texts)


def test_a_task_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown task 'sst', did you mean 'sst2'"):
        TASKS.get("sst")
