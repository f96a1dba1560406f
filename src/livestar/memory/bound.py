"""A hard bound on the trunk: a policy says in which order to forget, this says how far to go."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from livestar.core.ids import FrameNumber
from livestar.memory.ledger import CaptionEntry, Forget, FrameEntry, Ledger, apply


@dataclass(frozen=True, kw_only=True)
class BoundedMemory(ABC):
    """Once the trunk exceeds its limit, forgets in the policy's order down to the low-water mark.

    The limit is `max_trunk_tokens` less `reserve_tokens` (rows that the next frame and its branch will
    need). First go the frames of `forgetting_order`, then captions, oldest first, both down to `low_water`
    times the limit, so that the next frames do not trigger it again. Where that is not enough, the
    remaining frames go, oldest first, down to the limit itself. The newest frame always stays.

    After applying a plan the trunk is within the limit, for every ledger.

    Raises:
        ValueError: the reserve leaves no budget, or `low_water` is outside (0, 1].
    """

    max_trunk_tokens: int = 6000
    low_water: float = 0.7
    reserve_tokens: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.reserve_tokens < self.max_trunk_tokens:
            raise ValueError(
                f"{self.reserve_tokens} reserved of {self.max_trunk_tokens} tokens leave none for the trunk"
            )
        if not 0 < self.low_water <= 1:
            raise ValueError(f"low_water is a share of the budget in (0, 1], not {self.low_water}")

    @property
    def limit_tokens(self) -> int:
        """Most tokens that the trunk may hold."""
        return self.max_trunk_tokens - self.reserve_tokens

    @abstractmethod
    def forgetting_order(self, older: tuple[FrameEntry, ...], newest: FrameEntry) -> Iterable[FrameEntry]:
        """Yields frames of `older` (stream order, without the newest) in the order in which to forget them.

        It is read only as far as needed. Frames left out are spared until nothing but the hard bound helps.
        """

    def plan(self, ledger: Ledger) -> Forget:
        """Returns what to drop so that the trunk is within the limit; empty when it already is.

        Raises:
            ValueError: the fixed part and the newest frame alone exceed the limit.
        """
        if ledger.num_tokens <= self.limit_tokens:
            return Forget()
        self._require_room(ledger)
        order = self.forgetting_order(ledger.frames[:-1], ledger.frames[-1]) if ledger.frames else ()
        forget = _shed(ledger, chain(order, ledger.captions), int(self.low_water * self.limit_tokens))
        rest = apply(ledger, forget)
        return forget | _shed(rest, rest.frames[:-1], self.limit_tokens)

    def _require_room(self, ledger: Ledger) -> None:
        needed = ledger.fixed_tokens + sum(frame.num_tokens for frame in ledger.frames[-1:])
        if needed > self.limit_tokens:
            raise ValueError(
                f"the fixed part and one frame take {needed} tokens, but the trunk may hold "
                f"{self.limit_tokens}: raise max_trunk_tokens or lower reserve_tokens"
            )


def _shed(ledger: Ledger, order: Iterable[FrameEntry | CaptionEntry], max_tokens: int) -> Forget:
    """Forgets in `order` until no more than `max_tokens` are left, or the order ends."""
    frames: set[FrameNumber] = set()
    captions: set[int] = set()
    excess = ledger.num_tokens - max_tokens
    for entry in order:
        if excess <= 0:
            break
        if isinstance(entry, FrameEntry):
            frames.add(entry.number)
        else:
            captions.add(entry.clip)
        excess -= entry.num_tokens
    return Forget(frozenset(frames), frozenset(captions))
