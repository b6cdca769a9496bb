"""Only the rows in use are trained, and the whole table ends as if all had been."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from peftlab.core.trial import Trial
from peftlab.engine.classifier import build_classifier
from peftlab.engine.dataset import TrialData
from peftlab.engine.embedding_rows import EmbeddingRows, rows_in_use
from peftlab.engine.steps import Steps
from peftlab.models.checkpoints import load_model
from tests.engine.running import train
from tests.models.tiny import write_tiny_checkpoint

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
        train(classifier, trial, data)
        tables[engine] = base.get_input_embeddings().weight.detach()
        used = set(data.train.ids.tolist())
    unused = [row for row in range(len(before)) if row not in used]
    assert 2 < len(unused) < len(before) - 10
    torch.testing.assert_close(tables["packed"], tables["padded"], rtol=1e-4, atol=2e-5)
    moved = (tables["packed"] - before)[unused].abs().max()
    assert (moved == 0) == (weight_decay == 0)


def test_token_types_that_are_words_train_the_rows_of_those_words(
    make_trial: Callable[..., Trial], data_of: Callable[[Trial], TrialData], tmp_path: Path
) -> None:
    """In GPT-2, with a tokenizer that gives types, type 1 has the vector of token 1."""
    name = write_tiny_checkpoint(tmp_path / "gpt2", "gpt2")
    with_types(Path(name))
    tables = {}
    for engine in ("packed", "padded"):
        trial = make_trial(
            engine=engine, model=name, task="demo-paraphrase", rows=24, max_length=40,
            learning_rate=0.01,
        )  # fmt: skip
        data = data_of(trial)
        assert data.train.type_ids is not None
        assert {0, 1} == {*data.train.type_ids.tolist()}
        assert not {0, 1} & {*data.train.ids.tolist()}, "in use as types alone"
        base = load_model(name, num_labels=2, seed=1)
        before = base.get_input_embeddings().weight.detach().clone()
        train(build_classifier(engine, base, base, CPU, dropout_seed=5), trial, data)
        tables[engine] = base.get_input_embeddings().weight.detach()
    torch.testing.assert_close(tables["packed"], tables["padded"], rtol=1e-4, atol=2e-5)
    assert ((tables["packed"] - before)[:2].abs() > 1e-3).any(dim=1).all()


def with_types(folder: Path) -> None:
    """Make the folder's tokenizer give token types."""
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    path.write_text(json.dumps(config))


def test_a_row_that_is_not_in_use_is_never_taken_for_another() -> None:
    table = nn.Embedding(6, 2)
    rows = EmbeddingRows(table, torch.tensor([1, 4]))
    with rows.compact():
        assert torch.equal(table(torch.tensor([4, 1])), rows.rows[[1, 0]])
        for unused in (0, 2, 5):
            with pytest.raises(IndexError):
                table(torch.tensor([unused]))


def test_the_optimizer_holds_the_rows_in_use_alone(
    make_trial: Callable[..., Trial], data_of: Callable[[Trial], TrialData]
) -> None:
    trial = make_trial(rows=24)
    data = data_of(trial)
    base = load_model(trial.model.name, num_labels=2, seed=1)
    table = base.get_input_embeddings()
    whole = table.weight
    with Steps.active(build_classifier("packed", base, base, CPU), trial, data) as steps:
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
