"""Every method by its name; a new one of ours joins here, one of peft's by itself."""

from __future__ import annotations

from peftlab.core.registry import Registry
from peftlab.methods.base import Method
from peftlab.methods.bottleneck import BOTTLENECK
from peftlab.methods.peft_table import CANNOT_SERVE, methods_of
from peftlab.methods.peft_types import peft_types
from peftlab.methods.selective import SELECTIVE

METHODS = Registry[Method]("method")
for _method in (*SELECTIVE, *BOTTLENECK, *methods_of(peft_types())):
    METHODS.add(_method.name, _method)
for _type, _reason in CANNOT_SERVE.items():
    METHODS.refuse(_type.lower().replace("_", "-"), _reason)
