"""That scores were shown, remembered: in the workspaces that they lie in and in the user's ledger.

It is done after they were shown, so that a look is no earlier one of itself: whoever is interrupted
in between loses that look, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peftlab.core.errors import PeftlabError, UserError, first_line
from peftlab.store.ledger import read_ledger, write_ledger
from peftlab.store.looks import Look, now
from peftlab.store.records import TrialRecord
from peftlab.store.workspace import Workspace
from peftlab.study.declared import look_at, placed_trial
from peftlab.study.stored import stored_spec


def remember(workspaces: Iterable[Workspace], looks: Iterable[Look]) -> str:
    """Store the looks; a line for the user where that could not be done, else "".

    A workspace that may not be written is passed over without a word: its verdicts say so.
    """
    shown = [look for look in looks if look.shown]
    if not shown:
        return ""
    reasons = [_stored(workspace, shown) for workspace in workspaces if workspace.may_be_written]
    reasons.append(write_ledger(shown))
    told = next((reason for reason in reasons if reason), "")
    return f"remark: not remembered that scores were shown: {told}" if told else ""


def remember_records(
    workspace: Workspace, records: Sequence[TrialRecord], study: str | None = None
) -> str:
    """The same for records of a workspace that were shown: of one study, or of all."""
    moment = now()
    studies = [study] if study is not None else [*dict.fromkeys(n for r in records for n in r.arms)]
    looks = []
    for name in studies:
        placed = [placed_trial(one, one.arms[name]) for one in records if name in one.arms]
        try:
            looks.append(look_at(stored_spec(workspace, name), placed, moment))
        except UserError:  # of a spec that this version does not take: its trials were shown
            looks.append(look_at(None, placed, moment))
    left = [placed_trial(one, ()) for one in records if not one.arms]
    return remember([workspace], [*looks, look_at(None, left, moment)])


def remember_again(workspace: Workspace, study: str, declaration: str) -> str:
    """The same for a study that is shown once more, declaring what it declared when it last was.

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
