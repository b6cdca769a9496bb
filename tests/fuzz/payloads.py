"""Data that would run code if it were unpickled, imported or given to an unsafe YAML loader.

The code makes a file, whose absence is the proof that it was not run.
"""

from __future__ import annotations

import pickle
from pathlib import Path

SENTINEL = "peftlab-escaped-code-ran"
MODULE = "peftlab_escaped_module"
PICKLE_NAMES = (
    "pytorch_model.bin", "adapter_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt",
    "rng_state.pth", "tf_model.h5", "model.pkl", "adapter_model.pt",
)  # fmt: skip


class _Planted:
    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.sentinel,)


def pickled(sentinel: Path) -> bytes:
    """Return a pickle that makes the sentinel when it is loaded."""
    return pickle.dumps(_Planted(sentinel))


def plant_pickles(folder: Path, sentinel: Path) -> None:
    """Write the pickle under every name that some library would unpickle."""
    for name in PICKLE_NAMES:
        (folder / name).write_bytes(pickled(sentinel))


def plant_module(folder: Path, sentinel: Path) -> None:
    """Write a Python module named MODULE that makes the sentinel when it is imported."""
    code = f"import pathlib\npathlib.Path({str(sentinel)!r}).touch()\n"
    (folder / f"{MODULE}.py").write_text(code)


def yaml_specials(sentinel: Path) -> tuple[str, ...]:
    """Return YAML texts for a value: tags that would call Python, bombs, odd scalars."""
    laughs = ", ".join(
        [f"&a0 [{', '.join(['1'] * 10)}]"]
        + [f"&a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    )
    merges = ", ".join(
        ["&m0 {a: 1, b: 2}"]
        + [f"&m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}" for n in range(1, 10)]
    )
    return (
        f'!!python/object/apply:os.system ["touch {sentinel}"]',
        f'!!python/object/apply:os.mknod ["{sentinel}"]',
        f'!!python/object/apply:subprocess.check_call [["touch", "{sentinel}"]]',
        "!!python/name:os.system",
        f"!!python/module:{MODULE}",
        "!!python/tuple [1, 2]",
        f'!!python/object/apply:builtins.exec ["import {MODULE}"]',
        "!!binary aGVsbG8=",
        "!!set {a, b}",
        "!!omap [a: 1]",
        "!!timestamp 2001-01-01",
        "2001-01-01",
        "2001-99-99",
        "!!int x",
        "!!float []",
        "!unknown x",
        "!!str 5",
        f"[{laughs}]",
        "&loop [*loop]",
        "&loop {a: *loop}",
        "*nowhere",
        "{<<: {a: 1}}",
        "{<<: [1, 2]}",
        "{<<: &m {<<: *m}}",
        f"[{merges}]",
        "1" + ":1" * 50_000,
        "1" + ":1" * 50_000 + ".5",
        "{? [a] : b}",
        "{? {a: b} : c}",
        '"\\ud800"',
        '"\\0"',
        '"\\x1b[2J"',
        "0o17",
        "0b" + "1" * 4000,
        "0x" + "f" * 4000,
        "1" * 5000,
        "190:20:30",
        "1_000",
        "=",
        "~",
        "|\n  text",
        "on",
        ".5e99999",
    )
