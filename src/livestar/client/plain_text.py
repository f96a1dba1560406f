"""Words, times and counts as people read them."""

from __future__ import annotations


def printable(text: str) -> str:
    """Text on one line without control characters, which a terminal would obey.

    Captions come from a model that has seen untrusted video, and file names from anywhere.
    """
    return "".join(char if char.isprintable() else " " for char in text)


def clock(seconds: float, *, tenths: bool = False) -> str:
    """Time as MM:SS, or H:MM:SS from an hour on; with `tenths` as MM:SS.t. Rounded down."""
    in_tenths = int(seconds * 10 + 1e-6)
    minutes, rest = divmod(in_tenths, 600)
    hours, minutes = divmod(minutes, 60)
    shown = f"{rest // 10:02}.{rest % 10}" if tenths else f"{rest // 10:02}"
    return f"{hours}:{minutes:02}:{shown}" if hours else f"{minutes:02}:{shown}"


def counted(number: int, noun: str) -> str:
    """`0 frames`, `1 frame`, `2 frames`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
