"""A study file is checked key by key, and any fault is reported in one clear line."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.study.load import builtin_studies, load_study
from peftlab.study.parts import PARTS
from peftlab.study.spec import StudySpec, validate

SOUND: dict[str, Any] = {
    "name": "small",
    "model": "minilm",
    "data": "demo",
    "tasks": ["demo-sentiment"],
    "arms": {"a": {"method": "full"}, "b": {"method": "lora", "r": 4}},
    "claims": [
        {"say": "a is better", "better": "a", "than": "b"},
        {"say": "they are the same", "equivalent": ["a", "b"], "margin": 1.0},
    ],
    "report": [{"section": {"title": "All"}}, "scores", {"sweep": {"of": "r", "arms": "b"}}],
}


def changed(**keys: Any) -> dict[str, Any]:
    return copy.deepcopy(SOUND) | keys


def complaint(raw: object) -> str:
    with pytest.raises(UserError) as caught:
        validate(raw, where="s.yaml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("s.yaml: ")
    return message


def test_a_sound_study_is_taken_with_its_defaults() -> None:
    spec = validate(SOUND, where="s.yaml")
    assert spec.seeds == (42,)
    assert (spec.engine, spec.max_length, spec.max_train_samples) == ("packed", 128, None)
    assert spec.arms["b"].settings == {"r": 4}
    assert [part.kind for part in spec.report] == ["section", "scores", "sweep"]


@pytest.mark.parametrize(
    ("raw", "place", "key", "nearest"),
    [
        (changed(taks=["x"]), "s.yaml", "taks", "tasks"),
        (changed(max_train_sample=3), "s.yaml", "max_train_sample", "max_train_samples"),
        (changed(fixed_seeds={"ordr": 1}), "s.yaml: fixed_seeds", "ordr", "order"),
        (
            changed(claims=[{"say": "x", "better": "a", "thn": "b"}]),
            "s.yaml: claims[0]",
            "thn",
            "than",
        ),
        (changed(report=[{"scores": {"arm": ["a"]}}]), "s.yaml: report[0].scores", "arm", "arms"),
        (
            changed(report=["scores", {"section": {"title": "x", "txt": "y"}}]),
            "s.yaml: report[1].section",
            "txt",
            "text",
        ),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(
    raw: dict[str, Any], place: str, key: str, nearest: str
) -> None:
    message = complaint(raw)
    assert message.startswith(f"{place}: unknown key '{key}', did you mean '{nearest}'? (allowed: ")


def test_an_unknown_key_is_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError):
        validate(changed(modle="minilm"), where="s.yaml")


@pytest.mark.parametrize("key", ["name", "model", "data", "tasks", "arms"])
def test_a_misspelt_key_is_named_rather_than_the_one_that_it_leaves_missing(key: str) -> None:
    raw = copy.deepcopy(SOUND)
    raw[f"{key}z"] = raw.pop(key)
    assert complaint(raw).startswith(f"s.yaml: unknown key '{key}z', did you mean '{key}'?")
    del raw[f"{key}z"]
    assert complaint(raw) == f"s.yaml: {key}: this key is missing"


@pytest.mark.parametrize("key", ["class_weights", "learning_rate", "optim"])
def test_a_training_setting_beside_training_is_told_its_place(key: str) -> None:
    assert complaint(changed(**{key: "balanced"})) == (
        f"s.yaml: '{key}' is a training setting (try: training.{key})"
    )


def test_a_misspelt_key_of_an_arm_is_named_though_it_could_be_a_setting() -> None:
    assert complaint(changed(arms={"a": {"methd": "full"}})) == (
        "s.yaml: arms.a.method: this key is missing; is 'methd' a misspelling of it?"
    )
    assert complaint(changed(arms={"a": {"note": "x"}})) == (
        "s.yaml: arms.a.method: this key is missing"
    )


@pytest.mark.parametrize("kind", ["score", "loss-curve", "parameter"])
def test_an_unknown_report_part_names_the_nearest_known_one(kind: str) -> None:
    for part in (kind, {kind: {}}):
        message = complaint(changed(report=[part]))
        assert message.startswith(f"s.yaml: report[0]: unknown report part '{kind}', did you mean")
        assert message.endswith(f"(allowed: {', '.join(sorted(PARTS))})")


def test_an_unknown_engine_names_the_nearest_known_one() -> None:
    assert complaint(changed(engine="paked")) == (
        "s.yaml: unknown engine 'paked', did you mean 'packed'? (allowed: packed, padded, trainer)"
    )


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"name": 3}, "name: must be a text (it is 3)"),
        ({"name": "../up"}, "name: '../up' is not a name"),
        ({"name": "x" * 65}, "is not a name"),
        ({"tasks": "sst2"}, "tasks: must be a list (it is 'sst2')"),
        ({"tasks": []}, "tasks: must have at least 1"),
        ({"tasks": [1]}, "tasks[0]: must be a text"),
        ({"seeds": 42}, "seeds: must be a list"),
        ({"seeds": [-1]}, "seeds[0]: must be at least 0"),
        ({"seeds": [1.5]}, "seeds[0]: must be a whole number"),
        ({"seeds": [1, True]}, "seeds[1]: must be a whole number (it is true)"),
        ({"seeds": ["3"]}, "seeds[0]: must be a whole number (it is '3')"),
        ({"fixed_seeds": {"init": "3"}}, "fixed_seeds.init: must be a whole number"),
        ({"cache_frozen": 1}, "cache_frozen: must be true or false (it is 1)"),
        (
            {"arms": {"a": {"method": "head", "cache_frozen": "on"}}},
            "arms.a.cache_frozen: must be true or false (it is 'on')",
        ),
        ({"max_length": True}, "max_length: must be a whole number"),
        ({"max_length": 0}, "max_length: must be greater than 0"),
        ({"max_train_samples": -1}, "max_train_samples: must be greater than 0"),
        ({"max_eval_samples": "all"}, "max_eval_samples: must be a whole number"),
        ({"training": [1]}, "training: must be a mapping of keys"),
        ({"fixed_seeds": 3}, "fixed_seeds: must be a mapping of keys"),
        ({"arms": []}, "arms: must be a mapping of keys"),
        ({"arms": {}}, "arms: must have at least 1"),
        ({"arms": {"a": "full"}}, "arms.a: must be a mapping of keys (it is 'full')"),
        ({"arms": {"a": None}}, "arms.a: must be a mapping of keys"),
        ({"arms": {"a b": {"method": "full"}}}, "arms.a b: 'a b' is not a name"),
        ({"arms": {"a": {"method": ["full"]}}}, "arms.a.method: must be a text"),
        ({"arms": {"a": {"method": "lora", "sweep": {"r": 8}}}}, "arms.a.sweep.r: must be a list"),
        ({"arms": {"a": {"method": "lora", "sweep": {"r": []}}}}, "arms.a.sweep.r: must have at"),
        (
            {"arms": {"a": {"method": "full"}}, "only_arms": ["a", 3]},
            "only_arms[1]: must be a text (it is 3)",
        ),
        ({"only_arms": []}, "only_arms: must have at least 1"),
        ({"claims": {}}, "claims: must be a list"),
        ({"claims": ["x"]}, "claims[0]: must be a mapping of keys"),
        ({"report": {}}, "report: a list of parts"),
        ({"report": None}, "report: a list of parts"),
        ({"report": [1]}, "report[0]: each entry of `report` must have exactly one key"),
        ({"report": [{"scores": {}, "sweep": {}}]}, "report[0]: each entry of `report` must have"),
        ({"report": [{"kind": ["x"], "options": {}}]}, "report[0]: unknown report part"),
        ({"report": [{"scores": ["a"]}]}, "report[0].scores: must be a mapping of keys"),
        ({"report": [{"scores": {"arms": "a"}}]}, "report[0].scores: arms: must be a list"),
        ({"report": [{"scores": {"arms": []}}]}, "report[0].scores: arms: must have at least 1"),
        ({"report": [{"section": {"text": "x"}}]}, "report[0].section: title: this key is missing"),
        ({"report": [{"sweep": {"of": "r"}}]}, "report[0].sweep: arms: this key is missing"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(keys: dict[str, Any], words: str) -> None:
    assert words in complaint(changed(**keys))


@pytest.mark.parametrize("raw", [None, [], "name: x", 3])
def test_what_is_no_mapping_is_no_study(raw: object) -> None:
    assert "a study is a mapping of keys" in complaint(raw)


@pytest.mark.parametrize(
    ("key", "values", "shown"),
    [("tasks", ["cola", "sst2", "cola"], "'cola'"), ("seeds", [1, 1], "1")],
)
def test_a_task_or_seed_stands_once(key: str, values: list[Any], shown: str) -> None:
    assert complaint(changed(**{key: values})) == f"s.yaml: {key}: {shown} appears twice"


def test_a_claim_knows_its_arms_in_both_forms() -> None:
    better, same = validate(SOUND, where="s.yaml").claims
    assert better.arms == ("a", "b")
    assert same.arms == ("a", "b")
    assert (better.margin, same.margin) == (None, 1.0)


@pytest.mark.parametrize(
    "claim",
    [
        {},
        {"better": "a"},
        {"than": "b"},
        {"equivalent": ["a", "b"]},
        {"margin": 1.0},
        {"better": "a", "than": "b", "margin": 1.0},
        {"better": "a", "equivalent": ["a", "b"], "margin": 1.0},
        {"better": "a", "than": "b", "equivalent": ["a", "b"], "margin": 1.0},
    ],
)
def test_a_claim_has_exactly_one_of_its_two_forms(claim: dict[str, Any]) -> None:
    message = complaint(changed(claims=[{"say": "x", **claim}]))
    assert message == (
        "s.yaml: claims[0]: a claim has either better and than, or equivalent and margin"
    )


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ({"equivalent": [], "margin": 1}, "claims[0].equivalent: must have at least 1"),
        ({"equivalent": ["a", "b"], "margin": 0}, "claims[0].margin: must be greater than"),
    ],
)
def test_an_equivalence_needs_two_arms_and_a_margin(claim: dict[str, Any], words: str) -> None:
    assert words in complaint(changed(claims=[{"say": "x", **claim}]))


@pytest.mark.parametrize(
    "claim",
    [
        {"better": "a", "than": "a"},
        {"equivalent": ["a", "b", "a"], "margin": 1.0},
    ],
)
def test_a_claim_compares_different_arms(claim: dict[str, Any]) -> None:
    sound = {"say": "x", "better": "a", "than": "b"}
    assert complaint(changed(claims=[sound, {"say": "x", **claim}])) == (
        "s.yaml: claims[1]: the arm 'a' is compared with itself"
    )


def test_a_claim_may_name_tasks_in_either_form() -> None:
    for form in ({"better": "a", "than": "b"}, {"equivalent": ["a", "b"], "margin": 1}):
        claim = {"say": "x", "tasks": ["cola"], **form}
        assert validate(changed(claims=[claim]), where="s.yaml").claims[0].tasks == ("cola",)
    claim = {"say": "x", "better": "a", "than": "b", "tasks": []}
    assert complaint(changed(claims=[claim])).startswith("s.yaml: claims[0].tasks: must have at")


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([], "must have at least 1"),
        ([1, 1], "1 appears twice"),
        ([-1], "must be at least 0 (it is -1)"),
        (3, "must be a list (it is 3)"),
    ],
)
def test_an_arms_own_seeds_are_seeds(seeds: Any, words: str) -> None:
    assert words in complaint(changed(arms={"a": {"method": "full", "seeds": seeds}}))


def test_a_claim_says_something() -> None:
    claim = {"better": "a", "than": "b"}
    assert complaint(changed(claims=[claim])) == "s.yaml: claims[0].say: this key is missing"


@pytest.mark.parametrize("name", [*builtin_studies(), None])
def test_a_study_is_the_same_after_json(name: str | None) -> None:
    spec = validate(SOUND, where="s.yaml") if name is None else load_study(name)
    text = json.dumps(spec.model_dump(mode="json"), allow_nan=False)
    again = validate(json.loads(text), where="again")
    assert again == spec
    assert [part.options for part in again.report] == [part.options for part in spec.report]
    assert {key: arm.settings for key, arm in again.arms.items()} == {
        key: arm.settings for key, arm in spec.arms.items()
    }


def test_every_key_of_a_study_is_frozen() -> None:
    spec = validate(SOUND, where="s.yaml")
    for name in StudySpec.model_fields:
        with pytest.raises(ValueError, match="frozen"):
            setattr(spec, name, None)


@pytest.mark.parametrize(
    ("given", "kept"), [("auto", "auto"), ("off", "off"), (False, "off"), (16, 16), (1, 1)]
)
def test_the_group_is_auto_off_or_a_number(given: Any, kept: Any) -> None:
    assert validate(changed(group=given), where="s.yaml").group == kept
    assert validate(SOUND, where="s.yaml").group == "auto"


@pytest.mark.parametrize(
    ("given", "shown"), [(True, "true"), (0, "0"), ("on", "'on'"), (2.5, "2.5")]
)
def test_another_group_is_refused(given: Any, shown: str) -> None:
    words = f"must be auto, off, or the number of trials in a step (it is {shown})"
    assert complaint(changed(group=given)) == f"s.yaml: group: {words}"
