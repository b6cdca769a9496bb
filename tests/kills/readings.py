"""Everything that a command leaves, by name, except what depends on time."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

RESULTS, TUNING = "results.sqlite", "tuning.sqlite"
OF_SQLITE = ("-wal", "-shm", "-journal")
STREAMS = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
TIMED = re.compile(
    r"reports/[^/]+/(report\.(html|md|json)|tables/table-(advice|trials|.*tuning).*"
    r"|figures/.*tuning.*)"
)
"""The parts of a report that show seconds."""
COSTS = (
    "parameters", "device", "path", "cached_layers", "artifact_bytes", "train_flops",
    "padding_avoided", "predictions_sha256", "model_sha256",
)  # fmt: skip
"""The costs that do not depend on time."""
TABLES = {
    "studies": "SELECT name, spec, basis FROM studies ORDER BY name",
    "trials": "SELECT id, trial, task, status, error, num_train_examples, num_eval_examples "
    "FROM trials ORDER BY id",
    "placements": "SELECT study, trial_id, position, arms FROM placements ORDER BY 1, 3, 2",
    "evaluations": "SELECT trial_id, step, epoch, train_loss, eval_loss, scores, hex(step_losses), "
    "held_out_loss, held_out_scores FROM evaluations ORDER BY 1, 2",
}
SEARCHES = {
    "settings": "SELECT s.study_name, t.number, t.state FROM trials t JOIN studies s "
    "USING (study_id) ORDER BY 1, 2",
    "values": "SELECT s.study_name, t.number, p.param_name, p.param_value FROM trial_params p "
    "JOIN trials t USING (trial_id) JOIN studies s USING (study_id) ORDER BY 1, 2, 3",
    "scores": "SELECT s.study_name, t.number, v.step, v.intermediate_value "
    "FROM trial_intermediate_values v JOIN trials t USING (trial_id) "
    "JOIN studies s USING (study_id) ORDER BY 1, 2, 3",
}

Readings = dict[str, Any]


def read(root: Path, *, is_timed: bool) -> Readings:
    """Return the content of the folder; with `is_timed` without parts of reports with seconds."""
    found: Readings = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        inner = name.removeprefix("workspace/")
        if inner == "logs" or inner.startswith("logs/") or inner.endswith(OF_SQLITE):
            continue
        if path.is_dir():
            found[f"{name}/"] = "a folder"
        elif path.name == RESULTS:
            found |= _tables(path, TABLES) | {f"{RESULTS}: costs": _costs(path)}
        elif path.name == TUNING:
            found |= _tables(path, SEARCHES)
        elif is_timed and TIMED.fullmatch(inner):
            found[name] = "there"
        else:
            found[name] = _content(path)
    return found


def differences(readings: Readings, wanted: Readings) -> list[str]:
    """Return the differences from the wanted readings, in words."""
    words = [f"left over: {name}" for name in sorted(readings.keys() - wanted.keys())]
    words += [f"missing: {name}" for name in sorted(wanted.keys() - readings.keys())]
    for name in sorted(readings.keys() & wanted.keys()):
        if readings[name] != wanted[name]:
            words.append(f"different: {name}{_first_difference(readings[name], wanted[name])}")
    return words


def _first_difference(found: Any, wanted: Any) -> str:
    if not isinstance(found, list):
        return ""
    pairs = [(a, b) for a, b in zip(found, wanted, strict=False) if a != b]
    one = f": {pairs[0][0]!r:.300} instead of {pairs[0][1]!r:.300}" if pairs else ""
    return f" ({len(found)} rows, wanted {len(wanted)}){one}"


def _tables(path: Path, queries: dict[str, str]) -> Readings:
    with closing(sqlite3.connect(path)) as database:
        return {
            f"{path.name}: {name}": [list(row) for row in database.execute(query)]
            for name, query in queries.items()
        }


def _costs(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT id, costs FROM trials ORDER BY id").fetchall()
    costs = {trial: json.loads(text) if text else {} for trial, text in rows}
    return [[trial, *(own.get(key) for key in COSTS)] for trial, own in costs.items()]


def _content(path: Path) -> str:
    """Return a digest of the file, or for a PDF, whose fonts come in any order, of its parts."""
    content = path.read_bytes()
    if path.suffix == ".pdf":
        content = b"".join(sorted(STREAMS.findall(content)))
    if path.name == "report.json":
        manifest = json.loads(content)
        files = {name: own for name, own in manifest["files"].items() if ".pdf" not in name}
        content = json.dumps([manifest["of"], files]).encode()
    return hashlib.sha256(content).hexdigest()
