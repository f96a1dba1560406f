"""Where the trunk ends its clips: not always where the events end.

At serving a clip of the trunk ends when the gate fires, which may be late, or twice in one event. If training always ended
clips with events, the place of the last terminal caption would tell a model whether anything new has happened, and it would
learn to read that instead of the frames: the held caption would stay likely over a new event, and a clip that was opened by
mistake would be filled with an event that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from livestar.synth import Clip
from livestar.training.packing import Remembered

MAX_DELAY = 10
"""Frames by which a boundary comes late at most; half of the late ones come one frame late, a quarter two, and so on."""


@dataclass(frozen=True)
class Boundaries:
    """How often clips of the trunk end elsewhere.

    Attributes:
        late: share of boundaries that come late: the first frames of the event stand in the clip before it.
        doubled: share of frames at which a clip ends though the event goes on.
        misheard: share of terminal captions that tell another event of the video.

    Raises:
        ValueError: one of them is not a share.
    """

    late: float = 0.0
    doubled: float = 0.0
    misheard: float = 0.0

    def __post_init__(self) -> None:
        for name in ("late", "doubled", "misheard"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, not {getattr(self, name)}")

    def delay(self, dice: Random) -> int:
        """Draws by how many frames a boundary comes late."""
        if not self.late or dice.random() >= self.late:
            return 0
        frames = 1
        while frames < MAX_DELAY and dice.random() < 0.5:
            frames += 1
        return frames


class TrunkClips:
    """The clips of one window's trunk, as frames are shown one after the other.

    Args:
        clip: the video.
        first_event: the oldest event that the trunk knows.
        boundaries: how often they are moved; they are moved only among frames that are told.
        dice: draws it.

    Attributes:
        number: of the clip that the next frame stands in.
    """

    def __init__(self, clip: Clip, first_event: int, boundaries: Boundaries, dice: Random) -> None:
        self.number = first_event
        self._clip, self._boundaries, self._dice = clip, boundaries, dice
        self._held = self._seen = first_event
        self._delay = 0
        self._ends_with_own_caption = False
        self._is_told = False

    def ended_before(self, event: int, *, dense: bool) -> list[Remembered]:
        """Ends what ends before a frame of this event, and returns the captions that the packer has to put on the trunk."""
        if event > self._held:
            return self._changed(event, dense=dense)
        doubles = dense and self._is_told and self._boundaries.doubled
        if doubles and self._dice.random() < self._boundaries.doubled:
            return self._end(event)
        return []

    def showed(self, event: int, *, told: bool) -> None:
        """Notes the frame; `told` is whether it has a caption."""
        self._seen = event
        self._is_told |= told
        self._ends_with_own_caption = told and event == self._held

    def _changed(self, event: int, *, dense: bool) -> list[Remembered]:
        if self._is_told and dense:
            if event > self._seen:
                self._delay = max(self._delay, self._boundaries.delay(self._dice))
            if self._delay:
                self._delay -= 1
                return []
            return self._end(event)
        # Of the past every event is known.
        return [ended for nth in range(self._held + 1, event + 1) for ended in self._end(nth)]

    def _end(self, event: int) -> list[Remembered]:
        """Ends the clip; a clip whose last caption is its own needs no other one."""
        misheard = self._boundaries.misheard and self._dice.random() < self._boundaries.misheard
        told = self._dice.randrange(len(self._clip.events)) if misheard else self._held
        ended = [] if self._ends_with_own_caption and not misheard else [self._caption(told)]
        self._held, self._delay = event, 0
        self.number += 1
        self._is_told = self._ends_with_own_caption = False
        return ended

    def _caption(self, event: int) -> Remembered:
        return Remembered(self.number, self._clip.events[event].narration)
