"""The kinds of input, one module each."""

from importlib import import_module
from pkgutil import iter_modules

from tests.fuzz.kinds.base import Kind

KINDS: dict[str, type[Kind]] = {
    module.KIND.name: module.KIND
    for module in (import_module(f"{__name__}.{info.name}") for info in iter_modules(__path__))
    if hasattr(module, "KIND")
}
