"""Video in and out: frames sampled by presentation time, delivered at the pace of life, written as H.264.

What reads and writes video is loaded when it is first asked for: `media.image` works on machines without PyAV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from livestar.media.pacing import Clock, pace
    from livestar.media.video import SampledFrame, Tap, VideoSource
    from livestar.media.writer import write_video

__all__ = ["Clock", "SampledFrame", "Tap", "VideoSource", "pace", "write_video"]

_HOMES = {
    "Clock": "pacing",
    "pace": "pacing",
    "SampledFrame": "video",
    "Tap": "video",
    "VideoSource": "video",
    "write_video": "writer",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
