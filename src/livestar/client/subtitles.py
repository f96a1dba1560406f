"""Captions as subtitle files: SubRip and WebVTT."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from livestar.client.plain_text import printable

MIN_CUE_S = 0.5
"""A caption that is followed at once stays for so long all the same."""
LAST_CUE_S = 5.0
"""How long the last caption stays where the end of the recording is unknown."""


@dataclass(frozen=True)
class Caption:
    """What was said.

    Attributes:
        at_s: when, seconds from the start of the recording.
        text: untrusted.
    """

    at_s: float
    text: str


def srt(captions: Sequence[Caption], end_s: float | None = None) -> str:
    """A SubRip file; each caption stays until the next one, the last one until `end_s`."""
    cues = [
        f"{number}\n{_clock(begin, ',')} --> {_clock(end, ',')}\n{_line(text)}\n"
        for number, (begin, end, text) in enumerate(_cues(captions, end_s), start=1)
    ]
    return "\n".join(cues)


def webvtt(captions: Sequence[Caption], end_s: float | None = None) -> str:
    """A WebVTT file, like `srt`."""
    cues = [
        f"\n{_clock(begin, '.')} --> {_clock(end, '.')}\n{_escaped(_line(text))}\n"
        for begin, end, text in _cues(captions, end_s)
    ]
    return "WEBVTT\n" + "".join(cues)


def _cues(captions: Sequence[Caption], end_s: float | None) -> Iterator[tuple[float, float, str]]:
    if not captions:
        return
    for one, following in pairwise(captions):
        yield one.at_s, max(following.at_s, one.at_s + MIN_CUE_S), one.text
    last = captions[-1]
    yield last.at_s, max(end_s or 0.0, last.at_s + (MIN_CUE_S if end_s else LAST_CUE_S)), last.text


def _line(text: str) -> str:
    """One line that no player takes for the time of a cue; an empty one would end it."""
    return " ".join(printable(text).split()).replace("-->", "→") or "…"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, point: str) -> str:
    milliseconds = max(0, round(seconds * 1000))
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"
