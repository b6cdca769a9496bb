"""A checkpoint that was moved is found again by its content, where the user says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.core.inputs import ModelRef
from peftlab.models.location import find_checkpoint, locate, located


@pytest.fixture
def moved(tiny_checkpoint: Path, tmp_path: Path) -> tuple[ModelRef, Path]:
    """Return a checkpoint as a trial knew it, and the folder to which it was moved."""
    before = Path(shutil.copytree(tiny_checkpoint, tmp_path / "before"))
    known = locate(str(before))
    after = tmp_path / "archive" / "bert"
    shutil.copytree(before.rename(tmp_path / "renamed"), after)
    located.cache_clear()
    return known, after


def test_the_new_folder_or_the_one_it_is_in_is_enough(moved: tuple[ModelRef, Path]) -> None:
    known, after = moved
    (after.parent / "another").mkdir()
    for place in (after, after.parent):
        found = find_checkpoint(known, [str(place)])
        assert found == known.model_copy(update={"name": str(after)})


def test_one_that_is_gone_is_one_line_that_names_the_option(moved: tuple[ModelRef, Path]) -> None:
    known, _ = moved
    with pytest.raises(
        UserError, match=r"/before' no longer exists \(try: --model FOLDER"
    ) as caught:
        find_checkpoint(known)
    assert "\n" not in str(caught.value)


def test_a_gone_folder_whose_name_could_be_a_hub_s_is_gone(moved: tuple[ModelRef, Path]) -> None:
    known, _ = moved
    with pytest.raises(
        UserError, match=r"the checkpoint 'ckpt' no longer exists \(try: --model FOLDER"
    ):
        find_checkpoint(known.model_copy(update={"name": "ckpt"}))


def test_another_one_at_its_name_is_not_taken_for_it(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "bert"))
    known = locate(str(folder))
    assert find_checkpoint(known) == known
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    located.cache_clear()
    with pytest.raises(UserError, match="is now another one: its files have changed"):
        find_checkpoint(known)
    with pytest.raises(UserError, match=r"is in none of the folders searched \(1\): none has its"):
        find_checkpoint(known, [str(folder)])


def test_a_place_that_is_no_folder_is_refused(moved: tuple[ModelRef, Path], tmp_path: Path) -> None:
    known, after = moved
    for place in (tmp_path / "nowhere", after / "config.json"):
        with pytest.raises(UserError, match="there is no such folder"):
            find_checkpoint(known, [str(place)])


def test_a_model_of_the_hub_is_not_looked_for_in_folders(tmp_path: Path) -> None:
    known = locate("nobody/model")
    assert find_checkpoint(known) is known
    with pytest.raises(UserError, match="was loaded from the Hub, so --model does not apply"):
        find_checkpoint(known, [str(tmp_path)])
