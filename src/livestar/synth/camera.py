"""The camera between the world and the viewer: framing, shake, light, vignette, noise, compression."""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from livestar.synth.motion import sway

Pixels = NDArray[np.uint8]

LIGHTS: dict[str, tuple[float, float, float]] = {
    "neutral": (1.0, 1.0, 1.0),
    "warm": (1.07, 1.0, 0.9),
    "cool": (0.93, 0.99, 1.08),
    "dim": (0.76, 0.76, 0.78),
}
LENSES: dict[str, tuple[float, float]] = {
    "plain": (1.02, 0.0),
    "close": (1.1, 0.0),
    "left-tilted": (1.06, -2.0),
    "right-tilted": (1.06, 2.0),
}
HELD_OUT_CAMERAS = frozenset({("dim", "close"), ("warm", "left-tilted"), ("cool", "right-tilted")})
"""Pairs of light and lens that only TEST may show; each light and each lens occurs in training."""

_BRIGHTEST = 1.15
_GRAINS = (1.5, 2.5, 4.0)


class Camera:
    """One clip's camera: a pure function of its dice."""

    def __init__(self, dice: Random, *, shows_held_out: bool) -> None:
        conditions = [(light, lens) for light in LIGHTS for lens in LENSES]
        if not shows_held_out:
            conditions = [c for c in conditions if c not in HELD_OUT_CAMERAS]
        self.condition = dice.choice(conditions)
        light, lens = self.condition
        self._tint = [channel * dice.uniform(0.97, 1.03) for channel in LIGHTS[light]]
        zoom, roll_deg = LENSES[lens]
        self._zoom, self._roll_deg = zoom * dice.uniform(0.99, 1.02), roll_deg * dice.uniform(0.7, 1.2)
        self._stretch, self._shear = dice.uniform(0.97, 1.05), dice.uniform(-0.03, 0.03)
        self._shift = dice.uniform(-3, 3), dice.uniform(-3, 3)
        self._shake = dice.choice([0.0, 0.4, 0.9])
        self._drift, self._period_s = dice.uniform(0.01, 0.06), dice.uniform(25, 90)
        self._vignette = dice.choice([0.0, 0.18, 0.3])
        self._grain = dice.choice(_GRAINS)
        self._quality = dice.choice([0, 85, 65])
        self._phase = dice.random()
        self._filters: dict[int, Pixels] = {}

    @property
    def held_out(self) -> bool:
        """Whether training never saw this condition."""
        return self.condition in HELD_OUT_CAMERAS

    def develop(self, scene: Pixels, t_s: float) -> Pixels:
        """Returns what the camera makes of the scene [S, S, 3] at this time."""
        size = scene.shape[0]
        border = cv2.BORDER_REFLECT
        photo = cv2.warpAffine(
            scene, self._framing(t_s, size), (size, size), flags=cv2.INTER_LINEAR, borderMode=border
        )
        cv2.multiply(photo, self._filter(size), photo, self._exposure(t_s) * _BRIGHTEST / 255)
        grain = _grain(size, self._grain, round(t_s * 1000))
        cv2.addWeighted(photo, 1, grain, 1, -128, photo)
        if self._quality:
            _, coded = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
            return cast("Pixels", cv2.imdecode(coded, cv2.IMREAD_COLOR))
        return cast("Pixels", photo)

    def _framing(self, t_s: float, size: int) -> NDArray[np.float64]:
        roll_deg = self._roll_deg + 0.3 * self._shake * sway(t_s, 7.3, self._phase)
        matrix = np.array(cv2.getRotationMatrix2D((size / 2, size / 2), roll_deg, self._zoom), np.float64)
        matrix[:, :2] = matrix[:, :2] @ np.array([[1, self._shear], [0, self._stretch]])
        matrix[:, 2] = size / 2 - matrix[:, :2] @ np.array([size / 2, size / 2])
        dx = self._shift[0] + self._shake * (sway(t_s, 1.7, self._phase) + 0.5 * sway(t_s, 0.61))
        dy = self._shift[1] + self._shake * (sway(t_s, 2.3, self._phase) + 0.5 * sway(t_s, 0.53))
        matrix[:, 2] += np.array([dx, dy]) * (size / 224)
        return matrix

    def _exposure(self, t_s: float) -> float:
        return 1 + self._drift * sway(t_s, self._period_s, self._phase)

    def _filter(self, size: int) -> Pixels:
        """Tint and vignette as one multiplication, for which 255 stands for `_BRIGHTEST`."""
        if size not in self._filters:
            fall = _vignette(size, self._vignette)
            tinted = fall[:, :, None] * (np.array(self._tint) * (255 / _BRIGHTEST))
            self._filters[size] = np.round(tinted).astype(np.uint8)
        return self._filters[size]


def _vignette(size: int, strength: float) -> NDArray[np.float64]:
    axis = np.linspace(-1, 1, size)
    distance = np.minimum(1, (axis[:, None] ** 2 + axis[None, :] ** 2) / 2)
    fall: NDArray[np.float64] = 1 - strength * distance**1.3
    return fall


@lru_cache(maxsize=8)
def _grain_sheet(size: int, sigma: float) -> Pixels:
    rng = np.random.default_rng(size)
    sheet = rng.normal(128, sigma, (size + 64, size + 64, 3)) + rng.normal(
        0, sigma / 2, (size + 64, size + 64, 1)
    )
    return np.clip(np.round(sheet), 0, 255).astype(np.uint8)


def _grain(size: int, sigma: float, tick: int) -> Pixels:
    spot = Random(tick)  # noqa: S311 - only moves the noise about
    x, y = spot.randrange(64), spot.randrange(64)
    return _grain_sheet(size, sigma)[y : y + size, x : x + size]
