"""Modules import downward: there is no circle of imports, not even inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"


def modules(root: Path) -> dict[str, Path]:
    """Return the files of all modules below a folder, by the modules' names."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(root.rglob("*.py"))
    }


def imports(path: Path, known: Mapping[str, Path], *, deep: bool) -> set[str]:
    """Return the known modules that a file imports, with `deep` also inside functions."""
    found: set[str] = set()
    for node in _statements(ast.parse(path.read_text(encoding="utf-8")), deep=deep):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: a relative import"
            found |= {
                name if (name := f"{node.module}.{alias.name}") in known else node.module
                for alias in node.names
            }
    return found & known.keys()


def _statements(tree: ast.AST, *, deep: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not deep:
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not deep:
            continue
        yield node
        yield from _statements(node, deep=deep)


def circles(graph: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """Return the sets of modules each of which reaches all others of its set."""
    reached = {name: _reach(name, graph) for name in graph}
    return {
        frozenset({name, *(one for one in own if name in reached[one])})
        for name, own in reached.items()
        if name in own
    }


def _reach(name: str, graph: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    ahead = [*graph[name]]
    while ahead:
        one = ahead.pop()
        if one not in reached:
            reached.add(one)
            ahead += graph[one]
    return reached


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"e"}, "f": {"a"}}
    assert circles(graph) == {frozenset("abc"), frozenset("e")}


def test_imports_are_found(tmp_path: Path) -> None:
    for name, text in (
        ("a.py", "from p import b\ndef f():\n    import p.c\n"),
        ("b.py", "from p.c import x\nif TYPE_CHECKING:\n    from p import a\n"),
        ("c.py", ""),
        ("__init__.py", "import os\n"),
    ):
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "p" / name).write_text(text)
    known = modules(tmp_path)
    assert set(known) == {"p", "p.a", "p.b", "p.c"}
    assert imports(known["p.a"], known, deep=False) == {"p.b"}
    assert imports(known["p.a"], known, deep=True) == {"p.b", "p.c"}
    assert imports(known["p.b"], known, deep=False) == {"p.c"}
    assert imports(known["p.b"], known, deep=True) == {"p.a", "p.c"}


@pytest.mark.parametrize("deep", [False, True], ids=["modules", "functions"])
def test_no_module_imports_itself_by_way_of_others(deep: bool) -> None:
    known = modules(SOURCE)
    graph = {name: imports(path, known, deep=deep) for name, path in known.items()}
    assert len(graph) > 200
    assert circles(graph) == set()


def test_scikit_learn_is_for_tests_alone() -> None:
    for path in modules(SOURCE).values():
        assert "sklearn" not in path.read_text(encoding="utf-8"), path
