"""Finding studies: by a built-in name or a YAML file, with what the command line changes in
them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from peftlab.core.bounds import check_text
from peftlab.core.errors import UnknownNameError, UserError
from peftlab.core.files import STUDY_SUFFIXES
from peftlab.core.safe_yaml import MOST_CHARACTERS, parse_setting, parse_yaml
from peftlab.core.training import is_by_task
from peftlab.models.location import locate
from peftlab.study.own_data import anchored
from peftlab.study.spec import StudySpec, validate

MOST_BYTES = 4 * MOST_CHARACTERS
"""The largest study file: what the characters that are read can take in UTF-8."""


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """The command line's changes to a study; None leaves the study's own value.

    `settings` are KEY=VALUE with a dotted key and a value in YAML. A `training.NAME` among them
    holds for every arm, also for those that have their own; a `training.NAME.TASK` does so for
    that task, and leaves the values for the study's other tasks.
    """

    settings: Sequence[str] = ()
    data: str | None = None
    model: str | None = None
    engine: str | None = None
    seeds: Sequence[int] | None = None
    tasks: Sequence[str] | None = None
    arms: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class BuiltinStudy:
    """A study that comes with the package."""

    name: str
    description: str
    text: str = field(repr=False)


def builtin_studies() -> dict[str, BuiltinStudy]:
    """Return the built-in studies by name."""
    found = {}
    for file in sorted(resources.files(f"{__package__}.builtin").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            text = file.read_text(encoding="utf-8")
            raw = parse_yaml(text, where=file.name)
            found[raw["name"]] = BuiltinStudy(
                name=raw["name"], description=raw["description"], text=text
            )
    return found


def load_study(name: str, overrides: Overrides = Overrides()) -> StudySpec:
    """Return the study of that built-in name, or in that YAML file, changed by the overrides.

    Raises UserError for whatever is wrong with either, UnknownNameError for an unknown name.
    """
    raw, where = _raw_study(name)
    changed = _apply(raw, overrides, where)
    return validate(anchored(changed, _folder(name)), where=where)


def study_of(raw: Mapping[str, Any], overrides: Overrides = Overrides()) -> StudySpec:
    """Return the study of these keys, changed by the overrides, with the same UserErrors.

    Files of its own data are named from the working directory.
    """
    changed = anchored(_apply(raw, overrides, "study"), Path.cwd())
    return validate(changed, where="study")


def needs_hub(spec: StudySpec) -> bool:
    """Return whether checkpoint or data are on the Hub; raise UserError if one does not exist."""
    from peftlab.data.source import is_on_hub

    model = locate(spec.model, where=f"{spec.name}: model")
    is_of_hub = isinstance(spec.data, str) and is_on_hub(spec.data)
    return is_of_hub or model.fingerprint.startswith("hub:")


def _folder(name: str) -> Path:
    """Return the folder to which the names of the study's own files are relative: the place of its
    file."""
    return Path(name).expanduser().absolute().parent


def _raw_study(name: str) -> tuple[dict[str, Any], str]:
    if name.endswith(STUDY_SUFFIXES):
        try:
            text = _text(Path(name).expanduser())
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise UserError(
                f"byte {error.start + 1} of the file (0x{byte:02x}) is not UTF-8",
                where=name,
                allowed="UTF-8 text",
            ) from error
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(f"cannot read the study file: {reason}", where=name) from error
        return _parse(text, name), name
    studies = builtin_studies()
    if name not in studies:
        raise UnknownNameError(
            "study", name, [*studies, "a file that ends in .yaml"], where="STUDY"
        )
    return _parse(studies[name].text, name), name


def _text(path: Path) -> str:
    """Return the text of a study's file; raise UserError for a device or an endless pipe."""
    if not path.is_file() and path.exists():
        kind = "a folder" if path.is_dir() else "no file with an end"
        raise UserError(f"cannot read the study file: it is {kind}", where=str(path))
    with path.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UserError(
            "too long a file for a study", where=str(path), allowed=f"at most {MOST_BYTES:,} bytes"
        )
    return content.decode("utf-8")


def _parse(text: str, where: str) -> dict[str, Any]:
    raw = parse_yaml(text, where=where)
    if not isinstance(raw, dict):
        raise UserError("a study is a mapping of keys", where=where, allowed="name, model, ...")
    return raw


def _apply(raw: Mapping[str, Any], overrides: Overrides, where: str) -> dict[str, Any]:
    """Return the study with its changes, which are listed in its description."""
    study = {**raw}
    changes: list[str] = []
    is_described = False
    for key, value in (
        ("data", overrides.data),
        ("model", overrides.model),
        ("engine", overrides.engine),
        ("seeds", overrides.seeds),
        ("tasks", overrides.tasks),
        ("only_arms", overrides.arms),
    ):
        option = "arms" if key == "only_arms" else key
        if isinstance(value, str):
            check_text(value, where=f"--{option}")
        if value is not None:
            if not isinstance(value, str) and not value:
                raise UserError("nothing is named", where=f"--{option}", allowed=f"some {option}")
            new = value if isinstance(value, str) else list(value)
            if new != study.get(key):
                shown = new if isinstance(new, str) else ", ".join(map(str, new))
                changes.append(f"{option}: {shown}")
            study[key] = new
    for setting in overrides.settings:
        key, value = parse_setting(setting)
        is_described |= key == "description"
        changes.append(f"{key}: {json.dumps(value, default=str)}")
        match key.split("."):
            case ["training", name, task] if is_by_task(name, {task: value}):
                _set_for_task(study, name, task, value)
            case path:
                _set(study, path, value)
    description = study.get("description", "")
    if changes and isinstance(description, str) and not is_described:
        study["description"] = f"{description} (changed: {'; '.join(changes)})".lstrip()
    return study


def _set(study: dict[str, Any], path: list[str], value: Any) -> None:
    """Put the value at the path, on copies of the mappings that lead there."""
    *parents, last = path
    parent = study
    for key in parents:
        inner = parent.get(key)
        parent[key] = dict(inner) if isinstance(inner, Mapping) else {}
        parent = parent[key]
    parent[last] = value
    if path[0] == "training" and len(path) > 1 and isinstance(study.get("arms"), Mapping):
        study["arms"] = {name: _without(arm, path[1]) for name, arm in study["arms"].items()}


def _without(arm: Any, name: str) -> Any:
    """Return the arm without its own training setting of that name."""
    if not _has_own(arm, name):
        return arm
    kept = {key: value for key, value in arm["training"].items() if key != name}
    return {**arm, "training": kept}


def _set_for_task(study: dict[str, Any], name: str, task: str, value: Any) -> None:
    """Set a training setting's value for one task, in the study and in every arm with its own."""
    tasks = study.get("tasks")
    names = [item for item in tasks if isinstance(item, str)] if isinstance(tasks, list) else []
    study["training"] = _with_task(study.get("training"), names, name, task, value)
    if isinstance(study.get("arms"), Mapping):
        study["arms"] = {
            key: {**arm, "training": _with_task(arm["training"], names, name, task, value)}
            if _has_own(arm, name)
            else arm
            for key, arm in study["arms"].items()
        }


def _with_task(training: Any, tasks: list[str], name: str, task: str, value: Any) -> dict[str, Any]:
    """Return the settings with the value set; one that held for all tasks is spread over them."""
    settings = dict(training) if isinstance(training, Mapping) else {}
    own = settings.get(name, {})
    by_task = own if is_by_task(name, own) or own == {} else dict.fromkeys(tasks, own)
    return {**settings, name: {**by_task, task: value}}


def _has_own(arm: Any, name: str) -> bool:
    """Return whether the arm has a training setting of its own of that name."""
    training = arm.get("training") if isinstance(arm, Mapping) else None
    return isinstance(training, Mapping) and name in training
