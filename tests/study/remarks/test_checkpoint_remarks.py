"""A study remarks on a checkpoint with a head, or without a layer, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from peftlab.core.errors import UserError
from peftlab.runner.plan import make_plan
from peftlab.store.workspace import Workspace
from peftlab.study.remarks.lint import Finding, lint
from peftlab.study.spec import validate
from peftlab.study.trials import Expanded, expand
from tests.models.tiny import NAMES, rewrite, write_pair

SENTIMENT = ["POSITIVE", "negative"]


def study(model: Path, **keys: Any) -> Expanded:
    raw = {
        "name": "s",
        "model": str(model),
        "data": "demo",
        "tasks": ["demo-sentiment"],
        "seeds": [1, 2, 3],
        "max_length": 32,
        "max_train_samples": 16,
        "max_eval_samples": 16,
        "training": {"num_train_epochs": 1, "learning_rate": 5e-4},
        "arms": {"lora": {"method": "lora"}, "kept": {"method": "lora", "head": "keep"}},
    }
    return expand(validate(raw | keys, where="s.yaml"))


def of_rule(found: list[Finding], rule: str) -> list[Finding]:
    return [finding for finding in found if finding.rule == rule]


def test_an_arm_s_head_is_its_own_or_the_study_s(tmp_path: Path) -> None:
    _, classifier = write_pair(tmp_path, "bert", SENTIMENT)
    found = study(classifier)
    heads = {found.arms_of[trial.id][0]: trial.head for trial in found.trials}
    assert heads == {"lora": "fresh", "kept": "keep"}
    assert all(trial.model.has_head for trial in found.trials)
    kept = study(classifier, head="keep", arms={"a": {"method": "lora"}})
    assert {trial.id for trial in kept.trials} < {trial.id for trial in found.trials}


def test_a_head_that_is_not_used_is_remarked_on_by_plan_and_lint(tmp_path: Path) -> None:
    pretrained, classifier = write_pair(tmp_path, "bert", SENTIMENT)
    arms = {"lora": {"method": "lora"}}
    with Workspace.open(tmp_path / "runs") as workspace:
        (remark,) = make_plan(study(classifier, arms=arms), workspace).remarks
        assert "has been a classifier: its head is not used, a fresh one is drawn" in remark
        assert make_plan(study(pretrained, arms=arms), workspace).remarks == ()
        assert make_plan(study(classifier, arms=arms, head="keep"), workspace).remarks == ()
    (finding,) = of_rule(lint(study(classifier)), "unused-head")
    assert (finding.level, finding.where) == ("note", "model")
    assert "its head is not used by lora, a fresh one" in finding.message


def test_a_head_for_other_labels_is_refused_at_its_key(tmp_path: Path) -> None:
    pretrained, classifier = write_pair(tmp_path, "bert", NAMES)
    with pytest.raises(UserError) as caught:
        study(classifier)
    assert str(caught.value) == (
        f"s: arms.kept.head: the head of the checkpoint '{classifier}' is not for these labels: "
        "it has entailment, neutral, contradiction; the task demo-sentiment has negative, positive "
        "(allowed: head: fresh)"
    )
    with pytest.raises(UserError, match=r"^s: head: the checkpoint .* has no head of a sequence"):
        study(pretrained, head="keep", arms={"a": {"method": "lora"}})
    with pytest.raises(UserError, match=r"arms\.kept\.head: .*'kep'"):
        study(classifier, arms={"kept": {"method": "lora", "head": "kep"}})


def test_a_checkpoint_without_a_layer_is_an_error_of_plan_and_lint(tmp_path: Path) -> None:
    pretrained, _ = write_pair(tmp_path, "bert")
    rewrite(pretrained, lambda old: {name: old[name] for name in old if "layer.1." not in name})
    assert load_file(pretrained / "model.safetensors")
    found = study(pretrained, arms={"lora": {"method": "lora"}})
    with (
        Workspace.open(tmp_path / "runs") as workspace,
        pytest.raises(UserError, match="lacks 16 of the tensors of its model"),
    ):
        make_plan(found, workspace)
    (finding,) = of_rule(lint(found), "weights")
    assert finding.level == "error"


def test_a_method_that_cannot_work_is_an_error_of_plan_and_lint(tmp_path: Path) -> None:
    pretrained, _ = write_pair(tmp_path, "llama")
    found = study(pretrained, arms={"a": {"method": "lora"}, "b": {"method": "bitfit-frozen-head"}})
    with (
        Workspace.open(tmp_path / "runs") as workspace,
        pytest.raises(UserError, match="the architecture llama has no bias terms"),
    ):
        make_plan(found, workspace)
    (finding,) = of_rule(lint(found), "method")
    assert (finding.level, finding.where) == ("error", "arms.b")
