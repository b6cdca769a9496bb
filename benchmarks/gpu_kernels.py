"""The Triton kernels, compiled for GPUs that are not here: registers, spills and shared memory.

    python -m benchmarks.gpu_kernels --output kernels.json

A layer of bert-base with LoRA on query and value is run forward and backward on the processor, with
every launch noted instead of made; the launched kernels are then compiled for each architecture, in
float32 and in bfloat16, and the assembler reports their resources. Triton has to be installed; no
GPU has to be there. `--longest` is the longest row, by which attention chooses its block.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # as models/cuda has it

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from peftlab.models.cuda.adamw import FlatAdamW  # noqa: E402
from peftlab.models.fused import backends  # noqa: E402
from peftlab.models.fused.attention import (  # noqa: E402
    Attention,
    AttentionSettings,
    Heads,
    Spans,
)
from peftlab.models.fused.dropout import Dropout, DropoutSettings  # noqa: E402
from peftlab.models.fused.embedding import LookUp, LookUpTable  # noqa: E402
from peftlab.models.fused.gelu import Gelu, GeluSettings  # noqa: E402
from peftlab.models.fused.linear import (  # noqa: E402
    Adapter,
    Joined,
    JoinedLinear,
    LinearSettings,
)
from peftlab.models.fused.norm import DropoutAddNorm, NormSettings  # noqa: E402
from peftlab.models.fused.rows import Rows, TakeRows  # noqa: E402
from peftlab.models.fused.tape import apply  # noqa: E402

WIDTH, INNER, HEADS, RANK, PROBABILITY = 768, 3072, 12, 8, 0.1
TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.int64: "i64"}
OPTIONS = ("num_warps", "num_stages")
USED = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")

Launch = tuple[Any, dict[str, Any], dict[str, int]]
"""A kernel, its arguments by name, and the options of its launch."""


def run_layer(dtype: torch.dtype, longest: int) -> None:
    """Run the launches of a layer, forward and backward, on rows of this type."""
    torch.manual_seed(0)
    length_B = torch.tensor([longest, 3])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), length_B.cumsum(0)])
    example_R = torch.arange(2).repeat_interleave(length_B)
    rows = Rows(example_R=example_R, position_R=torch.arange(len(example_R)))

    def given(width: int) -> Tensor:
        return torch.zeros(len(example_R), width, dtype=dtype, requires_grad=True)

    adapters = tuple(
        Adapter(
            index=index,
            a=nn.Parameter(torch.zeros(RANK, WIDTH)),
            b=nn.Parameter(torch.zeros(WIDTH, RANK)),
            scaling=2.0,
            dropout=nn.Dropout(PROBABILITY),
            site=str(index),
        )
        for index in (0, 2)
    )
    joined = Joined(layers=tuple(nn.Linear(WIDTH, WIDTH) for _ in range(3)), adapters=adapters)
    heads = Heads(count=HEADS, scale=(WIDTH // HEADS) ** -0.5)
    spans = Spans(query_offsets=offsets, key_offsets=offsets)
    table = LookUpTable(weight=nn.Parameter(torch.zeros(512, WIDTH)), ids_R=rows.position_R)
    for operation, settings, inputs in (
        (LookUp, (table,), ()),
        (Dropout, DropoutSettings(rows=rows, key=1, probability=PROBABILITY), (given(WIDTH),)),
        (TakeRows, offsets[:-1], (given(WIDTH),)),
        (JoinedLinear, LinearSettings.of(joined, rows, lambda site: 1), (given(WIDTH),)),
        (
            Attention,
            AttentionSettings(heads=heads, spans=spans, key=1, probability=PROBABILITY),
            (given(3 * WIDTH),),
        ),
        (
            DropoutAddNorm,
            NormSettings(norm=nn.LayerNorm(WIDTH), rows=rows, key=1, probability=PROBABILITY),
            (given(WIDTH), given(WIDTH)),
        ),
        (Gelu, GeluSettings(has_backward=True), (given(INNER),)),
    ):
        apply(operation, settings, *inputs).sum().backward()
    matrices = [matrix for adapter in adapters for matrix in (adapter.a, adapter.b)]
    optimizer = FlatAdamW([{"params": matrices}], lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    optimizer.max_norm = 1.0
    optimizer.step()


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
    taken = replace(backends.TRITON, takes=lambda tensor: True)
    before, backends.BACKENDS = backends.BACKENDS, (taken,)
    try:
        run_layer(dtype, longest)
    finally:
        JITFunction.run, backends.BACKENDS = stays, before
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
