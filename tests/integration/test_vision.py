"""Frames in, visual tokens out: the library's own, in number and order, whatever happens to a frame or to a replica."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from services.vision.encoder import Description, Encoder
from services.vision.frame_worker import FrameWorker
from services.vision.metrics import VisionMetrics
from services.vision.settings import VisionSettings
from services.vision.token_streams import TokenStreams

from fakes.system import until
from livestar.api.v1 import common_pb2, events_pb2
from livestar.bus import START, Backlog, RedisLink, RedisRegistry, RedisStreams, checked, keys
from livestar.core.ids import StreamId
from livestar.media.image import decode_image, encode_image
from livestar.model import LoadedModel
from livestar.obs import Metrics

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

DOOR, YARD = StreamId("door"), StreamId("yard")
SIDE = 64


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> LoadedModel:
    return LoadedModel.from_directory(tiny_checkpoint)


@pytest.fixture
def bus(redis_link: RedisLink) -> RedisStreams:
    return RedisStreams(redis_link)


@pytest.fixture
async def registry(redis_link: RedisLink) -> RedisRegistry:
    registry = RedisRegistry(redis_link)
    for stream in (DOOR, YARD):
        await registry.create(checked(common_pb2.StreamSpec(stream_id=stream, source="x", max_in_flight=64)))
    return registry


class Vision:
    """One replica in this process, less its sockets."""

    def __init__(self, link: RedisLink, checkpoint: Path, name: str, **changes: object) -> None:
        self.metrics = Metrics("vision")
        self.description: Description
        self._counted = VisionMetrics(self.metrics)
        self.encoder = Encoder(self._counted)
        settings: dict[str, object] = {"claim_idle_s": 0.2, "batch_wait_s": 0.02, **changes}
        self._settings = VisionSettings(**settings)  # type: ignore[arg-type]
        self._link, self._checkpoint, self._name = link, checkpoint, name

    async def load(self) -> FrameWorker:
        self.description = await self.encoder.load(
            self._checkpoint, dtype=torch.float32, device=torch.device("cpu"), threads=1
        )
        return FrameWorker(
            RedisStreams(self._link),
            TokenStreams(RedisRegistry(self._link)),
            self.encoder,
            self.description.model_id,
            self._settings,
            self._counted,
            self._name,
        )


@asynccontextmanager
async def vision(
    link: RedisLink, checkpoint: Path, name: str = "one", **changes: object
) -> AsyncIterator[Vision]:
    replica = Vision(link, checkpoint, name, **changes)
    worker = await replica.load()
    working = asyncio.create_task(worker.run())
    try:
        yield replica
    finally:
        worker.stop()
        await asyncio.wait_for(working, 10)
        replica.encoder.close()


def frame(number: int, stream: StreamId = DOOR, **changes: object) -> events_pb2.FrameCaptured:
    """A frame with a picture of its own."""
    rgb = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    image = common_pb2.Image(
        format=common_pb2.IMAGE_FORMAT_JPEG, width=SIDE, height=SIDE, data=encode_image(rgb, "JPEG")
    )
    fields: dict[str, object] = {"image": image, "pts_ns": number * 10**9, "epoch": 3, **changes}
    return events_pb2.FrameCaptured(
        stream_id=stream,
        sequence=number,
        captured_at_ns=time.time_ns(),
        **fields,  # type: ignore[arg-type]
    )


def broken(number: int) -> events_pb2.FrameCaptured:
    message = frame(number)
    message.image.data = message.image.data[:100]
    return message


async def publish(bus: RedisStreams, *messages: events_pb2.FrameCaptured) -> None:
    for message in messages:
        key = keys.frames(keys.shard_of(StreamId(message.stream_id)))
        await bus.publish(key, message.SerializeToString(), maxlen=1000, headers={"traceparent": TRACE})


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def tokens(
    bus: RedisStreams, count: int, stream: StreamId = DOOR
) -> list[events_pb2.VisualTokensReady]:
    async def there() -> bool:
        return await bus.length(keys.tokens(stream)) >= count

    await until(there)
    entries = await bus.read({keys.tokens(stream): START}, count=1000, block_s=0)
    assert {entry.headers.get("traceparent") for entry in entries} == {TRACE}
    return [events_pb2.VisualTokensReady.FromString(entry.payload) for entry in entries]


async def nothing_left(bus: RedisStreams) -> None:
    async def done() -> bool:
        backlogs = [await bus.backlog(key, keys.VISION_GROUP) for key in keys.all_frames()]
        lengths = [await bus.length(key) for key in keys.all_frames()]
        return set(backlogs) == {Backlog(0, 0)} and set(lengths) == {0}

    await until(done)


def seen(model: LoadedModel, messages: Sequence[events_pb2.FrameCaptured]) -> torch.Tensor:
    """What the library makes of the same bytes, one by one."""
    frames = [decode_image(m.image.data, "JPEG", SIDE, SIDE) for m in messages]
    return torch.cat([model.see([rgb]) for rgb in frames])


def as_tensor(tensor: common_pb2.Tensor) -> torch.Tensor:
    assert tensor.dtype == common_pb2.TENSOR_TYPE_FLOAT32
    return torch.frombuffer(bytearray(tensor.data), dtype=torch.float32).view(*tensor.shape)


async def test_tokens_are_the_librarys_own_in_number_and_order(
    redis_link: RedisLink,
    bus: RedisStreams,
    registry: RedisRegistry,
    tiny_checkpoint: Path,
    model: LoadedModel,
) -> None:
    sent = [frame(n, dropped_before=n % 3, discontinuity=n == 5) for n in range(1, 21)]
    await publish(bus, *sent)
    async with vision(redis_link, tiny_checkpoint) as one:
        got = await tokens(bus, 20)
        await nothing_left(bus)
    assert [m.sequence for m in got] == list(range(1, 21))
    for name in ("stream_id", "pts_ns", "captured_at_ns", "dropped_before", "epoch", "discontinuity"):
        assert [getattr(m, name) for m in got] == [getattr(m, name) for m in sent]
    assert {m.model_id for m in got} == {one.description.model_id}
    assert all(m.encoded_at_ns >= m.captured_at_ns for m in got)
    expected = seen(model, sent)
    torch.testing.assert_close(
        torch.stack([as_tensor(m.tokens) for m in got]), expected, rtol=1e-5, atol=1e-5
    )
    assert one.metrics.value("livestar_vision_frames_encoded_total") == 20
    passes = one.metrics.value("livestar_vision_batch_frames_count")
    assert passes is not None
    assert passes < 20, "several frames a pass"


async def test_streams_share_a_pass(
    redis_link: RedisLink, bus: RedisStreams, registry: RedisRegistry, tiny_checkpoint: Path
) -> None:
    await publish(bus, frame(1), frame(1, YARD), frame(2), frame(2, YARD))
    async with vision(redis_link, tiny_checkpoint, batch_wait_s=0.5, max_batch_frames=4) as one:
        for stream in (DOOR, YARD):
            assert [m.sequence for m in await tokens(bus, 2, stream)] == [1, 2]
    assert one.metrics.value("livestar_vision_batch_frames_count") == 1


async def test_the_end_of_a_stream_passes_through(
    redis_link: RedisLink, bus: RedisStreams, registry: RedisRegistry, tiny_checkpoint: Path
) -> None:
    end = events_pb2.EndOfStream(reason=events_pb2.END_REASON_FAILED)
    end.error.message = "the camera burned down"
    over = frame(2)
    over.end.CopyFrom(end)
    await publish(bus, frame(1), over)
    async with vision(redis_link, tiny_checkpoint):
        got = await tokens(bus, 2)
    assert [m.WhichOneof("body") for m in got] == ["tokens", "end"]
    assert got[1].end == end


@pytest.mark.parametrize("kind", ["cut", "format", "size", "nothing"])
async def test_a_frame_that_cannot_be_read_is_announced_and_kept_for_people(
    redis_link: RedisLink, bus: RedisStreams, registry: RedisRegistry, tiny_checkpoint: Path, kind: str
) -> None:
    poison = broken(2)
    match kind:
        case "format":
            poison = frame(2)
            poison.image.format = common_pb2.IMAGE_FORMAT_PNG
        case "size":
            poison = frame(2)
            poison.image.width = 9
        case "nothing":
            poison = frame(2)
            poison.ClearField("image")
    await publish(bus, frame(1), poison, frame(3))
    async with vision(redis_link, tiny_checkpoint) as one:
        got = {m.sequence: m for m in await tokens(bus, 3)}
        await nothing_left(bus)
    assert [got[n].WhichOneof("body") for n in (1, 2, 3)] == ["tokens", "failure", "tokens"]
    assert got[2].failure.reason == "BadImage"
    (letter,) = await bus.read({keys.dead(keys.VISION_GROUP): START}, count=9, block_s=0)
    assert letter.payload == poison.SerializeToString()
    assert letter.headers["reason"] == "unencodable"
    assert one.metrics.value("livestar_vision_frames_failed_total", reason="unencodable") == 1


async def test_what_is_no_message_goes_to_the_dead_letters(
    redis_link: RedisLink, bus: RedisStreams, registry: RedisRegistry, tiny_checkpoint: Path
) -> None:
    await bus.publish(keys.frames(0), b"\xff\xff nonsense", maxlen=100)
    await publish(bus, frame(1))
    async with vision(redis_link, tiny_checkpoint) as one:
        await tokens(bus, 1)
        await nothing_left(bus)
    assert await bus.length(keys.dead(keys.VISION_GROUP)) == 1
    assert one.metrics.value("livestar_vision_frames_failed_total", reason="unreadable") == 1


async def test_a_frame_that_kills_its_readers_is_given_up_alone_and_announced(
    redis_link: RedisLink,
    bus: RedisStreams,
    registry: RedisRegistry,
    tiny_checkpoint: Path,
) -> None:
    """Members that read and die: everything they took comes again, one at a time; after too often it is given up."""
    await publish(bus, *(frame(n) for n in range(1, 5)))
    shard = keys.frames(keys.shard_of(DOOR))
    await bus.join(shard, keys.VISION_GROUP)
    entries = await bus.read_group([shard], keys.VISION_GROUP, "dead", count=9, block_s=0)
    for life in range(2):
        # Only the first one was in the hands of those who died.
        await asyncio.sleep(0.05)
        await bus.claim_idle(shard, keys.VISION_GROUP, f"dead-{life}", min_idle_s=0.01, count=1)
    assert len(entries) == 4
    async with vision(redis_link, tiny_checkpoint, max_deliveries=3) as one:
        got = {m.sequence: m for m in await tokens(bus, 4)}
        await nothing_left(bus)
    assert got[1].failure.message == "every attempt to encode this frame broke off."
    assert [got[n].WhichOneof("body") for n in (2, 3, 4)] == ["tokens"] * 3
    assert one.metrics.value("livestar_vision_frames_failed_total", reason="given_up") == 1
    assert one.metrics.value("livestar_vision_frames_repeated_total") == 3
    assert one.metrics.value("livestar_vision_batch_frames_count") == 3, "each alone"


async def test_replicas_share_the_work_and_each_frame_is_encoded_once(
    redis_link: RedisLink, bus: RedisStreams, registry: RedisRegistry, tiny_checkpoint: Path
) -> None:
    async with (
        vision(redis_link, tiny_checkpoint, "one") as one,
        vision(redis_link, tiny_checkpoint, "two") as two,
    ):
        await publish(bus, *(frame(n, s) for n in range(1, 61) for s in (DOOR, YARD)))
        for stream in (DOOR, YARD):
            got = await tokens(bus, 60, stream)
            assert sorted(m.sequence for m in got) == list(range(1, 61))
        await nothing_left(bus)
    shares = [replica.metrics.value("livestar_vision_frames_encoded_total") for replica in (one, two)]
    assert sum(share or 0 for share in shares) == 120
    assert all(shares), "both worked"


@pytest.mark.slow
async def test_a_pass_that_takes_long_is_left_to_who_is_at_it(
    redis_link: RedisLink,
    bus: RedisStreams,
    registry: RedisRegistry,
    tiny_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with vision(redis_link, tiny_checkpoint, "slow") as slow:
        see = slow.encoder._see
        monkeypatch.setattr(slow.encoder, "_see", lambda frames: (time.sleep(1.0), see(frames))[1])
        await publish(bus, frame(1))
        shard = keys.frames(keys.shard_of(DOOR))

        async def taken() -> bool:
            return (await bus.backlog(shard, keys.VISION_GROUP)).pending == 1

        await until(taken)
        async with vision(redis_link, tiny_checkpoint, "quick") as quick:
            assert len(await tokens(bus, 1)) == 1
            await nothing_left(bus)
    assert quick.metrics.value("livestar_vision_frames_encoded_total") == 0
    assert await bus.length(keys.tokens(DOOR)) == 1


async def test_a_stream_that_was_deleted_gets_no_tokens(
    redis_link: RedisLink, bus: RedisStreams, registry: RedisRegistry, tiny_checkpoint: Path
) -> None:
    await registry.delete(DOOR)
    await publish(bus, frame(1), frame(1, YARD))
    async with vision(redis_link, tiny_checkpoint) as one:
        await tokens(bus, 1, YARD)
        await nothing_left(bus)
    assert await bus.length(keys.tokens(DOOR)) == 0
    assert one.metrics.value("livestar_vision_frames_forgotten_total") == 1


async def test_tokens_are_kept_for_a_few_times_what_may_be_under_way(
    redis_link: RedisLink, bus: RedisStreams, registry: RedisRegistry, tiny_checkpoint: Path
) -> None:
    narrow = StreamId("narrow")
    await registry.create(checked(common_pb2.StreamSpec(stream_id=narrow, source="x", max_in_flight=2)))
    await publish(bus, *(frame(n, narrow) for n in range(1, 31)))
    async with vision(redis_link, tiny_checkpoint):
        await nothing_left(bus)
        kept = await tokens(bus, 8, narrow)
    assert [m.sequence for m in kept] == list(range(23, 31))


async def test_a_drained_replica_leaves_nothing_behind(
    redis_link: RedisLink, bus: RedisStreams, registry: RedisRegistry, tiny_checkpoint: Path
) -> None:
    async with vision(redis_link, tiny_checkpoint):
        await publish(bus, *(frame(n) for n in range(1, 41)))
        await tokens(bus, 1)
    got = await bus.length(keys.tokens(DOOR))
    shard = keys.frames(keys.shard_of(DOOR))
    assert await bus.backlog(shard, keys.VISION_GROUP) == Backlog(waiting=40 - got, pending=0)
    members = await redis_link.execute("XINFO", "CONSUMERS", shard, keys.VISION_GROUP)
    assert members == []


async def test_a_network_says_what_it_is(tiny_checkpoint: Path) -> None:
    encoder = Encoder(VisionMetrics(Metrics("vision")))
    try:
        found = await encoder.load(
            tiny_checkpoint, dtype=torch.bfloat16, device=torch.device("cpu"), threads=1
        )
    finally:
        encoder.close()
    assert (found.image_size, found.num_tokens, found.token_width) == (64, 16, 48)
    assert found.dtype == common_pb2.TENSOR_TYPE_BFLOAT16
    assert found.model_id.startswith(tiny_checkpoint.name)
