"""Positions are those that the model computes with; trackers are those that accelerate knows."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.models.checkpoints import BUILTIN
from peftlab.study.arms import every_arm
from peftlab.study.checks import (
    check_arm_names,
    check_max_length,
    num_positions,
    require_trackers,
)
from peftlab.study.load import Overrides, load_study, study_of
from peftlab.study.spec import validate
from peftlab.study.trials import Expanded, expand
from tests.study.made_studies import study as made_study

SMALL = {
    "vocab_size": 20,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 14,
}


def folder_with(config: dict[str, Any], folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.mark.parametrize("name", BUILTIN)
def test_a_builtin_checkpoint_takes_the_rows_that_its_authors_say(name: str) -> None:
    without_limit = {"microsoft/deberta-v3-base": None, "answerdotai/ModernBERT-base": 8192}
    assert num_positions(name) == without_limit.get(name, 512)


@pytest.mark.parametrize(
    ("model_type", "settings", "allowed"),
    [
        ("bert", {}, 14),
        ("electra", {"embedding_size": 16}, 14),
        ("roberta", {"pad_token_id": 1}, 12),
        ("xlm-roberta", {"pad_token_id": 1}, 12),
        ("camembert", {"pad_token_id": 3}, 10),
        ("mpnet", {"pad_token_id": 1}, 12),
    ],
)
def test_the_longest_row_is_the_longest_that_the_model_computes(
    model_type: str, settings: dict[str, Any], allowed: int, tmp_path: Path
) -> None:
    config = {"model_type": model_type, **SMALL, **settings}
    assert num_positions(folder_with(config, tmp_path)) == allowed
    model = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(**config)  # type: ignore[arg-type]
    ).eval()
    model(input_ids=torch.full((1, allowed), 7))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, allowed + 1), 7))


def test_a_model_of_relative_positions_alone_has_no_limit(tmp_path: Path) -> None:
    config = {"model_type": "deberta-v2", "relative_attention": True, **SMALL}
    alone = folder_with({**config, "position_biased_input": False}, tmp_path)
    assert num_positions(alone) is None
    check_max_length(alone, 10**6, where="max_length")
    assert num_positions(folder_with(config, tmp_path)) == 14


def test_a_length_beyond_the_positions_is_one_line_that_says_what_is_allowed() -> None:
    check_max_length("FacebookAI/roberta-base", 512, where="s: max_length")
    with pytest.raises(UserError) as caught:
        check_max_length("FacebookAI/roberta-base", 513, where="s: max_length")
    assert str(caught.value) == (
        "s: max_length: 513 tokens exceed the positions of 'FacebookAI/roberta-base' "
        "(allowed: 1 to 512)"
    )


def test_virtual_tokens_take_positions_too() -> None:
    spec = study_of(
        {
            "name": "s",
            "model": "minilm",
            "data": "demo",
            "tasks": ["demo-sentiment"],
            "max_length": 500,
            "arms": {
                "lora": {"method": "lora"},
                "prompt": {"method": "prompt", "num_virtual_tokens": 20},
            },
        }
    )
    with pytest.raises(UserError) as caught:
        expand(spec)
    assert str(caught.value) == (
        "s: max_length: 500 tokens and 20 virtual ones exceed the positions of 'minilm' "
        "(allowed: 1 to 492)"
    )


def test_a_checkpoint_whose_config_cannot_be_had_is_not_checked() -> None:
    check_max_length("nobody/no-such-model", 10**6, where="max_length")


@pytest.fixture
def only_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make accelerate find no tracker's package but TensorBoard's."""
    from accelerate import tracking
    from accelerate.utils import LoggerType

    monkeypatch.setattr(tracking, "_available_trackers", [LoggerType.TENSORBOARD])


@pytest.fixture
def make_study(tiny_checkpoint: Path) -> Callable[..., Expanded]:
    def make(**keys: Any) -> Expanded:
        study = {
            "name": "tiny",
            "model": str(tiny_checkpoint),
            "data": "demo",
            "tasks": ["demo-paraphrase"],
            "arms": {"full": {"method": "full"}},
        }
        return expand(validate(study | keys, where="tiny.yaml"))

    return make


def test_a_tracker_is_no_part_of_a_trial(
    make_study: Callable[..., Expanded], only_tensorboard: None
) -> None:
    tracked, plain = make_study(track=["tensorboard"]), make_study()
    assert (tracked.spec.track, plain.spec.track) == (("tensorboard",), ())
    assert tracked.trials == plain.trials
    assert tracked.trials[0].id == plain.trials[0].id


def test_an_unknown_tracker_names_the_nearest_one_that_accelerate_knows(
    make_study: Callable[..., Expanded],
) -> None:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    with pytest.raises(UnknownNameError) as caught:
        make_study(track=["tensorbord"])
    assert str(caught.value) == (
        "tiny: track: unknown tracker 'tensorbord', did you mean 'tensorboard'? "
        f"(allowed: {', '.join(sorted(LOGGER_TYPE_TO_CLASS))})"
    )


def test_a_tracker_whose_package_is_missing_says_how_to_get_it(
    make_study: Callable[..., Expanded], only_tensorboard: None
) -> None:
    with pytest.raises(UserError) as caught:
        make_study(track=["tensorboard", "wandb"])
    assert str(caught.value) == (
        "tiny: track: the tracker wandb needs a package that is not installed (try: pip "
        "install wandb, or 'peftlab[track]' for tensorboard and mlflow; installed: tensorboard)"
    )


def test_a_tracker_that_somebody_has_registered_with_accelerate_is_taken(
    only_tensorboard: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "ours", object)
    require_trackers(["ours", "tensorboard"], where="track")


def test_accelerate_is_not_asked_where_nothing_is_tracked(
    make_study: Callable[..., Expanded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate.tracking", None)
    assert make_study().spec.track == ()


@pytest.mark.parametrize(
    ("track", "complaint"),
    [
        ("tensorboard", "track: must be a list"),
        (["tensorboard", "tensorboard"], "track: 'tensorboard' appears twice"),
        ([3], r"track\[0\]: "),
    ],
)
def test_what_is_no_list_of_names_is_refused(
    track: Any, complaint: str, make_study: Callable[..., Expanded]
) -> None:
    with pytest.raises(UserError, match=rf"^tiny\.yaml: {complaint}"):
        make_study(track=track)


def test_the_command_line_reaches_it() -> None:
    spec = load_study("quickstart", Overrides(settings=["track=[tensorboard, mlflow]"]))
    assert spec.track == ("tensorboard", "mlflow")


def test_a_claim_may_name_one_sweep_and_not_one_arm() -> None:
    claim = {"say": "all the same", "equivalent": ["a"], "margin": 1.0}
    swept = {"a": {"method": "lora", "sweep": {"r": [2, 4]}}, "b": {"method": "full"}}
    whole = made_study(arms=swept, claims=[claim])
    check_arm_names(whole, every_arm(whole))
    lone = made_study(arms=swept, claims=[{**claim, "equivalent": ["b"]}])
    with pytest.raises(UserError) as caught:
        check_arm_names(lone, every_arm(lone))
    assert str(caught.value) == (
        "s: claims[0].equivalent: the claim names one arm only, 'b' "
        "(allowed: two arms or more, or the name of a sweep)"
    )
