"""YAML read safely, its traps closed: keys that stand twice, 5e-4 as a text, infinite numbers,
aliases and merges that expand to more than memory holds, integers and nesting without end."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from peftlab.core.bounds import DEEPEST, MOST_VALUES, check_values
from peftlab.core.errors import UserError

LARGEST_INTEGER, LONGEST_NUMBER = 2**63 - 1, 100
MOST_CHARACTERS, MOST_NODES = 1 << 18, 15_000
"""The most characters, and the most keys and values, of a text: PyYAML reads that in about a
second. A thousand arms, each with settings of its own, are ten thousand."""

MERGE = "tag:yaml.org,2002:merge"
Pairs = list[tuple[yaml.Node, yaml.Node]]


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, to which a key that stands twice is an error, and so is too much.

    That is deep nesting, which it would read in a time that grows with the square of the depth,
    and merges (`<<`) of merges, which it would write out to exponentially many keys.
    """

    def __init__(self, text: str, most_nodes: int) -> None:
        super().__init__(text)
        self._most_nodes = most_nodes
        self._depth = self._num_nodes = self._num_merged = 0
        self._flattened: set[int] = set()
        self._flattening: set[int] = set()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._num_nodes += 1
        if self._depth > DEEPEST or self._num_nodes > self._most_nodes:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            too_much = f"nested more than {DEEPEST} deep"
            if self._num_nodes > self._most_nodes:
                too_much = f"more than {self._most_nodes:,} keys and values"
            raise yaml.composer.ComposerError(None, None, too_much, mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put the keys that are merged in before the mapping's own."""
        if id(node) in self._flattened:
            return
        if id(node) in self._flattening:
            raise _refusal("a mapping is merged into itself", node)
        self._flattening.add(id(node))
        own = [(key, value) for key, value in node.value if key.tag != MERGE]
        _require_different(own)
        merged: Pairs = []
        for key, value in node.value:
            if key.tag == MERGE:
                for source in self._merged(value):
                    self._num_merged += len(source.value)
                    if self._num_merged > MOST_VALUES:
                        raise _refusal(f"more than {MOST_VALUES:,} keys are merged", key)
                    merged += source.value
        node.value = [*merged, *own]
        super().flatten_mapping(node)  # no key is merged any more; it knows `=` as a key
        self._flattening.discard(id(node))
        self._flattened.add(id(node))

    def _merged(self, value: yaml.Node) -> list[yaml.MappingNode]:
        """Return the mappings that a merge names, flattened, in reverse: of two values of one key
        the first mapping's comes last and wins."""
        sources: list[yaml.MappingNode] = []
        for source in value.value[::-1] if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(source, yaml.MappingNode):
                raise _refusal("the merged value is not a mapping", source)
            self.flatten_mapping(source)
            sources.append(source)
        return sources


def _require_different(pairs: Pairs) -> None:
    """Raise an error if a key appears twice."""
    seen: set[str] = set()
    for key, _ in pairs:
        if str(key.value) in seen:
            raise _refusal(f"the key '{key.value}' appears twice", key)
        seen.add(str(key.value))


def _refusal(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


# YAML 1.2 reads 5e-4 as a number; PyYAML follows 1.1, which wants a point: 5.0e-4.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _finite_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    """Return the float; NaN and infinity, which canonical JSON lacks, are refused."""
    _require_short(node)
    value: float = loader.construct_yaml_float(node)
    if not math.isfinite(value):
        raise _refusal(f"'{node.value}' is not a finite number", node)
    return value


def _bounded_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Return the integer; one that does not fit in 64 bits is refused."""
    _require_short(node)
    value: int = loader.construct_yaml_int(node)
    if abs(value) > LARGEST_INTEGER:
        raise _refusal(f"'{node.value[:40]}' is too large a number", node)
    return value


def _require_short(node: yaml.ScalarNode) -> None:
    """Refuse a number of very many digits: in base 60 (1:30) it takes the square of their time."""
    if len(node.value) > LONGEST_NUMBER:
        raise _refusal(f"'{node.value[:40]}' is too large a number", node)


_Loader.add_constructor("tag:yaml.org,2002:float", _finite_float)
_Loader.add_constructor("tag:yaml.org,2002:int", _bounded_int)


def parse_yaml(text: str, *, where: str, times: int = 1) -> Any:
    """Return the value that a YAML text holds; raise UserError with the line if it is invalid.

    It may be `times` as long as a study is, and takes as much longer.

    >>> parse_yaml("{rate: 5e-4, names: [a, b]}", where="here")
    {'rate': 0.0005, 'names': ['a', 'b']}
    """
    if len(text) > times * MOST_CHARACTERS:
        raise UserError(
            "too long a text to be read as YAML", where=where,
            allowed=f"at most {times * MOST_CHARACTERS:,} characters",
        )  # fmt: skip
    try:
        loader = _Loader(text, times * MOST_NODES)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        if problem == "second occurrence":
            problem = "the same anchor appears twice"
        raise UserError(f"not valid YAML: {problem}", where=f"{where}{line}") from error
    except (RecursionError, ValueError, TypeError, LookupError, AttributeError) as error:
        # PyYAML on a text that its own tag does not fit, as in `!!bool 3`.
        raise UserError(f"not valid YAML: {error}", where=where) from error
    check_values(value, where=where)
    return value


def parse_setting(setting: str) -> tuple[str, Any]:
    """Return the key and the value of a KEY=VALUE setting, the value read as YAML.

    >>> parse_setting("training.warmup_steps=0.06")
    ('training.warmup_steps', 0.06)
    """
    key, separator, text = setting.partition("=")
    if not separator or not key.strip():
        raise UserError(f"'{setting}' is not a setting", where="--set", allowed="KEY=VALUE")
    return key.strip(), parse_yaml(text, where=f"--set {key}")
