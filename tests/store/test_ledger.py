"""The user's ledger is shared by processes, and if it cannot be used nothing else suffers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from peftlab.store.ledger import ledger_file, read_ledger, write_ledger
from peftlab.store.looks import DeclaredPlace, Look
from tests.unprivileged import nothing_written_below

AT = datetime(2026, 11, 26, tzinfo=UTC)
WRITER = """
import sys
from datetime import UTC, datetime
from peftlab.store.ledger import write_ledger
from peftlab.store.looks import DeclaredPlace, Look
for number in range(10):
    trials = {"shared": 0, f"{sys.argv[1]}-{number}": number}
    place = DeclaredPlace(cell="c", trials=trials)
    shown = dict.fromkeys(trials, datetime.now(UTC))
    look = Look(study="s", places=(place,), claims=frozenset(), shown=shown)
    assert not write_ledger([look])
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


def look(trial: str = "a", *others: str) -> Look:
    trials = dict.fromkeys((trial, *others), 1)
    place = DeclaredPlace(cell="c", trials=trials)
    return Look(study="s", places=(place,), claims=frozenset(), shown=dict.fromkeys(trials, AT))


def test_it_is_made_by_the_first_look_and_not_by_reading(state: Path) -> None:
    assert read_ledger(["a"]) == []
    assert not state.exists()
    assert write_ledger([look()]) == ""
    assert ledger_file() == state / "peftlab" / "looks.sqlite"
    (found,) = read_ledger(["a", "b"])
    assert (found.id, found.shown) == (look().id, {"a": AT})
    assert read_ledger(["b"]) == []


def test_its_place_is_the_home_where_no_other_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert ledger_file() == tmp_path / ".local" / "state" / "peftlab" / "looks.sqlite"


def test_processes_may_write_at_once() -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name]) for name in "xy"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(read_ledger(["shared"])) == 20


def test_one_that_may_not_be_written_is_read(state: Path) -> None:
    write_ledger([look()])
    with nothing_written_below(state):
        assert len(read_ledger(["a"])) == 1
        assert write_ledger([look()]) == ""  # known already
        assert "readonly" in write_ledger([look("b")])


def test_a_home_that_may_not_be_written_is_a_reason_in_words(state: Path) -> None:
    state.mkdir()
    with nothing_written_below(state):
        assert read_ledger(["a"]) == []
        assert "Permission denied" in write_ledger([look()])


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + 200 * b"\xff"])
def test_damage_is_a_reason_in_words_and_is_left_as_it_is(state: Path, content: bytes) -> None:
    (state / "peftlab").mkdir(parents=True)
    ledger_file().write_bytes(content)
    assert read_ledger(["a"]) == []
    assert write_ledger([look()])
    assert ledger_file().read_bytes() == content


def test_rows_that_are_no_looks_are_a_reason_in_words() -> None:
    write_ledger([look()])
    with sqlite3.connect(ledger_file()) as database:
        database.execute("UPDATE declarations SET content = '[]'")
    database.close()
    assert read_ledger(["a"]) == []
    assert "\n" not in write_ledger([look()])
    assert write_ledger([look()])


def test_one_of_a_newer_version_is_left_alone() -> None:
    write_ledger([look()])
    with sqlite3.connect(ledger_file()) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert write_ledger([look("b")]) == f"{ledger_file()}: a newer peftlab wrote it"


def test_it_is_read_by_an_index() -> None:
    write_ledger([look(f"t{number}", f"u{number}") for number in range(50)])
    with sqlite3.connect(ledger_file()) as database:
        plan = database.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM shown "
            "WHERE trial_id IN (SELECT value FROM json_each('[]'))"
        ).fetchall()
    database.close()
    assert any("SEARCH shown" in row[-1] for row in plan)


def test_no_test_touches_the_real_one() -> None:
    assert str(ledger_file()).startswith(os.environ["XDG_STATE_HOME"])
