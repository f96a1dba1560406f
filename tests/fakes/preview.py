"""Makes a preview of a file as ingest does, but all at once."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livestar.media import VideoSource
from livestar.media.hls import RollingPlaylist
from livestar.media.preview import Preview


class Feed:
    """A tap that feeds a preview as ingest does: from the first frame on."""

    def __init__(self) -> None:
        self.preview: Preview | None = None
        self._early: list[Packet[VideoStream]] = []

    def packet(self, packet: Packet[VideoStream]) -> None:
        if self.preview:
            self.preview.packet(packet)
        else:
            self._early.append(packet)

    def begin(self, playlist: RollingPlaylist, source: VideoSource, base: Fraction) -> None:
        self.preview = Preview(playlist, source.stream, base)
        for packet in self._early:
            self.preview.packet(packet)

    def frame(self, frame: VideoFrame, time: Fraction) -> None:
        assert self.preview
        self.preview.frame(frame, time)


def feed(path: Path, playlist: RollingPlaylist, base: Fraction = Fraction(0)) -> None:
    tap = Feed()
    with VideoSource.open(path, tap=tap) as source:
        tap.begin(playlist, source, base)
        list(source.frames(1))
        assert tap.preview
        tap.preview.close()
