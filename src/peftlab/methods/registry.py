"""Every method by its name; a new one joins here."""

from __future__ import annotations

from peftlab.core.registry import Registry
from peftlab.methods.base import Method
from peftlab.methods.bottleneck import BOTTLENECK
from peftlab.methods.peft_method import LORA
from peftlab.methods.selective import SELECTIVE

METHODS = Registry[Method]("method")
for _method in (*SELECTIVE, *BOTTLENECK, LORA):
    METHODS.add(_method.name, _method)
