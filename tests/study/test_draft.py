"""The study that is written for a file reads back as what was found, whatever its labels are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from peftlab.core.errors import UserError
from peftlab.core.safe_yaml import parse_yaml
from peftlab.study.draft import Draft, draft

TRAPS = (
    "yes", "no", "on", "off", "y", "N", "True", "null", "~", "1_000", "0x10", "0o7", "0b1", "017",
    "1:30", "2001-01-01", ".5", "5.", "1e3", "+1", "1_0.5", "=", "<<", "- a", "a: b", "#a", "a #b",
    "[a]", "{a}", "&a", "*a", "!a", "|", ">", "%a", "@a", "`a", "?", "-", "---", "'a'", '"a"',
    "a\\b", "é", "\U0001f600", "a b", "\u00a0x", "\u2028x", "x\u0085y", "\ufeffa", "a\tb", "-1",
    "00", "null ",
)  # fmt: skip


def write(path: Path, labels: list[Any]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows([f"film {n}", labels[n % len(labels)]] for n in range(30))
    return path


def drafted(path: Path) -> Draft:
    return draft(path.with_name("s.yaml"), path, model="minilm")


def own(made: Draft) -> dict[str, Any]:
    (data,) = parse_yaml(made.text, where="s.yaml")["data"].values()
    found: dict[str, Any] = data
    return found


@pytest.mark.parametrize("read", [lambda text: parse_yaml(text, where="here"), yaml.safe_load])
def test_labels_are_the_same_words_to_every_reader_of_yaml(
    read: Callable[[str], Any], tmp_path: Path
) -> None:
    # draft itself reads the study and all rows, and refuses what does not fit them.
    made = drafted(write(tmp_path / "t.csv", [*TRAPS[:19], "zz"]))
    assert sorted(read(made.text)["data"]["t"]["labels"]) == sorted([*TRAPS[:19], "zz"])
    for at in (19, 37):
        some = [*TRAPS[at : at + 18]]
        made = drafted(write(tmp_path / "t.csv", some))
        assert sorted(read(made.text)["data"]["t"]["labels"]) == sorted(some)


@pytest.mark.parametrize("name", ["no.csv", "1e3.csv", "null.csv", "a b.csv", "é #1.csv"])
def test_names_of_files_and_columns_are_quoted_too(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, ["a", "b"])
    path.write_text(path.read_text().replace("text,label", "no,yes"))
    data = own(draft(tmp_path / "off.yaml", path, text=["no"], label=["yes"], model="minilm"))
    assert (data["train"], data["text"], data["label"]) == (name, "no", "yes")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["0,5", "1,5", "2"], {"problem_type": "regression"}),
        (["0,0", "0,1", "1,0", "1,1"], {"problem_type": "regression"}),
        (['["a"]', '["a", "b"]', "[]"], {"labels": ["a", "b"]}),
        (["['a']", "['b']"], {"labels": ["a", "b"]}),
        (["0,1,0", "1,1,0"], {"labels": ["0", "1", "2"], "separator": ","}),
        (["0 1", "1 1", "0 0"], {"labels": ["0", "1"], "separator": " "}),
        (["1;2", "2", "3"], {"labels": ["1", "2", "3"], "separator": ";"}),
        (["1,234", "2,500"], {"problem_type": "single_label_classification"}),
    ],
)
def test_how_labels_are_written_is_found(
    labels: list[str], expected: dict[str, Any], tmp_path: Path
) -> None:
    data = own(drafted(write(tmp_path / "t.csv", labels)))
    assert {key: data[key] for key in expected} == expected
    if "labels" in expected:
        assert data["problem_type"] == "multi_label_classification"


def test_lists_of_0_and_1_are_labels_by_their_places(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"text": f"x {n}", "label": [n % 2, 0, 1]} for n in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = drafted(path)
    assert own(made)["labels"] == ["0", "1", "2"]
    assert "fewer than 5 rows have the label 1" in made.hints
    assert any("called by their places in the lists" in hint for hint in made.hints)


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        (["a", "b", "nan"], "'nan' is probably a missing label"),
        (["a", "b", "N/A"], "'N/A' is probably a missing label"),
        (["pos", "neg", "pos "], "'pos', 'pos ' are two labels that differ only in blanks"),
        (["pos", "neg", "Pos"], "'Pos', 'pos' are two labels that differ only in case: are they"),
        (["caf\u00e9", "neg", "cafe\u0301"], "differ only in their Unicode form: are they one?"),
    ],
)
def test_odd_labels_are_hinted_at(labels: list[str], hint: str, tmp_path: Path) -> None:
    hints = drafted(write(tmp_path / "t.csv", labels)).hints
    assert any(hint in one for one in hints), hints


def test_a_missing_score_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"t.csv:3: column 'label': 'nan' is no score"):
        drafted(write(tmp_path / "t.csv", ["0.5", "nan", "1.5", "2.5"]))
