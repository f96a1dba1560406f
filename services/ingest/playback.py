"""What happens with every packet and frame of a source while it is read: the pace, and the preview."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livestar.media import VideoSource
from livestar.media.hls import RollingPlaylist
from livestar.media.preview import Preview
from services.ingest.inbox import Closed, Inbox
from services.ingest.metrics import IngestMetrics

log = logging.getLogger("livestar.ingest")

MAX_LATE_S = 5.0
"""Lateness is made up, as far as this; beyond it, the pace goes on from where it is."""

MAX_EARLY_PACKETS = 256


class Playback:
    """A tap for one source after the other; belongs to the reading thread.

    Args:
        folder: for the preview; None: there is none.
        segments: in the preview's list.
        watched: whether somebody looks at it: what has to be encoded is encoded for somebody only.
        inbox: says whether frames are still wanted.
        metrics: of the process.
    """

    def __init__(
        self,
        folder: Path | None,
        segments: int,
        watched: Callable[[], bool],
        inbox: Inbox,
        metrics: IngestMetrics,
    ) -> None:
        self._playlist = RollingPlaylist(folder, keep=segments) if folder else None
        self._watched = watched
        self._inbox = inbox
        self._metrics = metrics
        self._preview: Preview | None = None
        self._early: list[Packet[VideoStream]] = []
        self._began = False
        self._paced = False
        self._base = Fraction(0)
        self._from = Fraction(0)
        self._origin_s: float | None = None

    def begin(
        self, source: VideoSource, base: Fraction, from_s: Fraction, *, paced: bool, shown: bool
    ) -> None:
        """The source is open.

        Args:
            source: its packets so far have been seen.
            base: seconds of the stream at its first frame.
            from_s: seconds of the source before which nothing counts.
            paced: hold frames back until their time.
            shown: feed the preview.
        """
        self._base, self._from, self._paced, self._began = base, from_s, paced, True
        if self._playlist and shown:
            self._preview = Preview(self._playlist, source.stream, base, self._watched)
        early, self._early = self._early, []
        if from_s == 0:
            for packet in early:
                self.packet(packet)

    def packet(self, packet: Packet[VideoStream]) -> None:
        """See `Tap.packet`."""
        self._check()
        if self._preview:
            self._show(lambda preview: preview.packet(packet))
        elif not self._began and self._playlist and len(self._early) < MAX_EARLY_PACKETS:
            self._early.append(packet)

    def frame(self, frame: VideoFrame, seconds: Fraction) -> None:
        """See `Tap.frame`."""
        self._check()
        if seconds < self._from:
            return
        if self._paced:
            self._await(float(self._base + seconds))
        if self._preview:
            self._show(lambda preview: preview.frame(frame, seconds))

    def close(self) -> None:
        """The source is at its end."""
        self._show(lambda preview: preview.close())
        self._preview, self._early, self._began = None, [], False

    def end(self) -> None:
        """No other source comes: players play what there is to its end."""
        if self._playlist:
            with suppress(OSError):
                self._playlist.end()

    def _check(self) -> None:
        if self._inbox.closed:
            raise Closed

    def _await(self, stream_s: float) -> None:
        now_s = time.monotonic()
        if self._origin_s is None or now_s - self._origin_s - stream_s > MAX_LATE_S:
            self._origin_s = now_s - stream_s
        if (early_s := self._origin_s + stream_s - now_s) > 0:
            self._inbox.pause(early_s)

    def _show(self, feed: Callable[[Preview], None]) -> None:
        """Feeds the preview; a full disk costs the preview, never the stream."""
        if self._preview is None:
            return
        try:
            feed(self._preview)
        except (OSError, FFmpegError) as error:
            log.warning("no preview from here on: %s", error)
            self._metrics.preview_errors.inc()
            self._playlist = self._preview = None
