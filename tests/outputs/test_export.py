"""An exported folder gives the results of its trial, by peft or transformers alone."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from peft import AutoPeftModelForSequenceClassification
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from peftlab.core.errors import UserError
from peftlab.core.files import ASIDE
from peftlab.core.inputs import DataRef, ModelRef, TaskDefinition
from peftlab.core.trial import Trial
from peftlab.data.demo.source import DemoSource
from peftlab.engine.predict import Predictor
from peftlab.methods.peft_method import PeftMethod
from peftlab.methods.registry import METHODS
from peftlab.models.checkpoints import load_model
from peftlab.outputs.export import export, merged_alike
from peftlab.outputs.model_card import model_card, summaries
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.tasks.registry import TASKS
from tests.methods.conformance_model import logits, tiny_bert

CASES = [
    ("full", False, "transformers"),
    ("bitfit", True, "transformers"),
    ("lora-r4", False, "peft"),
    ("lora-r4", True, "transformers"),
]


def find(workspace: Path, arm: str, task: str = "demo-paraphrase") -> TrialRecord:
    with Workspace.open(workspace, create=False) as opened:
        return next(
            record
            for record in opened.trials()
            if record.trial.task == task and arm in record.arms["small-study"]
        )


def dev_rows(task: str) -> list[tuple[str, ...]]:
    return [example.texts for example in DemoSource().examples(TASKS.get(task), "dev")[:12]]


def header(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return found


@pytest.mark.parametrize(("arm", "merge", "kind"), CASES)
def test_the_folder_alone_gives_the_predictions_of_the_trial(
    arm: str, merge: bool, kind: str, finished_workspace: Path, tmp_path: Path
) -> None:
    record = find(finished_workspace, arm)
    made = export(record, tmp_path / "out", merge=merge)
    assert made.kind == kind
    assert sorted(made.files) == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert not [name for name in made.files if name.endswith((".bin", ".pt", ".pkl"))]
    auto = (
        AutoPeftModelForSequenceClassification
        if kind == "peft"
        else (AutoModelForSequenceClassification)
    )
    model = auto.from_pretrained(tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    rows = dev_rows("demo-paraphrase")
    batch = tokenizer(*map(list, zip(*rows, strict=True)), truncation=True, padding=True,
                      return_tensors="pt")  # fmt: skip
    with torch.no_grad():
        logits = model(**batch).logits.numpy()
    np.testing.assert_allclose(logits, Predictor().logits(record, rows), atol=2e-6)
    assert np.ptp(logits, axis=0).min() > 1e-3
    if kind == "transformers":
        assert model.config.id2label == {0: "not_equivalent", 1: "equivalent"}
        assert model.config.label2id == {"not_equivalent": 0, "equivalent": 1}
        assert model.config.problem_type == "single_label_classification"
    long = tokenizer("a " * 500, truncation=True)["input_ids"]
    assert len(long) == record.trial.max_length


def test_the_code_of_the_card_runs_as_it_stands(finished_workspace: Path, tmp_path: Path) -> None:
    for arm, task in (("lora-r2", "demo-paraphrase"), ("bitfit", "demo-sentiment")):
        record = find(finished_workspace, arm, task)
        export(record, tmp_path / arm)
        names = run_code_of_card(tmp_path / arm)
        texts = tuple(f"your {text}" for text in TASKS.get(task).texts)
        np.testing.assert_allclose(
            names["logits"].detach().numpy(), Predictor().logits(record, [texts]), atol=2e-6
        )


@pytest.mark.parametrize(
    ("problem_type", "labels"),
    [
        ("single_label_classification", ("red", 'it\'s "green"', "<b>")),
        ("multi_label_classification", ("x", "y", "z")),
        ("regression", ()),
    ],
)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_tasks_of_every_kind_are_exported_with_their_labels(
    method: str,
    problem_type: Any,
    labels: tuple[str, ...],
    finished_workspace: Path,
    tmp_path: Path,
) -> None:
    record = made_record(find(finished_workspace, "full"), method, problem_type, labels, tmp_path)
    export(record, tmp_path / "out")
    names = run_code_of_card(tmp_path / "out")
    expected = Predictor().logits(record, [("your review",)])
    assert expected.shape == (1, len(labels) or 1)
    np.testing.assert_allclose(names["logits"].detach().numpy(), expected, atol=2e-6)
    config = names["model"].config
    assert config.num_labels == (len(labels) or 1)
    if labels:
        assert config.id2label == dict(enumerate(labels))
    if method == "full":
        assert config.problem_type == problem_type


def made_record(
    like: TrialRecord, method: str, problem_type: Any, labels: tuple[str, ...], folder: Path
) -> TrialRecord:
    """Return a trial of a user's own task with a model that was drawn, not trained."""
    definition = TaskDefinition(
        problem_type=problem_type, labels=labels, metrics=("accuracy",), texts=("review",)
    )
    config = METHODS.get(method).resolve({"init_lora_weights": False} if method == "lora" else {})
    trial = like.trial.model_copy(
        update={
            "method": method, "method_config": config, "task": "own", "definition": definition,
        }
    )  # fmt: skip
    base = load_model(trial.model.name, num_labels=len(labels) or 1, seed=3)
    METHODS.get(method).save(METHODS.get(method).apply(base, config, seed=4), folder / "model")
    assert like.costs is not None
    costs = replace(like.costs, model_sha256=None)
    return replace(like, trial=Trial(**dict(trial)), folder=folder, evaluations=(), costs=costs)


def run_code_of_card(folder: Path) -> dict[str, Any]:
    """Return the variables after the card's code has run on the folder."""
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code.replace("path/to/this/folder", str(folder)), names)
    return names


def test_an_adapter_is_copied_bit_for_bit_and_says_what_it_is_put_on(
    finished_workspace: Path, tmp_path: Path
) -> None:
    record = find(finished_workspace, "lora-r2")
    assert record.model_path is not None
    made = export(record, tmp_path / "here")
    assert (made.base, made.is_local) == (record.trial.model.name, True)
    weights = "adapter_model.safetensors"
    assert (tmp_path / "here" / weights).read_bytes() == (record.model_path / weights).read_bytes()
    named = export(record, tmp_path / "named", base_model="someone/tiny-bert", public=True)
    assert (named.base, named.is_local) == ("someone/tiny-bert", False)
    config = json.loads((tmp_path / "named" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "someone/tiny-bert"
    found = header((tmp_path / "named" / "README.md").read_text())
    assert (found["base_model"], found["base_model_relation"]) == ("someone/tiny-bert", "adapter")


def test_the_card_holds_the_scores_their_intervals_and_the_settings(
    finished_workspace: Path, tmp_path: Path
) -> None:
    record = find(finished_workspace, "lora-r4")
    card = model_card(record, kind="peft", base=None)
    found = header(card)
    assert "base_model" not in found
    assert found["library_name"] == "peft"
    assert found["pipeline_tag"] == "text-classification"
    assert {"peftlab", "lora", "demo-paraphrase"} <= set(found["tags"])
    metrics = found["model-index"][0]["results"][0]["metrics"]
    assert [one["type"] for one in metrics] == list(record.scores)
    assert [one["value"] for one in metrics] == [round(v, 2) for v in record.scores.values()]
    for name, summary in summaries(record).items():
        assert summary.covers == "examples"
        assert summary.mean == pytest.approx(record.scores[name])
        assert summary.low < summary.mean < summary.high or summary.low == summary.mean
        shown = name.replace("_", r"\_")
        assert f"| {shown} | {summary.mean:.1f} | {summary.low:.1f} to {summary.high:.1f} |" in card
    for line in ("| seed | 1 |", "| lora: r | 4 |", r"| learning\_rate | 0.02 |"):
        assert line in card
    assert record.trial.id in card
    assert str(Path(record.trial.model.name).parent) not in card


def test_the_card_says_how_files_were_read_where_nobody_said_it(finished_workspace: Path) -> None:
    record = find(finished_workspace, "lora-r4")
    assert "data read as" not in model_card(record, kind="peft", base=None)
    found = {"train": {"sep": ";", "encoding": "cp1252"}}
    data = record.trial.data.model_copy(update={"read_as": found})
    trial = record.trial.model_copy(update={"data": data})
    card = model_card(replace(record, trial=trial), kind="peft", base=None)
    assert "| data read as | train: sep ';', encoding cp1252 (found in the file) |" in card


def test_a_card_without_predictions_has_scores_without_intervals(
    finished_workspace: Path, tmp_path: Path
) -> None:
    record = replace(find(finished_workspace, "full"), folder=tmp_path)
    (summary, *_) = summaries(record).values()
    assert summary.covers == "nothing"
    assert "another seed" not in model_card(record, kind="transformers", base=None)


def test_names_in_a_card_cannot_become_markup_or_headers(finished_workspace: Path) -> None:
    record = find(finished_workspace, "lora-r4")
    evil = "x|<script>alert(1)</script>\n---\nbase_model: other\n# big"
    trial = record.trial.model_copy(
        update={
            "model": ModelRef(name=f"/home/me/{evil}", fingerprint="sha256:0"),
            "data": DataRef(source="folder", location="/home/me/secret/glue", digest="0" * 64),
        }
    )
    card = model_card(replace(record, trial=trial, arms={evil: (evil,)}), kind="peft", base=None)
    assert "base_model" not in header(card)
    assert "<script>" not in card
    assert "\n# big" not in card
    assert card.count("\n---\n") == 1
    assert "/home/me" not in card
    assert "folder: glue" in card


@pytest.mark.parametrize("thing", ["file", "full folder", "below a file"])
def test_nothing_that_is_there_is_overwritten(
    thing: str, finished_workspace: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    if thing == "full folder":
        output.mkdir()
        (output / "precious.txt").write_text("mine")
    else:
        output.write_text("mine")
    target = output / "below" if thing == "below a file" else output
    with pytest.raises(UserError) as caught:
        export(find(finished_workspace, "lora-r2"), target)
    assert str(target) in str(caught.value)
    assert "\n" not in str(caught.value)
    left = output / "precious.txt" if thing == "full folder" else output
    assert left.read_text() == "mine"
    assert [path for path in tmp_path.iterdir() if path != output] == []


def test_an_empty_folder_is_taken_and_a_failed_export_leaves_nothing(
    finished_workspace: Path, tmp_path: Path
) -> None:
    record = find(finished_workspace, "lora-r2")
    (tmp_path / "empty").mkdir()
    export(record, tmp_path / "empty")
    assert (tmp_path / "empty" / "README.md").is_file()
    for words, without in (
        ("has no saved model: it is failed", replace(record, status="failed")),
        ("nowhere/at all", _on(record, "/nowhere/at all")),
    ):
        with pytest.raises(UserError, match=words):
            export(without, tmp_path / "out")
        assert os.listdir(tmp_path) == ["empty"]  # noqa: PTH208
    with pytest.raises(UserError, match=r"only this machine has \(try: --merge, or"):
        export(record, tmp_path / "out", public=True)


def test_what_a_killed_export_left_beside_the_output_goes_with_the_next(
    finished_workspace: Path, tmp_path: Path
) -> None:
    left = tmp_path / f"{ASIDE}0123"
    left.mkdir()
    (left / "model.safetensors").write_text("half")
    os.utime(left, (0, 0))
    export(find(finished_workspace, "bitfit"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_merged_model_with_other_logits_is_not_exported() -> None:
    class Forgetful(PeftMethod):
        """A LoRA whose merging leaves the adapter out."""

        def merged(self, module: Any) -> Any:
            return module.unload()

    lora = METHODS.get("lora")
    config = lora.resolve({"init_lora_weights": False})
    module = lora.apply(tiny_bert(), config, seed=1).eval()
    with pytest.raises(UserError) as caught:
        merged_alike(Forgetful("lora", "LORA", "", ""), module)
    assert "cannot be merged into this model: its logits would change by" in str(caught.value)
    assert str(caught.value).endswith("(try: export without --merge)")
    module = lora.apply(tiny_bert(), config, seed=1).eval()
    before = logits(module)
    torch.testing.assert_close(logits(merged_alike(lora, module)), before, rtol=0, atol=2e-5)


def _on(record: TrialRecord, model: str) -> TrialRecord:
    ref = ModelRef(name=model, fingerprint="sha256:0")
    return replace(record, trial=record.trial.model_copy(update={"model": ref}))
