"""The drawing of a figure, as SVG for the page and as the files beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

PNG_SCALE = 2.0
TAG = re.compile(r"<[^<>]*>")
# The text before an id, where it is defined and where it is used.
IDENTIFIER = re.compile(r"""\bid="|url\(#|href="#""")
WHITE = '<rect width="100%" height="100%" fill="white"/>'


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A drawn figure: `inline` has the page's background; the `files`, by suffix, a white one."""

    inline: str
    files: Mapping[str, bytes]


def draw(specification: Mapping[str, Any], *, name: str) -> Drawing:
    """Return the drawing of a Vega-Lite specification; the name makes its ids unique on the page.

    Vega runs once; PNG and PDF are made from its SVG, which takes a fraction of the time.
    """
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(dict(specification))
    white = re.sub(r"<svg\b[^>]*>", lambda found: found[0] + WHITE, svg, count=1)
    return Drawing(
        inline=TAG.sub(lambda found: IDENTIFIER.sub(rf"\g<0>{name}-", found[0]), svg),
        files={
            "svg": white.encode(),
            "png": vl_convert.svg_to_png(white, scale=PNG_SCALE),
            "pdf": vl_convert.svg_to_pdf(white),
        },
    )


@lru_cache
def vega_script() -> str:
    """Return a script that defines vegaEmbed, with all of Vega in it.

    Bundling takes over a second, so it is done once in a process.
    """
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle
