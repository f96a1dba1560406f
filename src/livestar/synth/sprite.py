"""Sprites: shaded cut-outs, drawn once at high resolution and placed at any size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from livestar.synth.palette import Colour

Pixels = NDArray[np.uint8]
Point = tuple[float, float]
_FRACTION_BITS = 4
_PIXELS_PER_UNIT = 2
_OVERSAMPLING = 2


class Sprite:
    """A premultiplied RGBA picture with its halves, quarters and so on."""

    def __init__(self, rgba: Pixels) -> None:
        self._levels = [rgba]
        while min(self._levels[-1].shape[:2]) >= 16:
            h, w = self._levels[-1].shape[:2]
            half = cv2.resize(self._levels[-1], (w // 2, h // 2), interpolation=cv2.INTER_AREA)
            self._levels.append(cast("Pixels", half))

    @property
    def height_share(self) -> float:
        """Height over width."""
        h, w = self._levels[0].shape[:2]
        return float(h / w)

    def level(self, width_px: float) -> Pixels:
        """Returns the smallest picture [H, W, 4] at least about as wide as asked for."""
        fitting = [level for level in self._levels if level.shape[1] >= 0.9 * width_px]
        return fitting[-1] if fitting else self._levels[0]


class Sketch:
    """Where a sprite is drawn, in units of its own: (0, 0) is its top left corner."""

    def __init__(self, width: float, height: float) -> None:
        self._scale = _PIXELS_PER_UNIT * _OVERSAMPLING
        self._rgba = np.zeros((round(height * self._scale), round(width * self._scale), 4), np.uint8)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fills a polygon."""
        cv2.fillPoly(self._rgba, [self._fixed(points)], (*colour, 255), cv2.LINE_8, _FRACTION_BITS)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fills an upright rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def round_box(
        self, left: float, top: float, right: float, bottom: float, radius: float, colour: Colour
    ) -> None:
        """Fills a rectangle with round corners."""
        self.box(left + radius, top, right - radius, bottom, colour)
        self.box(left, top + radius, right, bottom - radius, colour)
        for x in (left + radius, right - radius):
            for y in (top + radius, bottom - radius):
                self.ellipse(x, y, radius, radius, colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour, angle_deg: float = 0) -> None:
        """Fills an ellipse."""
        (cx, cy), (ax, ay) = self._fixed([(x, y), (rx, ry)])
        centre, radii = (int(cx), int(cy)), (int(ax), int(ay))
        paint = (*colour, 255)
        cv2.ellipse(self._rgba, centre, radii, angle_deg, 0, 360, paint, -1, cv2.LINE_8, _FRACTION_BITS)

    def lines(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draws connected lines."""
        thickness = max(1, round(width * self._scale))
        fixed = [self._fixed(points)]
        cv2.polylines(self._rgba, fixed, False, (*colour, 255), thickness, cv2.LINE_8, _FRACTION_BITS)  # noqa: FBT003

    def finish(self, top_light: float = 1.12, bottom_light: float = 0.78, grain: float = 5.0) -> Sprite:
        """Shades from top to bottom, adds grain, and makes the sprite."""
        h, w = self._rgba.shape[:2]
        light = np.linspace(top_light, bottom_light, h, dtype=np.float32)[:, None, None]
        speckle = np.random.default_rng(h * 65537 + w).normal(0, grain, (h // 2, w // 2, 1))
        speckle_hw1 = cv2.resize(speckle.astype(np.float32), (w, h))[:, :, None]
        alpha = self._rgba[:, :, 3:].astype(np.float32)
        rgb = np.clip(self._rgba[:, :, :3] * light + speckle_hw1, 0, 255) * (alpha / 255)
        small = (w // _OVERSAMPLING, h // _OVERSAMPLING)
        rgba = cv2.resize(np.concatenate([rgb, alpha], axis=2), small, interpolation=cv2.INTER_AREA)
        return Sprite(np.round(rgba).astype(np.uint8))

    def _fixed(self, points: Sequence[Point]) -> NDArray[np.int32]:
        scaled = np.array(points, np.float64) * (self._scale * 2**_FRACTION_BITS)
        return cast("NDArray[np.int32]", np.round(scaled).astype(np.int32))


@lru_cache(maxsize=64)
def glow(colour: Colour, peak: float = 1.0) -> Sprite:
    """Returns a soft round blob: a lamp's halo, or a shadow where the colour is black."""
    side = 64
    axis = (np.arange(side) - side / 2 + 0.5) / (side / 2)
    distance = np.hypot(axis[:, None], axis[None, :])
    alpha = np.clip(1 - distance, 0, 1)[:, :, None] ** 1.5 * peak
    return Sprite(np.round(np.concatenate([alpha * np.array(colour), alpha * 255], axis=2)).astype(np.uint8))


def shadow() -> Sprite:
    """Returns the soft dark blob under things."""
    return glow((0, 0, 0), 0.75)
