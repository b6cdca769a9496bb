"""A figure drawn: as SVG for the page, and as the files beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

PNG_SCALE = 2.0
TAG = re.compile(r"<[^<>]*>")
# What stands before an id where it is given and where it is used.
IDENTIFIER = re.compile(r"""\bid="|url\(#|href="#""")
WHITE = '<rect width="100%" height="100%" fill="white"/>'


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """`inline` takes the page's own background; the files, by their suffix, have a white one."""

    inline: str
    files: Mapping[str, bytes]


def draw(specification: Mapping[str, Any], *, name: str) -> Drawing:
    """Return the figure of a Vega-Lite specification; its name tells its ids from other figures'.

    Vega runs once; PNG and PDF are made of its SVG, which takes a fraction of the time.
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

    Bundling takes over a second, so once a process.
    """
    import vl_convert

    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle
