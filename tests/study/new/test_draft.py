"""The study written for a file reads back as what was found, whatever its labels are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from peftlab.core.errors import UserError
from peftlab.core.safe_yaml import parse_yaml
from peftlab.study.new.draft import Draft, draft

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


@pytest.mark.parametrize(
    ("labels", "hint"),
    [
        (["1,000", "2,500"], "labels such as '1,000' look like numbers: each is read as a class"),
        (["10%", "20%"], "labels such as '10%' look like numbers"),
        (["1.5e3", "2e3"], "labels such as '1.5e3' look like numbers"),
        (["1,000", "250", "12,500,000"], "labels such as '1,000' look like numbers"),
        (["0.5", "1.5", "n.d."], "labels such as '0.5' look like numbers, 'n.d.' does not"),
        (["0.0", "1.0", "1"], "'1', '1.0' are two labels that differ only in how the number is"),
        (["[joy]", "[fear]"], "labels such as '[fear]' stand in brackets"),
        (["'a'", "'b'"], """labels such as "'a'" stand in quotes"""),
        ([" a", " b"], "labels such as ' a' begin or end with a blank"),
        (["a", "#REF!"], "'#REF!' is probably a missing label"),
        (["0", "1", "inf"], "'inf' is infinite, where other labels are numbers: is it a label?"),
        (["0", "1", "1e400"], "'1e400' is infinite, where other labels are numbers"),
    ],
)
def test_classes_that_were_probably_meant_otherwise_are_hinted_at(
    labels: list[str], hint: str, tmp_path: Path
) -> None:
    made = drafted(write(tmp_path / "t.csv", labels))
    assert own(made)["problem_type"] == "single_label_classification"
    assert any(one.startswith(hint) for one in made.hints), made.hints


@pytest.mark.parametrize(
    "labels", [["1", "2", "3"], ["-1", "0", "1"], ["18-25", "26-35"], ["2020", "2021", "later"]]
)
def test_classes_that_are_plain_numbers_need_no_hint(labels: list[str], tmp_path: Path) -> None:
    assert [
        hint for hint in drafted(write(tmp_path / "t.csv", labels)).hints if "few:" not in hint
    ] == []


@pytest.mark.parametrize(
    "labels",
    [
        ["Smith, John", "Doe, Jane", "Smith, Anna"], ["Sports", "Food, drinks", "News"],
        ["sports|tennis", "sports|golf", "news|world"],
    ],
)  # fmt: skip
def test_a_label_with_a_separator_in_it_is_one_where_its_parts_go_together(
    labels: list[str], tmp_path: Path
) -> None:
    made = drafted(write(tmp_path / "t.csv", labels))
    assert sorted(own(made)["labels"]) == sorted(labels)
    assert any("are read as one each: where they are several, write" in hint for hint in made.hints)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["joy, fear", "joy", "fear, awe"], ["awe", "fear", "joy"]),
        (["0,5", "0,5,1", "2"], ["0", "1", "2", "5"]),
        (["b,a", "a,c", "c,b"], ["a", "b", "c"]),
    ],
)
def test_labels_that_stand_in_different_company_are_several(
    labels: list[str], found: list[str], tmp_path: Path
) -> None:
    made = drafted(write(tmp_path / "t.csv", labels))
    assert (own(made)["labels"], own(made)["separator"]) == (found, ",")
    assert any("are read as several, with ',' between them" in hint for hint in made.hints)


@pytest.mark.parametrize("odd", ["inf", "-inf", "Infinity", "1e400", "nan"])
def test_a_number_among_scores_that_is_not_finite_is_refused_with_its_line(
    odd: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"t.csv:4: column 'label': '{odd}' is not a score"):
        drafted(write(tmp_path / "t.csv", ["0.5", "1.5", odd]))


@pytest.mark.parametrize("names", [["neg", "neg"], ["neg", "pos", "neg"]])
def test_a_name_that_two_classes_have_is_refused_with_the_file(
    names: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "t.parquet"
    feature = {"names": names, "_type": "ClassLabel"}
    table = pa.table({"text": [f"film {n}" for n in range(30)], "label": [0, 1] * 15})
    info = json.dumps({"info": {"features": {"label": feature}}})
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), path)
    with pytest.raises(UserError) as caught:
        drafted(path)
    assert str(caught.value).startswith(f"{path}: column 'label': the name 'neg' appears twice")


def test_lists_among_words_and_objects_are_refused_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"t.csv:4: column 'label': '\[\]' is not a word"):
        drafted(write(tmp_path / "t.csv", ["joy", "fear", "[]"]))
    path = tmp_path / "t.jsonl"
    rows = [{"text": f"x {n}", "label": {"a": n % 2}} for n in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=r"t.jsonl:1: column 'label': {'a': 0} is not a label"):
        drafted(path)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("pos", "leaves nothing to learn: every row has the label 'pos'"),
        ("", "has no label in any row"),
        ("-1", "has -1 in all rows, which is how datasets writes that there is no label"),
    ],
)
@pytest.mark.parametrize("name", ["label", "kind of thing"])
def test_a_column_with_one_label_alone_is_said_to_be_that(
    name: str, label: str, words: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "t.csv", [label])
    path.write_text(path.read_text().replace("text,label", f"text,{name}"))
    with pytest.raises(UserError, match=f"t.csv: the column '{name}' {words}.* .allowed: rows"):
        drafted(path)


def test_another_column_is_offered_where_one_could_be_the_label(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = "".join(f"film {n},pos,{'ab'[n % 2]}\n" for n in range(20))
    path.write_text(f"text,label,mood\n{rows}")
    with pytest.raises(UserError, match="two labels or more, or --label with one of mood"):
        drafted(path)
    assert own(draft(tmp_path / "s.yaml", path, label=["mood"], model="minilm"))["label"] == "mood"


def test_dev_gets_the_share_that_has_two_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ["a"])
    path.write_text(
        "text,label\n" + "".join(f"film {n},{'a' if n < 4 else 'b'}\n" for n in range(7))
    )
    assert own(drafted(path))["dev"] == 0.3


def test_a_study_that_could_not_run_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "".join(f"film {n},{'ab'[n == 9]}\n" for n in range(10)))
    with pytest.raises(UserError) as caught:
        drafted(path)
    assert str(caught.value).startswith(
        f"{path}: no study of this file can run: t dev (t.csv): both rows of dev have the "
        "label 'a', so that nothing can be compared"
    )
    both = write(tmp_path / "u.csv", ["a", "b"])
    with pytest.raises(UserError, match=r"all 30 rows of dev have the label 'a'.*--dev FILE with"):
        draft(tmp_path / "s.yaml", both, dev=write(tmp_path / "d.csv", ["a"]), model="minilm")


def test_a_missing_score_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"t.csv:3: column 'label': 'nan' is not a score"):
        drafted(write(tmp_path / "t.csv", ["0.5", "nan", "1.5", "2.5"]))


def test_what_was_found_is_written_down_where_the_ending_does_not_say_it(tmp_path: Path) -> None:
    rows = "".join(f"café {n}, so;{('sad', 'glad')[n % 2]}\n" for n in range(20))
    (tmp_path / "train.csv").write_bytes(f"text;label\n{rows}".encode("cp1252"))
    made = draft(tmp_path / "s.yaml", tmp_path / "train.csv")
    assert '    sep: ";" ' in made.text
    assert (
        "    encoding: cp1252            # guessed: not UTF-8; read as cp1252 it gives 'café'"
        in made.text
    )
    (tmp_path / "dev.csv").write_text("text,label\na,sad\nb,glad\n")
    made = draft(tmp_path / "s.yaml", tmp_path / "train.csv")
    assert "    sep:" not in made.text
    assert "    encoding:" not in made.text


def test_rows_that_lack_something_are_an_error_or_are_dropped(tmp_path: Path) -> None:
    rows = "".join(f"film {n},{('sad', 'glad', '')[n % 3]}\n" for n in range(30))
    (tmp_path / "t.csv").write_text(f"text,label\n{rows}")
    with pytest.raises(UserError, match=r"t.csv:4: .*missing: drop"):
        draft(tmp_path / "s.yaml", tmp_path / "t.csv")
    made = draft(tmp_path / "s.yaml", tmp_path / "t.csv", missing="drop")
    assert "    missing: drop " in made.text
    assert "    labels: [glad, sad]" in made.text
    assert any(
        "10 rows of train without a text or a label were dropped" in one for one in made.hints
    )


def test_other_columns_that_could_be_the_label_are_named(tmp_path: Path) -> None:
    rows = "".join(f"film {n},{'xy'[n % 2]},{'abc'[n % 3]}\n" for n in range(40))
    (tmp_path / "t.csv").write_text(f"text,source,verdict\n{rows}")
    made = draft(tmp_path / "s.yaml", tmp_path / "t.csv")
    (label,) = [guess for guess in made.guesses if guess.key == "label"]
    assert label.value == "source"
    assert label.why == "fewest distinct values (2); or --label verdict (3)"


@pytest.mark.parametrize(
    ("num_rows", "folds", "epochs", "steps"),
    [
        (100, None, 20, 120),
        (200, None, 20, 240),
        (1000, None, 9, 513),
        (1000, 5, 10, 500),
        (3000, None, 3, None),
    ],
)
def test_few_rows_are_trained_on_for_more_epochs_and_the_study_says_why(
    num_rows: int, folds: int | None, epochs: int, steps: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "".join(f"film {n},{'ab'[n % 2]}\n" for n in range(num_rows)))
    made = draft(tmp_path / "s.yaml", path, model="minilm", folds=folds)
    spec = parse_yaml(made.text, where="s.yaml")
    assert spec["training"]["num_train_epochs"] == epochs
    said = [line for line in made.text.splitlines() if "num_train_epochs" in line]
    if steps is None:
        assert said == ["  num_train_epochs: 3"]
    else:
        num_trained = num_rows - num_rows // (folds or 10)
        assert steps == epochs * -(-num_trained // spec["training"]["per_device_train_batch_size"])
        assert f"# {steps} steps: 3 epochs of few rows" in said[0]


def test_of_few_rows_new_says_what_makes_scores_less_noisy(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ["a", "b"])
    assert drafted(path).hints[0] == (
        "30 rows are few: scores on 6 of them are noisy; with --folds 5 all are scored"
    )
    with_folds = draft(tmp_path / "s.yaml", path, model="minilm", folds=5).hints
    assert with_folds[0] == (
        "30 rows are few: scores are noisy, and the intervals of the report will say so"
    )
