"""Showing the scores of several arms leaves a look, wherever that can be stored."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from peftlab import Study, list_trials, load_results
from peftlab.report.findings.view import make_view
from peftlab.report.kept import kept_report
from peftlab.report.write import write_comparison, write_report
from peftlab.store.ledger import ledger_file, read_ledger
from peftlab.store.workspace import DATABASE, Workspace
from peftlab.study.remembered_looks import remember_again, remember_records
from tests.unprivileged import nothing_written_below

STUDY = "small-study"


@pytest.fixture
def unseen(finished_workspace: Path, tmp_path: Path) -> Path:
    """A copy of small-study at which nobody has looked."""
    folder = Path(shutil.copytree(finished_workspace, tmp_path / "unseen"))
    forget(folder)
    return folder


def forget(folder: Path) -> None:
    with sqlite3.connect(folder / DATABASE) as database:
        database.execute("DELETE FROM shown")
        database.execute("DELETE FROM declarations")
    database.close()


def num_shown(folder: Path) -> int:
    with Workspace.open(folder, create=False) as opened:
        return sum(len(look.shown) for look in opened.looks(opened.trial_ids(STUDY)))


def test_the_end_of_a_run_was_a_look(finished_workspace: Path) -> None:
    assert num_shown(finished_workspace) == 16


def test_a_report_is_a_look_at_what_it_shows(unseen: Path, tmp_path: Path) -> None:
    with Workspace.open(unseen, create=False) as opened:
        report = write_report(opened, STUDY, tmp_path / "page")
        (found,) = opened.looks(opened.trial_ids(STUDY))
    assert report.remark == ""
    assert found.id == report.results.declaration
    assert [look.id for look in read_ledger(found.shown)] == [found.id]


def test_a_page_that_could_not_be_written_is_no_look(unseen: Path, tmp_path: Path) -> None:
    (tmp_path / "page").touch()
    with Workspace.open(unseen, create=False) as opened, pytest.raises(Exception, match="page"):
        write_report(opened, STUDY, tmp_path / "page")
    assert num_shown(unseen) == 0


def test_a_kill_behind_the_page_loses_that_look_alone(
    unseen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> str:
        raise KeyboardInterrupt

    with Workspace.open(unseen) as opened:
        with monkeypatch.context() as patch:
            patch.setattr("peftlab.report.write.remember", killed)
            with pytest.raises(KeyboardInterrupt):
                write_report(opened, STUDY)
        page = kept_report(opened, STUDY)
        assert page is not None
        before = page.read_bytes()
        assert num_shown(unseen) == 0
        write_report(opened, STUDY)
        assert kept_report(opened, STUDY) == page
        assert page.read_bytes() == before
    assert num_shown(unseen) == 16


def test_a_page_is_kept_until_another_look_says_more(unseen: Path) -> None:
    with Workspace.open(unseen) as opened:
        write_report(opened, STUDY)
        assert kept_report(opened, STUDY), "its own look does not make it old"
        records = [one for one in opened.trials(STUDY) if one.trial.seed == 1]
        remember_records(opened, records, STUDY)
        assert kept_report(opened, STUDY) is None
        write_report(opened, STUDY)
        assert kept_report(opened, STUDY)
        remember_records(opened, opened.trials(STUDY), STUDY)
        assert kept_report(opened, STUDY)


def test_a_page_that_is_kept_is_shown_again_without_another_look(unseen: Path) -> None:
    with Workspace.open(unseen) as opened:
        own = write_report(opened, STUDY).results.declaration
        changes = opened._connection.total_changes
        assert remember_again(opened, STUDY, own) == ""
        assert opened._connection.total_changes == changes
    forget(unseen)
    with Workspace.open(unseen) as opened:
        assert remember_again(opened, STUDY, own) == ""
    assert num_shown(unseen) == 16


def test_a_comparison_is_a_look_at_the_studies_of_all_workspaces(
    unseen: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(unseen, tmp_path / "other"))
    with Workspace.open(unseen) as one, Workspace.open(other) as two:
        write_comparison([(one, STUDY), (two, STUDY)], tmp_path / "page")
    assert num_shown(unseen) == num_shown(other) == 16


@pytest.mark.parametrize("call", [
    lambda folder: list_trials(folder),
    lambda folder: list_trials(folder, STUDY),
    lambda folder: load_results(folder),
    lambda folder: load_results(folder, STUDY),
])  # fmt: skip
def test_python_calls_that_give_several_arms_are_looks(unseen: Path, call: object) -> None:
    assert callable(call)
    call(unseen)
    with Workspace.open(unseen) as opened:
        (look,) = opened.looks(opened.trial_ids(STUDY))
    assert (len(look.shown), len(look.claims)) == (16, 6)


def test_what_shows_no_scores_or_one_trial_is_no_look(unseen: Path, study_file: Path) -> None:
    from peftlab import Trial

    study = Study.load(study_file, workspace=unseen)
    assert study.status() == {"done": 16}
    with Workspace.open(unseen) as opened:
        trial_id = opened.trial_ids(STUDY)[0]
    Trial.find(trial_id, workspace=unseen)
    assert num_shown(unseen) == 0


def test_a_second_workspace_does_not_hide_a_look(unseen: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(unseen, tmp_path / "other"))
    list_trials(unseen)
    assert num_shown(other) == 0
    with Workspace.open(other, create=False) as opened:
        view = make_view(opened, STUDY)
    assert [len(look.shown) for look in view.looks] == [16]
    assert view.looks_remembered


def test_a_workspace_that_may_not_be_written_leaves_it_to_the_ledger(
    unseen: Path, tmp_path: Path
) -> None:
    with nothing_written_below(unseen), Workspace.open(unseen, create=False) as opened:
        view = make_view(opened, STUDY)
        assert (view.looks, view.looks_remembered) == ((), False)
        assert write_report(opened, STUDY, tmp_path / "page").remark == ""
        assert len(make_view(opened, STUDY).looks) == 1
    assert num_shown(unseen) == 0


def test_where_nothing_remembers_it_the_report_is_there_with_one_remark(
    unseen: Path, tmp_path: Path
) -> None:
    ledger_file().parent.mkdir(parents=True)
    ledger_file().write_bytes(b"no database at all, whatever its name is")
    with nothing_written_below(unseen), Workspace.open(unseen, create=False) as opened:
        report = write_report(opened, STUDY, tmp_path / "page")
    assert report.files.html.is_file()
    assert report.remark == (
        f"remark: not remembered that scores were shown: {ledger_file()}: file is not a database"
    )


def test_trials_that_no_study_holds_are_seen_in_a_list_of_all(unseen: Path) -> None:
    with sqlite3.connect(unseen / DATABASE) as database:
        database.execute("DELETE FROM placements")
    database.close()
    trials = list_trials(unseen)
    with Workspace.open(unseen) as opened:
        (look,) = opened.looks([trial.id for trial in trials])
    assert (look.study, len(look.shown), look.claims) == ("", 16, frozenset())
