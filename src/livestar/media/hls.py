"""A rolling HLS playlist on disk: segments, their times, and what old ones take with them when they go."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

PLAYLIST = "index.m3u8"
TIMING = "timing.json"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Segment:
    """One file of a playlist.

    Attributes:
        number: from 1.
        start: seconds of the stream at its first frame.
        duration: seconds.
        follows: its pictures and time stamps go on from the segment before.
    """

    number: int
    start: Fraction
    duration: Fraction
    follows: bool

    @property
    def name(self) -> str:
        """Its file."""
        return name_of(self.number)


def name_of(number: int) -> str:
    """The file of a segment."""
    return f"seg-{number:06d}.ts"


class RollingPlaylist:
    """Segments of MPEG-TS in a folder. Belongs to one thread; readers see whole files only.

    The programme's date is the time of the stream, counted from 1970-01-01: a player's `playingDate` in ms times 1e6 is the
    `pts_ns` of what it shows. `timing.json` says the same without rounding.

    Args:
        folder: exists; files of this playlist are made and removed in it.
        keep: segments in the playlist.
    """

    def __init__(self, folder: Path, *, keep: int = 12) -> None:
        self.folder = folder
        self._keep = keep
        self._segments: deque[Segment] = deque()
        self._next = 1
        self._gone = deque[Segment]()
        self._discontinuities = 0
        self._ended = False

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What the playlist holds, oldest first."""
        return tuple(self._segments)

    def draft(self) -> Path:
        """Where the next segment is to be written, until `add`."""
        return self.folder / f"{name_of(self._next)}.part"

    def add(self, start: Fraction, duration: Fraction, *, follows: bool) -> None:
        """Takes the draft in and drops the oldest segments.

        Raises:
            OSError: the disk is full, or the folder is gone.
        """
        segment = Segment(self._next, start, duration, follows and self._next > 1)
        self.draft().replace(self.folder / segment.name)
        self._next += 1
        self._segments.append(segment)
        while len(self._segments) > self._keep:
            old = self._segments.popleft()
            self._discontinuities += not self._segments[0].follows
            self._gone.append(old)
        # A player may be loading what has just left the playlist.
        while len(self._gone) > self._keep:
            (self.folder / self._gone.popleft().name).unlink(missing_ok=True)
        self._write()

    def end(self) -> None:
        """Nothing will be added: players play what is there to its end.

        Raises:
            OSError: as `add`.
        """
        self._ended = True
        self._write()

    def _write(self) -> None:
        self._put(PLAYLIST, self._playlist())
        times = [
            {
                "uri": segment.name,
                "pts_ns": _ns(segment.start),
                "duration_ns": _ns(segment.duration),
            }
            for segment in self._segments
        ]
        self._put(TIMING, json.dumps({"ended": self._ended, "segments": times}))

    def _playlist(self) -> str:
        longest = max((segment.duration for segment in self._segments), default=Fraction(1))
        first = self._segments[0].number if self._segments else 1
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:3",
            f"#EXT-X-TARGETDURATION:{max(2, math.ceil(longest))}",
            f"#EXT-X-MEDIA-SEQUENCE:{first}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self._discontinuities}",
        ]
        for index, segment in enumerate(self._segments):
            if index and not segment.follows:
                lines.append("#EXT-X-DISCONTINUITY")
            moment = EPOCH + timedelta(microseconds=_ns(segment.start) // 1000)
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{moment.isoformat(timespec='milliseconds')[:-6]}Z")
            lines += [f"#EXTINF:{float(segment.duration):.6f},", segment.name]
        return "\n".join([*lines, "#EXT-X-ENDLIST"] if self._ended else lines) + "\n"

    def _put(self, name: str, text: str) -> None:
        draft = self.folder / f"{name}.part"
        draft.write_text(text, encoding="utf-8")
        draft.replace(self.folder / name)


def _ns(seconds: Fraction) -> int:
    return round(seconds * 1_000_000_000)
