"""Stored results tell that a run has nothing to do, and only if that is true."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from peftlab.core.errors import UserError
from peftlab.models.location import located
from peftlab.store.workspace import Workspace
from peftlab.study import stored_studies
from peftlab.study.load import Overrides, load_study
from peftlab.study.spec import StudySpec
from peftlab.study.stored_studies import basis, is_settled, require_checkpoint


@pytest.fixture
def workspace(finished_workspace: Path, tmp_path: Path) -> Iterator[Workspace]:
    shutil.copytree(finished_workspace, tmp_path / "runs")
    with Workspace.open(tmp_path / "runs") as opened:
        yield opened


@pytest.fixture
def spec(study_file: Path) -> StudySpec:
    return load_study(str(study_file))


def test_a_study_that_was_run_is_settled(workspace: Workspace, spec: StudySpec) -> None:
    assert is_settled(spec, workspace)


def test_one_that_was_not_is_not(tmp_path: Path, spec: StudySpec) -> None:
    with Workspace.open(tmp_path / "new") as workspace:
        assert not is_settled(spec, workspace)


def test_with_another_seed_or_setting_it_is_not(workspace: Workspace, study_file: Path) -> None:
    for changed in (Overrides(seeds=[99]), Overrides(settings=["training.learning_rate=0.3"])):
        assert not is_settled(load_study(str(study_file), changed), workspace)


def test_a_trial_that_is_open_again_is_to_be_run(workspace: Workspace, spec: StudySpec) -> None:
    trial = workspace.trials(spec.name)[0].trial
    workspace.fail(trial.id, "diverged")
    assert is_settled(spec, workspace)
    assert not is_settled(spec, workspace, retry_failed=True)
    workspace.interrupt(trial.id)
    assert not is_settled(spec, workspace)


def test_other_data_or_other_weights_make_other_trials(
    tiny_checkpoint: Path, tmp_path: Path, spec: StudySpec
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, model)
    of_model = spec.model_copy(update={"model": str(model)})
    before = basis(of_model)
    assert basis(of_model) == before
    weights = model / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    located.cache_clear()
    assert basis(of_model) != before


def test_a_changed_package_makes_its_trials_anew(
    workspace: Workspace, spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_studies, "_code", lambda: iter([["other.py", 1, 2]]))
    assert not is_settled(spec, workspace)


def test_data_that_is_gone_is_for_the_run_to_complain_of(
    workspace: Workspace, spec: StudySpec
) -> None:
    for data in ("nowhere", str(workspace.path)):
        assert not is_settled(spec.model_copy(update={"data": data}), workspace)


def test_a_folder_that_is_gone_is_not_looked_for_on_the_hub(
    workspace: Workspace, study_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = load_study(str(study_file))
    require_checkpoint(spec, workspace)
    monkeypatch.chdir(tmp_path)
    known = workspace.trials(spec.name)[0].trial
    model = known.model.model_copy(update={"name": "models/my"})
    trial = known.model_copy(update={"model": model})
    workspace.save_study("moved", {}, [trial], {trial.id: ("full",)})
    moved = load_study(str(study_file), Overrides(model="models/my"))
    with pytest.raises(UserError, match="model: the checkpoint folder 'models/my', on wh"):
        require_checkpoint(moved, workspace)
    require_checkpoint(load_study(str(study_file), Overrides(model="models/other")), workspace)
