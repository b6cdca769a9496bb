"""Garbage collection is resumed whatever happens; one OpenMP runtime serves all libraries."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest

from peftlab.core.process import search_put_off

CODE = """
import peftlab.models, torch
from peftlab.models.fused import jit
from peftlab.models.fused.gelu import Gelu, GeluSettings
from peftlab.models.fused.tape import apply
apply(Gelu, GeluSettings(has_backward=False), torch.ones(2, 2))
print(len({line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line}))
print(torch.get_num_threads(), jit.numba.get_num_threads())
"""


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


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' torch brings another OpenMP")
def test_one_libgomp_serves_torch_and_the_kernels_with_the_threads_that_are_asked_for() -> None:
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == ["1", "1", "1"]
