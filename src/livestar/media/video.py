"""A video, from a file or live, as frames sampled by presentation time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from livestar.core.errors import BadVideo
from livestar.core.ids import FrameNumber
from livestar.media.decoder import Decoder
from livestar.media.opening import open_container, select_stream, shown
from livestar.media.orientation import upright_rgb
from livestar.media.timeline import Timeline

MAX_ROUNDING_S = Fraction(1, 1000)
"""The coarsest rounding of a pts that sampling makes up for: that of Matroska's and RTMP's millisecond clock."""

FALLBACK_FPS = Fraction(25)
"""Places frames without a pts when the source gives no frame rate either."""


@dataclass(frozen=True, slots=True, eq=False)
class SampledFrame:
    """One sampled frame.

    Attributes:
        number: 1, 2, 3 …, without gaps.
        pts_ns: presentation time, ns from the first frame of the source; never decreases.
        rgb: uint8 [H, W, 3], upright, contiguous, owned by the receiver.
        slot: k of the sampling instant k / fps that the frame stands for; skips what the source skipped.
    """

    number: FrameNumber
    pts_ns: int
    rgb: NDArray[np.uint8]
    slot: int


class VideoSource:
    """An open video. Streams: holds the frame at hand and what the decoder needs, whatever the length.

    Belongs to one thread; close it, or use it as a context manager.

    Attributes:
        width: pixels, of the upright first frame. A source may change its size on the way: read `rgb.shape`.
        height: likewise.
        average_fps: frames per second as the source declares them, or None.
        duration_s: seconds as the source declares them, or None where it does not know (a live source).
        is_live: a guess: not a regular file, and no duration.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, source: str | Path, timeout_s: float
    ) -> None:
        decoder = Decoder(container, stream, shown(source), timeout_s)
        self._container = container
        self._decoder = decoder
        self._rest = decoder.frames()
        self._first = next(self._rest, None)
        if self._first is None:
            raise BadVideo(f"{shown(source)} holds no frame that decodes: record or export it again.")
        self._spent = False
        self._tick = stream.time_base or Fraction(1, 1_000_000)
        self._interval = 1 / (stream.guessed_rate or FALLBACK_FPS)
        exact = bool(stream.guessed_rate) and (self._interval / self._tick).denominator == 1
        self._rounding = Fraction(0) if exact else min(self._tick, MAX_ROUNDING_S)
        self.height, self.width = upright_rgb(self._first).shape[:2]
        self.average_fps = float(stream.average_rate) if stream.average_rate else None
        self.duration_s = _duration_s(container, stream)
        self.is_live = self.duration_s is None and not Path(source).is_file()

    @classmethod
    def open(cls, path_or_url: str | Path, *, timeout_s: float = 10.0) -> Self:
        """Opens a file or URL and decodes its first frame, so that a source that cannot work fails here.

        Args:
            path_or_url: a path, or an address with "://" (http, https, rtsp, rtmp, udp, tcp …).
            timeout_s: the longest wait for one answer: to connect, to learn the streams, for each packet. It
                does not cover name resolution. HLS comes in segments: allow more than the length of one.

        Raises:
            BadVideo: nothing there, no video, no video track, an unsupported codec, no frame, or no answer.
        """
        with ExitStack() as on_error:
            container = on_error.enter_context(open_container(path_or_url, timeout_s))
            source = cls(container, select_stream(container, shown(path_or_url)), path_or_url, timeout_s)
            on_error.pop_all()
        return source

    @property
    def decode_errors(self) -> int:
        """Packets that did not decode, and frames that decoded with visible damage, so far."""
        return self._decoder.errors

    def frames(self, fps: float) -> Iterator[SampledFrame]:
        """Samples by presentation time; the source is read once, so this may be called once.

        Sample k is the first frame at or after k / fps seconds from the first frame. A frame stands for one k
        at most: a pause in the source skips sampling instants, and an `fps` above the source's own gives
        every frame (of frames with equal pts, the first). `Timeline` straightens odd timestamps.

        Where the source's clock cannot tell its own frame interval (30 fps in milliseconds), a pts may lie before
        k / fps by the tick to which it was rounded; otherwise such a source would lose every third frame.

        Args:
            fps: samples per second, above 0.

        Raises:
            ValueError: `fps` is not a positive number, or the source has been read or closed.
            BadVideo: while iterating: the source broke off, fell silent, or stopped decoding for good.
        """
        if not (fps > 0 and math.isfinite(fps)):
            raise ValueError(f"fps must be a positive number, not {fps}")
        if self._spent:
            raise ValueError("a VideoSource is read once: open it again")
        self._spent = True
        # By its decimal digits: the float 0.3 lies below 3/10, so k / fps would fall behind the frame meant.
        return self._sample(Fraction(repr(float(fps))))

    def _sample(self, fps: Fraction) -> Iterator[SampledFrame]:
        timeline = Timeline(self._tick, self._interval)
        slack = min(self._rounding, 1 / (2 * fps))
        number, slot = 0, -1
        for frame in self._decoded():
            time = timeline.place(frame.pts)
            if time is None or (reached := math.floor((time + slack) * fps)) <= slot:
                continue
            number, slot = number + 1, reached
            yield SampledFrame(FrameNumber(number), round(time * 1_000_000_000), upright_rgb(frame), slot)

    def _decoded(self) -> Iterator[VideoFrame]:
        if self._first is not None:
            yield self._first
            self._first = None
        yield from self._rest

    def close(self) -> None:
        """Ends `frames()` and releases the source. May be called again."""
        self._spent = True
        self._first = None
        # Before the container: FFmpeg would crash on a read after its close.
        self._rest.close()
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else None
