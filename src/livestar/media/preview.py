"""Shows a source to people while it is watched: its own packets where players understand them, else encoded again.

MPEG-TS, a file a segment. H.264 is copied, as long as keyframes come often enough; otherwise, and for everything else, the
frames that were decoded for sampling are scaled down and encoded with x264's fastest preset.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from itertools import islice, pairwise
from types import TracebackType
from typing import Self

import av
from av.container import OutputContainer
from av.error import InvalidDataError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livestar.media.hls import RollingPlaylist
from livestar.media.orientation import upright_rgb

SEGMENT_S = Fraction(1)
MAX_SEGMENT_S = Fraction(4)
"""A copied source whose keyframes are further apart is encoded from there on."""

MAX_SIDE = 640
"""Pixels of the longer side of what is encoded."""

MAX_FPS = 30
SHIFT_S = Fraction(10)
"""Added to every time stamp in the files: the first packets of a stream with B-frames would lie before zero."""

CLOCK = Fraction(1, 90_000)
MAX_STEP_S = Fraction(10)
MAX_WAITING = 256
"""Packets that may come before the first frame; then it is encoded."""


class Preview:
    """Feeds a playlist from one open source, in the thread that reads it; close it, or use it as a context manager.

    Args:
        playlist: goes on from whatever was fed before.
        stream: the source's.
        base: seconds of the stream at the source's first frame.
        watched: whether somebody looks; what would have to be encoded is left out while nobody does.

    Every method raises OSError or FFmpegError when the disk is full: then close it and go on without.
    """

    def __init__(
        self,
        playlist: RollingPlaylist,
        stream: VideoStream,
        base: Fraction,
        watched: Callable[[], bool] = lambda: True,
    ) -> None:
        self._playlist = playlist
        self._stream = stream
        self._tick = stream.time_base or CLOCK
        self._base = base
        self._watched = watched
        self._copies = _copyable(stream)
        self._anchor: Fraction | None = None
        self._waiting: list[Packet[VideoStream]] = []
        self._segment: _Segment | None = None
        self._follows = False
        self._last: Fraction | None = None
        self._behind: Fraction | None = None

    def packet(self, packet: Packet[VideoStream]) -> None:
        """The next packet, in the order of decoding; copied when the one after it comes."""
        if not self._copies:
            return
        self._flush()
        self._waiting.append(packet)
        if len(self._waiting) > MAX_WAITING:
            self._encode_from_now()

    def frame(self, frame: VideoFrame, time: Fraction) -> None:
        """The next frame, in the order of presentation, `time` seconds from the source's first one."""
        if frame.pts is not None:
            self._anchor = time - frame.pts * self._tick
        if self._copies and frame.side_data.get("DISPLAYMATRIX") is not None:
            # MPEG-TS cannot say how to hold it.
            self._encode_from_now()
        if not self._copies:
            self._encode(frame, self._base + time)

    def close(self) -> None:
        """Takes in what there is. May be called again."""
        if self._copies:
            self._flush()
        self._finish(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _flush(self) -> None:
        if self._anchor is None:
            return
        for packet in self._waiting:
            self._copy(packet, self._anchor)
        self._waiting.clear()

    def _copy(self, packet: Packet[VideoStream], anchor: Fraction) -> None:
        if not self._copies or packet.pts is None or packet.dts is None:
            return
        time = packet.pts * self._tick + anchor + self._base
        dts = packet.dts * self._tick + anchor + self._base
        if self._segment and not 0 < dts - self._segment.last_dts <= MAX_STEP_S:
            self._finish(None)
        elapsed = time - self._segment.start if self._segment else SEGMENT_S
        if packet.is_keyframe and elapsed >= SEGMENT_S:
            self._finish(time)
            self._segment = _Segment.copying(self._playlist, self._stream, time)
            elapsed = Fraction(0)
        if self._segment is None:
            return
        shift = round((anchor + self._base + SHIFT_S) / self._tick)
        packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
        # A damaged packet cannot be copied.
        with suppress(InvalidDataError):
            self._segment.mux(packet, dts=dts, time=time)
        if elapsed > MAX_SEGMENT_S:
            self._encode_from_now()

    def _encode_from_now(self) -> None:
        # Frames come out of the decoder after the packets: what was copied is not shown twice.
        self._last = self._segment.newest if self._segment else None
        self._behind = self._last
        self._finish(None)
        self._copies = False
        self._waiting.clear()

    def _encode(self, frame: VideoFrame, time: Fraction) -> None:
        if self._behind is not None and time <= self._behind:
            return
        self._behind = None
        if not self._watched():
            self._finish(None)
            return
        if self._last is not None and not 0 < time - self._last <= MAX_STEP_S:
            self._finish(None)
        elif self._last is not None and time - self._last < Fraction(95, 100 * MAX_FPS):
            return
        self._last = time
        small = _small(frame)
        if self._segment and (
            time - self._segment.start >= SEGMENT_S or self._segment.size != (small.width, small.height)
        ):
            self._finish(time)
        if self._segment is None:
            self._segment = _Segment.encoding(self._playlist, (small.width, small.height), time)
        small.pts, small.time_base = round((time + SHIFT_S) / CLOCK), CLOCK
        self._segment.encode(small, time)

    def _finish(self, next_start: Fraction | None) -> None:
        """Takes the segment in; the next one begins at `next_start` and follows on, or somewhere else (None)."""
        segment, self._segment = self._segment, None
        if segment:
            segment.close()
            end = next_start if next_start is not None else segment.end
            self._playlist.add(segment.start, max(end - segment.start, CLOCK), follows=self._follows)
        self._follows = next_start is not None and segment is not None


class _Segment:
    """The file at hand."""

    def __init__(
        self, container: OutputContainer, stream: VideoStream, start: Fraction, size: tuple[int, int]
    ) -> None:
        self.start = start
        self.size = size
        self.last_dts = start - MAX_STEP_S * Fraction(1, 2)
        self._container = container
        self._stream = stream
        self.newest = start
        self._interval = Fraction(1, 25)

    @classmethod
    def copying(cls, playlist: RollingPlaylist, template: VideoStream, start: Fraction) -> Self:
        container = av.open(str(playlist.draft()), "w", format="mpegts")
        return cls(container, container.add_stream_from_template(template), start, (0, 0))

    @classmethod
    def encoding(cls, playlist: RollingPlaylist, size: tuple[int, int], start: Fraction) -> Self:
        container = av.open(str(playlist.draft()), "w", format="mpegts")
        options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "26"}
        stream = container.add_stream("libx264", rate=MAX_FPS, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = CLOCK
        stream.thread_count = 1
        return cls(container, stream, start, size)

    @property
    def end(self) -> Fraction:
        """When its last frame is over."""
        return self.newest + self._interval

    def mux(self, packet: Packet[VideoStream], *, dts: Fraction, time: Fraction) -> None:
        packet.stream = self._stream
        self._container.mux(packet)
        if self.last_dts >= self.start:
            self._interval = dts - self.last_dts
        self.last_dts = dts
        self.newest = max(self.newest, time)

    def encode(self, frame: VideoFrame, time: Fraction) -> None:
        self._container.mux(self._stream.encode(frame))
        if time > self.newest:
            self._interval = time - self.newest
        self.newest = time

    def close(self) -> None:
        try:
            if self.size != (0, 0):
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


def _copyable(stream: VideoStream) -> bool:
    context = stream.codec_context
    if context.name != "h264" or context.pix_fmt not in ("yuv420p", "yuvj420p"):
        return False
    keyframes = [entry.timestamp for entry in islice(stream.index_entries, 20_000) if entry.is_keyframe]
    tick = stream.time_base or CLOCK
    ends = [*keyframes, (stream.duration or 0) + keyframes[0]] if keyframes else []
    return all((later - earlier) * tick <= 2 * SEGMENT_S for earlier, later in pairwise(ends))


def _small(frame: VideoFrame) -> VideoFrame:
    """A copy of the frame for people: upright, even sides of at most `MAX_SIDE`."""
    if frame.side_data.get("DISPLAYMATRIX") is not None:
        frame = VideoFrame.from_ndarray(upright_rgb(frame), format="rgb24")
    scale = min(1.0, MAX_SIDE / max(frame.width, frame.height))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
    small = frame.reformat(width, height, "yuv420p", threads=1)
    if small is frame:
        small = VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
    return small
