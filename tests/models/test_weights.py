"""Checkpoints with a head, without a layer or in parts are loaded, or refused in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from peftlab.core.errors import UserError
from peftlab.models.checkpoints import load_model, remarks_on_weights, without_load_report
from peftlab.models.families import FAMILIES
from peftlab.models.head import (
    fresh_parameter_names,
    head_parameter_names,
    output_parameter_names,
)
from peftlab.models.location import locate, located
from tests.models.tiny import (
    NAMES,
    PRETRAINED,
    rewrite,
    tiny_config,
    write_pair,
    write_tiny_checkpoint,
)

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module", params=FAMILIES.names())
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """A family's name, a folder with its pretrained model, and one with a trained head on top."""
    root = tmp_path_factory.mktemp(request.param)
    return request.param, *write_pair(root, request.param)


def parameters(folder: Path, labels: int = 3, **options: object) -> Tensors:
    model = load_model(str(folder), num_labels=labels, seed=5, **options)  # type: ignore[arg-type]
    return {name: value.detach() for name, value in model.named_parameters()}


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A pretrained BERT that a test may spoil."""
    with without_load_report():
        write_tiny_checkpoint(tmp_path / "bert", "bert")
    return tmp_path / "bert"


def test_the_output_of_each_family_is_what_has_a_row_for_each_label() -> None:
    for family in FAMILIES.names():
        with torch.device("meta"):
            three, five = (
                AutoModelForSequenceClassification.from_config(tiny_config(family, num_labels=n))
                for n in (3, 5)
            )
        sizes = {name: value.shape for name, value in five.named_parameters()}
        grown = [name for name, value in three.named_parameters() if value.shape != sizes[name]]
        assert output_parameter_names(three) == grown, family


def test_a_checkpoint_s_own_head_is_not_used_and_the_fresh_one_is_that_of_the_pretrained_one(
    pair: tuple,
) -> None:
    family, pretrained, classifier = pair
    for labels in (3, 2) if family in {"bert", "roberta", "distilbert"} else (3,):
        fresh, found = parameters(pretrained, labels), parameters(classifier, labels)
        assert found.keys() == fresh.keys()
        for name in fresh:
            assert torch.equal(found[name], fresh[name]), name


def test_whether_there_is_a_head_is_told_from_the_files_and_is_no_part_of_the_identity(
    pair: tuple,
) -> None:
    _, pretrained, classifier = pair
    assert not locate(str(pretrained)).has_head
    assert locate(str(classifier)).has_head


def test_a_kept_head_has_its_rows_in_the_task_s_order(pair: tuple) -> None:
    _, _, classifier = pair
    wanted = ("Contradiction", "ENTAILMENT", "neutral")
    model = load_model(str(classifier), num_labels=3, seed=5, keep=wanted)
    stored = load_file(classifier / "model.safetensors")
    outputs = output_parameter_names(model)
    for name in head_parameter_names(model):
        rows = [2, 0, 1] if name in outputs else slice(None)
        assert torch.equal(model.get_parameter(name), stored[name][rows]), name


def test_the_head_of_a_regression_is_kept_as_it_is(tmp_path: Path) -> None:
    _, classifier = write_pair(tmp_path, "roberta")
    config = json.loads((classifier / "config.json").read_text())
    config |= {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    (classifier / "config.json").write_text(json.dumps(config))
    output = ("classifier.out_proj.weight", "classifier.out_proj.bias")
    rewrite(classifier, lambda old: old | {name: old[name][:1].contiguous() for name in output})
    kept = parameters(classifier, 1, keep=())
    stored = load_file(classifier / "model.safetensors")
    assert all(torch.equal(kept[name], stored[name]) for name in stored if name in kept)


@pytest.mark.parametrize(
    ("own", "wanted", "said"),
    [
        (NAMES, ("entailment", "not_entailment"), "it has entailment, neutral, contradiction; the"),
        (["LABEL_0", "LABEL_1"], ("no", "yes"), "does not name its labels, so which is which"),
        (["yes", "YES"], ("yes", "no"), "is not for these labels: it has yes, YES; the task has"),
        (
            NAMES,
            (),
            "has 3 outputs (entailment, neutral, contradiction), the task has one, a score",
        ),
    ],
)
def test_a_head_for_other_labels_is_refused_with_both_lists(
    own: list[str], wanted: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    _, classifier = write_pair(tmp_path, "bert")
    config = json.loads((classifier / "config.json").read_text())
    config |= {"id2label": dict(enumerate(own)), "label2id": {n: i for i, n in enumerate(own)}}
    (classifier / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError) as caught:
        load_model(str(classifier), num_labels=len(wanted) or 1, seed=5, keep=wanted)
    assert said in str(caught.value)
    assert "head: fresh" in str(caught.value)


def test_there_is_no_head_to_keep_where_there_is_none(bert: Path) -> None:
    with pytest.raises(UserError, match="has no head of a sequence classifier to keep"):
        load_model(str(bert), num_labels=2, seed=5, keep=("no", "yes"))


def test_a_checkpoint_that_lacks_a_layer_is_refused_and_the_layer_named(bert: Path) -> None:
    rewrite(bert, lambda old: {name: old[name] for name in old if "layer.1." not in name})
    for load in (parameters, lambda folder: remarks_on_weights(str(folder))):
        with pytest.raises(UserError) as caught:
            load(bert)
        assert "lacks 16 of the tensors of its model: bert.encoder.layer.1." in str(caught.value)
        assert "and 13 more" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_tensors_of_another_size_are_refused_with_both_sizes(bert: Path) -> None:
    name = "embeddings.word_embeddings.weight"
    rewrite(bert, lambda old: old | {name: old[name][:7].contiguous()})
    for load in (parameters, lambda folder: remarks_on_weights(str(folder))):
        with pytest.raises(UserError, match=r"bert\.embeddings.* is 7 x 24, not 50 x 24"):
            load(bert)


def test_a_layer_too_many_is_remarked_on_and_not_used(bert: Path) -> None:
    assert remarks_on_weights(str(bert)) == []
    rewrite(bert, lambda old: old | {"encoder.layer.2.output.dense.bias": torch.ones(24)})
    (remark,) = remarks_on_weights(str(bert))
    assert "1 tensor for which its config has no place" in remark
    assert "encoder.layer.2.output.dense.bias" in remark
    parameters(bert)


def test_a_masked_language_model_gets_a_fresh_pooler_and_a_remark(tmp_path: Path) -> None:
    with without_load_report():
        write_tiny_checkpoint(tmp_path, "bert")
        AutoModelForMaskedLM.from_pretrained(tmp_path).save_pretrained(tmp_path)
    (remark,) = remarks_on_weights(str(tmp_path))
    assert "has no pooler (bert.pooler.dense.bias, bert.pooler.dense.weight)" in remark
    assert not torch.equal(
        parameters(tmp_path)["bert.pooler.dense.weight"],
        load_model(str(tmp_path), num_labels=3, seed=6).get_parameter("bert.pooler.dense.weight"),
    )


def test_a_checkpoint_in_parts_is_the_same_whole_with_a_head_and_lacking_a_part(
    tmp_path: Path,
) -> None:
    pretrained, classifier = write_pair(tmp_path, "llama")
    model = AutoModelForSequenceClassification.from_pretrained(classifier)
    parts = Path(shutil.copytree(classifier, tmp_path / "parts"))
    (parts / "model.safetensors").unlink()
    with without_load_report():
        model.save_pretrained(parts, max_shard_size="8KB")
    shards = sorted(parts.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert locate(str(parts)).has_head
    fresh = parameters(pretrained)
    found = parameters(parts)
    assert all(torch.equal(found[name], fresh[name]) for name in fresh)
    last = load_file(shards[-1])
    dropped = next(name for name in last if "layers" in name or "norm" in name)
    save_file({name: last[name] for name in last if name != dropped}, shards[-1])
    with pytest.raises(UserError, match=f"lacks 1 of the tensors of its model: {dropped}"):
        parameters(parts)
    shards[0].unlink()
    with pytest.raises(UserError) as caught:
        parameters(parts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 1}}'])
def test_an_index_that_is_none_is_one_line(text: str, bert: Path) -> None:
    (bert / "model.safetensors").rename(bert / "model-00001-of-00001.safetensors")
    (bert / "model.safetensors.index.json").write_text(text)
    located.cache_clear()
    assert not locate(str(bert)).has_head
    with pytest.raises(UserError) as caught:
        parameters(bert)
    assert "\n" not in str(caught.value)


def test_a_model_with_a_head_left_out_is_saved_and_loaded_as_any(tmp_path: Path) -> None:
    _, classifier = write_pair(tmp_path, "distilbert")
    model = load_model(str(classifier), num_labels=2, seed=5)
    assert model.name_or_path == str(classifier)
    with without_load_report():
        model.save_pretrained(tmp_path / "again")
        again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again")
    for name, value in model.named_parameters():
        assert torch.equal(again.get_parameter(name), value)
    assert again.num_labels == 2


def test_what_is_fresh_is_the_whole_head_but_for_what_pretraining_leaves() -> None:
    with torch.device("meta"):
        for family in FAMILIES.names():
            model = AutoModelForSequenceClassification.from_config(tiny_config(family))
            left = set(head_parameter_names(model)) - set(fresh_parameter_names(model))
            assert left == PRETRAINED.get(family, set())
