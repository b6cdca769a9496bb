"""What the README shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from peftlab.cli.app import app
from peftlab.core.safe_yaml import parse_yaml
from peftlab.study.spec import validate
from peftlab.study.trials import expand

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_study_is_a_study() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    spec = validate(parse_yaml(block, where="README"), where="README")
    expanded = expand(spec, data_needed=False)
    assert len(expanded.trials) == 5 * 3 * 3
    assert yaml.safe_load(block)["name"] == spec.name


def test_every_command_is_in_the_table() -> None:
    groups = [group.name for group in app.registered_groups]
    for name in [*(command.name for command in app.registered_commands), *groups]:
        assert f"`peftlab {name}" in README, name


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_study_of_the_statistics_is_a_study() -> None:
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    expanded = expand(validate(parse_yaml(block, where="docs"), where="docs"), data_needed=False)
    assert len(expanded.trials) == 10
    assert set(expanded.arms_of.values()) == {("once",), ("again",)}
