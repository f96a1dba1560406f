"""Goods and forklifts as sprites."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from livestar.synth.palette import PAINT, Colour, darker, lighter
from livestar.synth.sprite import Sketch, Sprite


@lru_cache(maxsize=64)
def forklift(paint: str) -> Sprite:
    """Returns a forklift that faces right."""
    colour = PAINT[paint]
    sketch = Sketch(74, 54)
    sketch.box(52, 2, 56, 48, (60, 62, 66))
    sketch.box(56, 44, 73, 47, (60, 62, 66))
    sketch.box(58, 30, 72, 44, (176, 138, 92))
    sketch.lines([(10, 28), (14, 6), (40, 6), (46, 28)], (50, 52, 56), 3)
    sketch.round_box(4, 26, 50, 46, 5, colour)
    sketch.box(30, 18, 36, 30, colour)
    sketch.box(4, 40, 50, 43, darker(colour, 0.4))
    sketch.round_box(16, 14, 27, 30, 3, (60, 70, 100))
    sketch.ellipse(22, 11, 4.6, 5, (214, 170, 140))
    for x, r in ((13, 8), (44, 7)):
        sketch.ellipse(x, 46, r, r, (24, 24, 26))
        sketch.ellipse(x, 46, r / 2, r / 2, (150, 150, 150))
    return sketch.finish()


@lru_cache(maxsize=128)
def goods_sprite(item: str, paint: str) -> Sprite:
    """Returns goods about 46 units wide."""
    sketch = Sketch(46, 48)
    _DRAWERS[item](sketch, PAINT[paint])
    return sketch.finish()


def _box(sketch: Sketch, colour: Colour) -> None:
    sketch.polygon([(2, 14), (10, 6), (44, 6), (36, 14)], lighter(colour, 0.3))
    sketch.polygon([(36, 14), (44, 6), (44, 38), (36, 47)], darker(colour, 0.35))
    sketch.box(2, 14, 36, 47, colour)
    sketch.box(16, 14, 22, 47, lighter(colour, 0.45))
    sketch.box(25, 36, 33, 43, (236, 236, 230))


def _barrel(sketch: Sketch, colour: Colour) -> None:
    sketch.round_box(8, 5, 38, 47, 3, colour)
    sketch.ellipse(8, 26, 3, 19, colour)
    sketch.ellipse(38, 26, 3, 19, darker(colour, 0.2))
    sketch.box(30, 8, 39, 46, darker(colour, 0.25))
    sketch.box(12, 8, 17, 46, lighter(colour, 0.35))
    for y in (14, 36):
        sketch.box(6, y, 40, y + 2.6, (70, 72, 76))
    sketch.ellipse(23, 6, 15, 4, lighter(colour, 0.3))
    sketch.ellipse(23, 6, 11, 2.6, darker(colour, 0.4))


def _sack(sketch: Sketch, colour: Colour) -> None:
    sketch.ellipse(23, 32, 19, 15.5, colour)
    sketch.polygon([(14, 20), (18, 8), (28, 8), (32, 20)], colour)
    sketch.ellipse(23, 6, 9, 4, lighter(colour, 0.2))
    sketch.box(16, 10, 30, 13, (110, 84, 50))
    sketch.lines([(16, 20), (12, 34)], darker(colour, 0.3), 1.2)
    sketch.lines([(29, 19), (34, 36)], darker(colour, 0.3), 1.2)
    sketch.ellipse(17, 28, 3, 7, lighter(colour, 0.25), 20)


def _suitcase(sketch: Sketch, colour: Colour) -> None:
    sketch.lines([(17, 12), (17, 4), (29, 4), (29, 12)], (60, 60, 64), 2.4)
    sketch.round_box(2, 11, 44, 46, 5, colour)
    for x in (10, 34):
        sketch.box(x, 11, x + 3, 46, darker(colour, 0.4))
    sketch.box(2, 27, 44, 29, darker(colour, 0.45))
    sketch.box(20, 25, 26, 32, (216, 200, 120))


def _crate(sketch: Sketch, colour: Colour) -> None:
    sketch.box(2, 8, 44, 47, darker(colour, 0.55))
    for y in (8, 18.5, 29, 39.5):
        sketch.box(2, y, 44, y + 7, colour)
    for x in (2, 38):
        sketch.box(x, 8, x + 6, 47, lighter(colour, 0.25))
    sketch.lines([(8, 44), (38, 12)], lighter(colour, 0.25), 4)


_DRAWERS: dict[str, Callable[[Sketch, Colour], None]] = {
    "box": _box,
    "barrel": _barrel,
    "sack": _sack,
    "suitcase": _suitcase,
    "crate": _crate,
}
