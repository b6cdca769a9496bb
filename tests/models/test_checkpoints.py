"""Checkpoints are found by name, identified by content, and refused in one line."""

from __future__ import annotations

import json
import os
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from peftlab.core.errors import UserError
from peftlab.core.process import TRUST
from peftlab.models.builtin import BUILTIN, MINILM, builtin_models
from peftlab.models.checkpoints import build_on_meta, load_config, load_model, load_tokenizer
from peftlab.models.location import MINILM_SHA256, locate, located, source_of
from peftlab.models.packing import why_not_packed

# Published sizes with a two-class head (the checkpoints' model cards and papers round these).
SIZES = {
    MINILM: 22_713_986,
    "google-bert/bert-base-uncased": 109_483_778,
    "google-bert/bert-large-uncased": 335_143_938,
    "FacebookAI/roberta-base": 124_647_170,
    "FacebookAI/roberta-large": 355_361_794,
    "distilbert/distilbert-base-uncased": 66_955_010,
    "google/electra-small-discriminator": 13_549_314,
    "google/electra-base-discriminator": 109_483_778,
    "albert/albert-base-v2": 11_685_122,
    "microsoft/deberta-v3-base": 184_423_682,
    "answerdotai/ModernBERT-base": 149_606_402,
}


@pytest.mark.parametrize("name", BUILTIN)
def test_a_builtin_architecture_has_its_published_size(name: str) -> None:
    model = build_on_meta(name, num_labels=2)
    assert sum(parameter.numel() for parameter in model.parameters()) == SIZES[name]
    assert all(parameter.device.type == "meta" for parameter in model.parameters())


def test_every_builtin_model_is_listed_with_its_architecture() -> None:
    listed = {model.name: model for model in builtin_models()}
    assert listed.keys() == BUILTIN.keys()
    assert listed[MINILM].available
    assert listed["microsoft/deberta-v3-base"].architecture == "deberta-v2"


def test_minilm_is_identified_by_its_checksum() -> None:
    assert locate(MINILM).fingerprint == f"sha256:{MINILM_SHA256}"


def test_a_shipped_config_agrees_with_the_weights_that_are_at_hand() -> None:
    shipped = load_config(MINILM).to_dict()
    loaded = load_model(MINILM, num_labels=2, seed=0).config.to_dict()
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    for key in (*sizes, "vocab_size", "hidden_dropout_prob", "layer_norm_eps", "model_type"):
        assert shipped[key] == loaded[key]


def test_a_folder_is_identified_by_its_content_and_not_its_path(tmp_path: Path) -> None:
    for place in ("here", "there"):
        folder = tmp_path / place
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")
    here, there = locate(str(tmp_path / "here")), locate(str(tmp_path / "there"))
    assert here.fingerprint == there.fingerprint
    located.cache_clear()
    (tmp_path / "there" / "model.safetensors").write_bytes(b"other weights")
    assert locate(str(tmp_path / "there")).fingerprint != here.fingerprint


@pytest.mark.parametrize(
    "name", ["/no/such/folder", "./nowhere", "a/b/c", "two words", "", "../up", "-x"]
)
def test_a_name_that_leads_nowhere_is_one_line(name: str) -> None:
    with pytest.raises(UserError) as caught:
        locate(name, where="study.yaml: model")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("study.yaml: model: no checkpoint")


def test_a_folder_that_is_gone_is_not_looked_for_on_the_hub() -> None:
    with pytest.raises(UserError, match=r"^no checkpoint '/was/here/once'"):
        source_of("/was/here/once")


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"safetensors is missing"):
        locate(str(tmp_path))


def test_a_hub_id_that_cannot_be_reached_is_one_line() -> None:
    with pytest.raises(UserError) as caught:
        load_tokenizer("nobody/no-such-model")
    assert "\n" not in str(caught.value)
    assert "nobody/no-such-model" in str(caught.value)


def test_the_head_follows_from_the_seed_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = load_model(MINILM, num_labels=3, seed=1).classifier.weight
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, load_model(MINILM, num_labels=3, seed=1).classifier.weight)
    assert not torch.equal(first, load_model(MINILM, num_labels=3, seed=2).classifier.weight)


def test_a_pair_is_cut_from_its_longer_text() -> None:
    tokenizer = load_tokenizer(MINILM)
    lists = tokenizer([("one", "two three four five six seven eight")], 6)
    assert len(lists.ids[0]) == 6
    assert lists.type_ids is not None
    assert lists.type_ids[0] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("max_length", [3, 6, 128])
@pytest.mark.parametrize("pick", [slice(0, 1), slice(0, 2)], ids=["single", "pairs"])
def test_the_fast_encoding_equals_transformers_own(pick: slice, max_length: int) -> None:
    tokenizer = load_tokenizer(MINILM)
    texts = ["", "one", "Two three, four! naïve 猫", "[SEP] five " * 9, "six\tseven\n", "\u200b"]
    rows = [(one, other)[pick] for one in texts for other in reversed(texts)]
    assert tokenizer(rows, max_length) == tokenizer.plainly(rows, max_length)
    assert tokenizer(rows, max_length) == tokenizer.plainly(rows, max_length), "nor do they meet"


def test_encoding_leaves_word_for_later_processes_that_nothing_runs_in_parallel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for before, after in (("false", "false"), ("true", "true"), (None, "false")):
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", before or "")
        if before is None:
            monkeypatch.delenv("TOKENIZERS_PARALLELISM")
        load_tokenizer(MINILM)([("one",)], 8)
        assert os.environ["TOKENIZERS_PARALLELISM"] == after


OWN_CODE = """
from transformers import BertConfig, BertForSequenceClassification
open({ran!r}, "w").close()
class OwnConfig(BertConfig):
    model_type = "own"
class OwnModel(BertForSequenceClassification):
    config_class = OwnConfig
"""


@pytest.fixture
def folder_with_code(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint of a BERT under another name, which needs its own code that leaves a trace."""
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    names = {"AutoConfig": "OwnConfig", "AutoModelForSequenceClassification": "OwnModel"}
    config |= {"model_type": "own", "auto_map": {key: f"own.{name}" for key, name in names.items()}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(OWN_CODE.format(ran=str(tmp_path / "ran")))
    return folder


def test_code_beside_a_checkpoint_is_refused_and_nobody_is_asked(
    folder_with_code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("the user was asked"))
    for load in (load_config, lambda name: load_model(name, num_labels=2, seed=0)):
        with pytest.raises(UserError) as caught:
            load(str(folder_with_code))
        assert str(caught.value) == (
            f"the checkpoint '{folder_with_code}' needs code that comes with it, which is not run "
            "(try: peftlab --trust-remote-code COMMAND, if you trust its authors with all that "
            "you can do yourself)"
        )
    assert not (tmp_path / "ran").exists()


def test_code_beside_a_checkpoint_is_run_where_it_is_trusted(
    folder_with_code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = tmp_path / "modules"
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(modules))
    monkeypatch.setattr("sys.path", [*sys.path])
    without = locate(str(folder_with_code)).fingerprint
    monkeypatch.setenv(TRUST, "1")
    located.cache_clear()
    assert locate(str(folder_with_code)).fingerprint != without, "the code is part of it"
    model = load_model(str(folder_with_code), num_labels=2, seed=0)
    assert type(model).__name__ == "OwnModel"
    assert (tmp_path / "ran").exists()
    assert (
        why_not_packed(model) == "the architecture own is not among those that are tested to pack"
    )


def test_pickled_weights_are_refused_with_a_word_on_how_to_convert_them(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        locate(str(tmp_path))
    assert "are pickled, which can run code when they are read" in str(caught.value)
    assert "AutoModel.from_pretrained(IT).save_pretrained(FOLDER)" in str(caught.value)


def test_the_files_of_a_tokenizer_without_tokenizer_json_are_part_of_the_identity(
    tmp_path: Path,
) -> None:
    fingerprints = []
    for merges in ("a b", "a c"):
        folder = tmp_path / merges
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "merges.txt").write_text(merges)
        fingerprints.append(locate(str(folder)).fingerprint)
    assert len(set(fingerprints)) == 2


@pytest.mark.parametrize("layers", [0, -3, 1001, 10**30])
def test_a_number_of_layers_that_no_model_has_is_refused_at_once(
    layers: int, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}))
    for load in (build_on_meta, partial(load_model, seed=0)):
        with pytest.raises(UserError, match=r"config has .* layers .*allowed: 1 to 1000"):
            load(str(folder), num_labels=2)


@pytest.mark.parametrize(
    "change", [{"hidden_act": " "}, {"num_attention_heads": 3}, {"vocab_size": -1}]
)
def test_a_config_that_no_model_can_have_is_one_line(
    change: dict, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=r"cannot load the checkpoint '.*': "):
        build_on_meta(str(folder), num_labels=2)


@pytest.mark.parametrize("size", ["num_attention_heads", "intermediate_size"])
def test_a_config_that_counts_less_than_one_is_one_line(
    size: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {size: -1}))
    with pytest.raises(UserError, match=rf"has {size} -1 \(allowed: 1 or more\)"):
        build_on_meta(str(folder), num_labels=2)
