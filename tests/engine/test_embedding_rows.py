"""Only the rows in use are trained, and the whole table ends as if all had been."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from peftlab.core.types import Trial
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.embedding_rows import EmbeddingRows, rows_in_use
from peftlab.engine.loop import train
from peftlab.engine.observer import SilentObserver
from peftlab.engine.steps import Steps
from peftlab.models.checkpoints import load_model

CPU = torch.device("cpu")


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_whole_table_ends_as_if_all_rows_had_been_trained(
    weight_decay: float, make_trial: Callable[..., Trial], data_of: Callable[[Trial], TrialData]
) -> None:
    """The padded twin trains all rows; dropout is on, the same elements are dropped."""
    tables, used = {}, set()
    for engine in ("packed", "padded"):
        trial = make_trial(engine=engine, rows=24, weight_decay=weight_decay, learning_rate=0.01)
        data = data_of(trial)
        base = load_model(trial.model.name, num_labels=2, seed=1)
        before = base.get_input_embeddings().weight.detach().clone()
        classifier = build_classifier(engine, base, base, CPU, dropout_seed=5)
        train(classifier, trial, data, SilentObserver())
        tables[engine] = base.get_input_embeddings().weight.detach()
        used = set(data.train.ids.tolist())
    unused = [row for row in range(len(before)) if row not in used]
    assert 2 < len(unused) < len(before) - 10
    torch.testing.assert_close(tables["packed"], tables["padded"], rtol=1e-4, atol=2e-5)
    moved = (tables["packed"] - before)[unused].abs().max()
    assert (moved == 0) == (weight_decay == 0)


def test_the_optimizer_holds_the_rows_in_use_alone(
    make_trial: Callable[..., Trial], data_of: Callable[[Trial], TrialData]
) -> None:
    trial = make_trial(rows=24)
    data = data_of(trial)
    base = load_model(trial.model.name, num_labels=2, seed=1)
    table = base.get_input_embeddings()
    steps = Steps(build_classifier("packed", base, base, CPU), trial, data)
    whole = table.weight
    with steps.active():
        assert len(table.weight) == len(set(data.train.ids.tolist())) < len(whole)
        with steps.complete():
            assert table.weight is whole
            assert "forward" not in vars(table)
    assert table.weight is whole


def test_a_frozen_table_and_one_in_full_use_are_left_alone(
    make_trial: Callable[..., Trial], data_of: Callable[[Trial], TrialData]
) -> None:
    data = data_of(make_trial(rows=24)).train
    table = nn.Embedding(200, 4)
    assert rows_in_use(table, data) is not None
    assert rows_in_use(table.requires_grad_(False), data) is None
    assert rows_in_use(nn.Linear(2, 2), data) is None
    assert rows_in_use(nn.Embedding(int(data.ids.max()) + 1, 4), data) is not None


def test_the_row_of_padding_gets_no_gradient() -> None:
    table = nn.Embedding(6, 3, padding_idx=1)
    rows = EmbeddingRows(table, torch.tensor([1, 4, 5]))
    with rows.compact():
        table(torch.tensor([1, 4, 4])).sum().backward()
        assert table.weight.grad is not None
        assert table.weight.grad.tolist() == [[0, 0, 0], [2, 2, 2], [0, 0, 0]]
