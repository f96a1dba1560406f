"""Streams that ingest owns, over a real Redis: taken, numbered, held back, given up, ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path

import pytest
from services.ingest.capture import Surroundings
from services.ingest.captures import Captures
from services.ingest.metrics import IngestMetrics
from services.ingest.service import IngestRpc
from services.ingest.settings import IngestSettings

from fakes.live_server import live_server
from fakes.system import FakeDecoder, FrameLog, settle, until
from fakes.video import read_number, steady, write_clip
from livestar.api.v1 import common_pb2, events_pb2, ingest_pb2, ingest_pb2_grpc
from livestar.bus import RedisLeases, RedisLink, RedisRegistry, RedisStreams, Role, checked
from livestar.core.errors import (
    BadVideo,
    CapacityExceeded,
    FailedPrecondition,
    InvalidInput,
    NotFound,
)
from livestar.core.ids import StreamId
from livestar.media.image import decode_image
from livestar.media.source_policy import SourcePolicy
from livestar.obs import Metrics
from livestar.rpc import Channels, RpcServer

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

DOOR = StreamId("door")
FAST = common_pb2.PACE_AS_FAST_AS_POSSIBLE
REALTIME = common_pb2.PACE_REALTIME


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 25 fps, numbered."""
    folder = tmp_path_factory.mktemp("clips")
    return write_clip(steady("clip.mp4", 50, step=512, tick=Fraction(1, 12_800)), folder)


class Ingest:
    """One ingest in this process, less its sockets."""

    def __init__(self, link: RedisLink, folder: Path, name: str, **changes: object) -> None:
        settings: dict[str, object] = {
            "roots": (folder,),
            "frame_size": 32,
            "image_format": "png",
            "reconcile_s": 0.02,
            "lease_s": 1.5,
            "source_timeout_s": 3.0,
            "reconnect_s": 0.5,
            "end_grace_s": 0.4,
        }
        self.settings = IngestSettings(**{**settings, **changes})  # type: ignore[arg-type]
        self.metrics = Metrics("ingest")
        self.side = self.settings.frame_size
        self.policy = SourcePolicy(self.settings.roots, self.settings.schemes)
        around = Surroundings(
            RedisStreams(link),
            RedisRegistry(link),
            RedisLeases(link),
            self.policy,
            self.settings,
            IngestMetrics(self.metrics),
            None,
            self._frame_size,
        )
        self.captures = Captures(around, owner=name)
        self.captures.address = f"{name}:1"

    async def _frame_size(self) -> int:
        return self.side


@pytest.fixture
def registry(redis_link: RedisLink) -> RedisRegistry:
    return RedisRegistry(redis_link)


@pytest.fixture
def log(redis_link: RedisLink) -> FrameLog:
    return FrameLog(RedisStreams(redis_link), DOOR)


@asynccontextmanager
async def ingest(link: RedisLink, clip: Path, name: str = "one", **changes: object) -> AsyncIterator[Ingest]:
    """Runs until the end of the block; what it then owns is given up."""
    running = Ingest(link, clip.parent, name, **changes)
    looking = asyncio.create_task(running.captures.run())
    try:
        yield running
    finally:
        looking.cancel()
        await running.captures.drain()


def spec(source: Path | str, stream: str = DOOR, **fields: object) -> common_pb2.StreamSpec:
    return checked(common_pb2.StreamSpec(stream_id=stream, source=str(source), fps=5, **fields))  # type: ignore[arg-type]


def numbers(log: FrameLog) -> list[int]:
    return [read_number(decode_image(m.image.data, "PNG", 32, 32)) for m in log.frames]


async def state_of(registry: RedisRegistry) -> common_pb2.StreamState.ValueType:
    return (await registry.get(DOOR)).state


async def test_a_stream_from_its_beginning_to_its_end(
    redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path
) -> None:
    await registry.create(spec(clip, pace=FAST))
    async with ingest(redis_link, clip) as one:
        await asyncio.wait_for(FakeDecoder(registry, log).run(), 10)
        assert [m.sequence for m in log.messages] == list(range(1, 12))
        assert [m.pts_ns for m in log.frames] == [k * 200_000_000 for k in range(10)]
        assert numbers(log) == list(range(0, 50, 5))
        assert {(m.source_width, m.source_height, m.image.width) for m in log.frames} == {(32, 32, 32)}
        assert len({m.epoch for m in log.messages}) == 1
        assert log.end == events_pb2.EndOfStream(reason=events_pb2.END_REASON_SOURCE_ENDED)
        info = await registry.get(DOOR)
        assert (info.state, info.captured_sequence) == (common_pb2.STREAM_STATE_ENDED, 11)

        async def free() -> bool:
            return await RedisLeases(redis_link).inspect(Role.INGEST, DOOR) is None

        await until(free)
        assert one.captures.describe() == []
        assert one.metrics.value("livestar_ingest_frames_captured_total") == 10
        assert one.metrics.value("livestar_ingest_streams_ended_total", reason="source_ended") == 1


async def test_no_more_frames_than_allowed_are_under_way(
    redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path
) -> None:
    await registry.create(spec(clip, pace=FAST, max_in_flight=3))
    async with ingest(redis_link, clip) as one:
        await log.until(frames=3)
        await asyncio.sleep(0.2)
        await log.read()
        assert [m.sequence for m in log.messages] == [1, 2, 3]
        assert one.captures.describe()[0].num_in_flight == 3
        assert await state_of(registry) == common_pb2.STREAM_STATE_RUNNING
        await settle(registry, log.messages[1])
        await log.until(frames=5)
        await asyncio.sleep(0.1)
        await log.read()
        assert [m.sequence for m in log.messages] == [1, 2, 3, 4, 5]
        await settle(registry, log.messages[-1])
        await asyncio.wait_for(FakeDecoder(registry, log).run(), 10)
    assert numbers(log) == list(range(0, 50, 5)), "a reader that waits loses nothing"
    assert all(m.dropped_before == 0 for m in log.messages)


@pytest.mark.slow
async def test_a_stream_that_falls_behind_drops_to_its_latest_frame(
    redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path
) -> None:
    await registry.create(spec(clip, pace=REALTIME, max_in_flight=2))
    async with ingest(redis_link, clip) as one:
        await log.until(frames=2)
        await asyncio.sleep(0.7)
        await settle(registry, log.messages[-1])
        await asyncio.wait_for(FakeDecoder(registry, log).run(), 10)
        dropped = one.metrics.value("livestar_ingest_frames_dropped_total")
    assert log.frames[:2] == log.messages[:2]
    assert log.frames[2].dropped_before >= 2, "held while two were under way"
    assert log.messages[-1].sequence == 11, "every frame has its number, dropped or not"
    assert numbers(log) == [5 * (m.sequence - 1) for m in log.frames]
    for before, after in zip(log.messages, log.messages[1:], strict=False):
        assert after.sequence - after.dropped_before - 1 == before.sequence
    assert dropped == 11 - len(log.messages)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nothing.mp4", "nothing.mp4 does not exist: check the path"),
        ("/etc/passwd", "lies outside the folders"),
        ("udp://127.0.0.1:5000", "udp is not among"),
        ("clip.txt", "text file"),
    ],
)
async def test_a_source_that_cannot_work_fails_in_one_sentence(
    redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path, source: str, said: str
) -> None:
    (clip.parent / "clip.txt").write_text("hello\n" * 100)
    await registry.create(spec(source))
    async with ingest(redis_link, clip):
        await asyncio.wait_for(FakeDecoder(registry, log).run(), 10)
    assert log.end
    assert log.end.reason == events_pb2.END_REASON_FAILED
    assert log.end.error.reason == "BadVideo"
    info = await registry.get(DOOR)
    assert said in info.reason
    assert info.state == common_pb2.STREAM_STATE_FAILED
    assert log.messages[0].sequence == 1


async def test_a_dead_address_keeps_its_secrets_and_holds_up_nobody(
    redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path
) -> None:
    with live_server(then_hang=True) as url:
        await registry.create(spec(url, "hangs"))
        await registry.create(spec(clip, pace=FAST))
        async with ingest(redis_link, clip, source_timeout_s=1.0):
            await asyncio.wait_for(FakeDecoder(registry, log).run(), 10)
            assert len(log.frames) == 10
            hanging = FrameLog(RedisStreams(redis_link), StreamId("hangs"))
            await hanging.until(end=True)
    assert hanging.end
    assert "did not answer within 1 s" in hanging.end.error.message
    assert "hunter2" not in hanging.end.error.message


async def test_an_end_that_no_decoder_takes_is_closed_after_a_while(
    redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path
) -> None:
    await registry.create(spec("nothing.mp4"))
    async with ingest(redis_link, clip):

        async def failed() -> bool:
            return await state_of(registry) == common_pb2.STREAM_STATE_FAILED

        await until(failed)
    assert "nothing.mp4 does not exist" in (await registry.get(DOOR)).reason
    await log.read()
    assert len(log.messages) == 1


async def test_a_caller_stops_a_stream(
    redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path
) -> None:
    await registry.create(spec(clip, pace=REALTIME, loop=True, max_in_flight=100))
    async with ingest(redis_link, clip):
        await log.until(frames=2)
        await registry.stop(DOOR)
        await log.until(end=True)
        assert log.end == events_pb2.EndOfStream(reason=events_pb2.END_REASON_STOPPED)
        await asyncio.sleep(0.3)
        assert await log.read() == [], "the end is the last message"

        async def closed() -> bool:
            return await state_of(registry) == common_pb2.STREAM_STATE_STOPPED

        await until(closed)


async def test_a_stream_that_was_stopped_before_it_was_taken_over_gets_its_end(
    redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path
) -> None:
    await registry.create(spec(clip))
    await registry.move(DOOR, common_pb2.STREAM_STATE_STARTING)
    await registry.stop(DOOR)
    async with ingest(redis_link, clip):
        await log.until(end=True)
    assert [m.end.reason for m in log.messages] == [events_pb2.END_REASON_STOPPED]


async def test_a_stream_that_is_deleted_is_left_at_once(
    redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path
) -> None:
    await registry.create(spec(clip, pace=REALTIME, loop=True, max_in_flight=100))
    async with ingest(redis_link, clip) as one:
        await log.until(frames=2)
        await registry.delete(DOOR)

        async def left() -> bool:
            return not one.captures.describe()

        await until(left)
        await log.read()
        await asyncio.sleep(0.3)
        assert await log.read() == []
        assert log.end is None


@pytest.mark.parametrize("pace", [FAST, REALTIME])
async def test_another_ingest_goes_on_where_the_first_one_left(
    redis_link: RedisLink,
    registry: RedisRegistry,
    log: FrameLog,
    clip: Path,
    pace: common_pb2.Pace.ValueType,
) -> None:
    await registry.create(spec(clip, pace=pace, max_in_flight=4))
    async with ingest(redis_link, clip, "one"):
        await log.until(frames=4)
    first = len(log.messages)
    async with ingest(redis_link, clip, "two"):
        await settle(registry, log.messages[-1])
        await asyncio.wait_for(FakeDecoder(registry, log).run(), 10)
    assert [m.sequence for m in log.messages] == list(range(1, 12))
    assert numbers(log) == list(range(0, 50, 5))
    epochs = [m.epoch for m in log.messages]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 2
    assert [m.sequence for m in log.messages if m.discontinuity] == [first + 1]


async def test_who_loses_the_lease_stops_and_the_next_owner_has_a_higher_epoch(
    redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path
) -> None:
    await registry.create(spec(clip, pace=REALTIME, loop=True, max_in_flight=250))
    async with ingest(redis_link, clip, "one") as one:
        await log.until(frames=2)
        old = log.frames[0].epoch
        leases = RedisLeases(redis_link)
        assert await leases.expire(Role.INGEST, DOOR)
        stolen = await leases.acquire(Role.INGEST, DOOR, owner="thief", address="x:1", ttl_s=30)
        assert stolen
        await registry.note_captured(DOOR, epoch=stolen.epoch, sequence=1000, pts_ns=10**12)
        await registry.note_decided(DOOR, epoch=1, sequence=1000, pts_ns=10**12, event_sequence=1)

        async def given_up() -> bool:
            return not one.captures.describe()

        await until(given_up)
        await log.read()
        await asyncio.sleep(0.3)
        assert await log.read() == []
        assert log.end is None
        await leases.release(stolen)

        async def more() -> bool:
            return any(m.epoch > stolen.epoch for m in await log.read())

        await until(more)
    newer = next(m for m in log.messages if m.epoch > old)
    assert newer.sequence == 1001
    assert newer.pts_ns > 10**12
    assert newer.discontinuity


async def test_capacity_is_kept_and_the_rest_is_left_to_others(
    redis_link: RedisLink, registry: RedisRegistry, clip: Path
) -> None:
    for name in "abc":
        await registry.create(spec(clip, name, pace=REALTIME, loop=True))
    async with ingest(redis_link, clip, "one", max_streams=2) as one:

        async def full() -> bool:
            return len(one.captures.describe()) == 2

        await until(full)
        async with ingest(redis_link, clip, "two") as two:

            async def taken() -> bool:
                return len(two.captures.describe()) == 1

            await until(taken)
            owned = [capture.stream_id for i in (one, two) for capture in i.captures.describe()]
            assert sorted(owned) == ["a", "b", "c"]


async def test_nothing_is_read_until_somebody_says_what_the_network_sees(
    redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path
) -> None:
    await registry.create(spec(clip, pace=FAST))
    async with ingest(redis_link, clip, frame_size=0) as one:
        await asyncio.sleep(0.2)
        assert await log.read() == []
        assert await state_of(registry) == common_pb2.STREAM_STATE_STARTING
        one.side = 16
        await log.until(frames=1)
        assert log.frames[0].image.width == 16


@asynccontextmanager
async def called(one: Ingest) -> AsyncIterator[ingest_pb2_grpc.IngestServiceStub]:
    server = RpcServer(one.metrics, host="127.0.0.1", port=0)
    rpc = IngestRpc(one.captures, one.policy, timeout_s=one.settings.source_timeout_s)
    server.add(ingest_pb2_grpc.add_IngestServiceServicer_to_server, rpc, ingest_pb2.DESCRIPTOR)
    await server.start()
    try:
        async with Channels(Metrics("test")) as channels:
            yield ingest_pb2_grpc.IngestServiceStub(await channels.to(f"127.0.0.1:{server.port}"))
    finally:
        await server.stop(0)


async def test_calls(redis_link: RedisLink, registry: RedisRegistry, log: FrameLog, clip: Path) -> None:
    # The next look into the registry is far away: calls do not wait for it.
    async with ingest(redis_link, clip, reconcile_s=3600.0, max_streams=1) as one, called(one) as stub:
        await asyncio.sleep(0.05)
        with pytest.raises(NotFound):
            await stub.StartStream(ingest_pb2.StartStreamRequest(stream_id="door"))
        with pytest.raises(InvalidInput):
            await stub.StartStream(ingest_pb2.StartStreamRequest(stream_id="no/id"))
        await registry.create(spec(clip, pace=REALTIME, loop=True, max_in_flight=100))
        await registry.create(spec(clip, "yard"))
        for _ in range(2):
            started = await stub.StartStream(ingest_pb2.StartStreamRequest(stream_id="door"))
            assert (started.owner_address, started.epoch) == ("one:1", 1)
        with pytest.raises(CapacityExceeded):
            await stub.StartStream(ingest_pb2.StartStreamRequest(stream_id="yard"))
        await log.until(frames=2)
        listed = await stub.ListStreams(ingest_pb2.IngestServiceListStreamsRequest())
        (capture,) = listed.captures
        assert (capture.stream_id, capture.epoch) == ("door", 1)
        assert capture.last_sequence >= 2
        stopped = await stub.StopStream(ingest_pb2.IngestServiceStopStreamRequest(stream_id="door"))
        await log.until(end=True)
        assert stopped.last_sequence == log.messages[-1].sequence
        gone = await stub.StopStream(ingest_pb2.IngestServiceStopStreamRequest(stream_id="none"))
        assert gone.last_sequence == 0


async def test_a_finished_stream_is_not_started_again(
    redis_link: RedisLink, registry: RedisRegistry, clip: Path
) -> None:
    await registry.create(spec(clip))
    await registry.stop(DOOR)
    async with ingest(redis_link, clip) as one, called(one) as stub:
        with pytest.raises(FailedPrecondition, match="is finished"):
            await stub.StartStream(ingest_pb2.StartStreamRequest(stream_id="door"))


async def test_a_source_is_probed_before_there_is_a_stream(redis_link: RedisLink, clip: Path) -> None:
    async with ingest(redis_link, clip, source_timeout_s=0.5) as one, called(one) as stub:
        found = await stub.ProbeSource(ingest_pb2.ProbeSourceRequest(source="clip.mp4"))
        assert (found.width, found.height) == (32, 32)
        assert (found.average_fps, found.duration_s) == pytest.approx((25, 2), rel=0.01)
        assert found.pace == REALTIME
        with pytest.raises(BadVideo, match="does not exist"):
            await stub.ProbeSource(ingest_pb2.ProbeSourceRequest(source="none.mp4"))
        with live_server(then_hang=True) as url:
            with pytest.raises(BadVideo, match="did not answer") as refused:
                await stub.ProbeSource(ingest_pb2.ProbeSourceRequest(source=url))
            assert "hunter2" not in str(refused.value)
