"""The memory of which scores were shown: in the workspaces that they lie in and in the user's
ledger.

It is done after they were shown, so that a look is no earlier one of itself: whoever is interrupted
in between loses that look, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from peftlab.core.errors import PeftlabError, UserError, first_line
from peftlab.store.ledger import read_ledger, write_ledger
from peftlab.store.looks import Look, now
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.study.declarations import PlacedTrial, look_at, placed_trial
from peftlab.study.stored_studies import stored_spec


def remember(workspaces: Iterable[Workspace], looks: Iterable[Look]) -> str:
    """Store the looks; return a line for the user if that fails, else "".

    A workspace that may not be written is passed over without a word: its verdicts say so.
    """
    shown = [look for look in looks if look.shown]
    if not shown:
        return ""
    reasons = [_stored(workspace, shown) for workspace in workspaces if workspace.may_be_written]
    of_workspace = next((reason for reason in reasons if reason), "")
    of_user = write_ledger(shown)
    if of_workspace:
        return f"remark: the workspace does not remember that scores were shown: {of_workspace}"
    if of_user:
        return (
            "remark: that scores were shown is remembered in the workspace only, not for other "
            f"workspaces of yours: {of_user}"
            if reasons
            else f"remark: not remembered that scores were shown: {of_user}"
        )
    return ""


class Seen:
    """Trials of a workspace that are shown, of one study or of all, noted one by one."""

    def __init__(self, study: str | None = None) -> None:
        self._study = study
        self._by_study: dict[str, list[PlacedTrial]] = {} if study is None else {study: []}
        self._of_none: list[PlacedTrial] = []

    def note(
        self, arms: Mapping[str, tuple[str, ...]], placed: Callable[[tuple[str, ...]], PlacedTrial]
    ) -> None:
        """Note a trial, by its arms in each study and a function that returns it under some of
        them."""
        for name in arms if self._study is None else arms.keys() & {self._study}:
            self._by_study.setdefault(name, []).append(placed(arms[name]))
        if not arms:
            self._of_none.append(placed(()))

    def remember(self, workspace: Workspace) -> str:
        """Store the looks at them; return what `remember` returns."""
        moment, looks = now(), []
        for name, placed in self._by_study.items():
            try:
                looks.append(look_at(stored_spec(workspace, name), placed, moment))
            except UserError:  # of a spec that this version does not take: its trials were shown
                looks.append(look_at(None, placed, moment))
        return remember([workspace], [*looks, look_at(None, self._of_none, moment)])


def remember_records(
    workspace: Workspace, records: Sequence[TrialRecord], study: str | None = None
) -> str:
    """Remember that these records of a workspace were shown, of one study or of all."""
    seen = Seen(study)
    for record in records:
        seen.note(record.arms, partial(placed_trial, record))
    return seen.remember(workspace)


def remember_again(workspace: Workspace, study: str, declaration: str) -> str:
    """Remember that a study was shown once more, declaring what it declared when it last was.

    Nothing is read but ids where that is known already. `declaration` is the id of a look.
    """
    done = {*workspace.trial_ids(study, status="done")}
    for known in (workspace.looks(done), read_ledger(done)):
        own = next((look for look in known if look.id == declaration), None)
        if own is None or not done <= own.shown.keys():
            return remember_records(workspace, workspace.trials(study), study)
    return ""


def _stored(workspace: Workspace, looks: Sequence[Look]) -> str:
    try:
        workspace.add_looks(looks)
    except PeftlabError as error:
        return first_line(str(error))
    return ""
