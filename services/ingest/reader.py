"""Reads one stream's source in a thread of its own: opens it, samples, scales and encodes; opens it again when it broke off."""

from __future__ import annotations

import logging
import math
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livestar.api.v1 import common_pb2, events_pb2
from livestar.core.backoff import Backoff
from livestar.core.errors import BadVideo, LiveStarError
from livestar.media import SampledFrame, VideoSource
from livestar.media.hls import RollingPlaylist
from livestar.media.image import ImageKind, encode_image, resize_frame
from livestar.media.preview import Preview
from livestar.media.source_policy import PLAYLISTS, Admitted
from services.ingest.inbox import Closed, Ended, Inbox, Taken
from services.ingest.metrics import IngestMetrics

log = logging.getLogger("livestar.ingest")

NS = 1_000_000_000


@dataclass(frozen=True)
class Plan:
    """What to read, and how.

    Attributes:
        source: where it is.
        fps: frames to sample per second.
        pace: how fast.
        loop: a recording begins again at its end.
        side: pixels to which frames are scaled.
        kind: how they are encoded.
        after_pts_ns: the last frame that was captured before, by another process; None: there was none.
        timeout_s: longest wait for one answer of the source.
        reconnect_s: how long a source that broke off is tried again.
        preview: folder for the preview; None: without.
        preview_segments: in its list.
    """

    source: Admitted
    fps: float
    pace: common_pb2.Pace.ValueType
    loop: bool
    side: int
    kind: ImageKind
    after_pts_ns: int | None
    timeout_s: float
    reconnect_s: float
    preview: Path | None
    preview_segments: int


@dataclass
class Counts:
    """What happened so far; written by the reader, read by anybody."""

    decode_errors: int = 0
    reconnects: int = 0


class Reader:
    """See the module. A source that hangs holds up its own thread only; a thread that is not wanted any more ends by itself.

    Args:
        plan: what to read.
        inbox: where frames go; closing it ends the reading.
        metrics: of the process.
    """

    def __init__(self, plan: Plan, inbox: Inbox, metrics: IngestMetrics) -> None:
        self.counts = Counts()
        self._plan = plan
        self._inbox = inbox
        self._metrics = metrics
        self._fps = Fraction(repr(plan.fps))
        self._base = Fraction(0)
        self._from = Fraction(0)
        self._last: Fraction | None = None
        self._last_at_s = time.monotonic()
        self._breaks = plan.after_pts_ns is not None
        self._playlist: RollingPlaylist | None = None
        if plan.preview:
            self._playlist = RollingPlaylist(plan.preview, keep=plan.preview_segments)

    def start(self, name: str) -> None:
        """Begins. The thread is a daemon: at the end of the process nobody waits for a source."""
        threading.Thread(target=self._run, name=f"read {name}", daemon=True).start()

    def _run(self) -> None:
        try:
            ended = self._read()
        except Closed:
            ended = Ended(events_pb2.END_REASON_STOPPED)
        except LiveStarError as known:
            ended = Ended(events_pb2.END_REASON_FAILED, known)
        except Exception:  # the boundary of the thread: logged once, and the stream fails
            log.exception("reading failed")
            unknown = BadVideo("the source could not be read: see ingest's log.")
            ended = Ended(events_pb2.END_REASON_FAILED, unknown)
        if self._playlist:
            with suppress(OSError):
                self._playlist.end()
        self._inbox.end(ended)

    def _read(self) -> Ended:
        """Reads until there is nothing more, or nothing more comes."""
        backoff, taken_over = Backoff(0.25, 5.0), self._plan.after_pts_ns
        while True:
            before, recorded = self._last, self._plan.source.is_file
            error: BadVideo | None = None
            try:
                recorded = self._read_once(taken_over)
            except BadVideo as broken:
                if self._plan.source.is_file or (self._last is None and taken_over is None):
                    raise
                error = broken
            if self._last != before:
                backoff, taken_over = Backoff(0.25, 5.0), None
            if recorded and error is None:
                if not self._plan.loop or self._last is None:
                    return Ended(events_pb2.END_REASON_SOURCE_ENDED)
                self._base = self._next_base()
                self._from = Fraction(0)
            else:
                self._await_another_try(backoff, error)
                if self._gave_up():
                    return _gone(error)
            self._breaks = True

    def _read_once(self, taken_over: int | None) -> bool:
        """Opens the source and reads it to its end; returns whether it is a recording."""
        tap = _Tap(self)
        started_s = time.monotonic()
        plan = self._plan
        with VideoSource.open(
            plan.source.location, timeout_s=plan.timeout_s, options=plan.source.options, tap=tap
        ) as source:
            self._metrics.opening.observe(time.monotonic() - started_s)
            if plan.source.is_file and _is_playlist(source):
                raise BadVideo(f"{plan.source.location} names other files: give the video itself.")
            recorded = not source.is_live
            self._place(taken_over, recorded=recorded)
            try:
                tap.begin(source, paced=recorded and plan.pace != common_pb2.PACE_AS_FAST_AS_POSSIBLE)
                waits = recorded and plan.pace == common_pb2.PACE_AS_FAST_AS_POSSIBLE
                for sample in source.frames(plan.fps, from_s=self._from):
                    self._inbox.put(self._prepared(sample), wait=waits)
            finally:
                tap.close()
                self.counts.decode_errors += source.decode_errors
                self._metrics.damaged.inc(source.decode_errors)
            self._length_s = source.duration_s
        return recorded

    def _place(self, taken_over: int | None, *, recorded: bool) -> None:
        """Decides where in the stream's time the source's first frame lies, and where in the source to begin."""
        if recorded and not self._plan.loop:
            done = self._last if self._last is not None else _seconds(taken_over)
            self._from = (math.floor(done * self._fps) + 1) / self._fps if done is not None else Fraction(0)
        elif self._last is not None and not recorded:
            self._base = self._last + Fraction(time.monotonic() - self._last_at_s)
        elif self._last is None and taken_over is not None:
            self._base = Fraction(taken_over, NS) + 1 / self._fps

    def _next_base(self) -> Fraction:
        """Where the next round of a recording begins."""
        assert self._last is not None
        length = Fraction(self._length_s or 0).limit_denominator(1000)
        return max(self._base + length, self._last + 1 / self._fps)

    def _await_another_try(self, backoff: Backoff, error: BadVideo | None) -> None:
        self.counts.reconnects += 1
        self._metrics.reconnects.inc()
        log.info("opening the source again: %s", error or "it ended")
        self._inbox.pause(backoff.pause_s())

    def _gave_up(self) -> bool:
        return time.monotonic() - self._last_at_s > self._plan.reconnect_s

    def _prepared(self, sample: SampledFrame) -> Taken:
        started_s = time.monotonic()
        height, width = sample.rgb.shape[:2]
        data = encode_image(resize_frame(sample.rgb, self._plan.side), self._plan.kind)
        pts = self._base + Fraction(sample.pts_ns, NS)
        self._last, self._last_at_s = pts, time.monotonic()
        breaks, self._breaks = self._breaks, False
        self._metrics.preparing.observe(self._last_at_s - started_s)
        return Taken(round(pts * NS), time.time_ns(), data, self._plan.side, (width, height), breaks)

    def check(self) -> None:
        """Raises Closed when nobody wants frames any more."""
        if self._inbox.closed:
            raise Closed


class _Tap:
    """What happens with every packet and frame: is the reader still wanted, is it time, the preview."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._early: list[Packet[VideoStream]] = []
        self._preview: Preview | None = None
        self._paced = False
        self._origin_s: float | None = None

    def begin(self, source: VideoSource, *, paced: bool) -> None:
        self._paced = paced
        reader = self._reader
        if reader._playlist and reader._plan.pace != common_pb2.PACE_AS_FAST_AS_POSSIBLE:
            self._preview = Preview(reader._playlist, source.stream, reader._base)
        early, self._early = self._early, []
        for packet in early:
            self.packet(packet)

    def packet(self, packet: Packet[VideoStream]) -> None:
        self._reader.check()
        if self._preview:
            self._shown(lambda preview: preview.packet(packet))
        elif self._origin_s is None and len(self._early) < 256:
            self._early.append(packet)

    def frame(self, frame: VideoFrame, seconds: Fraction) -> None:
        reader = self._reader
        reader.check()
        if seconds < reader._from:
            return
        if self._paced:
            now_s = time.monotonic()
            if self._origin_s is None:
                self._origin_s = now_s - float(seconds)
            if (early_s := self._origin_s + float(seconds) - now_s) > 0:
                reader._inbox.pause(early_s)
        if self._preview:
            self._shown(lambda preview: preview.frame(frame, seconds))

    def close(self) -> None:
        self._shown(lambda preview: preview.close())

    def _shown(self, feed) -> None:  # type: ignore[no-untyped-def]
        """Feeds the preview; a disk that is full costs the preview, never the stream."""
        if self._preview is None:
            return
        try:
            feed(self._preview)
        except (OSError, FFmpegError) as error:
            log.warning("no preview from here on: %s", error)
            self._reader._metrics.preview_errors.inc()
            self._reader._playlist = self._preview = None


def _is_playlist(source: VideoSource) -> bool:
    return any(name in PLAYLISTS for name in source.format_name.split(","))


def _seconds(pts_ns: int | None) -> Fraction | None:
    return None if pts_ns is None else Fraction(pts_ns, NS)


def _gone(error: BadVideo | None) -> Ended:
    if error is None:
        return Ended(events_pb2.END_REASON_SOURCE_ENDED)
    return Ended(events_pb2.END_REASON_FAILED, error)
