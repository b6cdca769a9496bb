"""Completions for a shell's Tab: names of studies, trials, arms, tasks and methods.

It must be there at once, so nothing heavy is imported and nothing is checked: where a name cannot
be found out quickly, or at all, it is not offered.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import typer

from peftlab.core.files import DEFAULT_WORKSPACE, STUDY_SUFFIXES
from peftlab.core.identity import pinned_settings
from peftlab.engine.registry import ENGINES
from peftlab.runner.executors.registry import EXECUTORS

MOST_TRIALS = 200


def known_studies(context: typer.Context, incomplete: str) -> list[str]:
    """Return the studies that can be run by name: the built-in ones, and those of the workspace."""
    return _beginning(incomplete, [*_builtin(), *_stored_studies(context)])


def stored_studies(context: typer.Context, incomplete: str) -> list[str]:
    """Return the studies of the workspace."""
    return _beginning(incomplete, _stored_studies(context))


def trials(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the ids of the workspace's finished trials, the newest first, each with a
    description."""
    rows = _query(
        context,
        "SELECT id, json_extract(trial, '$.method') || ' on ' || task || ', seed ' || "
        "json_extract(trial, '$.seed') || "
        "coalesce(', fold ' || json_extract(trial, '$.fold.number'), '') || "
        "coalesce(', ' || json_extract(trial, '$.train_size') || ' rows', '') "
        "FROM trials WHERE status = 'done' "
        "AND substr(id, 1, ?) = ? ORDER BY ended_at DESC LIMIT ?",
        len(incomplete),
        incomplete,
        MOST_TRIALS,
    )
    return [(str(trial_id), str(words)) for trial_id, words in rows]


def arms(context: typer.Context, incomplete: str) -> list[str]:
    """Return the arms of the study named before, as in its file; after a comma too."""
    done, names = _after_comma(incomplete), _arms(context)
    return _beginning(incomplete, [f"{done}{name}" for name in names])


def tasks(incomplete: str) -> list[str]:
    """Return the tasks that are known by name; after a comma too."""
    from peftlab.tasks.registry import TASKS

    done = _after_comma(incomplete)
    return _beginning(incomplete, [f"{done}{name}" for name in TASKS.names()])


def methods(incomplete: str) -> list[str]:
    """Return the methods whose settings are pinned, since importing the registry takes seconds."""
    return _beginning(incomplete, pinned_settings())


def engines(incomplete: str) -> list[str]:
    """Return the engines."""
    return _beginning(incomplete, ENGINES.names())


def executors(incomplete: str) -> list[str]:
    """Return the executors."""
    return _beginning(incomplete, EXECUTORS.names())


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _after_comma(incomplete: str) -> str:
    return incomplete[: incomplete.rfind(",") + 1]


def _builtin() -> Iterator[str]:
    for file in resources.files("peftlab.study.builtin").iterdir():
        if file.name.endswith(".yaml"):
            yield file.name.removesuffix(".yaml")


def _arms(context: typer.Context) -> list[str]:
    from peftlab.core.errors import PeftlabError
    from peftlab.core.safe_yaml import parse_yaml

    name = _study(context)
    own = resources.files("peftlab.study.builtin").joinpath(f"{name}.yaml")
    with suppress(OSError, ValueError, PeftlabError):
        is_file = name.endswith(STUDY_SUFFIXES)
        text = (Path(name).expanduser() if is_file else own).read_text(encoding="utf-8")
        found = parse_yaml(text, where=name)
        return [*map(str, found["arms"])] if isinstance(found.get("arms"), dict) else []
    return []


def _study(context: typer.Context) -> str:
    """Return the study that was named before; "" for none.

    Behind an option that still lacks its value the parser has found no arguments: then it is the
    first word that could be a study.
    """
    if found := context.params.get("study"):
        return str(found)
    words = (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or "").split()
    builtin = {*_builtin()}
    return next((w for w in words if w in builtin or w.endswith(STUDY_SUFFIXES)), "")


def _stored_studies(context: typer.Context) -> list[str]:
    return [str(name) for (name,) in _query(context, "SELECT name FROM studies ORDER BY name")]


def _query(context: typer.Context, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows from the workspace named before, or the usual one; none if it does not
    exist."""
    given = context.params.get("workspace") or context.params.get("workspaces") or DEFAULT_WORKSPACE
    folder = given[0] if isinstance(given, list | tuple) else given
    with suppress(OSError, RuntimeError, UnicodeDecodeError, sqlite3.Error):
        # The store's own reader brings an older database up to date, which is not for Tab to do.
        database = Path(folder).expanduser().absolute() / "results.sqlite"
        uri = f"{database.as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=0.5)) as connection:
            return connection.execute(sql, values).fetchall()
    return []
