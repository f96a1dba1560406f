"""Colours that stay apart under every light of the camera, and how to mix them."""

from __future__ import annotations

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""

PAINT: dict[str, Colour] = {
    "red": (205, 32, 36),
    "orange": (244, 128, 20),
    "yellow": (250, 214, 30),
    "green": (32, 150, 62),
    "blue": (38, 84, 214),
    "purple": (142, 50, 170),
    "pink": (246, 130, 176),
    "brown": (122, 74, 40),
    "white": (242, 242, 238),
    "black": (30, 30, 34),
    "grey": (128, 130, 132),
}


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Returns the colour `share` of the way from `a` to `b`."""
    r, g, bl = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, bl


def darker(colour: Colour, share: float) -> Colour:
    """Mixes with black."""
    return mix(colour, (0, 0, 0), share)


def lighter(colour: Colour, share: float) -> Colour:
    """Mixes with white."""
    return mix(colour, (255, 255, 255), share)
