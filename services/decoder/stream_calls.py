"""What callers ask of an owned stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from livestar.api.v1 import common_pb2, decoder_pb2
from livestar.core.errors import DeadlineExceeded
from livestar.core.ids import ChannelId, QuestionId
from livestar.engine import Engine
from services.decoder.opening import open_channel
from services.decoder.owned_stream import OwnedStream
from services.decoder.question import Question

OPEN_S = 5.0
"""How long a call waits for a stream that has just been taken."""

WRITTEN_S = 10.0
"""How long a call waits until what it changed is durable: a caption may be under way."""


class StreamCalls:
    """Every call waits a moment for a stream that is being opened.

    Raises, all of them:
        NotOwner: the stream is being given up.
        NotFound, InvalidInput, CapacityExceeded, FailedPrecondition: as the engine.
    """

    def __init__(self, stream: OwnedStream) -> None:
        self._stream = stream
        self._engine = stream.shared.engine

    async def ask(self, text: str, chain: str) -> AsyncIterator[decoder_pb2.AskResponse]:
        """The question as it was taken, pieces as they come, the answer last. Closing the iterator cancels the question."""
        stream, question = self._stream, Question()
        await stream.until_open(OPEN_S)
        numbers: list[QuestionId] = []

        def cancel() -> None:
            self._engine.post(lambda engine: engine.cancel(stream.id, numbers[0]), about=stream.id)

        def taken(number: QuestionId) -> None:
            numbers.append(number)
            stream.questions[number] = question
            question.tell(stream.journal.asked(number, text, chain))
            stream.news()
            if question.gone:
                cancel()

        try:
            await self._engine.call(
                lambda engine: engine.ask(stream.id, text, chain=chain), about=stream.id, then=taken
            )
            async for response in question.responses():
                yield response
        finally:
            question.gone = True
            if numbers and not question.answered:
                cancel()

    async def stand(self, channel: common_pb2.ChannelSpec) -> None:
        """Opens a standing question or a probe; returns when that is written."""
        stream = self._stream
        await stream.until_open(OPEN_S)
        kind = channel.kind or common_pb2.CHANNEL_KIND_STANDING
        await self._change_channels(
            lambda engine: open_channel(engine, stream.id, channel, stream.opening.settings),
            common_pb2.ChannelSpec(channel=channel.channel, kind=kind, text=channel.text),
            is_open=True,
        )

    async def remove_channel(self, name: ChannelId) -> None:
        """Closes a standing question or a probe; returns when that is written."""
        stream = self._stream
        await stream.until_open(OPEN_S)
        known = next((c for c in stream.journal.head.channels if c.channel == name), None)
        await self._change_channels(
            lambda engine: engine.remove_channel(stream.id, name),
            common_pb2.ChannelSpec(
                channel=name,
                kind=known.kind if known else common_pb2.CHANNEL_KIND_STANDING,
                text=stream.journal.texts.get(name, ""),
            ),
            is_open=False,
        )

    async def cancel(self, source: ChannelId | QuestionId) -> None:
        """Stops what is being said at its next token."""
        await self._stream.until_open(OPEN_S)
        await self._engine.call(lambda engine: engine.cancel(self._stream.id, source), about=self._stream.id)

    async def inspect(self) -> decoder_pb2.InspectStreamResponse:
        """What the stream looks like now."""
        stream = self._stream
        await stream.until_open(OPEN_S)
        num_tokens, num_pages, num_frames = await self._engine.call(lambda engine: _sizes(engine, stream))
        head = stream.journal.head
        return decoder_pb2.InspectStreamResponse(
            epoch=head.epoch,
            decided_sequence=head.decided_sequence,
            decided_pts_ns=head.decided_pts_ns,
            behind_s=stream.journal.decided_after_s,
            num_waiting=stream.num_out_of_order + stream.num_in_flight,
            num_trunk_tokens=num_tokens,
            max_trunk_tokens=stream.opening.settings.max_trunk_tokens,
            num_pages=num_pages,
            num_kept_frames=num_frames,
            clip=head.clip,
            channels=[
                decoder_pb2.ChannelView(
                    channel=channel.channel,
                    kind=channel.kind,
                    text=channel.text,
                    held_text=channel.held.text,
                    reference_nll=channel.held.reference_nll if channel.HasField("held") else float("nan"),
                    alpha=channel.gate.alpha,
                )
                for channel in head.channels
            ],
        )

    async def _change_channels(
        self, change: Callable[[Engine], object], channel: common_pb2.ChannelSpec, *, is_open: bool
    ) -> None:
        stream, written = self._stream, list[asyncio.Future[None]]()

        def changed(_: object) -> None:
            event = stream.journal.note_channel(channel, is_open=is_open)
            written.append(stream.journal.until_written(event))

        await self._engine.call(change, about=stream.id, then=changed)
        try:
            await asyncio.wait_for(asyncio.shield(written[0]), WRITTEN_S)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the change of channel '{channel.channel}' is not written yet: look again"
            ) from None


def _sizes(engine: Engine, stream: OwnedStream) -> tuple[int, int, int]:
    """Tokens and pages of the trunk, and frames in it; on the engine's thread."""
    trunk = engine.stream(stream.id).state.trunk
    num_frames = sum(segment.frame > 0 for segment in trunk.segments)
    return sum(map(len, trunk.segments)), trunk.allocator.num_pages, num_frames
