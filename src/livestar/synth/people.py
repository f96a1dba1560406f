"""People as sprites, with walking legs."""

from __future__ import annotations

from functools import lru_cache

from livestar.synth.palette import PAINT, darker, lighter
from livestar.synth.sprite import Sketch, Sprite

_SKINS = ((240, 200, 168), (190, 136, 100), (120, 80, 58))
_TROUSERS = (62, 66, 84)
STRIDES = (-1.0, 0.0, 1.0, 0.0)
"""Poses of a walk, in order."""


@lru_cache(maxsize=256)
def walker(coat: str, pose: int, look: int = 0, *, carries: bool = False) -> Sprite:
    """Returns a person facing right, 26 by 52 units; `pose` counts steps, `look` varies skin and hair."""
    colour, skin, stride = PAINT[coat], _SKINS[look % 3], STRIDES[pose % 4]
    sketch = Sketch(26, 52)
    for swing in (-stride, stride):
        foot = 13 + 6 * swing
        sketch.lines([(13, 32), (13 + 2.5 * swing, 41), (foot, 49)], _TROUSERS, 4.2)
        sketch.lines([(foot - 0.5, 49.6), (foot + 3, 49.6)], (30, 26, 26), 2.6)
    sketch.lines([(13, 17), (13 - 5 * stride, 25), (13 - 6 * stride, 32)], darker(colour, 0.3), 4.4)
    sketch.round_box(6.5, 13, 19.5, 36, 4, colour)
    sketch.lines([(9, 16), (9, 34)], lighter(colour, 0.3), 1.4)
    sketch.lines([(13, 17), (13 + 5 * stride, 25), (14 + 6 * stride, 31)], darker(colour, 0.16), 4.4)
    sketch.ellipse(14, 7, 5, 5.6, skin)
    sketch.polygon([(18, 5.5), (21.5, 9), (18, 9.6)], skin)
    sketch.ellipse(10.8, 5.2, 4.4, 5.2, ((40, 28, 22), (90, 60, 30), (24, 22, 24))[look // 3 % 3])
    if carries:
        sketch.round_box(15 + 6 * stride, 31, 24 + 6 * stride, 40, 2, (120, 86, 52))
    return sketch.finish()
