"""The Triton kernels, compiled for GPUs that are not here: registers, spills and shared memory.

    python -m benchmarks.gpu_kernels --output kernels.json

What is compared on a card (models/cuda/agreement_cases.py) is run on the processor at the widths of
bert-base, with every launch noted instead of made; what was launched is then compiled for each
architecture, in float32 and in bfloat16, and the assembler is asked what it takes. Triton has to
be installed; no GPU has to be there. `--longest` is the longest row, by which attention chooses its
block.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from peftlab.models.cuda.agreement_cases import BERT_BASE, cases_of
from peftlab.models.cuda.comparison import by_kernels, steps_of_adamw
from peftlab.models.cuda.operations import KERNELS

TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.int64: "i64"}
OPTIONS = ("num_warps", "num_stages")
USED = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")

Launch = tuple[Any, dict[str, Any], dict[str, int]]
"""A kernel, its arguments by name, and the options of its launch."""


def run_cases(dtype: torch.dtype, longest: int) -> None:
    """Run what is compared on a card, forward and backward, on rows of this type."""
    sizes = replace(BERT_BASE, lengths=(longest, 3))
    for operation, kernels in KERNELS.items():
        for case in cases_of(operation, sizes, torch.device("cpu")):
            by_kernels(case, kernels, dtype)
    steps_of_adamw(torch.device("cpu"), is_ours=True)


def launches_of(dtype: torch.dtype, longest: int) -> list[Launch]:
    """Return the launches of a layer, each kernel and its constants once."""
    found: dict[str, Launch] = {}

    def note(self: Any, *args: Any, **keywords: Any) -> None:
        keywords = {
            name: value for name, value in keywords.items() if name not in ("grid", "warmup")
        }
        options = {name: keywords.pop(name) for name in OPTIONS if name in keywords}
        named = {**dict(zip(self.arg_names, args, strict=False)), **keywords}
        found.setdefault(str(source_of((self, named, options)).hash()), (self, named, options))

    stays, JITFunction.run = JITFunction.run, note
    try:
        run_cases(dtype, longest)
    finally:
        JITFunction.run = stays
    return [*found.values()]


def source_of(launch: Launch) -> ASTSource:
    """Return the source that Triton compiles for a launch: types, constants, multiples of 16."""
    function, named, _ = launch
    constants = {p.name: named[p.name] for p in function.params if p.is_constexpr}
    signature, divisible = {}, {}
    for index, name in enumerate(function.arg_names):
        value = named[name]
        if name in constants:
            signature[name] = "constexpr"
        elif isinstance(value, Tensor):
            signature[name] = f"*{TYPES[value.dtype]}"
            divisible[(index,)] = [["tt.divisibility", 16]]
        else:
            signature[name] = "i32"
            if value % 16 == 0:
                divisible[(index,)] = [["tt.divisibility", 16]]
    return ASTSource(function, signature, constants, divisible)


def compiled(launch: Launch, capability: int) -> dict[str, Any]:
    """Return the resources of a kernel on GPUs of a capability, and the compiler's time."""
    began = perf_counter()
    target = GPUTarget("cuda", capability, 32)
    binary = triton.compile(source_of(launch), target=target, options=launch[2])
    seconds = perf_counter() - began
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        command = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", file.name]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = USED.search(answer)
    assert match is not None, answer
    registers, stack, _, local = map(int, match.groups())
    return {
        "registers": registers,
        "spilled_bytes": max(stack, local),
        "shared_bytes": binary.metadata.shared,
        "warps": binary.metadata.num_warps,
        "seconds": round(seconds, 2),
    }


def main() -> None:
    """Compile every kernel for every architecture, and print its resources."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capability", type=int, nargs="+", default=[80, 90])
    parser.add_argument("--kernel", default="", help="only those with this in their name")
    parser.add_argument("--dtype", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--longest", type=int, default=60)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    results = []
    print(f"triton {triton.__version__}, rows of up to {given.longest} tokens")
    for dtype in (dtype for dtype, name in TYPES.items() if name in given.dtype):
        for launch in launches_of(dtype, given.longest):
            name = f"{launch[0].__module__.rpartition('.')[2]}.{launch[0].__name__}"
            for capability in given.capability if given.kernel in name else ():
                found = compiled(launch, capability)
                results.append(
                    {"kernel": name, "dtype": TYPES[dtype], "capability": capability, **found}
                )
                print(
                    f"{name:40} {TYPES[dtype]} sm_{capability} {found['registers']:4} registers"
                    f" {found['spilled_bytes']:5} bytes spilled {found['shared_bytes']:6} shared"
                    f" {found['warps']} warps {found['seconds']:6.2f} s",
                    flush=True,
                )
    if given.output is not None:
        given.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
