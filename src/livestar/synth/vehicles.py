"""Vehicles as sprites: from the side, facing right, and from behind."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from livestar.synth.palette import PAINT, Colour, darker, lighter
from livestar.synth.sprite import Sketch, Sprite

_GLASS = (52, 70, 88)
_SHINE = (150, 176, 196)
_TYRE = (22, 22, 24)
_HUB = (150, 150, 152)
_LAMP = (255, 240, 170)
_TAIL_LAMP = (200, 20, 24)

SIDE_WIDTHS = {"car": 58.0, "van": 60.0, "truck": 86.0, "bus": 92.0, "scooter": 40.0}
"""Length of each vehicle in units at scale 1."""


@lru_cache(maxsize=128)
def side_view(kind: str, paint: str) -> Sprite:
    """Returns a vehicle that faces right."""
    return _SIDE_VIEWS[kind](PAINT[paint]).finish()


@lru_cache(maxsize=128)
def rear_view(kind: str, paint: str) -> Sprite:
    """Returns a car or van from behind and a little above, 34 units wide."""
    colour, tall = PAINT[paint], kind == "van"
    sketch = Sketch(34, 42 if tall else 32)
    bottom = 39.0 if tall else 29.0
    for x in (4, 24):
        sketch.box(x, bottom - 4, x + 6, bottom + 3, _TYRE)
    if tall:
        sketch.round_box(2, 2, 32, bottom, 4, colour)
        sketch.round_box(5, 5, 29, 17, 2, _GLASS)
        sketch.box(16.4, 4, 17.6, bottom - 3, darker(colour, 0.4))
    else:
        sketch.polygon([(8, 2), (26, 2), (30, 13), (4, 13)], darker(colour, 0.12))
        sketch.polygon([(10, 4), (24, 4), (27, 12), (7, 12)], _GLASS)
        sketch.round_box(1, 11, 33, bottom, 4, colour)
        sketch.lines([(3, 14), (31, 14)], lighter(colour, 0.35), 0.8)
    for left in (2.5, 26.5):
        sketch.box(left, bottom - 12, left + 5, bottom - 7, _TAIL_LAMP)
    sketch.box(12, bottom - 9, 22, bottom - 4, (232, 232, 226))
    sketch.box(2, bottom - 3, 32, bottom - 1, darker(colour, 0.5))
    return sketch.finish()


def _wheels(sketch: Sketch, y: float, radius: float, *xs: float) -> None:
    for x in xs:
        sketch.ellipse(x, y, radius, radius, _TYRE)
        sketch.ellipse(x, y, radius * 0.5, radius * 0.5, _HUB)


def _car(colour: Colour) -> Sketch:
    sketch = Sketch(58, 26)
    sketch.polygon([(12, 12), (19, 2), (37, 2), (46, 12)], colour)
    sketch.polygon([(15, 12), (20.5, 4.2), (27.5, 4.2), (27.5, 12)], _GLASS)
    sketch.polygon([(29.5, 12), (29.5, 4.2), (36, 4.2), (43, 12)], _GLASS)
    sketch.polygon([(17, 9), (20.5, 4.4), (23, 4.4), (19.5, 9)], _SHINE)
    sketch.round_box(1, 10.5, 57, 21, 4, colour)
    sketch.lines([(4, 13.2), (54, 13.2)], lighter(colour, 0.4), 0.9)
    sketch.box(1, 18.5, 57, 20.5, darker(colour, 0.45))
    sketch.lines([(28.5, 12), (28.5, 18)], darker(colour, 0.4), 0.6)
    sketch.round_box(53, 12.5, 57, 16, 1.5, _LAMP)
    sketch.box(1, 12.5, 3.5, 16, _TAIL_LAMP)
    _wheels(sketch, 20, 5.6, 13, 45)
    return sketch


def _van(colour: Colour) -> Sketch:
    sketch = Sketch(60, 34)
    sketch.polygon([(2, 3), (44, 3), (55, 16), (58, 19), (58, 29), (2, 29)], colour)
    sketch.polygon([(40, 6), (44, 6), (51.5, 15.5), (40, 15.5)], _GLASS)
    sketch.round_box(25, 6, 37, 15.5, 1.5, _GLASS)
    sketch.round_box(8, 6, 22, 15.5, 1.5, _GLASS)
    sketch.lines([(3, 18.5), (55, 18.5)], lighter(colour, 0.4), 1)
    sketch.box(2, 26, 58, 29, darker(colour, 0.45))
    sketch.lines([(23.5, 5), (23.5, 26)], darker(colour, 0.35), 0.7)
    sketch.round_box(54, 19, 58, 23, 1.5, _LAMP)
    sketch.box(2, 19, 4, 24, _TAIL_LAMP)
    _wheels(sketch, 28, 5.8, 13, 46)
    return sketch


def _truck(colour: Colour) -> Sketch:
    sketch = Sketch(86, 42)
    sketch.box(2, 30, 84, 34, (58, 58, 62))
    sketch.box(1, 2, 60, 31, colour)
    for x in range(6, 60, 9):
        sketch.lines([(x, 4), (x, 29)], darker(colour, 0.22), 0.8)
    sketch.box(1, 2, 60, 4, lighter(colour, 0.35))
    sketch.polygon([(62, 9), (74, 9), (82, 20), (85, 22), (85, 33), (62, 33)], colour)
    sketch.polygon([(66, 12), (73.5, 12), (79.5, 20.5), (66, 20.5)], _GLASS)
    sketch.round_box(80, 24, 85, 28, 1.5, _LAMP)
    sketch.box(1, 31, 4, 34, _TAIL_LAMP)
    _wheels(sketch, 35, 6.3, 13, 28, 72)
    return sketch


def _bus(colour: Colour) -> Sketch:
    sketch = Sketch(92, 40)
    sketch.round_box(1, 2, 91, 34, 4, colour)
    sketch.box(1, 24, 91, 26, lighter(colour, 0.5))
    for x in range(5, 72, 11):
        sketch.round_box(x, 7, x + 9, 19, 1, _GLASS)
        sketch.polygon([(x + 1, 16), (x + 4, 8), (x + 6, 8), (x + 3, 16)], _SHINE)
    sketch.round_box(73, 7, 80, 31, 1, _GLASS)
    sketch.polygon([(83, 7), (90.5, 7), (90.5, 20), (83, 20)], _GLASS)
    sketch.round_box(87, 27, 91, 31, 1.5, _LAMP)
    sketch.box(1, 27, 3, 31, _TAIL_LAMP)
    _wheels(sketch, 33.5, 6, 19, 66)
    return sketch


def _scooter(colour: Colour) -> Sketch:
    sketch = Sketch(40, 40)
    _wheels(sketch, 34, 5.6, 8, 32)
    sketch.polygon([(3, 24), (17, 22), (20, 30), (28, 30), (28, 34), (10, 34)], colour)
    sketch.polygon([(27, 34), (26, 16), (30, 14), (35, 30)], colour)
    sketch.lines([(27, 14), (24, 11)], _TYRE, 1.6)
    sketch.box(6, 20.5, 19, 23, _TYRE)
    sketch.polygon([(10, 21), (12, 10), (19, 10), (20, 21)], (70, 74, 92))
    sketch.lines([(18, 12), (26, 14)], (70, 74, 92), 3)
    sketch.lines([(14, 21), (22, 23), (22, 31)], (40, 42, 54), 3.4)
    sketch.ellipse(16, 6, 5, 5, colour)
    sketch.box(17, 5, 21.5, 8, (214, 170, 140))
    return sketch


_SIDE_VIEWS: dict[str, Callable[[Colour], Sketch]] = {
    "car": _car,
    "van": _van,
    "truck": _truck,
    "bus": _bus,
    "scooter": _scooter,
}
