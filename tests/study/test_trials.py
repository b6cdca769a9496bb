"""A study becomes its distinct, fully resolved trials, or one line that says what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.core.identity import content_id
from peftlab.core.trial import Seeds
from peftlab.study.arms import every_arm
from peftlab.study.load import Overrides, load_study
from peftlab.study.spec import validate
from peftlab.study.trials import expand
from peftlab.tasks.registry import TASKS
from tests.study.made_studies import arm, complaint, study

NO_DATA = "no-such-folder"


REPORTED_ARMS = [
    "full",
    "bitfit-frozen-head",
    "bitfit-frozen-head-1e-5",
    "lora",
    "lora-10-epochs",
]


def test_glue_peft_has_21_distinct_trials_for_the_reports_seven_arms() -> None:
    spec = load_study("glue-peft", Overrides(data=NO_DATA, arms=REPORTED_ARMS))
    expanded = expand(spec, data_needed=False)
    assert [chosen.name for chosen in expanded.arms] == [
        "full",
        "bitfit-frozen-head",
        "bitfit-frozen-head-1e-5",
        "lora-r8",
        "lora-r16",
        "lora-r32",
        "lora-10-epochs",
    ]
    assert len({trial.id for trial in expanded.trials}) == len(expanded.trials) == 21


def test_glue_peft_has_24_trials_with_the_arm_bitfit() -> None:
    expanded = expand(load_study("glue-peft", Overrides(data=NO_DATA)), data_needed=False)
    assert len(expanded.trials) == 24
    assert set(expanded.arms_of.values()) == {(chosen.name,) for chosen in expanded.arms}
    assert expanded.num_examples == {
        "sst2": (67349, 872),
        "cola": (8551, 1043),
        "mrpc": (3668, 408),
    }
    assert expanded.unread.keys() == {"sst2", "cola", "mrpc"}


def test_glue_peft_has_the_hyperparameters_of_the_report() -> None:
    expanded = expand(load_study("glue-peft", Overrides(data=NO_DATA)), data_needed=False)
    rates = {
        (expanded.arms_of[trial.id][0], trial.task): trial.training.learning_rate
        for trial in expanded.trials
    }
    assert rates["full", "sst2"] == rates["full", "cola"] == rates["full", "mrpc"] == 1e-5
    assert rates["lora-r16", "sst2"] == rates["lora-r16", "mrpc"] == 5e-4
    assert rates["lora-r16", "cola"] == rates["bitfit-frozen-head", "cola"] == 1e-3
    assert rates["lora-10-epochs", "cola"] == 5e-4
    for trial in expanded.trials:
        name = expanded.arms_of[trial.id][0]
        assert trial.training.num_train_epochs == (10 if name == "lora-10-epochs" else 5)
        assert trial.training.per_device_train_batch_size == 16
        assert trial.training.warmup_steps == 500
        assert trial.training.weight_decay == 0.01


def test_the_real_glue_files_give_the_published_sizes(glue_folder: Path) -> None:
    spec = load_study("glue-peft", Overrides(data=str(glue_folder), arms=["full"]))
    expanded = expand(spec)
    assert expanded.unread == {}
    for task, sizes in expanded.num_examples.items():
        assert sizes == (TASKS.get(task).num_train, TASKS.get(task).num_dev)


def test_an_arm_with_seeds_of_its_own_has_those_and_the_others_the_studys() -> None:
    arms = {
        "once": {"method": "bitfit"},
        "again": {"method": "bitfit", "seeds": [7, 2, 9], "sweep": {"learning_rate": [1e-3, 1e-4]}},
    }
    expanded = expand(study(arms=arms))
    assert [chosen.seeds for chosen in expanded.arms] == [(1, 2), (7, 2, 9), (7, 2, 9)]
    first = [t for t in expanded.trials if t.task == "demo-sentiment"]
    assert [(t.seed, expanded.arms_of[t.id]) for t in first] == [
        (1, ("once",)),
        (7, ("again-learning_rate0.001",)),
        (7, ("again-learning_rate0.0001",)),
        (2, ("once", "again-learning_rate0.001")),
        (2, ("again-learning_rate0.0001",)),
        (9, ("again-learning_rate0.001",)),
        (9, ("again-learning_rate0.0001",)),
    ]
    assert first[1].seeds == Seeds.of(7)


def test_without_data_the_sizes_are_the_published_ones_cut_to_the_limits() -> None:
    spec = study(data=NO_DATA, tasks=["mrpc"], max_train_samples=100, max_eval_samples=9999)
    expanded = expand(spec, data_needed=False)
    assert expanded.num_examples == {"mrpc": (100, 408)}
    assert expanded.unread["mrpc"].startswith(f"s: data: unknown data '{NO_DATA}'")
    assert complaint(spec).startswith(f"s: data: unknown data '{NO_DATA}'")


def test_with_data_the_sizes_are_those_of_the_rows() -> None:
    expanded = expand(study(max_train_samples=64))
    assert expanded.num_examples == {"demo-sentiment": (64, 400), "demo-paraphrase": (64, 400)}
    assert expanded.unread == {}


def test_trials_go_seed_by_seed_task_by_task_arm_by_arm() -> None:
    expanded = expand(study())
    found = [(trial.seed, trial.task, trial.method) for trial in expanded.trials]
    assert found == [
        (seed, task, method)
        for seed in (1, 2)
        for task in ("demo-sentiment", "demo-paraphrase")
        for method in ("full", "bitfit")
    ]


def test_identical_trials_of_different_arms_are_one_trial() -> None:
    same = {"method": "full", "training": {"learning_rate": 1e-3, "num_train_epochs": 3}}
    expanded = expand(study(arms={"one": {"method": "full"}, "two": same}))
    assert len(expanded.trials) == 4
    assert set(expanded.arms_of.values()) == {("one", "two")}


def test_arms_that_agree_on_one_task_share_that_trial_alone() -> None:
    rate = {"demo-sentiment": 1e-3, "demo-paraphrase": 2e-3}
    arms = {
        "one": {"method": "full"},
        "two": {"method": "full", "training": {"learning_rate": rate}},
    }
    expanded = expand(study(arms=arms, seeds=[1]))
    names = [(trial.task, expanded.arms_of[trial.id]) for trial in expanded.trials]
    assert names == [
        ("demo-sentiment", ("one", "two")),
        ("demo-paraphrase", ("one",)),
        ("demo-paraphrase", ("two",)),
    ]


def test_a_note_or_an_arms_name_is_no_part_of_a_trials_identity() -> None:
    plain = expand(study(arms={"a": {"method": "full"}}))
    noted = expand(study(arms={"b": {"method": "full", "note": "the same"}}, name="other"))
    assert [trial.id for trial in plain.trials] == [trial.id for trial in noted.trials]


@pytest.mark.parametrize(
    "keys",
    [
        {"training": {"learning_rate": 2e-3}},
        {"training": {"learning_rate": 1e-3, "weight_decay": 0.1}},
        {"seeds": [3]},
        {"fixed_seeds": {"order": 5}},
        {"max_train_samples": 99},
        {"max_eval_samples": 99},
        {"max_length": 64},
        {"engine": "padded"},
        {"model": "google-bert/bert-base-uncased"},
        {"tasks": ["demo-acceptability"]},
        {"arms": {"full": {"method": "head"}}},
    ],
)
def test_whatever_can_change_the_numbers_changes_the_id(keys: dict[str, Any]) -> None:
    one: dict[str, Any] = {"arms": {"full": {"method": "full"}}, "seeds": [1]}
    one["tasks"] = ["demo-sentiment"]
    (before,) = expand(study(**one)).trials
    (after,) = expand(study(**one | keys)).trials
    assert before.id != after.id


def test_a_default_that_is_written_out_gives_the_same_trial() -> None:
    short = expand(study(arms={"lora": {"method": "lora"}}))
    long = expand(study(arms={"lora": {"method": "lora", "r": 8, "bias": "none"}}))
    assert [trial.id for trial in short.trials] == [trial.id for trial in long.trials]


def test_the_three_seeds_follow_from_the_trials_unless_one_is_fixed() -> None:
    trial = expand(study(seeds=[7])).trials[0]
    assert trial.seeds == Seeds.of(7)
    fixed = expand(study(seeds=[7], fixed_seeds={"order": 3})).trials[0]
    assert fixed.seeds == Seeds.of(7).model_copy(update={"order": 3})
    assert fixed.seed == 7


@pytest.mark.parametrize(
    ("of_study", "of_arm", "expected"),
    [
        (False, None, False),
        (False, True, True),
        (True, None, True),
        (True, False, False),
    ],
)
def test_an_arms_cache_frozen_goes_before_the_studys(
    of_study: bool, of_arm: bool | None, expected: bool
) -> None:
    own = {} if of_arm is None else {"cache_frozen": of_arm}
    arms = {"a": {"method": "head"} | own, "b": {"method": "full"}}
    expanded = expand(study(cache_frozen=of_study, arms=arms))
    by_method = {trial.method: trial for trial in expanded.trials}
    assert by_method["head"].cache_frozen == expected
    assert by_method["full"].cache_frozen == of_study
    assert by_method["head"].method_config == {}, "it is no setting of the method"


def test_an_engine_that_cannot_cache_may_be_told_not_to() -> None:
    arms = {"a": {"method": "head", "cache_frozen": False}}
    assert expand(study(engine="padded", cache_frozen=True, arms=arms)).trials


def test_what_is_wrong_with_an_arm_that_is_not_chosen_is_said_too() -> None:
    arms = {"full": {"method": "full"}, "other": {"method": "fool"}}
    assert "arms.other.method" in complaint(study(arms=arms, only_arms=["full"]))


CLAIM = {"say": "x", "better": "full", "than": "lora"}
SAME = {"say": "x", "equivalent": ["full", "bitfit"], "margin": 1}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"tasks": ["demo-sentiment", "sst"]},
            "s: tasks[1]: unknown task 'sst', did you mean 'sst2'?",
        ),
        (
            {"arms": arm(method="ful")},
            "s: arms.a.method: unknown method 'ful', did you mean 'full'?",
        ),
        (
            {"arms": arm(method="lora", lora_alfa=3)},
            "s: arms.a: unknown setting of the method lora 'lora_alfa', did you mean 'lora_alpha'?",
        ),
        (
            {"arms": arm(trainin={})},
            "s: arms.a: unknown setting of the method full 'trainin', did you mean 'training'? "
            "(allowed: cache_frozen, freeze_embeddings, head, method, note, seeds, sweep, "
            "training, tune)",
        ),
        (
            {"arms": arm(method="lora", r="many")},
            "s: arms.a: r = 'many' is not valid",
        ),
        (
            {"arms": arm(method="lora", sweep={"lora_alfa": [1]})},
            "s: arms.a: unknown setting of the method lora 'lora_alfa', did you mean 'lora_alpha'?",
        ),
        (
            {"arms": arm(method="lora", r=8, sweep={"r": [8]})},
            "s: arms.a: 'r' is both set and swept",
        ),
        (
            {"arms": arm(training={"max_steps": 1}, sweep={"max_steps": [8]})},
            "s: arms.a: 'max_steps' is both set and swept",
        ),
        (
            {"arms": arm(method="lora", sweep={"r": [8, 8]})},
            "s: arms: two arms are named 'a-r8'",
        ),
        (
            {"training": {"learning_rat": 1}},
            "s: training: unknown training setting 'learning_rat', did you mean 'learning_rate'?",
        ),
        (
            {"arms": arm(training={"warmup_step": 1})},
            "s: arms.a.training: unknown training setting 'warmup_step', did you mean",
        ),
        (
            {"training": {"load_best_model_at_end": True}},
            "s: training: load_best_model_at_end is not supported (allowed: selection: "
            "{split: train, "
            "fraction: 0.1} beside training, which reports and keeps the best state)",
        ),
        (
            {"arms": arm(training={"warmup_ratio": 0.1})},
            "s: arms.a.training: warmup_ratio is not supported (allowed: warmup_steps: 0.06, which",
        ),
        (
            {"arms": arm(training={"warmup_steps": 1.5})},
            "s: arms.a.training.warmup_steps: must be a whole number of steps, or a share of all "
            "steps below 1 (it is 1.5)",
        ),
        (
            {"arms": arm(training={"fp16": True})},
            "s: arms.a.training: fp16 is not supported (allowed: bf16: true, which needs no "
            "scale of "
            "the loss; the default is float32)",
        ),
        (
            {"training": {"eval_strategy": False}},
            "s: training.eval_strategy: a trial is always evaluated: leave it out to evaluate at "
            "the end of each epoch (it is false)",
        ),
        (
            {"training": {"optim": "adam"}},
            "s: training.optim: must be 'adamw', 'adamw_torch', 'adamw_torch_fused', 'sgd', "
            "'adafactor', 'adagrad' or 'rmsprop' (it is 'adam'; did you mean 'adamw'?)",
        ),
        (
            {"training": {"eval_strategy": "epochs"}},
            "s: training.eval_strategy: must be 'epoch' or 'steps' (it is 'epochs'; did you mean "
            "'epoch'?)",
        ),
        (
            {"training": {"class_weights": "balance"}},
            "s: training.class_weights: must be 'balanced', or a mapping from label to weight (it "
            "is 'balance'; did you mean 'balanced'?)",
        ),
        (
            {"arms": arm(class_weights="balanced")},
            "s: arms.a: 'class_weights' is a training setting (try: arms.a.training.class_weights)",
        ),
        (
            {"training": {"learning_rate": "fast"}},
            "s: training.learning_rate: must be a number (it is 'fast')",
        ),
        (
            {"arms": arm(training={"num_train_epochs": 0})},
            "s: arms.a.training.num_train_epochs: must be greater than 0 (it is 0)",
        ),
        (
            {"training": {"lr_scheduler_type": "step"}},
            "s: training.lr_scheduler_type: must be 'linear', 'cosine'",
        ),
        (
            {"training": {"learning_rate": {"demo-sentimen": 1}}},
            "s: training.learning_rate: unknown task 'demo-sentimen', did you mean 'demo-s",
        ),
        (
            {"training": {"learning_rate": None}},
            "s: training.learning_rate: null is not allowed here",
        ),
        (
            {"training": {"learning_rate": {"demo-sentiment": 1, "demo-paraphrase": None}}},
            "s: training.learning_rate.demo-paraphrase: null is not allowed here",
        ),
        (
            {"arms": arm(training={"warmup_steps": None})},
            "s: arms.a.training.warmup_steps: null is not allowed here",
        ),
        (
            {"training": {"eval_strategy": "steps"}},
            "s: training.eval_steps: eval_strategy: steps needs eval_steps, such as 50 or 0.1",
        ),
        (
            {"training": {"eval_steps": 50}},
            "s: training.eval_steps: eval_steps has no effect while evaluations are at the ends of "
            "epochs (allowed: with eval_strategy: steps)",
        ),
        (
            {"training": {"eval_strategy": "steps", "eval_steps": 50}},
            "s: training.eval_steps: eval_steps needs held-out rows, since dev is for the "
            "report alone (try: selection: {split: train, fraction: 0.1})",
        ),
        (
            {"arms": arm(training={"early_stopping_patience": 3})},
            "s: arms.a.training.early_stopping_patience: early stopping needs held-out rows",
        ),
        (
            {"arms": arm(sweep={"early_stopping_patience": [2, 3]})},
            "s: arms.a.training.early_stopping_patience: early stopping needs held-out rows",
        ),
        (
            {"training": {"early_stopping_patience": {"demo-sentiment": 2}}},
            "s: training.early_stopping_patience: no value for the task 'demo-paraphrase'",
        ),
        (
            {"training": {"max_steps": 0}},
            "s: training.max_steps: must be at least 1, or -1 to follow from the epochs (it is 0)",
        ),
        (
            {"training": {"num_train_epochs": True}},
            "s: training.num_train_epochs: must be a number (it is true)",
        ),
        ({"claims": [CLAIM]}, "s: claims[0]: unknown arm 'lora' (allowed: bitfit, full)"),
        (
            {
                "arms": arm(method="lora", sweep={"r": [2, 4]}),
                "claims": [{"say": "x", "equivalent": ["a", "a-r4"], "margin": 1}],
            },
            "s: claims[0]: the arm 'a-r4' is compared with itself",
        ),
        (
            {"claims": [{**CLAIM, "than": "bitfit", "better": "full", "tasks": ["demo-sentimen"]}]},
            "s: claims[0].tasks: unknown task 'demo-sentimen', did you mean 'demo-sentiment'?",
        ),
        (
            {"claims": [SAME, {**SAME, "say": "y", "equivalent": ["bitfit", "full"]}]},
            "s: claims[1]: this claim says the same as claims[0] (allowed: each claim once: all of "
            "them share the level of 5%)",
        ),
        (
            {"claims": [{**SAME, "margin": 100}]},
            "s: claims[0].margin: no two scores differ by more than 100 points, so a margin of 100 "
            "says nothing (allowed: above 0 and below 100)",
        ),
        (
            {"report": ["scores", {"advice": {"margin": 100}}]},
            "s: report[1].advice.margin: no two scores differ by more than 100 points",
        ),
        (
            {"report": ["scores", {"scores": {"arms": ["ful"]}}]},
            "s: report[1].scores.arms: unknown arm 'ful', did you mean 'full'?",
        ),
        (
            {"report": [{"sweep": {"of": "r", "arms": "ful"}}]},
            "s: report[0].sweep.arms: unknown arm 'ful', did you mean 'full'?",
        ),
        (
            {"report": [{"sweep": {"of": "r", "arms": "full"}}]},
            "s: report[0].sweep.of: the arm 'full' does not sweep 'r'",
        ),
        (
            {
                "arms": arm(method="lora", sweep={"r": [2, 4]}),
                "report": ["scores", {"sweep": {"of": "lora_alpha", "arms": "a"}}],
            },
            "s: report[1].sweep.of: the arm 'a' does not sweep 'lora_alpha' (allowed: r)",
        ),
        (
            {"report": [{"parameters": {"reported": {"ful": {"trainable": 1}}}}]},
            "s: report[0].parameters.reported: unknown arm 'ful', did you mean 'full'?",
        ),
        (
            {
                "arms": arm(method="lora", sweep={"r": [2, 4]}),
                "report": [{"parameters": {"reported": {"a": {"trainable": 1}}}}],
            },
            "s: report[0].parameters.reported: unknown arm 'a' (allowed: a-r2, a-r4)",
        ),
        (
            {"max_length": 513},
            "s: max_length: 513 tokens exceed the positions of 'minilm' (allowed: 1 to",
        ),
        (
            {"engine": "padded", "cache_frozen": True},
            "s: cache_frozen: the engine padded cannot cache the outputs of frozen layers "
            "(allowed: true with engine: packed; false with any)",
        ),
        (
            {"engine": "trainer", "arms": arm(method="head", cache_frozen=True)},
            "s: arms.a.cache_frozen: the engine trainer cannot cache the outputs of frozen layers",
        ),
        (
            {"arms": arm(method="head", sweep={"cache_frozen": [True, False]})},
            "s: arms.a: unknown setting of the method head 'cache_frozen'",
        ),
        ({"only_arms": ["ful"]}, "s: only_arms (--arms): unknown arm 'ful', did you mean 'full'?"),
        ({"model": "./nowhere"}, "s: model: no checkpoint './nowhere'"),
        ({"tasks": ["sst2"]}, "s: data: the data 'demo' has no task 'sst2'"),
        ({"data": "nowhere"}, "s: data: unknown data 'nowhere': not a folder"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_where(keys: Mapping[str, Any], message: str) -> None:
    assert complaint(study(**keys)).startswith(message)


def test_the_ids_of_a_study_are_the_same_in_another_process() -> None:
    settings = ["arms.lora.target_modules=[value, query, key]", "data=demo"]
    expanded = expand(load_study("quickstart", Overrides(settings=settings)))
    code = (
        "from peftlab.study.trials import expand; "
        "from peftlab.study.load import Overrides, load_study; "
        f"spec = load_study('quickstart', Overrides(settings={settings!r})); "
        "print(*(trial.id for trial in expand(spec).trials))"
    )
    own = os.environ.get("PYTHONHASHSEED", "random")
    environment = {**os.environ, "PYTHONHASHSEED": "2" if own == "1" else "1"}
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert answer.stdout.split() == [trial.id for trial in expanded.trials]
    assert len(set(answer.stdout.split())) == 27


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"arms": {"lora": {"method": "lora", "sweep": {
                "r": list(range(1, 101)), "lora_alpha": list(range(1, 101))}}}},
            r"arms: the sweeps make 10,000 arms \(allowed: at most 1,000\)",
        ),
        (
            {"seeds": list(range(600_000))},
            r"arms, tasks and seeds make [\d,]+ trials \(allowed: at most 1,000,000\)",
        ),
    ],
)  # fmt: skip
def test_more_trials_than_anyone_runs_are_refused_at_once(keys: dict, words: str) -> None:
    study = {
        "name": "s", "model": "minilm", "data": "demo", "tasks": ["demo-sentiment"],
        "arms": {"full": {"method": "full"}, "head": {"method": "head"}},
    }  # fmt: skip
    with pytest.raises(UserError, match=f"^s: .*{words}|^s: {words}"):
        expand(validate(study | keys, where="s"))


@pytest.mark.parametrize("data_words", ["demo", NO_DATA])
def test_a_limit_that_cuts_nothing_is_no_part_of_a_trial(data_words: str) -> None:
    name = "demo-sentiment" if data_words == "demo" else "mrpc"
    task = TASKS.get(name)

    def trial(**limits: int) -> Any:
        spec = study(data=data_words, tasks=[name], **limits)
        return expand(spec, data_needed=False).trials[0]

    above = trial(max_train_samples=task.num_train, max_eval_samples=task.num_dev + 1)
    assert above == trial()
    assert (above.max_train_samples, above.max_eval_samples) == (None, None)
    below = trial(max_train_samples=task.num_train - 1, max_eval_samples=task.num_dev - 1)
    assert below.max_train_samples == task.num_train - 1
    assert below.max_eval_samples == task.num_dev - 1


def test_a_limit_on_dev_that_cuts_another_tasks_dev_is_kept() -> None:
    matched, (mismatched,) = TASKS.get("mnli").num_dev, TASKS.get("mnli").also_on
    assert matched < mismatched.num_dev
    for limit, kept in ((matched, matched), (mismatched.num_dev, None)):
        spec = study(data=NO_DATA, tasks=["mnli"], max_eval_samples=limit)
        expanded = expand(spec, data_needed=False)
        assert expanded.trials[0].max_eval_samples == kept
        assert expanded.num_examples["mnli"][1] == matched


def test_settings_that_are_mappings_stand_as_they_are_or_by_task() -> None:
    kwargs: dict[str, Any] = {"power": 2.0}
    spec = study(
        training={
            "lr_scheduler_type": "polynomial",
            "lr_scheduler_kwargs": kwargs,
            "class_weights": {"demo-sentiment": {"negative": 2}, "demo-paraphrase": "balanced"},
        }
    )
    by_task = every_arm(spec, resolve=False)[0].training
    assert by_task["demo-sentiment"].class_weights == {"negative": 2.0}
    assert by_task["demo-paraphrase"].class_weights == "balanced"
    assert all(one.lr_scheduler_kwargs == kwargs for one in by_task.values())


def test_null_turns_a_setting_off_for_an_arm_or_a_task() -> None:
    spec = study(
        selection={"split": "train", "fraction": 0.1},
        training={"early_stopping_patience": 3, "class_weights": "balanced"},
        arms={
            "whole": {
                "method": "bitfit",
                "training": {"early_stopping_patience": None, "class_weights": None},
            },
            "part": {
                "method": "bitfit",
                "training": {
                    "early_stopping_patience": {"demo-sentiment": None, "demo-paraphrase": 2}
                },
            },
            "swept": {"method": "bitfit", "sweep": {"early_stopping_patience": [None, 3]}},
        },
    )
    patience = {
        one.name: [one.training[task].early_stopping_patience for task in spec.tasks]
        for one in expand(spec).arms
    }
    assert dict(zip(spec.tasks, patience["part"], strict=True)) == {
        "demo-sentiment": None,
        "demo-paraphrase": 2,
    }
    assert patience["whole"] == patience["swept-early_stopping_patienceNone"] == [None, None]
    assert patience["swept-early_stopping_patience3"] == [3, 3]
    assert all(one.class_weights is None for one in expand(spec).arms[0].training.values())


def test_a_part_of_a_mapping_can_be_set_alone() -> None:
    given = ["training.lr_scheduler_type=polynomial", "training.lr_scheduler_kwargs.power=2"]
    given += ["training.class_weights.cola=balanced", "training.class_weights.sst2=balanced"]
    given += ["training.class_weights.mrpc=balanced"]
    spec = load_study("glue-peft", Overrides(settings=given))
    training = every_arm(spec, resolve=False)[0].training["cola"]
    assert (training.class_weights, training.lr_scheduler_kwargs) == ("balanced", {"power": 2.0})


def test_the_ids_of_the_studies_that_come_along_are_what_they_were() -> None:
    """Settings that came later are left out at their defaults (docs/decisions/0013)."""
    trials = expand(load_study("quickstart")).trials
    assert content_id([trial.id for trial in trials]) == "8800c5a1381e"
    glue = expand(load_study("glue-peft", Overrides(data=NO_DATA)), data_needed=False)
    assert content_id([trial.id for trial in glue.trials]) == "3297a1417459"


def test_weights_of_a_label_that_a_task_lacks_are_refused_before_anything_runs() -> None:
    spec = load_study(
        "glue-peft", Overrides(data=NO_DATA, settings=["training.class_weights={positive: 2}"])
    )
    with pytest.raises(UserError) as caught:
        expand(spec, data_needed=False)
    assert str(caught.value).startswith(
        "glue-peft: training.class_weights: unknown label of the task cola 'positive'"
    )


def test_claims_that_differ_in_direction_margin_or_tasks_are_several() -> None:
    better = {"say": "x", "better": "full", "than": "bitfit"}
    claims = [
        SAME,
        {**SAME, "margin": 2},
        {**SAME, "tasks": ["demo-sentiment"]},
        better,
        {**better, "better": "bitfit", "than": "full"},
    ]
    assert len(expand(study(claims=claims)).spec.claims) == 5


def test_claims_of_tasks_that_the_command_leaves_out_are_no_fault() -> None:
    claims = [SAME, {**SAME, "tasks": ["demo-paraphrase"]}]
    for chosen in (["demo-sentiment"], ["demo-paraphrase"]):
        assert len(expand(study(claims=claims, tasks=chosen)).spec.claims) == 2
