"""YAML read safely, its traps closed: keys that stand twice, 5e-4 as a text, infinite numbers,
aliases that expand to more than memory holds, integers and nesting without end."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from peftlab.core.bounds import DEEPEST, check_values
from peftlab.core.errors import UserError

LARGEST_INTEGER = 2**63 - 1


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, to which a key that stands twice is an error, and so is deep nesting.

    The latter it would read in a time that grows with the square of the depth.
    """

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self._depth > DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, f"nested more than {DEEPEST} deep", mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge":
                if str(key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key '{key.value}' is there twice", key.start_mark
                    )
                seen.add(str(key.value))
        return super().construct_mapping(node, deep)


# YAML 1.2 reads 5e-4 as a number; PyYAML follows 1.1, which wants a point: 5.0e-4.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+(?:\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _finite_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    """No setting of a study can be NaN or infinite, and canonical JSON has neither."""
    value: float = loader.construct_yaml_float(node)
    if not math.isfinite(value):
        raise yaml.constructor.ConstructorError(
            None, None, f"'{node.value}' is not a finite number", node.start_mark
        )
    return value


def _bounded_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Seeds and counts fit in 64 bits; Python itself does not print far longer ones."""
    value: int = loader.construct_yaml_int(node)
    if abs(value) > LARGEST_INTEGER:
        raise yaml.constructor.ConstructorError(
            None, None, f"'{node.value[:40]}' is too large a number", node.start_mark
        )
    return value


_Loader.add_constructor("tag:yaml.org,2002:float", _finite_float)
_Loader.add_constructor("tag:yaml.org,2002:int", _bounded_int)


def parse_yaml(text: str, *, where: str) -> Any:
    """The value that a YAML text holds; UserError with the line where it is not valid.

    >>> parse_yaml("{rate: 5e-4, names: [a, b]}", where="here")
    {'rate': 0.0005, 'names': ['a', 'b']}
    """
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        if problem == "second occurrence":
            problem = "the same anchor stands twice"
        raise UserError(f"not valid YAML: {problem}", where=f"{where}{line}") from error
    except (RecursionError, ValueError, TypeError, LookupError, AttributeError) as error:
        # PyYAML on a text that its own tag does not fit, as in `!!bool 3`.
        raise UserError(f"not valid YAML: {error}", where=where) from error
    check_values(value, where=where)
    return value


def parse_setting(setting: str) -> tuple[str, Any]:
    """The key and the value of a KEY=VALUE setting, the value read as YAML.

    >>> parse_setting("training.warmup_steps=0.06")
    ('training.warmup_steps', 0.06)
    """
    key, separator, text = setting.partition("=")
    if not separator or not key.strip():
        raise UserError(f"'{setting}' is not a setting", where="--set", allowed="KEY=VALUE")
    return key.strip(), parse_yaml(text, where=f"--set {key}")
