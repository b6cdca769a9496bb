"""Colours can be read on both backgrounds and told apart by readers with colour blindness."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from peftlab.report.figures.appearance import PALETTE, appearances

WHITE, DARK = "#ffffff", "#15181c"
# Machado, Oliveira and Fernandes 2009, for the complete lack of one kind of cones.
SIGHTS = {
    "all cones": np.eye(3),
    "no long": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no medium": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "no short": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(colour: str) -> np.ndarray:
    """Return the colour's linear components."""
    parts = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return WCAG's ratio of luminances."""
    light, dark = sorted((float(XYZ[1] @ linear(c)) for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(light: np.ndarray) -> np.ndarray:
    """Return the colour in CIELAB, in which distances are perceived differences."""
    scaled = XYZ @ np.clip(light, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_measures_are_those_of_the_standards() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21, abs=0.01)
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.05)


@pytest.mark.parametrize("colour", PALETTE)
def test_a_mark_has_the_contrast_that_graphics_need_on_both_papers(colour: str) -> None:
    assert contrast(colour, WHITE) >= 3
    assert contrast(colour, DARK) >= 3


@pytest.mark.parametrize("sight", SIGHTS)
def test_no_two_colours_look_alike(sight: str) -> None:
    seen: Callable[[str], np.ndarray] = lambda colour: lab(SIGHTS[sight] @ linear(colour))  # noqa: E731
    distances = [
        np.linalg.norm(seen(one) - seen(other)) for one, other in itertools.combinations(PALETTE, 2)
    ]
    assert min(distances) > 15


def test_sixty_four_names_look_different_and_the_others_do_not_matter() -> None:
    names = [str(number) for number in range(64)]
    assert len(set(appearances(names))) == 64
    assert appearances(["7"], every=names) == [appearances(names)[7]]
    assert appearances(["new"], every=names[:3]) == [appearances(names)[3]]
