"""A folder by URL is read whole or in its previous state, whatever happened to the last upload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from peftlab.core.errors import StorageError
from peftlab.runner import exchanged_folder
from peftlab.runner.exchange import Exchange
from peftlab.runner.exchanged_folder import ExchangedFolder

MakePlace = Callable[[], ExchangedFolder]
FIRST = {"predictions.parquet": b"one", "checkpoints/step-000000001-a": b"state 1"}
SECOND = {
    "predictions.parquet": b"two",
    "checkpoints/step-000000001-a": b"state 1",
    "checkpoints/step-000000002-b": b"state 2" * 1000,
    "model/deep/adapter.safetensors": b"",
}


@pytest.fixture(params=["file", "s3"])
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> MakePlace:
    """The function that returns the same place as another machine sees it."""
    url = f"file://{tmp_path}/far" if request.param == "file" else request.getfixturevalue("s3_url")
    return lambda: Exchange(url).folder("trial")


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def stored(place: ExchangedFolder) -> list[str]:
    """Return the paths of everything below the place's root."""
    place.files.invalidate_cache()
    return sorted(path.removeprefix(f"{place.root}/") for path in place.files.find(place.root))


def objects(place: ExchangedFolder, data: bytes) -> list[str]:
    """Return the paths of the objects with this content."""
    found = place.files.find(f"{place.root}/objects")
    return [path for path in found if place.files.cat_file(path) == data]


def test_another_machine_has_the_newest_state(make_place: MakePlace, tmp_path: Path) -> None:
    here = make_place()
    here.publish(write(tmp_path / "here", FIRST))
    second = here.publish(write(tmp_path / "here", SECOND))
    write(tmp_path / "there", {"of-another-time": b"old", "predictions.parquet": b"old"})
    fetched = make_place().fetch(tmp_path / "there")
    assert (fetched.state, fetched.damaged) == (second, ())
    assert content(tmp_path / "there") == SECOND
    make_place().fetch(tmp_path / "model", only=second, with_checkpoints=False)
    assert {*content(tmp_path / "model")} == {
        "predictions.parquet",
        "model/deep/adapter.safetensors",
    }


def test_nothing_is_had_of_a_place_where_nothing_is(make_place: MakePlace, tmp_path: Path) -> None:
    fetched = make_place().fetch(tmp_path / "there")
    assert (fetched.state, fetched.damaged) == (None, ())
    assert not (tmp_path / "there").exists()
    make_place().remove()


def test_what_no_kept_state_has_is_removed(make_place: MakePlace, tmp_path: Path) -> None:
    place = make_place()
    folder = tmp_path / "here"
    for number in range(1, 6):
        if number == 4:  # another machine goes on
            place = make_place()
            place.fetch(tmp_path / "there")
            folder = tmp_path / "there"
        write(folder, {"predictions.parquet": b"%d" % number, "kept": b"kept"})
        place.publish(folder)
    states = [name for name in stored(place) if name.startswith("state-")]
    assert [name[:12] for name in states] == ["state-000004", "state-000005"]
    assert len(stored(place)) == 2 + 3
    place.remove()
    assert stored(place) == []


def damage_object(place: ExchangedFolder) -> None:
    (path,) = objects(place, SECOND["checkpoints/step-000000002-b"])
    place.files.pipe_file(path, b"state 2" * 999 + b"state 3")


def lose_object(place: ExchangedFolder) -> None:
    (path,) = objects(place, b"two")
    place.files.rm_file(path)


def tear_state(place: ExchangedFolder) -> None:
    path = f"{place.root}/{[name for name in stored(place) if name.startswith('state-')][-1]}"
    place.files.pipe_file(path, place.files.cat_file(path)[:-9])


@pytest.mark.parametrize("damage", [damage_object, lose_object, tear_state])
def test_damage_is_noticed_and_the_state_before_holds(
    damage: Callable[[ExchangedFolder], None], make_place: MakePlace, tmp_path: Path
) -> None:
    here = make_place()
    first = here.publish(write(tmp_path / "here", FIRST))
    second = here.publish(write(tmp_path / "here", SECOND))
    damage(here)
    there = make_place()
    fetched = there.fetch(tmp_path / "there")
    assert (fetched.state, fetched.damaged) == (first, (second,))
    assert content(tmp_path / "there") == FIRST

    # The same bits come again; what is there of them is not taken for whole.
    there.publish(write(tmp_path / "there", SECOND))
    assert make_place().fetch(tmp_path / "last").damaged == ()
    assert content(tmp_path / "last") == SECOND


def test_a_damaged_state_that_is_asked_for_has_no_other_in_its_place(
    make_place: MakePlace, tmp_path: Path
) -> None:
    here = make_place()
    here.publish(write(tmp_path / "here", FIRST))
    second = here.publish(write(tmp_path / "here", SECOND))
    damage_object(here)
    write(tmp_path / "there", {"of-another-time": b"old"})
    assert make_place().fetch(tmp_path / "there", only=second).state is None
    assert content(tmp_path / "there") == {"of-another-time": b"old"}


def test_names_that_lead_out_of_the_folder_are_damage(
    make_place: MakePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_place()
    folder = write(tmp_path / "here", {"sound": b"x"})
    digest = place._entries(folder)[0].digest
    for name in ("../out", "/out", "a/../../out", "..\\out"):
        entry = exchanged_folder.ExchangedFile(name=name, digest=digest)
        with monkeypatch.context() as patch:
            patch.setattr(ExchangedFolder, "_entries", lambda self, folder, e=entry: (e,))
            patch.setattr(ExchangedFolder, "_send", lambda self, file, digest: None)
            place.publish(folder)
    fetched = make_place().fetch(tmp_path / "a" / "there")
    assert fetched.state is None
    assert len(fetched.damaged) == 2
    assert not (tmp_path / "a" / "out").exists()


def test_a_folder_is_offered_where_it_has_come_further(
    make_place: MakePlace, tmp_path: Path
) -> None:
    make_place().offer(write(tmp_path / "far", SECOND))
    make_place().offer(write(tmp_path / "near", FIRST))
    make_place().fetch(tmp_path / "there")
    assert content(tmp_path / "there") == SECOND


class Faulty:
    """A file system on which a number of writing calls fail, and then no more."""

    def __init__(self, files: Any, faults: int) -> None:
        self.files, self.left = files, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self.files, name)

    def put_file(self, *given: Any) -> None:
        self.left -= 1
        if self.left >= 0:
            raise FileNotFoundError("The specified bucket does not exist")
        self.files.put_file(*given)


def test_what_fails_is_tried_a_few_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanged_folder, "PAUSES_SECONDS", (0.0, 0.0, 0.0))
    folder = write(tmp_path / "here", FIRST)
    local = fsspec.filesystem("file", auto_mkdir=True)
    for faults in (3, 4):
        root = f"{tmp_path}/far-{faults}"
        place = ExchangedFolder(files=Faulty(local, faults), root=root, where=root)
        if faults == 3:
            place.publish(folder)
            assert len(stored(place)) == 3
        else:
            with pytest.raises(StorageError, match="does not answer: The specified bucket"):
                place.publish(folder)
