"""Reads one stream's source in a thread of its own: opens it, samples, scales and encodes; opens it again when it broke off."""

from __future__ import annotations

import contextvars
import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from livestar.api.v1 import common_pb2, events_pb2
from livestar.core.backoff import Backoff
from livestar.core.errors import BadVideo, LiveStarError
from livestar.media import SampledFrame, VideoSource
from livestar.media.image import ImageKind, encode_image, resize_frame
from livestar.media.source_policy import PLAYLISTS, Admitted
from services.ingest.inbox import Closed, Ended, Inbox, Taken
from services.ingest.metrics import IngestMetrics
from services.ingest.playback import Playback

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
        watched: whether somebody looks at the preview.
    """

    source: Admitted
    fps: float
    pace: common_pb2.Pace.ValueType
    loop: bool
    side: int
    kind: ImageKind
    after_pts_ns: int | None = None
    timeout_s: float = 10.0
    reconnect_s: float = 20.0
    preview: Path | None = None
    preview_segments: int = 12
    watched: Callable[[], bool] = lambda: True


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

    Attributes:
        counts: what happened so far.
    """

    def __init__(self, plan: Plan, inbox: Inbox, metrics: IngestMetrics) -> None:
        self.counts = Counts()
        self._plan = plan
        self._inbox = inbox
        self._metrics = metrics
        self._fps = Fraction(repr(plan.fps))
        self._playback = Playback(plan.preview, plan.preview_segments, plan.watched, inbox, metrics)
        self._base = Fraction(0)
        self._from = Fraction(0)
        # Length of the round that was just played to its end; None: it broke off, or is live.
        self._round_s: Fraction | None = None
        # The stream's time of the last frame, here or at the process before.
        self._last = None if plan.after_pts_ns is None else Fraction(plan.after_pts_ns, NS)
        self._last_at_s: float | None = None
        self._was_live = False
        self._breaks = plan.after_pts_ns is not None

    def start(self, name: str) -> None:
        """Begins. The thread is a daemon: at the end of the process nobody waits for a source."""
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self.run,), name=f"read {name}", daemon=True).start()

    def run(self) -> None:
        """Reads to the end, in this thread; whatever happens is put into the inbox."""
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
        self._playback.end()
        self._inbox.end(ended)

    def _read(self) -> Ended:
        """Reads until there is nothing more, or nothing more comes."""
        backoff = Backoff(0.25, 5.0)
        tried_since_s = time.monotonic()
        while True:
            before, error = self._last_at_s, None
            try:
                if self._read_once() and (self._was_live or not self._plan.loop):
                    return Ended(events_pb2.END_REASON_SOURCE_ENDED)
            except BadVideo as broken:
                if self._plan.source.is_file or self._last is None:
                    raise
                error = broken
            if self._last_at_s != before and self._last_at_s is not None:
                backoff.reset()
                tried_since_s = self._last_at_s
            elif self._plan.source.is_file:
                return Ended(events_pb2.END_REASON_SOURCE_ENDED)
            self._breaks = True
            if self._round_s is None:
                self._pause(backoff.pause_s(), error)
                if time.monotonic() - tried_since_s > self._plan.reconnect_s:
                    return _gone(error)

    def _read_once(self) -> bool:
        """Opens the source and reads it to its end; returns whether it is a recording."""
        started_s, plan = time.monotonic(), self._plan
        with VideoSource.open(
            plan.source.location, timeout_s=plan.timeout_s, options=plan.source.options, tap=self._playback
        ) as source:
            self._metrics.opening.observe(time.monotonic() - started_s)
            if plan.source.is_file and any(name in PLAYLISTS for name in source.format_name.split(",")):
                raise BadVideo(f"{plan.source.location} names other files: give the video itself.")
            recorded = not source.is_live
            if recorded and self._was_live:
                # What was live has become a recording of itself: it is over.
                return True
            self._was_live = not recorded
            fast = recorded and plan.pace == common_pb2.PACE_AS_FAST_AS_POSSIBLE
            self._place(recorded=recorded, duration_s=_duration_s(source))
            self._round_s = None
            try:
                self._playback.begin(
                    source, self._base, self._from, paced=recorded and not fast, shown=not fast
                )
                for sample in source.frames(plan.fps, from_s=self._from):
                    self._inbox.put(self._prepared(sample), wait=fast)
            finally:
                self._playback.close()
                self.counts.decode_errors += source.decode_errors
                self._metrics.damaged.inc(source.decode_errors)
            if recorded:
                self._round_s = _duration_s(source)
        return recorded

    def _place(self, *, recorded: bool, duration_s: Fraction) -> None:
        """Decides where in the stream's time the source's first frame lies, and where in the source to begin."""
        if self._last is None:
            return
        if recorded and not self._plan.loop:
            # Goes on where it was, in this process or in another.
            self._from = (math.floor(self._last * self._fps) + 1) / self._fps
        elif recorded and self._round_s is not None:
            self._base, self._from = max(self._base + self._round_s, self._last + 1 / self._fps), Fraction(0)
        elif recorded and self._last_at_s is None and duration_s:
            # Another process was in the middle of a round, each of which takes a whole number of frames.
            round_s = math.ceil(duration_s * self._fps) / self._fps
            next_s = (math.floor(self._last * self._fps) + 1) / self._fps
            self._base = next_s // round_s * round_s
            self._from = next_s - self._base
        elif recorded or self._last_at_s is None:
            self._base = self._last + 1 / self._fps
        else:
            self._base = self._last + Fraction(time.monotonic() - self._last_at_s)

    def _pause(self, seconds: float, error: BadVideo | None) -> None:
        self.counts.reconnects += 1
        self._metrics.reconnects.inc()
        log.info("opening the source again: %s", error or "it ended")
        self._inbox.pause(seconds)

    def _prepared(self, sample: SampledFrame) -> Taken:
        started_s, captured_at_ns = time.monotonic(), time.time_ns()
        height, width = sample.rgb.shape[:2]
        data = encode_image(resize_frame(sample.rgb, self._plan.side), self._plan.kind)
        self._last = self._base + Fraction(sample.pts_ns, NS)
        self._last_at_s = time.monotonic()
        breaks, self._breaks = self._breaks, False
        self._metrics.preparing.observe(self._last_at_s - started_s)
        return Taken(
            round(self._last * NS),
            captured_at_ns,
            data,
            self._plan.side,
            (width, height),
            discontinuity=breaks,
        )


def _duration_s(source: VideoSource) -> Fraction:
    """Length of a recording; 0 where the source does not say."""
    return Fraction(source.duration_s or 0.0).limit_denominator(1_000_000)


def _gone(error: BadVideo | None) -> Ended:
    if error is None:
        return Ended(events_pb2.END_REASON_SOURCE_ENDED)
    return Ended(events_pb2.END_REASON_FAILED, error)
