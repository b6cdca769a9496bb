"""Labels missing from a split and rows shared by dev and train are reported before any run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UserError
from peftlab.runner.plan import make_plan
from peftlab.store.workspace import Workspace
from peftlab.study.remarks.finding import Finding
from peftlab.study.remarks.row_remarks import remarks_on_draft, require_labels, row_remarks
from peftlab.study.spec import validate
from peftlab.study.trials import Expanded, expand
from peftlab.study.tuning.search import expand_searches, wanted_tune

Rows = Sequence[tuple[str, Any]]
MIXED: Rows = [(f"text {n}", "abc"[n % 3]) for n in range(30)]
OTHERS: Rows = [(f"other {n}", "abc"[n % 3]) for n in range(30)]


def write(path: Path, rows: Rows) -> str:
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return str(path)


def study(
    folder: Path, checkpoint: Path, train: Rows, dev: Rows | None = None, **keys: Any
) -> Expanded:
    data: dict[str, Any] = {"train": write(folder / "train.csv", train)}
    if dev is not None:
        data["dev"] = write(folder / "dev.csv", dev)
    data |= {"text": "text", "label": "label", **keys.pop("data", {})}
    raw = {"name": "own", "model": str(checkpoint), "data": {"mood": data}, "seeds": [1, 2]}
    return expand(validate({**raw, "arms": {"head": {"method": "head"}}, **keys}, where="own"))


def told(expanded: Expanded) -> list[tuple[str, str, str, str]]:
    return [(one.level, one.rule, one.where, one.message) for one in row_remarks(expanded)]


def test_rows_with_which_all_is_well_earn_no_remark(tmp_path: Path, tiny_checkpoint: Path) -> None:
    expanded = study(tmp_path, tiny_checkpoint, MIXED, OTHERS)
    assert row_remarks(expanded) == []
    require_labels(expanded)


@pytest.mark.parametrize(
    ("train", "dev", "where", "message"),
    [
        (
            MIXED[::3], OTHERS, "data: mood train (train.csv)",
            "all 10 rows of train have the label 'a', so that there is nothing to learn; rows "
            "with two labels or more are needed",
        ),
        (
            MIXED, OTHERS[:1], "data: mood dev (dev.csv)",
            "the only row of dev has the label 'a', so that nothing can be compared; "
            "rows with two labels or more are needed",
        ),
    ],
)  # fmt: skip
def test_one_label_alone_is_an_error_of_lint_and_of_run(
    train: Rows, dev: Rows, where: str, message: str, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    labels = {"labels": ["a", "b", "c"]}
    expanded = study(tmp_path, tiny_checkpoint, train, dev, data=labels)
    assert ("error", "one-label", where, message) in told(expanded)
    with pytest.raises(UserError) as caught:
        require_labels(expanded)
    assert str(caught.value) == f"own: {where}: {message}"


def test_one_single_score_is_an_error_too(tmp_path: Path, tiny_checkpoint: Path) -> None:
    rows = [(f"text {n}", n / 4) for n in range(8)]
    expanded = study(tmp_path, tiny_checkpoint, rows, [("a", 0.5), ("b", 0.5)])
    (error,) = [one for one in row_remarks(expanded) if one.level == "error"]
    assert error.message.startswith("both rows of dev have the score 0.5, so that nothing")
    assert error.message.endswith("rows with scores that differ are needed")


def test_a_limit_is_named_where_it_is_the_cause(tmp_path: Path, tiny_checkpoint: Path) -> None:
    expanded = study(tmp_path, tiny_checkpoint, MIXED, OTHERS, max_eval_samples=1)
    with pytest.raises(UserError, match=r"the only row of dev .*: raise max_eval_samples$"):
        require_labels(expanded)


def test_the_first_rows_of_a_benchmark_that_have_one_label_are_refused(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    folder = tmp_path / "glue" / "SST-2"
    folder.mkdir(parents=True)
    lines = [f"film {n}\t{int(n >= 40)}\n" for n in range(80)]
    for split in ("train", "dev"):
        (folder / f"{split}.tsv").write_text("sentence\tlabel\n" + "".join(lines))
    raw = {"name": "g", "model": str(tiny_checkpoint), "data": str(folder.parent), "seeds": [1]}
    raw |= {"tasks": ["sst2"], "arms": {"head": {"method": "head"}}}
    sound = expand(validate({**raw, "max_train_samples": 50}, where="g"))
    require_labels(sound)
    spec = validate({**raw, "max_train_samples": 32}, where="g")
    message = "g: data: sst2 train: the first 32 rows of train have the label 'negative'"
    with pytest.raises(UserError, match=message):
        require_labels(expand(spec))
    with Workspace.open(tmp_path / "ws") as workspace, pytest.raises(UserError, match=message):
        make_plan(expand(spec), workspace)
    with pytest.raises(UserError, match="all 29 rows of train have the label"):
        expand_searches(spec, wanted_tune(spec, 2, None, None))


def test_rows_that_are_held_out_must_differ_too(tmp_path: Path, tiny_checkpoint: Path) -> None:
    selection = {"split": "train", "fraction": 0.05}
    expanded = study(tmp_path, tiny_checkpoint, MIXED[:20], OTHERS, selection=selection)
    with pytest.raises(UserError, match="the only row of train, held out, has the label 'a'"):
        require_labels(expanded)
    enough = {"split": "train", "fraction": 0.2}
    require_labels(study(tmp_path, tiny_checkpoint, MIXED[:20], OTHERS, selection=enough))


def test_scores_of_the_seed_that_holds_out_one_alone_are_found(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    rows = [(f"text {n}", 0.1 if n < 6 else 0.4) for n in range(12)]
    selection = {"split": "train", "fraction": 0.25}
    keys: dict[str, Any] = {"selection": selection, "data": {"problem_type": "regression"}}
    found = []
    for seed in range(20):
        alone = study(tmp_path, tiny_checkpoint, rows, rows, seeds=[seed], **keys)
        if any(one.rule == "one-label" for one in row_remarks(alone)):
            found.append(seed)
    assert 0 < len(found) < 20
    every = study(tmp_path, tiny_checkpoint, rows, rows, seeds=[*range(20)], **keys)
    (error,) = [one for one in row_remarks(every) if one.rule == "one-label"]
    assert f"(seed {found[0]})" in error.message


def test_a_label_that_a_split_lacks_is_a_warning(tmp_path: Path, tiny_checkpoint: Path) -> None:
    train = [*[row for row in MIXED if row[1] != "c"]]
    dev = [*OTHERS[:2], ("only one", "c")]
    labels = {"labels": ["a", "b", "c", "d"]}
    found = told(study(tmp_path, tiny_checkpoint, train, dev, data=labels))
    assert found == [
        (
            "warning", "lacking-label", "data: mood train (train.csv)",
            "none of the 20 rows has 2 labels 'c', 'd': no method can learn to give them, and 1 "
            "row of dev has one of them",
        ),
        (
            "warning", "lacking-label", "data: mood dev (dev.csv)",
            "none of the 3 rows has the label 'd': scores say nothing of it",
        ),
    ]  # fmt: skip


def test_a_rare_label_whose_only_row_is_cut_off_for_dev_is_told(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    rows = [*MIXED[:2], ("once", "rare"), *[(f"more {n}", "ab"[n % 2]) for n in range(2)]]
    expanded = study(tmp_path, tiny_checkpoint, rows, data={"dev": 0.6})
    assert 2 not in expanded.rows["mood"].train
    (found,) = [one for one in row_remarks(expanded) if one.where == "data: mood train (train.csv)"]
    assert found.message == (
        "none of the 2 rows has the label 'rare': no method can learn to give it, and 1 row of "
        "dev has it"
    )


def test_several_labels_lack_what_no_row_has(tmp_path: Path, tiny_checkpoint: Path) -> None:
    path = tmp_path / "train.jsonl"
    lines = [f'{{"t": "text {n}", "l": {["[]", "[0, 1]"][n % 2]}}}' for n in range(10)]
    path.write_text("\n".join(lines).replace("[0, 1]", '["x"]'))
    data = {"train": str(path), "dev": str(path), "text": "t", "label": "l", "labels": ["x", "y"]}
    raw = {"name": "o", "model": str(tiny_checkpoint), "data": {"m": data}}
    expanded = expand(validate({**raw, "arms": {"head": {"method": "head"}}}, where="o"))
    messages = [one.message for one in row_remarks(expanded) if one.rule == "lacking-label"]
    assert messages[0] == "none of the 10 rows has the label 'y': no method can learn to give it"


@pytest.mark.parametrize("how", ["itself", "link", "copy", "path"])
def test_dev_that_is_the_file_of_train_is_told(
    how: str, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    train, other = tmp_path / "train.csv", tmp_path / "other.csv"
    write(train, MIXED)
    if how == "link":
        other.symlink_to(train)
    elif how == "copy":
        shutil.copyfile(train, other)
    dev = {"itself": train, "path": tmp_path / "." / ".." / tmp_path.name / "train.csv"}
    expanded = study(tmp_path, tiny_checkpoint, MIXED, data={"dev": str(dev.get(how, other))})
    assert told(expanded) == [
        (
            "warning", "dev-in-train", "data: mood",
            "dev is the file of train itself: 30 of 30 rows of dev are in train (exactly); "
            "scores on such rows show what was memorised",
        )
    ]  # fmt: skip


def test_rows_of_dev_and_of_test_in_train_and_contradictions_are_counted(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    train = [*MIXED, ("TEXT 0", "b")]
    dev = [*OTHERS, ("text 3", "a"), ("Text  4", "b")]
    test = write(tmp_path / "test.csv", [*OTHERS[:3], ("text 7", "a")])
    found = told(study(tmp_path, tiny_checkpoint, train, dev, data={"test": test}))
    assert [(rule, message) for _, rule, _, message in found] == [
        (
            "dev-in-train",
            "2 of 32 rows of dev are in train (1 exactly, 1 more after lower-casing and "
            "squeezing blanks); scores on such rows show what was memorised",
        ),
        (
            "contradictory-labels",
            "1 text of train has different labels in different rows, as rows 1 and 31: no method "
            "can get both right",
        ),
        ("test-in-train", "1 of 4 rows of test is in train (exactly)"),
    ]


def test_rows_beyond_the_limits_are_no_leak(tmp_path: Path, tiny_checkpoint: Path) -> None:
    expanded = study(tmp_path, tiny_checkpoint, MIXED, MIXED, max_train_samples=6)
    leak = expanded.rows["mood"].leak
    assert (leak.num_rows, leak.exact, leak.is_same_file) == (30, 6, True)


def test_a_few_rows_that_a_benchmark_shares_are_a_note(tiny_checkpoint: Path) -> None:
    raw = {"name": "d", "model": str(tiny_checkpoint), "data": "demo", "tasks": ["demo-sentiment"]}
    expanded = expand(validate({**raw, "arms": {"head": {"method": "head"}}}, where="d"))
    assert all(one.level == "note" for one in row_remarks(expanded))


def test_a_draft_is_looked_at_as_it_will_be_read(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", MIXED)
    text = (
        "name: x\nmodel: minilm\narms: {head: {method: head}}\n"
        "data: {mood: {train: train.csv, dev: train.csv, text: text, label: label}}\n"
    )
    (found,) = remarks_on_draft(text, tmp_path / "x.yaml").others
    assert found.startswith("mood: dev is the file of train itself: 30 of 30 rows of dev are in ")


def test_a_remark_is_one_line(tmp_path: Path, tiny_checkpoint: Path) -> None:
    every: list[Finding] = row_remarks(study(tmp_path, tiny_checkpoint, MIXED, MIXED))
    assert every
    assert all("\n" not in one.message for one in every)
