"""Food as sprites: whole and cut."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from random import Random

from livestar.synth.palette import Colour, darker, lighter
from livestar.synth.sprite import Sketch, Sprite

FLESH: dict[str, tuple[Colour, Colour]] = {
    "tomato": ((206, 30, 30), (240, 110, 90)),
    "carrot": ((240, 120, 20), (250, 160, 70)),
    "cucumber": ((40, 116, 48), (196, 226, 150)),
    "lemon": ((246, 212, 30), (250, 240, 150)),
    "onion": ((150, 40, 110), (236, 206, 230)),
    "loaf": ((168, 104, 48), (238, 210, 160)),
}
"""Outside and inside of each food."""


@lru_cache(maxsize=16)
def whole(food: str) -> Sprite:
    """Returns a food as it comes, lying, 64 by 40 units."""
    sketch = Sketch(64, 40)
    _WHOLE[food](sketch, FLESH[food][0])
    return sketch.finish()


@lru_cache(maxsize=32)
def cut(food: str, form: str) -> Sprite:
    """Returns slices, cubes or halves of a food, 84 by 56 units."""
    sketch = Sketch(84, 56)
    outside, inside = FLESH[food]
    _CUTS[form](sketch, outside, inside)
    return sketch.finish()


@lru_cache(maxsize=16)
def heap(food: str) -> Sprite:
    """Returns cut pieces in a round heap, 40 by 40 units."""
    sketch, dice = Sketch(40, 40), Random(7)  # noqa: S311 - the same heap each time
    outside, inside = FLESH[food]
    for _ in range(60):
        x, y = dice.gauss(20, 8), dice.gauss(20, 8)
        side = dice.uniform(2.4, 3.6)
        sketch.box(x - side, y - side, x + side, y + side, darker(outside, dice.uniform(0, 0.25)))
        sketch.box(x - side + 1.2, y - side + 1.2, x + side, y + side, dice.choice([inside, outside]))
    return sketch.finish()


def _tomato(sketch: Sketch, colour: Colour) -> None:
    sketch.ellipse(32, 22, 18, 16.5, colour)
    sketch.ellipse(26, 15, 6, 3.6, lighter(colour, 0.5), -20)
    for x, y in ((24, 7), (40, 7), (28, 12), (36, 12), (32, 3)):
        sketch.lines([(32, 8), (x, y)], (46, 110, 40), 2.4)


def _carrot(sketch: Sketch, colour: Colour) -> None:
    for y in (12, 17, 23, 28):
        sketch.lines([(50, 20), (62, y)], (50, 140, 50), 2.6)
    sketch.polygon([(2, 21), (22, 14), (46, 10), (52, 14), (52, 26), (46, 30), (22, 27)], colour)
    for x in (16, 25, 34, 43):
        sketch.lines([(x, 15), (x + 1.4, 21)], darker(colour, 0.25), 1)
    sketch.lines([(14, 18), (46, 13.4)], lighter(colour, 0.4), 1.4)


def _cucumber(sketch: Sketch, colour: Colour) -> None:
    sketch.round_box(2, 12, 62, 29, 8.4, colour)
    for y in (16, 20.5, 25):
        sketch.lines([(7, y), (57, y)], lighter(colour, 0.22), 1.2)
    sketch.ellipse(61, 20, 2.4, 3, darker(colour, 0.4))


def _lemon(sketch: Sketch, colour: Colour) -> None:
    sketch.ellipse(32, 20, 21, 15, colour)
    sketch.ellipse(54, 20, 5, 4, darker(colour, 0.1))
    sketch.ellipse(11, 20, 4, 3.4, darker(colour, 0.15))
    sketch.ellipse(26, 13, 8, 3, lighter(colour, 0.6), -10)


def _onion(sketch: Sketch, colour: Colour) -> None:
    sketch.ellipse(32, 23, 17, 15, colour)
    sketch.polygon([(26, 10), (31, 0), (34, 0), (38, 10)], darker(colour, 0.2))
    for rx in (5, 11):
        for side in (-1, 1):
            points = [(32, 8), (32 + side * rx, 22), (32, 37.5)]
            sketch.lines(points, lighter(colour, 0.3), 0.9)
    sketch.lines([(30, 38), (28, 40)], (220, 200, 160), 1.4)


def _loaf(sketch: Sketch, colour: Colour) -> None:
    sketch.round_box(2, 8, 62, 34, 12, colour)
    for x in (14, 25, 36, 47):
        sketch.lines([(x, 12), (x + 5, 26)], lighter(colour, 0.55), 3)


def _slices(sketch: Sketch, outside: Colour, inside: Colour) -> None:
    for i in range(6):
        x = 14 + i * 11.2
        sketch.ellipse(x, 28, 11, 20, darker(outside, 0.25))
        sketch.ellipse(x - 1.4, 28, 10, 19, outside)
        sketch.ellipse(x - 2, 28, 7.6, 15.6, inside)


def _cubes(sketch: Sketch, outside: Colour, inside: Colour) -> None:
    dice = Random(3)  # noqa: S311 - the same cubes each time
    for row in range(3):
        for column in range(5):
            x, y = 6 + column * 15.5 + dice.uniform(-2, 2), 5 + row * 17 + dice.uniform(-2, 2)
            sketch.polygon([(x, y), (x + 3, y - 3), (x + 14, y - 3), (x + 11, y)], lighter(inside, 0.3))
            sketch.box(x, y, x + 11, y + 11, inside)
            sketch.polygon([(x + 11, y), (x + 14, y - 3), (x + 14, y + 8), (x + 11, y + 11)], outside)
            sketch.box(x, y + 9, x + 11, y + 11, outside)


def _halves(sketch: Sketch, outside: Colour, inside: Colour) -> None:
    for x in (22, 62):
        sketch.ellipse(x, 29, 19, 23, outside)
        sketch.ellipse(x, 27, 15.6, 18.8, inside)
        sketch.ellipse(x, 27, 5, 7, outside)


_WHOLE: dict[str, Callable[[Sketch, Colour], None]] = {
    "tomato": _tomato,
    "carrot": _carrot,
    "cucumber": _cucumber,
    "lemon": _lemon,
    "onion": _onion,
    "loaf": _loaf,
}
_CUTS: dict[str, Callable[[Sketch, Colour, Colour], None]] = {
    "slices": _slices,
    "cubes": _cubes,
    "halves": _halves,
}
