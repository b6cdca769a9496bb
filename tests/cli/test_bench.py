"""The options of `bench` are checked before anything is loaded."""

from __future__ import annotations

import pytest

from peftlab.cli.app import main
from peftlab.cli.bench import counts


def test_numbers_of_peers_are_a_list() -> None:
    assert counts("1,8") == [1, 8]
    assert counts(" 4 ") == [4]


@pytest.mark.parametrize("given", ["", "0", "2,x", "1.5", "-1"])
def test_other_numbers_are_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", f"--peers={given}"]) == 2
    assert f"--peers: '{given}' is not a list of numbers" in capsys.readouterr().err
