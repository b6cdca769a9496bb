"""The lint makes an expert's remarks on a study, and none on a sound one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from peftlab.engine.devices.registry import resolve
from peftlab.study.load import Overrides, load_study
from peftlab.study.remarks.finding import Finding
from peftlab.study.remarks.lint import lint
from peftlab.study.spec import validate
from peftlab.study.trials import expand

SOUND: dict[str, Any] = {
    "name": "sound",
    "model": "minilm",
    "data": "no-such-folder",
    "tasks": ["cola", "mrpc"],
    "seeds": [1, 2, 3],
    "training": {"num_train_epochs": 1, "learning_rate": 5e-4, "warmup_steps": 0.06},
    "arms": {
        "full": {"method": "full", "training": {"learning_rate": 2e-5}},
        "bitfit": {"method": "bitfit"},
        "lora": {"method": "lora"},
    },
}


def findings(**keys: Any) -> list[Finding]:
    spec = validate({**SOUND, **keys}, where="sound.yaml")
    return lint(expand(spec, data_needed=False))


def of_training(**settings: Any) -> list[Finding]:
    return findings(training={**SOUND["training"], **settings})


def of_glue_peft(*settings: str) -> list[Finding]:
    spec = load_study("glue-peft", Overrides(settings=settings, data="no-such-folder"))
    return lint(expand(spec, data_needed=False))


def rules(found: list[Finding]) -> list[str]:
    return [finding.rule for finding in found]


def test_a_sound_study_has_no_findings() -> None:
    assert findings() == []


def test_a_sound_study_of_several_epochs_has_a_note_and_no_warning() -> None:
    found = of_training(num_train_epochs=5)
    assert [(finding.level, finding.rule) for finding in found] == [("note", "selection-on-dev")]


def test_glue_peft_has_every_finding_that_its_report_earns() -> None:
    found = of_glue_peft()
    assert rules(found) == [
        "learning-rate",
        "random-head",
        "random-head",
        "long-warm-up",
        "long-warm-up",
        "single-seed",
        "too-few-seeds",
        "selection-on-dev",
        "selection-on-dev",
        "selection-on-dev",
    ]
    assert [finding.level for finding in found] == ["warning"] * 7 + ["note"] * 3


def test_glue_peft_has_bitfit_at_a_learning_rate_that_is_too_low() -> None:
    (finding,) = [finding for finding in of_glue_peft() if finding.rule == "learning-rate"]
    assert finding.where == "arms.bitfit-frozen-head-1e-5 on sst2, cola, mrpc"
    assert "at a learning rate of 1e-05" in finding.message


def test_glue_peft_has_two_arms_whose_head_stays_random() -> None:
    heads = [finding for finding in of_glue_peft() if finding.rule == "random-head"]
    assert [finding.where for finding in heads] == [
        "arms.bitfit-frozen-head",
        "arms.bitfit-frozen-head-1e-5",
    ]
    assert all("random" in finding.message for finding in heads)


def test_glue_peft_warms_up_for_43_percent_of_mrpc() -> None:
    first, second = [finding for finding in of_glue_peft() if finding.rule == "long-warm-up"]
    assert first.where.startswith("training.warmup_steps on mrpc (full, ")
    # 3668 rows in batches of 16 are 230 steps an epoch, the last one short.
    assert "covers 43% of the training (500 of 1,150 steps)" in first.message
    assert second.where == "training.warmup_steps on mrpc (lora-10-epochs)"
    assert "covers 22% of the training (500 of 2,300 steps)" in second.message


def test_glue_peft_selects_on_the_split_that_it_reports() -> None:
    places = [finding.where for finding in of_glue_peft() if finding.rule == "selection-on-dev"]
    assert places == [
        "report",
        "arms bitfit-frozen-head, bitfit-frozen-head-1e-5",
        "arms lora-r8, lora-r16, lora-r32, lora-10-epochs",
    ]


def test_a_warm_up_longer_than_the_training_is_an_error() -> None:
    found = of_glue_peft("max_train_samples=200")
    errors = [finding for finding in found if finding.level == "error"]
    assert found[: len(errors)] == errors, "the gravest come first"
    assert set(rules(errors)) == {"warm-up-too-long"}
    for task in ("sst2", "cola", "mrpc"):
        assert any(f"on {task} (full, " in finding.where for finding in errors)
    # 200 rows are 13 steps an epoch.
    assert "500 steps is not over when the training is (65 steps)" in errors[0].message
    assert "long-warm-up" not in rules(found)


@pytest.mark.parametrize(
    ("warmup", "expected"),
    [(0, []), (12, []), (13, ["long-warm-up"]), (61, ["long-warm-up"]), (62, ["warm-up-too-long"])],
)
def test_a_warm_up_is_judged_by_its_share(warmup: int, expected: list[str]) -> None:
    # 62 steps: 62 * 16 = 992 rows
    found = findings(
        tasks=["cola"],
        max_train_samples=992,
        training={
            "num_train_epochs": 1,
            "per_device_train_batch_size": 16,
            "learning_rate": 5e-4,
            "warmup_steps": warmup,
        },
    )
    assert rules(found) == expected


def test_a_constant_learning_rate_has_no_warm_up_to_judge() -> None:
    assert rules(of_training(lr_scheduler_type="constant", warmup_steps=10_000)) == ["no-effect"]
    assert "warm-up-too-long" in rules(
        of_training(lr_scheduler_type="constant_with_warmup", warmup_steps=10_000)
    )


def test_steps_that_are_set_count_as_the_training() -> None:
    def of_steps(**settings: Any) -> list[Finding]:
        rate = {"learning_rate": 5e-4, "warmup_steps": 0.06}
        return findings(training={**rate, **settings})

    assert rules(of_steps(max_steps=100, warmup_steps=30)) == ["long-warm-up"] * 2
    assert of_steps(max_steps=100) == []
    # 8551 rows in batches of 8 are 1069 steps: the second epoch is begun.
    assert rules(of_steps(max_steps=1100)) == ["selection-on-dev"]


def test_a_warm_up_of_a_constant_learning_rate_has_no_effect() -> None:
    (finding,) = of_training(lr_scheduler_type="constant")
    assert (finding.level, finding.rule) == ("warning", "no-effect")
    assert finding.where == "training.warmup_steps on cola, mrpc (full, bitfit, lora)"
    assert "constant_with_warmup has one" in finding.message
    assert of_training(lr_scheduler_type="constant", warmup_steps=0) == []


def test_epochs_beside_steps_have_no_effect_where_both_are_given() -> None:
    own = {"full": {"method": "full", "training": {"learning_rate": 2e-5, "max_steps": 50}}}
    (finding,) = findings(arms={**SOUND["arms"], **own})
    assert (finding.level, finding.rule) == ("warning", "no-effect")
    assert finding.where == "training.num_train_epochs on cola, mrpc (full)"
    assert "max_steps" in finding.message
    training = {"learning_rate": 5e-4, "max_steps": 50}
    assert findings(training=training) == []
    by_task = {"cola": 50, "mrpc": -1}
    (finding,) = of_training(max_steps=by_task)
    assert finding.where == "training.num_train_epochs on cola (full, bitfit, lora)"


def test_caching_has_no_effect_where_the_lowest_layer_trains() -> None:
    top = {"method": "lora", "layers_to_transform": [4, 5]}
    arms = {**SOUND["arms"], "head": {"method": "head"}, "top": top}
    found = findings(arms=arms, cache_frozen=True)
    (finding,) = [finding for finding in found if finding.rule == "no-effect"]
    assert finding.level == "warning"
    assert finding.where == "cache_frozen (full, bitfit, lora)"
    assert "the embeddings or the first layer train" in finding.message
    own = {name: {**arm, "cache_frozen": name in ("head", "top")} for name, arm in arms.items()}
    assert "no-effect" not in rules(findings(arms=own))


def test_caching_has_no_effect_on_an_architecture_that_does_not_pack() -> None:
    keys = {"model": "albert/albert-base-v2", "cache_frozen": True}
    (finding,) = findings(arms={"head": {"method": "head"}}, **keys)
    assert (finding.rule, finding.where) == ("no-effect", "cache_frozen (head)")
    assert "cannot be run in part" in finding.message


def test_caching_on_a_checkpoint_that_is_not_at_hand_is_left_to_the_run() -> None:
    keys = {"model": "nobody/no-such-model", "cache_frozen": True}
    (note,) = findings(arms={"head": {"method": "head"}}, **keys)
    assert (note.level, note.rule) == ("note", "checkpoint-unread")
    assert note.message.startswith(
        "no method was tried on the checkpoint: offline: the model 'nobo"
    )


@pytest.mark.parametrize(
    ("method", "rate", "is_doubtful"),
    [
        ("bitfit", 1e-5, True),
        ("bitfit", 9.9e-5, True),
        ("bitfit", 1e-4, False),
        ("lora", 4e-5, True),
        ("lora", 5e-5, False),
        ("full", 1e-4, False),
        ("full", 5e-4, True),
        ("head", 1e-5, False),
    ],
)
def test_a_learning_rate_is_judged_by_its_method(
    method: str, rate: float, is_doubtful: bool
) -> None:
    found = findings(arms={"a": {"method": method, "training": {"learning_rate": rate}}})
    assert rules(found) == (["learning-rate"] if is_doubtful else [])


def test_a_rate_that_is_wrong_on_one_task_is_said_of_that_task() -> None:
    rate = {"cola": 1e-5, "mrpc": 5e-4}
    (finding,) = findings(arms={"a": {"method": "bitfit", "training": {"learning_rate": rate}}})
    assert finding.where == "arms.a on cola"


def test_one_seed_is_a_warning() -> None:
    (finding,) = findings(seeds=[42])
    assert (finding.level, finding.rule, finding.where) == ("warning", "single-seed", "seeds")


def test_variants_of_a_method_are_a_note() -> None:
    found = findings(arms={"lora": {"method": "lora", "sweep": {"r": [4, 8]}}})
    assert [(finding.rule, finding.where) for finding in found] == [
        ("selection-on-dev", "arms lora-r4, lora-r8")
    ]


def test_only_the_chosen_arms_are_judged() -> None:
    arms = {**SOUND["arms"], "frozen": {"method": "bitfit-frozen-head"}}
    assert rules(findings(arms=arms)) == ["random-head"]
    assert findings(arms=arms, only_arms=["full", "lora"]) == []


CLAIM = {"say": "x", "better": "lora", "than": "full"}


@pytest.mark.parametrize(
    ("seeds", "level", "words"),
    [
        ([1, 2], "warning", "with 2 seeds the verdict will be 'not enough runs': it takes 3"),
        ([1, 2, 3], "note", "3 seeds give 80% power for a difference of 3.3 times"),
    ],
)
def test_claims_with_few_seeds_are_remarked_on(seeds: list[int], level: str, words: str) -> None:
    (finding,) = findings(
        claims=[CLAIM, {"say": "y", "better": "full", "than": "lora"}], seeds=seeds
    )
    assert (finding.level, finding.rule) == (level, "too-few-seeds")
    assert finding.where == "claims[0], claims[1]"
    assert words in finding.message


def test_claims_with_enough_seeds_are_not() -> None:
    assert findings(claims=[CLAIM], seeds=[1, 2, 3, 4, 5]) == []


def test_an_arm_with_few_seeds_of_its_own_is_what_counts() -> None:
    arms = {**SOUND["arms"], "lora": {"method": "lora", "seeds": [7]}}
    (finding,) = findings(arms=arms, claims=[CLAIM], seeds=[1, 2, 3, 4, 5])
    assert finding.message.startswith("with one seed the verdict will be")


def test_a_claim_on_a_task_that_the_study_has_not_has_no_effect_there() -> None:
    (finding,) = findings(claims=[{**CLAIM, "tasks": ["cola", "sst2"]}], seeds=[1, 2, 3, 4, 5])
    assert (finding.level, finding.rule, finding.where) == (
        "warning", "no-effect", "claims[0].tasks",
    )  # fmt: skip
    assert finding.message == "sst2: not among the tasks of the study"


def test_odd_labels_are_told_with_the_file_that_has_them(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("text,label\n" + "".join(f"text {n},{n % 3}\n" for n in range(30)) + "x,inf\n")
    data = {"mood": {"train": str(path), "text": "text", "label": "label", "dev": 0.3}}
    (found,) = [one for one in findings(data=data, tasks=["mood"]) if one.rule == "labels"]
    assert found.where == "data.mood (train.csv)"
    assert found.message.startswith("'inf' is infinite, where other labels are numbers")


@pytest.mark.parametrize("is_faster", [False, True])
def test_bf16_is_noted_where_it_saves_no_time(
    is_faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = resolve("auto")
    monkeypatch.setattr(type(device), "is_faster_in_bf16", is_faster)
    found = of_training(bf16=True)
    if is_faster:
        assert found == []
    else:
        (one,) = found
        assert (one.level, one.where) == ("note", "training.bf16")
        assert one.message.startswith("training: {bf16: true} saves no time on ")
