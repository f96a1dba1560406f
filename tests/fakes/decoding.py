"""The memory and decoder services in this process, over a real Redis and real gRPC; and whoever stands around them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import torch
from services.decoder.main import serve as serve_decoder
from services.decoder.settings import DecoderSettings
from services.memory.main import serve as serve_memory
from services.memory.settings import MemorySettings

from livestar.api.v1 import common_pb2, decoder_pb2_grpc, events_pb2, memory_pb2_grpc
from livestar.bus import RedisLeases, RedisLink, RedisRegistry, RedisStreams, Role, checked, keys
from livestar.core.decision import Decision
from livestar.core.ids import StreamId
from livestar.obs import Metrics
from livestar.rpc import Channels
from livestar.service import Process
from livestar.wire.tensors import tensor_proto

WAIT_S = 30.0


@asynccontextmanager
async def running(process: Process, serve: Callable[[Process], Awaitable[None]]) -> AsyncIterator[Process]:
    """A service that is ready; drained at the end."""
    life = asyncio.create_task(process.run(serve))
    try:
        while not process.health.ready:
            assert not life.done(), f"{process.name} did not start: {process.health.as_json()}"
            await asyncio.sleep(0.01)
        yield process
    finally:
        process.stop()
        assert await life == 0


@asynccontextmanager
async def memory(url: str, **changes: object) -> AsyncIterator[str]:
    """The memory service; yields its address."""
    settings = MemorySettings(redis_url=url, grpc_port=0, http_port=0, **changes)
    process = Process("memory", settings)
    async with running(process, serve_memory):
        yield process.grpc_address


def decoder(url: str, memory_address: str, **changes: object):
    """A decoder; yields its process."""
    values = {
        "grpc_port": 0,
        "http_port": 0,
        "lease_ttl_s": 2.0,
        "num_pages": 2048,
        "reconcile_s": 0.05,
        "balance_s": 0,
    }
    settings = DecoderSettings(redis_url=url, memory=memory_address, **(values | changes))
    return running(Process("decoder", settings), serve_decoder)


@dataclass(frozen=True)
class Seen:
    """Frames of one clip after the vision encoder, from 1."""

    stream: StreamId
    model_id: str
    tokens: torch.Tensor

    def message(self, number: int, **changes: object) -> events_pb2.VisualTokensReady:
        """What vision publishes of a frame."""
        values = {
            "stream_id": self.stream,
            "sequence": number,
            "pts_ns": (number - 1) * 1_000_000_000,
            "captured_at_ns": time.time_ns(),
            "epoch": 1,
            "model_id": self.model_id,
            "tokens": tensor_proto(self.tokens[number - 1]),
        }
        return events_pb2.VisualTokensReady(**(values | changes))

    def end(
        self, number: int, reason: int = events_pb2.END_REASON_SOURCE_ENDED, epoch: int = 1
    ) -> events_pb2.VisualTokensReady:
        """What comes last."""
        return events_pb2.VisualTokensReady(
            stream_id=self.stream,
            sequence=number,
            epoch=epoch,
            model_id=self.model_id,
            end=events_pb2.EndOfStream(reason=reason),
        )


class Edge:
    """What gateway, ingest and vision do around the two services, by hand."""

    def __init__(self, link: RedisLink) -> None:
        self.link = link
        self.bus = RedisStreams(link)
        self.registry = RedisRegistry(link)

    async def create(self, stream: str, **spec: object) -> None:
        """Registers a stream, as running."""
        values = {"stream_id": stream, "source": "clip.mp4", "max_in_flight": 64}
        await self.registry.create(checked(common_pb2.StreamSpec(**(values | spec))))
        await self.registry.move(StreamId(stream), common_pb2.STREAM_STATE_STARTING)
        await self.registry.move(StreamId(stream), common_pb2.STREAM_STATE_RUNNING)

    async def publish(self, messages: Iterable[events_pb2.VisualTokensReady]) -> None:
        """Puts frames onto the bus, in the order given."""
        for message in messages:
            key = keys.tokens(StreamId(message.stream_id))
            await self.bus.publish(key, message.SerializeToString(), maxlen=256)

    async def events(self, stream: str) -> list[events_pb2.StreamEvent]:
        """Everything that subscribers can see; numbers and ids are checked."""
        entries = await self.bus.read({keys.events(StreamId(stream)): "0-0"}, count=100_000, block_s=0)
        found = [events_pb2.StreamEvent.FromString(entry.payload) for entry in entries]
        assert [entry.id for entry in entries] == [f"{n}-0" for n in range(1, len(found) + 1)]
        assert [event.sequence for event in found] == list(range(1, len(found) + 1))
        return found

    async def until_settled(self, stream: str, sequence: int) -> None:
        """Waits until the registry says that a frame is settled."""
        await until(lambda: self._is_settled(stream, sequence), f"frame {sequence} of {stream} is settled")

    async def until_state(self, stream: str, state: int) -> None:
        """Waits for a state."""

        async def reached() -> bool:
            return (await self.registry.get(StreamId(stream))).state == state

        await until(reached, f"{stream} is {common_pb2.StreamState.Name(state)}")

    async def owners(self) -> dict[str, str]:
        """Who owns which stream in the role of a decoder."""
        leases = RedisLeases(self.link)
        infos = await self.registry.unfinished()
        held = [await leases.inspect(Role.DECODER, StreamId(info.spec.stream_id)) for info in infos]
        return {lease.stream: lease.owner for lease in held if lease}

    async def until_owned(self, number: int) -> None:
        """Waits until decoders own so many streams."""

        async def reached() -> bool:
            return len(await self.owners()) == number

        await until(reached, f"{number} streams are owned")

    async def _is_settled(self, stream: str, sequence: int) -> bool:
        return (await self.registry.get(StreamId(stream))).decided_sequence >= sequence


async def until(reached: Callable[[], Awaitable[bool]], what: str, wait_s: float = WAIT_S) -> None:
    """Waits until something holds."""
    until_s = time.monotonic() + wait_s
    while not await reached():
        assert time.monotonic() < until_s, f"waited {wait_s} s until {what}"
        await asyncio.sleep(0.02)


def decisions(events: Sequence[events_pb2.StreamEvent]) -> list[tuple[int, events_pb2.Decision]]:
    """What channels decided, with the frame."""
    return [(event.frame_sequence, event.decision) for event in events if event.HasField("decision")]


def same(
    events: Sequence[events_pb2.StreamEvent], expected: Sequence[Decision], tolerance: float = 1e-4
) -> None:
    """Asserts that what subscribers see is what an engine decided, each frame and channel once."""
    found = sorted(decisions(events), key=lambda one: (one[0], one[1].channel))
    wanted = sorted(expected, key=lambda one: (one.frame, one.channel))
    assert [
        (frame, d.channel, events_pb2.Action.Name(d.action), events_pb2.Rule.Name(d.rule), d.text, d.clip)
        for frame, d in found
    ] == [
        (d.frame, d.channel, f"ACTION_{d.action.name}", f"RULE_{d.rule.name}", d.text, d.clip) for d in wanted
    ]
    for (_, one), other in zip(found, wanted, strict=True):
        assert tuple(one.token_ids) == other.token_ids
        for field in ("nll", "reference_nll", "new_reference_nll", "alpha"):
            assert getattr(one, field) == pytest.approx(getattr(other, field), abs=tolerance, nan_ok=True)


def texts(events: Sequence[events_pb2.StreamEvent]) -> dict[tuple[int, str], str]:
    """What was said piece by piece, by frame and channel."""
    said: dict[tuple[int, str], str] = {}
    for event in events:
        if event.HasField("text_piece") and event.text_piece.channel:
            at = (event.frame_sequence, event.text_piece.channel)
            said[at] = said.get(at, "") + event.text_piece.text
    return said


@asynccontextmanager
async def stub(address: str) -> AsyncIterator[decoder_pb2_grpc.DecoderServiceAsyncStub]:
    """The gRPC interface of a decoder, as the gateway calls it."""
    async with Channels(Metrics("test"), timeout_s=20.0) as channels:
        yield decoder_pb2_grpc.DecoderServiceStub(await channels.to(address))


@asynccontextmanager
async def memory_stub(address: str) -> AsyncIterator[memory_pb2_grpc.MemoryServiceAsyncStub]:
    """The gRPC interface of a memory service."""
    async with Channels(Metrics("test"), timeout_s=20.0) as channels:
        yield memory_pb2_grpc.MemoryServiceStub(await channels.to(address))
