"""One line of time, from zero and never backwards, out of the timestamps that sources really send."""

from __future__ import annotations

from fractions import Fraction

MAX_LATE_S = 1
"""A frame less than this behind the latest one is out of order; further behind, the clock was set back."""

MAX_LATE_FRAMES = 16
"""Frames out of order in a row before the clock counts as set: the deepest reordering of H.264 and HEVC."""

MAX_GAP_S = 3600
"""A longer step forwards is a clock that was set, not a pause."""


class Timeline:
    """Places each frame of one stream in time, relative to its first frame.

    What a source may do, and what happens then:

    * start anywhere: the first frame lies at 0;
    * give no pts: the frame lies one nominal interval after the latest one;
    * pause: a step forwards of up to an hour is taken at its word;
    * deliver out of order: a frame less than a second behind the latest one has no place;
    * set its clock (a looped file, a restarted encoder: a step further back, one forwards by over an hour, or
      the 17th frame behind in a row): the frame lies one nominal interval after the latest one, and later
      timestamps count from there.
    """

    def __init__(self, tick: Fraction, interval: Fraction) -> None:
        """Starts before the first frame.

        Args:
            tick: seconds per unit of pts.
            interval: nominal seconds between frames.
        """
        self._tick = tick
        self._interval = interval
        self._latest = -interval
        self._offset: Fraction | None = None
        self._late = 0

    def place(self, pts: int | None) -> Fraction | None:
        """Seconds from the first frame, never less than the call before gave; None for a frame out of order.

        Args:
            pts: presentation timestamp in ticks, or None where the source gives none.
        """
        expected = self._latest + self._interval
        time = expected if pts is None else self._read(pts, expected)
        step = time - self._latest
        if -MAX_LATE_S < step < 0 and self._late < MAX_LATE_FRAMES:
            self._late += 1
            return None
        if not 0 <= step <= MAX_GAP_S:
            self._offset = (self._offset or 0) + expected - time
            time = expected
        self._late = 0
        self._latest = time
        return time

    def leap(self, to: Fraction) -> None:
        """The source was moved: the next frame lies at or somewhat before `to`, seconds from the first frame."""
        self._latest = max(self._latest, to - MAX_GAP_S)

    def _read(self, pts: int, expected: Fraction) -> Fraction:
        if self._offset is None:
            self._offset = expected - pts * self._tick
        return pts * self._tick + self._offset
