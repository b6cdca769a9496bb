"""The examples of the README work unchanged."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import yaml

from peftlab.cli.commands import app
from peftlab.core.safe_yaml import parse_yaml
from peftlab.study.load import Overrides, load_study
from peftlab.study.remarks.lint import lint
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


def test_lint_finds_no_error_in_the_commands_that_are_shown() -> None:
    shown = re.findall(r"^peftlab run glue-peft ((?:.*\\\n)*.*)$", README, flags=re.MULTILINE)
    assert len(shown) == 1
    words = shlex.split(shown[0].replace("\\\n", " "))
    settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    assert "max_train_samples=2000" in settings
    spec = load_study("glue-peft", Overrides(settings=settings, model="minilm"))
    findings = lint(expand(spec, data_needed=False))
    assert not [one.message for one in findings if one.level == "error"]
    without = [one for one in settings if not one.startswith("training.warmup_steps")]
    spec = load_study("glue-peft", Overrides(settings=without, model="minilm"))
    assert {one.rule for one in lint(expand(spec, data_needed=False)) if one.level == "error"} == {
        "warm-up-too-long"
    }


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
