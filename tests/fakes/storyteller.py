"""Tells a stream's events as the memory service does: numbered from 1, on the bus and in the registry."""

from __future__ import annotations

import math
import time
from typing import Any

from livestar.api.v1 import common_pb2, events_pb2
from livestar.bus import Bus, Registry, keys
from livestar.core.ids import StreamId

NAN = math.nan


class Storyteller:
    """Writes events of one stream; frames are a second apart unless said otherwise.

    Attributes:
        sequence: of the last event.
        frame: of the last frame.
        pts_ns: of that frame.
    """

    def __init__(self, bus: Bus, registry: Registry, stream: str, *, max_events: int = 10_000) -> None:
        self.sequence = 0
        self.frame = 0
        self.pts_ns = 0
        self.held: dict[str, str] = {}
        self.clip = 0
        self._bus = bus
        self._registry = registry
        self._stream = StreamId(stream)
        self._max_events = max_events

    async def tell(self, **body: Any) -> int:
        """Any event."""
        self.sequence += 1
        now_ns = time.time_ns()
        event = events_pb2.StreamEvent(
            stream_id=self._stream,
            sequence=self.sequence,
            frame_sequence=self.frame,
            pts_ns=self.pts_ns,
            captured_at_ns=now_ns - 180_000_000,
            decided_at_ns=now_ns,
            epoch=1,
            **body,
        )
        key = keys.events(self._stream)
        await self._bus.publish(
            key, event.SerializeToString(), maxlen=self._max_events, entry_id=f"{self.sequence}-0"
        )
        await self._registry.note_decided(
            self._stream, epoch=1, sequence=self.frame, pts_ns=self.pts_ns, event_sequence=self.sequence
        )
        return self.sequence

    async def state(self, state: str, reason: str = "") -> None:
        """The stream's state, in the registry and as an event."""
        value = common_pb2.StreamState.Value(f"STREAM_STATE_{state.upper()}")
        await self._registry.move(self._stream, value, reason=reason)
        await self.tell(state_changed=events_pb2.StateChanged(state=value, reason=reason))

    def next_frame(self, pts_ns: int | None = None) -> None:
        """Time goes on."""
        self.frame += 1
        self.pts_ns = pts_ns if pts_ns is not None else (self.frame - 1) * 1_000_000_000

    async def silent(self, nll: float = 0.2, *, channel: str = "narration", reference: float = 0.18) -> None:
        """The held caption holds."""
        await self._decide(
            channel,
            events_pb2.ACTION_SILENT,
            events_pb2.RULE_HOLDS,
            nll,
            reference,
            self.held.get(channel, ""),
        )

    async def speak(
        self,
        text: str,
        *,
        nll: float = 0.9,
        channel: str = "narration",
        reference: float = 0.18,
        pieces: bool = True,
    ) -> None:
        """A new caption, piece by piece and then as a decision."""
        first = channel not in self.held
        if pieces:
            for word in _words(text):
                await self.tell(text_piece=events_pb2.TextPiece(channel=channel, text=word))
        self.held[channel] = text
        self.clip += channel == "narration"
        rule = events_pb2.RULE_FIRST if first else events_pb2.RULE_PERPLEXITY
        nlls = (NAN, NAN) if first else (nll, reference)
        await self._decide(channel, events_pb2.ACTION_SPEAK, rule, *nlls, text, new=0.18)

    async def _decide(
        self,
        channel: str,
        action: events_pb2.Action.ValueType,
        rule: events_pb2.Rule.ValueType,
        nll: float,
        reference: float,
        text: str,
        new: float = NAN,
    ) -> None:
        decision = events_pb2.Decision(
            channel=channel,
            action=action,
            rule=rule,
            nll=nll,
            reference_nll=reference,
            alpha=1.06,
            clip=max(1, self.clip),
            text=text,
            ending=events_pb2.ENDING_COMPLETE,
            new_reference_nll=new,
        )
        await self.tell(decision=decision)


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)]
