"""What the windows of a recorded screen show, drawn from their upper left corner."""

from __future__ import annotations

from collections.abc import Callable

from livestar.synth.canvas import Canvas
from livestar.synth.motion import sway
from livestar.synth.palette import Colour


def _draw_mail(canvas: Canvas, x: float, y: float, ink: Colour, _t_s: float) -> None:
    for i in range(5):
        top = y + 20 * i
        canvas.box(x, top, x + 18, top + 13, (232, 214, 150))
        canvas.lines([(x, top), (x + 9, top + 8), (x + 18, top)], (120, 96, 50), 1.4)
        canvas.box(x + 26, top + 1, x + 110 - 9 * (i % 3), top + 4, ink)
        canvas.box(x + 26, top + 8, x + 90 + 6 * (i % 2), top + 10, (140, 144, 150))


def _draw_notes(canvas: Canvas, x: float, y: float, _ink: Colour, t_s: float) -> None:
    canvas.box(x, y, x + 132, y + 98, (250, 236, 150))
    for i in range(8):
        canvas.box(x + 8, y + 10 + 11 * i, x + 122 - 17 * (i * 3 % 4), y + 12 + 11 * i, (120, 104, 60))
    if t_s % 1.2 < 0.6:
        canvas.box(x + 100, y + 84, x + 102, y + 94, (60, 50, 30))


def _draw_photos(canvas: Canvas, x: float, y: float, _ink: Colour, _t_s: float) -> None:
    for i in range(6):
        left, top = x + 46 * (i % 3), y + 50 * (i // 3)
        canvas.box(left, top, left + 40, top + 44, (126, 180, 226))
        canvas.disc(left + 29, top + 11, 5, (255, 236, 150))
        canvas.polygon([(left, top + 44), (left + 14, top + 18), (left + 27, top + 44)], (90, 110, 84))
        canvas.polygon([(left + 16, top + 44), (left + 29, top + 27), (left + 40, top + 44)], (120, 140, 96))


def _draw_music(canvas: Canvas, x: float, y: float, _ink: Colour, t_s: float) -> None:
    canvas.disc(x + 34, y + 44, 32, (30, 30, 34))
    canvas.disc(x + 34, y + 44, 12, (220, 90, 60))
    canvas.disc(x + 34, y + 44, 3, (240, 240, 240))
    for i in range(7):
        height = 10 + 26 * abs(sway(t_s, 1.1 + 0.2 * i, i * 0.31))
        canvas.box(x + 76 + 8 * i, y + 84 - height, x + 81 + 8 * i, y + 84, (70, 150, 220))


def _draw_maps(canvas: Canvas, x: float, y: float, _ink: Colour, _t_s: float) -> None:
    canvas.box(x, y, x + 132, y + 98, (206, 224, 190))
    canvas.polygon(
        [(x, y + 70), (x + 50, y + 58), (x + 132, y + 84), (x + 132, y + 98), (x, y + 98)], (140, 186, 226)
    )
    for points in ([(0, 20), (60, 34), (132, 10)], [(40, 0), (52, 58)], [(96, 0), (88, 70)]):
        road = [(x + dx, y + dy) for dx, dy in points]
        canvas.lines(road, (250, 250, 246), 6)
    canvas.disc(x + 70, y + 26, 9, (220, 40, 40))
    canvas.polygon([(x + 62, y + 30), (x + 78, y + 30), (x + 70, y + 48)], (220, 40, 40))
    canvas.disc(x + 70, y + 26, 3.6, (255, 255, 255))


CONTENTS: dict[str, Callable[[Canvas, float, float, Colour, float], None]] = {
    "mail": _draw_mail,
    "notes": _draw_notes,
    "photos": _draw_photos,
    "music": _draw_music,
    "maps": _draw_maps,
}
"""For each program: draws on (canvas, left, top, colour of ink, time in seconds)."""
