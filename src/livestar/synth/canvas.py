"""A square picture drawn in units: 224 to a side, whatever its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from livestar.synth.lettering import letters
from livestar.synth.palette import Colour
from livestar.synth.sprite import Sprite

UNITS = 224
"""Side of every canvas in units; x grows to the right, y downwards."""

Pixels = NDArray[np.uint8]
Point = tuple[float, float]
_FRACTION_BITS = 4


class Canvas:
    """Draws on RGB uint8 [S, S, 3], in place."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.scale = pixels.shape[0] / UNITS

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fills a polygon."""
        cv2.fillPoly(self.pixels, [self._fixed(points)], colour, cv2.LINE_AA, _FRACTION_BITS)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fills an upright rectangle."""
        x0, y0, x1, y1 = (round(v * self.scale) for v in (left, top, right, bottom))
        if x1 > x0 and y1 > y0:
            cv2.rectangle(self.pixels, (x0, y0), (x1 - 1, y1 - 1), colour, -1)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, angle_deg: float = 0, width: float = 0
    ) -> None:
        """Fills an ellipse, or draws its outline where `width` is positive."""
        centre, radii = self._fixed([(x, y), (rx, ry)])
        thickness = max(1, round(width * self.scale)) if width else -1
        cv2.ellipse(
            self.pixels,
            (int(centre[0]), int(centre[1])),
            (max(1, int(radii[0])), max(1, int(radii[1]))),
            angle_deg,
            0,
            360,
            colour,
            thickness,
            cv2.LINE_AA,
            _FRACTION_BITS,
        )

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fills a circle."""
        self.ellipse(x, y, radius, radius, colour)

    def lines(self, points: Sequence[Point], colour: Colour, width: float, *, closed: bool = False) -> None:
        """Draws connected lines."""
        thickness = max(1, round(width * self.scale))
        fixed = [self._fixed(points)]
        cv2.polylines(self.pixels, fixed, closed, colour, thickness, cv2.LINE_AA, _FRACTION_BITS)

    def text(self, x: float, y: float, text: str, height: float, colour: Colour) -> None:
        """Writes one line centred at (x, y); `height` is that of a capital letter."""
        mask = letters(text, max(4, round(height * self.scale)))
        h, w = mask.shape
        left, top = round(x * self.scale - w / 2), round(y * self.scale - h / 2)
        paint = np.empty((h, w, 3), np.uint8)
        paint[:] = colour
        paint = cast("Pixels", cv2.multiply(paint, cv2.merge([mask] * 3), scale=1 / 255))
        self._blend(left, top, paint, mask)

    def sprite(
        self,
        sprite: Sprite,
        x: float,
        y: float,
        width: float,
        *,
        angle_deg: float = 0.0,
        flip: bool = False,
        squash: float = 1.0,
        opacity: float = 1.0,
        feet: bool = True,
    ) -> None:
        """Places a sprite `width` units wide with its feet (bottom centre), or else its middle, at (x, y)."""
        rgba = sprite.level(width * self.scale)
        h, w = rgba.shape[:2]
        zoom = width * self.scale / w
        turn = np.deg2rad(angle_deg)
        across = zoom * np.array([np.cos(turn), np.sin(turn)]) * (-1 if flip else 1)
        down = zoom * squash * np.array([-np.sin(turn), np.cos(turn)])
        anchor = np.array([x, y]) * self.scale
        origin = anchor - across * (w / 2) - down * (h if feet else h / 2)
        corners = np.array([origin, origin + across * w, origin + down * h, origin + across * w + down * h])
        low = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
        high = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, self.pixels.shape[0])
        if (high <= low).any():
            return
        matrix = np.column_stack([across, down, origin - low])
        extent = (int(high[0] - low[0]), int(high[1] - low[1]))
        patch = cast("Pixels", cv2.warpAffine(rgba, matrix, extent, flags=cv2.INTER_LINEAR))
        if opacity < 1:
            patch = cast("Pixels", cv2.convertScaleAbs(patch, alpha=opacity))
        rgb = cast("Pixels", cv2.cvtColor(patch, cv2.COLOR_RGBA2RGB))
        self._blend(int(low[0]), int(low[1]), rgb, patch[:, :, 3])

    def lay(self, texture: Pixels, quad: Sequence[Point]) -> None:
        """Lays a texture [H, W, 3] in perspective: its corners, clockwise from top left, onto `quad`."""
        h, w = texture.shape[:2]
        target = np.array(quad, np.float32) * self.scale
        low = np.maximum(np.floor(target.min(0)).astype(int), 0)
        high = np.minimum(np.ceil(target.max(0)).astype(int) + 1, self.pixels.shape[0])
        if (high <= low).any():
            return
        source = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32)
        matrix = cv2.getPerspectiveTransform(source, (target - low).astype(np.float32))
        extent = (int(high[0] - low[0]), int(high[1] - low[1]))
        laid = cv2.warpPerspective(texture, matrix, extent, borderMode=cv2.BORDER_REFLECT)
        mask = np.zeros(extent[::-1], np.uint8)
        cv2.fillConvexPoly(mask, np.round(target - low).astype(np.int32), 255)
        cv2.copyTo(laid, mask, self.pixels[low[1] : high[1], low[0] : high[0]])

    def veil(self, colour: Colour, opacity: float) -> None:
        """Mixes the whole picture with one colour."""
        sheet = _sheet(self.pixels.shape[0], colour)
        cv2.addWeighted(self.pixels, 1 - opacity, sheet, opacity, 0, self.pixels)

    def _fixed(self, points: Sequence[Point]) -> NDArray[np.int32]:
        scaled = np.array(points, np.float64) * (self.scale * 2**_FRACTION_BITS)
        return cast("NDArray[np.int32]", np.round(scaled).astype(np.int32))

    def _blend(self, left: int, top: int, paint: Pixels, mask: Pixels) -> None:
        """Adds premultiplied paint over what its mask leaves."""
        side = self.pixels.shape[0]
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + mask.shape[1], side), min(top + mask.shape[0], side)
        if x0 >= x1 or y0 >= y1:
            return
        inner = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        rest = cv2.bitwise_not(np.ascontiguousarray(mask[inner]))
        under = self.pixels[y0:y1, x0:x1]
        kept = cv2.multiply(under, cv2.merge([rest] * 3), scale=1 / 255)
        cv2.add(kept, np.ascontiguousarray(paint[inner]), under)


@lru_cache(maxsize=16)
def _sheet(side: int, colour: Colour) -> Pixels:
    return np.full((side, side, 3), colour, np.uint8)
