"""torch and the kernels share one OpenMP runtime, so that they share their threads."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import peftlab.models, torch
from peftlab.models.fused import jit
from peftlab.models.fused.gelu import Gelu, GeluSettings
from peftlab.models.fused.tape import apply
apply(Gelu, GeluSettings(has_backward=False), torch.ones(2, 2))
print(len({line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' torch brings another OpenMP")
def test_one_libgomp_serves_torch_and_the_kernels() -> None:
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "1"
