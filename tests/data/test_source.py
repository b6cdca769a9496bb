"""One conformance test covers every kind of source and its names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.data.demo import source as demo
from peftlab.data.demo.source import DemoSource
from peftlab.data.glue_folder import GlueFolder
from peftlab.data.hub import HubSource
from peftlab.data.source import FORMS, DataSource, open_ref, open_source, require
from peftlab.tasks.demo import DEMO
from peftlab.tasks.glue import COLA, MRPC, SST2
from peftlab.tasks.registry import TASKS
from peftlab.tasks.spec import Task


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place that holds rows: its name, its tasks, and a way to change one word in it.

    `change` returns the name by which the changed place is opened.
    """

    data: str
    kind: str
    tasks: tuple[Task, ...]
    splits: tuple[str, ...]
    change: Callable[[], str]


@pytest.fixture(params=["demo", "folder", "hub"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each kind of source in turn."""
    if request.param == "demo":
        monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
        yield Place(
            data="demo",
            kind="demo",
            tasks=DEMO,
            splits=("train", "dev"),
            change=lambda: _turn_more_labels_round(monkeypatch),
        )
        monkeypatch.undo()
        _forget_demo()
    elif request.param == "folder":
        folder: Path = request.getfixturevalue("small_glue")
        yield Place(
            data=str(folder),
            kind="folder",
            tasks=(SST2, COLA, MRPC),
            splits=("train", "dev", "test"),
            change=lambda: _edit_folder(folder),
        )
    else:
        folder = request.getfixturevalue("small_hub")
        yield Place(
            data=f"hub:{folder}",
            kind="hub",
            tasks=(SST2, COLA, MRPC),
            splits=("train", "dev", "test"),
            change=lambda: _edit_hub(folder),
        )


def test_a_source_knows_its_tasks_and_no_others(place: Place) -> None:
    source = open_source(place.data)
    known = {task.name for task in TASKS if source.has(task)}
    assert known >= {task.name for task in place.tasks}
    layouts = {"folder": lambda task: task.folder, "hub": lambda task: task.hub}
    if place.kind in layouts:
        assert known == {task.name for task in TASKS if layouts[place.kind](task) is not None}


def test_rows_are_numbered_have_the_tasks_texts_and_labels_in_range(place: Place) -> None:
    source = open_source(place.data)
    for task in place.tasks:
        for split in place.splits:
            examples = source.examples(task, split)
            assert examples
            assert [example.row_id for example in examples] == list(range(len(examples)))
            for example in examples:
                assert len(example.texts) == len(task.texts)
                assert all(type(text) is str and text for text in example.texts)
                if split == "test":
                    assert example.label is None
                else:
                    assert type(example.label) is int
                    assert 0 <= example.label < task.num_labels


@pytest.mark.parametrize("split", ["validation", "Train", ""])
def test_an_unknown_split_is_refused_with_those_that_there_are(place: Place, split: str) -> None:
    source = open_source(place.data)
    with pytest.raises(UserError) as caught:
        source.examples(place.tasks[0], split)
    message = str(caught.value)
    assert f"no split '{split}'" in message
    assert message.endswith(f"(allowed: {', '.join(place.splits)})")


def test_rows_and_digests_are_the_same_at_every_call(place: Place) -> None:
    first, second = open_source(place.data), open_source(place.data)
    refs = [first.ref(task) for task in place.tasks]
    assert refs == [first.ref(task) for task in place.tasks]
    assert refs == [second.ref(task) for task in place.tasks]
    assert len({ref.digest for ref in refs}) == len(place.tasks)
    for task in place.tasks:
        assert first.examples(task, "train") == second.examples(task, "train")


def test_a_digest_is_64_hexadecimal_digits_and_the_kind_is_named(place: Place) -> None:
    ref = open_source(place.data).ref(place.tasks[0])
    assert ref.source == place.kind
    assert len(ref.digest) == 64
    assert set(ref.digest) <= set("0123456789abcdef")


def test_a_change_of_content_changes_the_digest(place: Place) -> None:
    task = place.tasks[0]
    before = open_source(place.data).ref(task).digest
    assert open_source(place.change()).ref(task).digest != before


def test_a_ref_leads_back_to_its_rows(place: Place) -> None:
    source = open_source(place.data)
    for task in place.tasks:
        ref = source.ref(task)
        again = open_ref(ref)
        assert again.ref(task) == ref
        assert again.examples(task, "dev") == source.examples(task, "dev")


def test_a_caller_may_change_the_list_that_it_gets(place: Place) -> None:
    source, task = open_source(place.data), place.tasks[0]
    expected = list(source.examples(task, "dev"))
    source.examples(task, "dev").clear()
    assert source.examples(task, "dev") == expected


def test_a_task_that_a_source_lacks_is_refused_with_those_that_it_has(place: Place) -> None:
    source = open_source(place.data)
    for task in place.tasks:
        require(source, task, place.data)
    missing = next(task for task in TASKS if not source.has(task))
    with pytest.raises(UserError) as caught:
        require(source, missing, place.data, where="study.yaml: tasks")
    trained = [task for task in TASKS if source.has(task) and task.answered_by is None]
    known = ", ".join(task.name for task in trained)
    assert str(caught.value) == (
        f"study.yaml: tasks: the data '{place.data}' has no task '{missing.name}' "
        f"(allowed: {known})"
    )


@pytest.mark.parametrize("task", [SST2, COLA, MRPC], ids=lambda task: task.name)
def test_a_glue_folder_and_the_hubs_layout_give_the_same_rows(
    task: Task, small_glue: Path, small_hub: Path
) -> None:
    folder, hub = open_source(str(small_glue)), open_source(f"hub:{small_hub}")
    for split in ("train", "dev", "test"):
        assert folder.examples(task, split) == hub.examples(task, split)


@pytest.mark.parametrize(
    ("data", "kind"), [("demo", DemoSource), ("hub", HubSource), ("hub:a/b", HubSource)]
)
def test_a_source_is_named_by_a_word(data: str, kind: type[DataSource]) -> None:
    assert type(open_source(data)) is kind


def test_a_folder_may_be_named_from_home_or_from_here(
    small_glue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(small_glue.parent))
    monkeypatch.chdir(small_glue.parent)
    for data in (str(small_glue), "~/glue", "glue", "./glue"):
        source = open_source(data)
        assert isinstance(source, GlueFolder)
        assert source.ref(SST2).location == str(small_glue.resolve())


def test_a_folder_in_the_hubs_layout_keeps_its_full_path(
    small_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_hub.parent)
    assert open_source("hub:hub").ref(SST2).location == str(small_hub.resolve())


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("nowhere", "unknown data 'nowhere': not a folder"),
        ("hub:/nowhere", "unknown data 'hub:/nowhere': no such folder"),
        ("hub:./nowhere", "unknown data 'hub:./nowhere': no such folder"),
        ("Demo", "unknown data 'Demo': not a folder"),
        ("", "unknown data ''"),
        ("hub:", "unknown data 'hub:'"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_line(data: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        open_source(data, where="--data")
    assert str(caught.value) == f"--data: {what} (allowed: {FORMS})"


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not a folder"):
        open_source(str(tmp_path / "file"))


def _forget_demo() -> None:
    demo._digest.cache_clear()
    demo._examples.cache_clear()


def _turn_more_labels_round(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(demo, "NOISE_PERCENT", demo.NOISE_PERCENT + 1)
    _forget_demo()
    return "demo"


def _edit_folder(folder: Path) -> str:
    path = folder / "SST-2" / "dev.tsv"
    path.write_bytes(path.read_bytes().replace(b"lovely", b"lonely"))
    return str(folder)


def _edit_hub(folder: Path) -> str:
    # To another place: within one process what was read of a repository stays.
    import pyarrow as pa
    import pyarrow.parquet as pq

    changed = folder.rename(folder.with_name("changed"))
    path = changed / "sst2" / "validation-00000-of-00001.parquet"
    columns = pq.read_table(path).to_pydict()
    columns["sentence"] = [text.replace("lovely", "lonely") for text in columns["sentence"]]
    pq.write_table(pa.table(columns), path)
    return f"hub:{changed}"
