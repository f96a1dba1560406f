"""Sea animals as sprites."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from livestar.synth.palette import PAINT, Colour, darker, lighter
from livestar.synth.sprite import Sketch, Sprite


@lru_cache(maxsize=64)
def animal(kind: str, paint: str) -> Sprite:
    """Returns an animal that faces right, about 60 units wide."""
    return _ANIMALS[kind](PAINT[paint]).finish(1.1, 0.86)


def _eye(sketch: Sketch, x: float, y: float, radius: float) -> None:
    sketch.ellipse(x, y, radius, radius, (250, 250, 250))
    sketch.ellipse(x + radius * 0.3, y, radius * 0.55, radius * 0.55, (16, 16, 20))


def _fish(colour: Colour) -> Sketch:
    sketch = Sketch(60, 40)
    sketch.polygon([(2, 6), (17, 18), (17, 22), (2, 35), (7, 20)], darker(colour, 0.2))
    sketch.polygon([(24, 9), (34, 1), (44, 9)], darker(colour, 0.2))
    sketch.polygon([(28, 30), (34, 39), (40, 30)], darker(colour, 0.2))
    sketch.ellipse(36, 20, 22, 13, colour)
    sketch.ellipse(38, 15, 12, 4, lighter(colour, 0.35))
    for x in (26, 35):
        sketch.lines([(x, 12), (x + 2.4, 20), (x, 28)], darker(colour, 0.3), 1.2)
    _eye(sketch, 50, 17, 3.4)
    return sketch


def _turtle(colour: Colour) -> Sketch:
    sketch = Sketch(64, 42)
    skin = (142, 136, 96)
    for flipper in ([(44, 26), (56, 40), (38, 34)], [(14, 26), (4, 40), (22, 34)]):
        sketch.polygon([(float(x), float(y)) for x, y in flipper], skin)
    sketch.ellipse(55, 20, 8, 6, skin)
    sketch.polygon([(4, 22), (12, 20), (12, 26)], skin)
    sketch.ellipse(29, 25, 22, 9, darker(colour, 0.35))
    sketch.ellipse(29, 19, 21, 15, colour)
    for x, y in ((20, 16), (30, 11), (38, 18), (28, 22)):
        sketch.ellipse(x, y, 4.4, 3.6, darker(colour, 0.28))
    _eye(sketch, 58, 18, 2.2)
    return sketch


def _crab(colour: Colour) -> Sketch:
    sketch = Sketch(60, 40)
    for side in (-1, 1):
        for i in range(3):
            sketch.lines([(30, 24), (30 + side * (18 + 3 * i), 22 + 5 * i), (30 + side * (20 + 3 * i), 36)],
                         darker(colour, 0.2), 2.6)  # fmt: skip
        sketch.lines([(30, 22), (30 + side * 22, 16)], colour, 4)
        sketch.ellipse(30 + side * 23, 10, 6.4, 7, colour)
        sketch.polygon([(30 + side * 23, 2), (30 + side * 20, 11), (30 + side * 26, 11)], (20, 40, 60))
    sketch.ellipse(30, 24, 17, 11, colour)
    sketch.ellipse(30, 20, 11, 4, lighter(colour, 0.3))
    for x in (24, 36):
        sketch.lines([(x, 16), (x, 10)], colour, 2)
        _eye(sketch, x, 9, 2.8)
    return sketch


def _seahorse(colour: Colour) -> Sketch:
    sketch = Sketch(40, 64)
    spine = [(22, 12), (15, 22), (17, 34), (23, 42), (22, 52), (14, 56), (10, 51), (14, 48)]
    sketch.lines(spine, darker(colour, 0.15), 7)
    sketch.ellipse(18, 28, 8, 12, colour)
    sketch.ellipse(23, 10, 8, 7, colour)
    sketch.polygon([(28, 8), (39, 12), (38, 15), (27, 14)], colour)
    sketch.polygon([(10, 20), (3, 28), (10, 34)], lighter(colour, 0.3))
    for y in (22, 28, 34):
        sketch.lines([(13, y), (24, y + 1)], darker(colour, 0.3), 1.2)
    sketch.polygon([(17, 6), (18, 0), (22, 4), (25, 0), (27, 5)], darker(colour, 0.2))
    _eye(sketch, 24, 9, 2.6)
    return sketch


def _jellyfish(colour: Colour) -> Sketch:
    sketch = Sketch(46, 60)
    for i in range(6):
        x = 9 + i * 5.6
        sketch.lines(
            [(x, 22), (x + 3, 34), (x - 2, 46), (x + 2, 57)], darker(colour, 0.12 + 0.1 * (i % 2)), 2.6
        )
    sketch.ellipse(23, 21, 21, 19, colour)
    sketch.box(2, 24, 44, 30, colour)
    sketch.ellipse(15, 13, 6, 4.4, lighter(colour, 0.55), -30)
    for x in (5, 14, 23, 32, 41):
        sketch.ellipse(x, 29, 4.5, 4, darker(colour, 0.22))
    return sketch


_ANIMALS: dict[str, Callable[[Colour], Sketch]] = {
    "fish": _fish,
    "turtle": _turtle,
    "crab": _crab,
    "seahorse": _seahorse,
    "jellyfish": _jellyfish,
}
