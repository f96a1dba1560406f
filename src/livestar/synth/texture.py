"""Procedural surfaces [H, W, 3]: a shared stock of noise, cut, coloured and arranged anew for each clip."""

from __future__ import annotations

import itertools
from functools import lru_cache
from random import Random
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from livestar.synth.palette import Colour, darker, mix

Pixels = NDArray[np.uint8]
_SIDE = 320
_STOCK = 12


@lru_cache(maxsize=_STOCK * 4)
def _noise(variant: int, stretch: int) -> Pixels:
    """Sums octaves of smooth noise to uint8 [H, W]; `stretch` draws it out along x."""
    rng = np.random.default_rng(7919 * variant + stretch)
    total = np.zeros((_SIDE, _SIDE), np.float32)
    for octave in range(5):
        cells = 4 << octave
        grid = rng.standard_normal((cells, max(2, cells // stretch))).astype(np.float32)
        total += cv2.resize(grid, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC) * 0.62**octave
    fine = rng.standard_normal((_SIDE, _SIDE)).astype(np.float32) * 0.25
    field: Pixels = np.clip(128 + 42 * (total + fine), 0, 255).astype(np.uint8)
    return field


def noise(dice: Random, stretch: int = 1, side: int = 224) -> Pixels:
    """Returns grey noise [side, side] around 128; `stretch` 1 is isotropic, 8 looks like grain of wood."""
    field = _noise(dice.randrange(_STOCK), stretch)
    x, y = dice.randrange(_SIDE - side + 1), dice.randrange(_SIDE - side + 1)
    return field[y : y + side, x : x + side]


def between(grey: Pixels, dark: Colour, light: Colour) -> Pixels:
    """Colours grey noise from `dark` to `light`."""
    share = np.linspace(0, 1, 256)[:, None]
    lut = np.round(np.array(dark) * (1 - share) + np.array(light) * share).astype(np.uint8)
    return cast("Pixels", cv2.LUT(cv2.merge([np.ascontiguousarray(grey)] * 3), lut[None]))


def rough(dice: Random, colour: Colour, contrast: float = 0.3, stretch: int = 1) -> Pixels:
    """Returns a mottled surface: asphalt, concrete, grass, sand, stone."""
    light = mix(colour, (255, 255, 255), contrast * 0.5)
    return between(noise(dice, stretch), darker(colour, contrast), light)


def planks(dice: Random, colour: Colour, count: int, *, gap: float = 0.5) -> Pixels:
    """Returns `count` boards of wood that run along x, each of its own tone."""
    surface = rough(dice, colour, 0.35, stretch=8)
    edges = np.linspace(0, surface.shape[0], count + 1).astype(int)
    for top, bottom in itertools.pairwise(edges):
        tone = 1 + dice.uniform(-0.12, 0.12)
        board = np.roll(surface[top:bottom], dice.randrange(200), axis=1)
        surface[top:bottom] = cv2.convertScaleAbs(board, alpha=tone)
        surface[top] = darker(colour, gap)
    return surface


def tiles(dice: Random, colour: Colour, count: int, grout: Colour) -> Pixels:
    """Returns `count` by `count` square tiles."""
    surface = rough(dice, colour, 0.12)
    for edge in np.linspace(0, surface.shape[0] - 2, count + 1).astype(int):
        surface[edge : edge + 2] = grout
        surface[:, edge : edge + 2] = grout
    return surface


def gradient(top: Colour, bottom: Colour, side: int = 64) -> Pixels:
    """Returns a vertical change of colour."""
    share = np.linspace(0, 1, side)[:, None]
    column = np.array(top) * (1 - share) + np.array(bottom) * share
    return np.repeat(np.round(column).astype(np.uint8)[:, None], side, axis=1)
