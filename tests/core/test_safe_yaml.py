"""A study's YAML is read as people mean it, runs no code, and a fault is one line."""

from __future__ import annotations

from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peftlab.core.errors import UserError
from peftlab.core.safe_yaml import parse_setting, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-4", 5e-4),
        ("5E-4", 5e-4),
        ("5.0e-4", 5e-4),
        ("-1e+3", -1000.0),
        (".5e1", 5.0),
        ("1e3", 1000.0),
        ("0.06", 0.06),
        ("16", 16),
        ("'5e-4'", "5e-4"),
        ("e-4", "e-4"),
        ("bert-1e5", "bert-1e5"),
        ("[sst2, cola]", ["sst2", "cola"]),
        ("", None),
    ],
)
def test_a_number_is_read_as_a_number_and_a_word_as_a_word(text: str, value: Any) -> None:
    found = parse_yaml(text, where="here")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' appears twice"),
        ("arms:\n  full: {method: full}\n  full: {method: lora}", 3, "'full' appears twice"),
        ("{a: 1, 'a': 2}", 1, "the key 'a' appears twice"),
        ("a:\n\tb: 1", 2, "'\\t'"),
        ("a: [1\nb: 2", 2, "expected ',' or ']'"),
        ("a: 1\n--- \nb: 2", 2, "another document"),
        ("? [1, 2]\n: 3", 1, "unhashable key"),
        ("a: 1\nb: .nan", 2, "'.nan' is not a finite number"),
        ("a: -.inf", 1, "'-.inf' is not a finite number"),
        ("a: 1e999", 1, "'1e999' is not a finite number"),
    ],
)
def test_a_fault_is_one_line_with_its_place(text: str, line: int, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(text, where="study.yaml")
    message = str(caught.value)
    assert message.startswith(f"study.yaml:{line}: not valid YAML: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["a: 2024-13-45", "a: \x00", "a: !!int many"])
def test_a_fault_without_a_line_is_one_line_too(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(text, where="study.yaml")
    assert str(caught.value).startswith("study.yaml: not valid YAML: ")
    assert "\n" not in str(caught.value)


def test_a_key_of_a_merge_may_be_given_again() -> None:
    text = "base: &base {r: 8, bias: none}\nwide: {<<: *base, r: 16}"
    assert parse_yaml(text, where="here")["wide"] == {"r": 16, "bias": "none"}


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:pathlib.Path.touch", "!!python/object/apply:os.system"]
)
def test_a_tag_that_would_run_code_is_refused_in_one_line(tag: str, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    argument = witness if "Path" in tag else f"touch {witness}"
    with pytest.raises(UserError) as caught:
        parse_yaml(f"name: x\nmodel: {tag} ['{argument}']", where="study.yaml")
    message = str(caught.value)
    assert message.startswith("study.yaml:2: not valid YAML: ")
    assert "python/object/apply" in message
    assert "\n" not in message
    assert not witness.exists()


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_refused_in_one_line(opening: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(opening * 5000, where="study.yaml")
    assert "nested more than 50 deep" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("max_train_samples=2000", "max_train_samples", 2000),
        ("training.learning_rate=5e-4", "training.learning_rate", 5e-4),
        (" seeds = [1, 2]", "seeds", [1, 2]),
        ("description=a=b", "description", "a=b"),
        ("max_eval_samples=", "max_eval_samples", None),
        ("report=[{scores: {}}]", "report", [{"scores": {}}]),
    ],
)
def test_a_setting_is_a_key_and_a_yaml_value(setting: str, key: str, value: Any) -> None:
    assert parse_setting(setting) == (key, value)


@pytest.mark.parametrize("setting", ["seeds", "", "=3", " =3"])
def test_what_is_not_a_setting_is_refused(setting: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_setting(setting)
    assert str(caught.value) == f"--set: '{setting}' is not a setting (allowed: KEY=VALUE)"


def test_a_setting_that_is_not_yaml_names_its_key() -> None:
    with pytest.raises(UserError, match=r"^--set seeds:1: not valid YAML: "):
        parse_setting("seeds=[1")


@given(st.text(max_size=80) | st.text("{}[]:,-&*!|>'\"# \n\tab0.", max_size=80))
def test_any_text_is_a_value_or_one_line(text: str) -> None:
    refusal = ""
    try:
        parse_yaml(text, where="here")
    except UserError as error:
        refusal = str(error)
    assert not refusal or (refusal.startswith("here") and refusal.isprintable())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 9223372036854775808", "'9223372036854775808' is too large a number"),
        ("a: 0x" + "f" * 4000, "is too large a number"),
        ("a: &x 1\nb: &x 2", "the same anchor appears twice"),
        ("a: !!timestamp x", "not valid YAML"),
        ("a: !!bool 3", "not valid YAML"),
        ("a: !!int ''", "not valid YAML"),
        ("a: !!float ''", "not valid YAML"),
        ("a: &loop [*loop]", "here: a: nested more than 50 deep"),
        ('a: {b: "\\ud800"}', "here: a: the character U+D800 is not allowed"),
        ("a: " + "[" * 400 + "]" * 400, "nested more than 50 deep"),
        ("a: " + "[" * 2000, "not valid YAML"),
        ("a:\n " + "[" * 51, "here:2: not valid YAML: nested more than 50 deep"),
    ],
)
def test_what_is_too_much_or_no_text_is_refused(text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(text, where="here")
    assert words in str(caught.value)


def test_aliases_that_expand_without_end_are_refused_at_once() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for n in range(1, 20):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]")
    with pytest.raises(UserError, match=r"more than 100,000 values, aliases written out"):
        parse_yaml("\n".join(lines), where="here")


def nine_levels(names: str) -> str:
    """Return merges of merges, ten at each level: ten keys, or ten thousand million."""
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: {n}" for n in range(10)) + "}"]
    for n in range(1, 10):
        lines.append(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]{names}}}")
    return "\n".join(lines)


@pytest.mark.parametrize("names", ["", ", x: 1"])
def test_merges_of_merges_are_refused_before_they_are_written_out(names: str) -> None:
    with pytest.raises(UserError, match=r"more than 100,000 keys are merged"):
        parse_yaml(nine_levels(names), where="here")


def test_what_is_merged_is_as_yaml_says() -> None:
    text = (
        "first: {<<: [{a: 1}, {a: 2, b: 3}], c: 4}\n"
        "inner: {deep: &deep {<<: {x: 1}, x: 2}}\n"
        "outer: {<<: *deep, y: 3}\n"
    )
    assert parse_yaml(text, where="here") == {
        "first": {"a": 1, "b": 3, "c": 4},
        "inner": {"deep": {"x": 2}},
        "outer": {"x": 2, "y": 3},
    }


WIDE = "b: &b {" + ", ".join(f"k{n}: 1" for n in range(3000)) + "}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a {<<: *a}", "here:1: not valid YAML: a mapping is merged into itself"),
        ("a: &a {<<: [{x: 1}, *a]}", "a mapping is merged into itself"),
        ("a: {<<: 3}", "here:1: not valid YAML: the merged value is not a mapping"),
        ("a:\n b: &b {x: 1, x: 2}\nc: {<<: *b}", "here:2: not valid YAML: the key 'x' appears"),
        (
            WIDE + "c: [" + ", ".join(["{<<: *b}"] * 100) + "]",
            "here:2: not valid YAML: more than 100,000 keys are merged",
        ),
        (
            "".join(f"k{n}: 1\n" for n in range(9000)),
            "here:7500: not valid YAML: more than 15,000 keys and values",
        ),
        ("".join(f"k{n}: 1\n" for n in range(150_000)), "here: too long a text to be read as YAML"),
        ("a: " + "x" * 300_000, "(allowed: at most 262,144 characters)"),
        ("a: 1" + ":1" * 100_000, "is too large a number"),
        ("a: 1" + ":1" * 100_000 + ".5", "is too large a number"),
    ],
)
def test_what_would_take_very_long_is_refused_at_once(text: str, words: str) -> None:
    began = process_time()
    with pytest.raises(UserError) as caught:
        parse_yaml(text, where="here")
    assert words in str(caught.value)
    assert process_time() - began < 5  # a machine that is used by others has its slow times
