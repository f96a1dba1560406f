"""Real processes and a real Redis: a clip goes in, visual tokens come out, whatever dies on the way."""

from __future__ import annotations

import asyncio
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.service_process import ServiceProcess, service
from fakes.system import FakeDecoder, FrameLog, settle, until
from livestar.api.v1 import (
    common_pb2,
    events_pb2,
    ingest_pb2,
    ingest_pb2_grpc,
    vision_pb2,
    vision_pb2_grpc,
)
from livestar.bus import START, EmbeddedRedis, RedisLink, RedisRegistry, RedisStreams, checked, keys
from livestar.core.ids import StreamId
from livestar.evaluation.synth_export import export_clip
from livestar.media import VideoSource, write_video
from livestar.media.image import decode_image
from livestar.model import LoadedModel
from livestar.model.identity import model_id

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

DOOR = StreamId("door")
FAST = common_pb2.PACE_AS_FAST_AS_POSSIBLE
SIZE = 64


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of SynthStar's traffic, and ten minutes at 29.97 fps."""
    folder = tmp_path_factory.mktemp("clips")
    clip = export_clip("traffic", 5, 12, folder, fps=12, size=96)
    (folder / clip.video).rename(folder / "traffic.mp4")
    with VideoSource.open(folder / "traffic.mp4") as source:
        still = next(source.frames(1)).rgb[:32, :32].copy()
    write_video(folder / "ntsc.mp4", (still for _ in range(17_982)), Fraction(30_000, 1001))
    return folder


@pytest.fixture(autouse=True)
def prefix() -> Iterator[None]:
    keys.use_prefix("livestar")
    yield
    keys.use_prefix("")


class System:
    """Ingest and as many vision replicas as wanted, and what goes through Redis between them."""

    def __init__(self, redis: EmbeddedRedis, link: RedisLink, folder: Path, clips: Path, model: Path) -> None:
        self.redis, self.clips, self.model, self._folder = redis, clips, model, folder
        self.bus, self.registry = RedisStreams(link), RedisRegistry(link)
        self.log = FrameLog(self.bus, DOOR)
        self._running = ExitStack()
        self._started = 0

    async def start(self, name: str, **settings: object) -> ServiceProcess:
        self._started += 1
        log = self._folder / f"{name}-{self._started}.log"
        starting = service(name, self.redis.url, log, **settings)
        return await asyncio.to_thread(self._running.enter_context, starting)

    async def ingest(self, **settings: object) -> ServiceProcess:
        return await self.start(
            "ingest", roots=self.clips, frame_size=SIZE, preview_dir=self._folder / "preview", **settings
        )

    async def vision(self, **settings: object) -> ServiceProcess:
        return await self.start("vision", model=self.model, **settings)

    async def create(self, source: str, **fields: object) -> None:
        await self.registry.create(
            checked(common_pb2.StreamSpec(stream_id=DOOR, source=source, **fields))  # type: ignore[arg-type]
        )

    async def tokens(self) -> list[events_pb2.VisualTokensReady]:
        entries = await self.bus.read({keys.tokens(DOOR): START}, count=2000, block_s=0)
        return [events_pb2.VisualTokensReady.FromString(entry.payload) for entry in entries]

    async def until_tokens(
        self, count: int, *, within_s: float = 30.0
    ) -> dict[int, events_pb2.VisualTokensReady]:
        """By sequence, once so many different ones are there."""

        async def there() -> bool:
            return len({m.sequence for m in await self.tokens()}) >= count

        await until(there, within_s=within_s)
        return {m.sequence: m for m in await self.tokens()}

    def close(self) -> None:
        self._running.close()


@pytest.fixture
async def system(
    redis_server: EmbeddedRedis, redis_link: RedisLink, tmp_path: Path, clips: Path, tiny_checkpoint: Path
) -> AsyncIterator[System]:
    system = System(redis_server, redis_link, tmp_path, clips, tiny_checkpoint)
    try:
        yield system
    finally:
        await asyncio.to_thread(system.close)


def encoded_here(model: LoadedModel, frames: list[events_pb2.FrameCaptured]) -> torch.Tensor:
    return torch.cat([model.see([decode_image(m.image.data, "JPEG", SIZE, SIZE)]) for m in frames])


def as_tensor(tensor: common_pb2.Tensor) -> torch.Tensor:
    return torch.frombuffer(bytearray(tensor.data), dtype=torch.float32).view(*tensor.shape)


@pytest.mark.slow
async def test_tokens_are_those_of_the_library_in_number_and_order(system: System) -> None:
    await system.create("traffic.mp4", fps=4, pace=FAST, max_in_flight=250)
    ingest = await system.ingest()
    await system.log.until(end=True)
    vision = await system.vision()
    got = await system.until_tokens(49)
    frames = system.log.frames
    assert [m.pts_ns for m in frames] == [k * 250_000_000 for k in range(48)]
    assert sorted(got) == list(range(1, 50)) == [m.sequence for m in system.log.messages]
    assert got[49].end.reason == events_pb2.END_REASON_SOURCE_ENDED
    expected = encoded_here(LoadedModel.from_directory(system.model), frames)
    published = torch.stack([as_tensor(got[m.sequence].tokens) for m in frames])
    torch.testing.assert_close(published, expected, rtol=1e-5, atol=1e-5)
    assert len(await system.tokens()) == 49, "each once"
    assert {m.model_id for m in got.values()} == {model_id(system.model)}
    assert [await asyncio.to_thread(p.end) for p in (ingest, vision)] == [0, 0]


@pytest.mark.slow
async def test_a_replica_that_is_killed_costs_no_frame(system: System) -> None:
    await system.create("traffic.mp4", fps=10, pace=FAST, max_in_flight=250)
    await system.ingest()
    await system.log.until(end=True)
    total = len(system.log.messages)
    first = await system.vision(claim_idle_s=1, max_batch_frames=2)
    await system.until_tokens(20)
    first.end(signal.SIGKILL)
    before = len({m.sequence for m in await system.tokens()})
    assert before < total, "it died in the middle of its work"
    second = await system.vision(claim_idle_s=1)
    got = await system.until_tokens(total)
    assert sorted(got) == list(range(1, total + 1))
    assert [m.WhichOneof("body") for _, m in sorted(got.items())] == ["tokens"] * (total - 1) + ["end"]
    assert await asyncio.to_thread(second.end) == 0


@pytest.mark.slow
async def test_a_poisoned_frame_is_announced_and_the_rest_goes_on(system: System) -> None:
    await system.create("traffic.mp4", fps=1, pace=FAST, max_in_flight=250)
    await system.ingest()
    await system.log.until(end=True)
    poison = system.log.frames[3]
    poison.sequence, poison.image.data = 100, poison.image.data[:200]
    shard = keys.frames(keys.shard_of(DOOR))
    await system.bus.publish(shard, poison.SerializeToString(), maxlen=1000)
    await system.bus.publish(shard, b"\xffno message", maxlen=1000)
    await system.vision()
    got = await system.until_tokens(14)
    assert got[100].failure.reason == "BadImage"
    assert sum(m.HasField("tokens") for m in got.values()) == 12
    letters = await system.bus.read({keys.dead(keys.VISION_GROUP): START}, count=9, block_s=0)
    assert sorted(letter.headers["reason"] for letter in letters) == ["unencodable", "unreadable"]


async def test_a_dead_address_is_one_sentence(system: System) -> None:
    await system.ingest()
    await system.create("rtsp://admin:hunter2@127.0.0.1:1/live?key=hunter2")
    await asyncio.wait_for(FakeDecoder(system.registry, system.log).run(), 20)
    info = await system.registry.get(DOOR)
    assert info.state == common_pb2.STREAM_STATE_FAILED
    assert (
        "rtsp://127.0.0.1:1/live could not be opened (Connection refused): check the address" in info.reason
    )
    assert "hunter2" not in info.reason


async def test_ten_minutes_of_ntsc_do_not_drift(system: System) -> None:
    await system.ingest()
    await system.create("ntsc.mp4", fps=1, pace=FAST)
    await asyncio.wait_for(FakeDecoder(system.registry, system.log).run(), 60)
    assert len(system.log.frames) == 600
    late_ns = [m.pts_ns - k * 10**9 for k, m in enumerate(system.log.frames)]
    assert 0 <= min(late_ns) <= max(late_ns) < 33_400_000, "within one frame of its slot, to the end"


async def test_ingest_hands_over_when_it_is_asked_to_leave(system: System) -> None:
    await system.create("traffic.mp4", fps=4, pace=FAST, max_in_flight=6)
    first = await system.ingest()
    await system.log.until(frames=6)
    assert await asyncio.to_thread(first.end) == 0, first.said()
    await system.log.read()
    assert len(system.log.messages) == 6
    await system.ingest()
    await settle(system.registry, system.log.messages[-1])
    await asyncio.wait_for(FakeDecoder(system.registry, system.log).run(), 20)
    assert [m.sequence for m in system.log.messages] == list(range(1, 50))
    assert [m.pts_ns for m in system.log.frames] == [k * 250_000_000 for k in range(48)]


async def test_an_ingest_that_is_killed_is_replaced(system: System) -> None:
    await system.create("traffic.mp4", fps=4, pace=FAST, max_in_flight=6)
    first = await system.ingest(lease_s=1)
    await system.log.until(frames=6)
    first.end(signal.SIGKILL)
    await system.ingest(lease_s=1)
    await settle(system.registry, system.log.messages[-1])
    await asyncio.wait_for(FakeDecoder(system.registry, system.log).run(), 20)
    assert [m.sequence for m in system.log.messages] == list(range(1, 50))
    assert len({m.epoch for m in system.log.messages}) == 2


@pytest.mark.slow
async def test_what_the_processes_say_of_themselves(system: System) -> None:
    vision = await system.vision(max_batch_frames=5)
    ingest = await system.start("ingest", roots=system.clips)
    for process in (vision, ingest):
        async with aio.insecure_channel(process.grpc) as channel:
            health = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=5
            )
            assert health.status == health_pb2.HealthCheckResponse.SERVING
    async with aio.insecure_channel(vision.grpc) as channel:
        stub = vision_pb2_grpc.VisionServiceStub(channel)
        said = await stub.Describe(vision_pb2.DescribeRequest(), timeout=5)
    assert (said.image_size, said.num_tokens, said.token_width, said.max_batch_frames) == (64, 16, 48, 5)
    async with aio.insecure_channel(ingest.grpc) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        found = await stub.ProbeSource(ingest_pb2.ProbeSourceRequest(source="traffic.mp4"), timeout=10)
    assert (found.width, found.height) == (96, 96)
    # Nothing told ingest what the network sees but vision itself.
    await system.create("traffic.mp4", fps=2, pace=FAST)
    await system.log.until(frames=1)
    assert (system.log.frames[0].image.width, system.log.frames[0].source_width) == (64, 96)
    for process, name in ((vision, "vision_frames_encoded"), (ingest, "ingest_frames_captured")):
        text = await asyncio.to_thread(fetch, f"http://{process.http}/metrics")
        assert f"livestar_{name}_total".encode() in text
    if sys.platform == "linux":
        assert "torch" not in libraries_of(ingest.pid)
        assert "torch" in libraries_of(vision.pid)


async def test_people_see_the_source(system: System) -> None:
    ingest = await system.ingest(preview_keep_s=0)
    await system.create("traffic.mp4", fps=1, pace=common_pb2.PACE_REALTIME, loop=True, max_in_flight=200)
    await system.log.until(frames=1)
    base = f"http://{ingest.http}/preview/{DOOR}"
    playlist = (await asyncio.to_thread(fetch, f"{base}/index.m3u8")).decode()
    assert "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:" in playlist
    name = next(line for line in playlist.splitlines() if line.endswith(".ts"))
    assert (await asyncio.to_thread(fetch, f"{base}/{name}"))[:1] == b"\x47"
    for path in ("../secret", "index.m3u8/..", "seg-1.ts", "%2e%2e/x", "nothing.ts"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            await asyncio.to_thread(fetch, f"{base}/{path}")
    await system.registry.delete(DOOR)

    async def gone() -> bool:
        return not await asyncio.to_thread(available, f"{base}/timing.json")

    await until(gone)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        body: bytes = answer.read()
        return body


def available(url: str) -> bool:
    try:
        fetch(url)
    except urllib.error.HTTPError:
        return False
    return True


def libraries_of(pid: int) -> str:
    """What a process has mapped into its memory."""
    return Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
