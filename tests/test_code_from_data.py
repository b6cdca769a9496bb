"""No module has a way of running code that comes as data."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).resolve().parents[1] / "src").rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "imp"}
CALLS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {
    "torch.load", "pandas.read_pickle", "pd.read_pickle", "yaml.unsafe_load", "yaml.full_load",
    "yaml.load_all", "yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader", "os.system",
}  # fmt: skip


def findings(tree: ast.AST) -> Iterator[str]:
    """Return the forbidden names in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in ATTRIBUTES:
            yield ast.unparse(node)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS:
                yield f"{name}()"
            if name == "yaml.load" and not _has(node, "Loader", "_Loader"):
                yield "yaml.load without our loader"
            if name in {"np.load", "numpy.load"} and not _has(node, "allow_pickle", "False"):
                yield f"{name} without allow_pickle=False"
            yield from (
                f"{keyword.arg}={ast.unparse(keyword.value)}"
                for keyword in node.keywords
                if (keyword.arg == "shell" and ast.unparse(keyword.value) != "False")
                or (
                    keyword.arg == "trust_remote_code"
                    and ast.unparse(keyword.value) not in {"False", "trusts_remote_code()"}
                )
            )


def _has(call: ast.Call, name: str, value: str) -> bool:
    return any(k.arg == name and ast.unparse(k.value) == value for k in call.keywords)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_module_runs_no_code_from_data(path: Path) -> None:
    assert list(findings(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.memory",
        "torch.load(path)",
        "torch.load(path, weights_only=True)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "load(name, trust_remote_code=True)",
        "load(name, trust_remote_code=given)",
        "subprocess.run(line, shell=True)",
        "eval(text)",
        "exec(text)",
        "pd.read_pickle(path)",
    ],
)
def test_the_scan_finds_what_it_looks_for(line: str) -> None:
    assert list(findings(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "np.load(path, allow_pickle=False)",
        "yaml.load(text, Loader=_Loader)",
        "load(name, trust_remote_code=False)",
        "load(name, trust_remote_code=trusts_remote_code())",
        "re.compile(text)",
    ],
)
def test_the_scan_lets_the_rest_pass(line: str) -> None:
    assert not list(findings(ast.parse(line)))


def test_all_modules_are_scanned() -> None:
    assert len(SOURCES) > 100
