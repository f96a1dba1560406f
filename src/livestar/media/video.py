"""A video, from a file or live, as frames sampled by presentation time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
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

SEEK_MARGIN_S = 10
"""A transport stream is sought by its bytes and may land behind the next keyframe: so much is read for safety."""

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


class Tap(Protocol):
    """Sees all that is read, sampled or not, in the thread that reads; what it raises ends the reading."""

    def packet(self, packet: Packet[VideoStream], /) -> None:
        """Called before the packet is decoded; it may be changed from the next call on."""

    def frame(self, frame: VideoFrame, time: Fraction, /) -> None:
        """Called with each frame that has a place in time, in presentation order, before it is sampled; do not change it.

        Args:
            frame: as decoded, not upright.
            time: seconds from the first frame of the source.
        """


class VideoSource:
    """An open video. Streams: holds the frame at hand and what the decoder needs, whatever the length.

    Belongs to one thread; close it, or use it as a context manager.

    Attributes:
        width: pixels, of the upright first frame. A source may change its size on the way: read `rgb.shape`.
        height: likewise.
        average_fps: frames per second as the source declares them, or None.
        duration_s: seconds as the source declares them, or None where it does not know (a live source).
        is_live: a guess: not a regular file, and no duration.
        stream: what is read; its codec and its clock, for a tap.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        source: str | Path,
        timeout_s: float,
        tap: Tap | None = None,
    ) -> None:
        decoder = Decoder(container, stream, shown(source), timeout_s, tap.packet if tap else None)
        self.stream = stream
        self._tap = tap
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
    def open(
        cls,
        path_or_url: str | Path,
        *,
        timeout_s: float = 10.0,
        options: Mapping[str, str] | None = None,
        tap: Tap | None = None,
    ) -> Self:
        """Opens a file or URL and decodes its first frame, so that a source that cannot work fails here.

        Args:
            path_or_url: a path, or an address with "://" (http, https, rtsp, rtmp, udp, tcp …).
            timeout_s: the longest wait for one answer: to connect, to learn the streams, for each packet. It
                does not cover name resolution. HLS comes in segments: allow more than the length of one.
            options: FFmpeg's, for the format and the protocol.
            tap: sees every packet and every frame.

        Raises:
            BadVideo: nothing there, no video, no video track, an unsupported codec, no frame, or no answer.
        """
        with ExitStack() as on_error:
            container = on_error.enter_context(open_container(path_or_url, timeout_s, options))
            source = cls(container, select_stream(container, shown(path_or_url)), path_or_url, timeout_s, tap)
            on_error.pop_all()
        return source

    @property
    def format_name(self) -> str:
        """FFmpeg's name of the container's format, or several with commas."""
        return self._container.format.name

    @property
    def decode_errors(self) -> int:
        """Packets that did not decode, and frames that decoded with visible damage, so far."""
        return self._decoder.errors

    def frames(self, fps: float, *, from_s: Fraction = Fraction(0)) -> Iterator[SampledFrame]:
        """Samples by presentation time; the source is read once, so this may be called once.

        Sample k is the first frame at or after k / fps seconds from the first frame. A frame stands for one k
        at most: a pause in the source skips sampling instants, and an `fps` above the source's own gives
        every frame (of frames with equal pts, the first). `Timeline` straightens odd timestamps.

        Where the source's clock cannot tell its own frame interval (30 fps in milliseconds), a pts may lie before
        k / fps by the tick to which it was rounded; otherwise such a source would lose every third frame.

        Args:
            fps: samples per second, above 0.
            from_s: leave out the samples before; seeks where the source can, else reads on to there.

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
        return self._sample(Fraction(repr(float(fps))), from_s)

    def _sample(self, fps: Fraction, from_s: Fraction) -> Iterator[SampledFrame]:
        timeline = Timeline(self._tick, self._interval)
        slack = min(self._rounding, 1 / (2 * fps))
        number, slot = 0, math.ceil(from_s * fps) - 1
        if from_s > 0:
            self._seek(from_s, timeline)
        for frame in self._decoded():
            time = timeline.place(frame.pts)
            if time is None:
                continue
            if self._tap:
                self._tap.frame(frame, time)
            if (reached := math.floor((time + slack) * fps)) <= slot:
                continue
            number, slot = number + 1, reached
            yield SampledFrame(FrameNumber(number), round(time * 1_000_000_000), upright_rgb(frame), slot)

    def _seek(self, to_s: Fraction, timeline: Timeline) -> None:
        """Goes to a keyframe before, if the source can; `timeline` keeps counting from the first frame."""
        to_s -= SEEK_MARGIN_S
        if to_s <= 0 or self._first is None or self._first.pts is None:
            return
        try:
            self._container.seek(self._first.pts + int(to_s / self._tick), stream=self.stream)
        except FFmpegError:
            return
        timeline.place(self._first.pts)
        timeline.leap(to_s)
        self._first = None

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
