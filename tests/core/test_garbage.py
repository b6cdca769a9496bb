"""The search for garbage is put off, and taken up again whatever happens."""

from __future__ import annotations

import gc

import pytest

from peftlab.core.garbage import search_put_off


def test_it_is_put_off_within_and_taken_up_again() -> None:
    with search_put_off():
        assert not gc.isenabled()
        with search_put_off():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_leaves_it_on() -> None:
    @search_put_off()
    def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert gc.isenabled()
