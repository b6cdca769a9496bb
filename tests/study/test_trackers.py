"""A tracker that cannot be used is one clear line, before anything is read or trained."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peftlab.core.errors import UnknownNameError, UserError
from peftlab.study.expand import Expanded, expand
from peftlab.study.load import Overrides, load_study
from peftlab.study.spec import validate
from peftlab.study.trackers import require_trackers


@pytest.fixture
def only_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """accelerate on a machine on which no other tracker's package is installed."""
    from accelerate import tracking
    from accelerate.utils import LoggerType

    monkeypatch.setattr(tracking, "_available_trackers", [LoggerType.TENSORBOARD])


@pytest.fixture
def make_study(tiny_checkpoint: Path) -> Callable[..., Expanded]:
    def make(**keys: Any) -> Expanded:
        study = {
            "name": "tiny",
            "model": str(tiny_checkpoint),
            "data": "demo",
            "tasks": ["demo-paraphrase"],
            "arms": {"full": {"method": "full"}},
        }
        return expand(validate(study | keys, where="tiny.yaml"))

    return make


def test_a_tracker_is_no_part_of_a_trial(
    make_study: Callable[..., Expanded], only_tensorboard: None
) -> None:
    tracked, plain = make_study(track=["tensorboard"]), make_study()
    assert (tracked.spec.track, plain.spec.track) == (("tensorboard",), ())
    assert tracked.trials == plain.trials
    assert tracked.trials[0].id == plain.trials[0].id


def test_an_unknown_tracker_names_the_nearest_one_that_accelerate_knows(
    make_study: Callable[..., Expanded],
) -> None:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    with pytest.raises(UnknownNameError) as caught:
        make_study(track=["tensorbord"])
    assert str(caught.value) == (
        "tiny: track: unknown tracker 'tensorbord', did you mean 'tensorboard'? "
        f"(allowed: {', '.join(sorted(LOGGER_TYPE_TO_CLASS))})"
    )


def test_a_tracker_whose_package_is_missing_says_how_to_get_it(
    make_study: Callable[..., Expanded], only_tensorboard: None
) -> None:
    with pytest.raises(UserError) as caught:
        make_study(track=["tensorboard", "wandb"])
    assert str(caught.value) == (
        "tiny: track: the tracker wandb needs a package that is not installed (allowed: pip "
        "install wandb, or 'peftlab[track]' for tensorboard and mlflow; installed: tensorboard)"
    )


def test_a_tracker_that_somebody_has_registered_with_accelerate_is_taken(
    only_tensorboard: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "ours", object)
    require_trackers(["ours", "tensorboard"], where="track")


def test_accelerate_is_not_asked_where_nothing_is_tracked(
    make_study: Callable[..., Expanded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate.tracking", None)
    assert make_study().spec.track == ()


@pytest.mark.parametrize(
    ("track", "complaint"),
    [
        ("tensorboard", "track: must be a list"),
        (["tensorboard", "tensorboard"], "track: 'tensorboard' is there twice"),
        ([3], r"track\[0\]: "),
    ],
)
def test_what_is_no_list_of_names_is_refused(
    track: Any, complaint: str, make_study: Callable[..., Expanded]
) -> None:
    with pytest.raises(UserError, match=rf"^tiny\.yaml: {complaint}"):
        make_study(track=track)


def test_the_command_line_reaches_it() -> None:
    spec = load_study("quickstart", Overrides(settings=["track=[tensorboard, mlflow]"]))
    assert spec.track == ("tensorboard", "mlflow")
