"""Sweeps: what is over for long goes, what nobody runs is ended, what waits is told again; the rest is left alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from services.jobs.settings import JobsSettings
from services.jobs.sweep import Sweep, Swept

from fakes.edge import Edge
from livestar.api.v1 import common_pb2
from livestar.bus import RedisLeases, RedisLink, RedisRegistry, Role, checked, keys
from livestar.bus.job import Job, JobProgress, JobState
from livestar.bus.job_book import JobBook
from livestar.client.gateway_client import GatewayClient
from livestar.core.ids import StreamId
from livestar.service import ServiceSettings

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

ENDED, STOPPING = common_pb2.STREAM_STATE_ENDED, common_pb2.STREAM_STATE_STOPPING
STARTING, RUNNING = common_pb2.STREAM_STATE_STARTING, common_pb2.STREAM_STATE_RUNNING
SOON = 0.05


@pytest.fixture
def edge() -> Iterator[Edge]:
    with Edge() as edge:
        yield edge


@pytest.fixture
def settings(tmp_path: Path) -> JobsSettings:
    return JobsSettings(
        out_dir=tmp_path, stream_retention_s=3600, job_retention_s=3600, unowned_s=SOON, silent_s=60
    )


@pytest.fixture
def registry(redis_link: RedisLink) -> RedisRegistry:
    return RedisRegistry(redis_link)


async def swept(link: RedisLink, edge: Edge, settings: JobsSettings) -> tuple[Swept, list[str]]:
    nudged: list[str] = []
    with GatewayClient(edge.url) as gateway:
        return await Sweep(link, gateway, settings, nudged.append).run(), nudged


async def registered(registry: RedisRegistry, stream: str, *states: common_pb2.StreamState.ValueType) -> None:
    await registry.create(checked(common_pb2.StreamSpec(stream_id=stream, source="a.mp4")))
    for state in states:
        await registry.move(StreamId(stream), state)


async def aged(link: RedisLink, stream: str, seconds: float) -> None:
    at_ns = time.time_ns() - round(seconds * 1e9)
    await link.execute("HSET", keys.stream(StreamId(stream)), "updated_at_ns", at_ns)


async def test_streams_that_are_over_for_long_are_forgotten_by_the_gateway(
    redis_link: RedisLink, registry: RedisRegistry, edge: Edge, settings: JobsSettings
) -> None:
    for number in range(5):
        await registered(registry, f"old{number}", STARTING, ENDED)
        await aged(redis_link, f"old{number}", 7200)
    await registered(registry, "new", STARTING, ENDED)
    await registered(registry, "running", STARTING, RUNNING)
    await aged(redis_link, "running", 7200)
    done, _ = await swept(redis_link, edge, settings)
    assert sorted(done.deleted_streams) == [f"old{number}" for number in range(5)]
    assert sorted(edge.asked("DELETE")) == [f"/v1/streams/old{number}?forget=true" for number in range(5)]


async def test_a_stream_that_nobody_owns_is_ended_after_a_while(
    redis_link: RedisLink, registry: RedisRegistry, edge: Edge, settings: JobsSettings
) -> None:
    await registered(registry, "pending")
    await registered(registry, "running", STARTING, RUNNING)
    await registered(registry, "stopping", STARTING, STOPPING)
    await registered(registry, "owned", STARTING, RUNNING)
    lease = {"owner": "o", "address": "h:1", "ttl_s": 60.0}
    await RedisLeases(redis_link).acquire(Role.DECODER, StreamId("owned"), **lease)  # type: ignore[arg-type]
    first, _ = await swept(redis_link, edge, settings)
    assert first.reaped_streams == [], "it may be on its way to another owner"
    await asyncio.sleep(2 * SOON)
    second, _ = await swept(redis_link, edge, settings)
    assert sorted(second.reaped_streams) == ["pending", "running", "stopping"]
    states = {info.spec.stream_id: info for info in (await registry.page(limit=9)).streams}
    assert states["stopping"].state == common_pb2.STREAM_STATE_STOPPED
    assert states["running"].state == states["pending"].state == common_pb2.STREAM_STATE_FAILED
    assert "nobody has run it for" in states["running"].reason
    assert states["owned"].state == RUNNING


async def test_an_owner_who_came_back_starts_the_clock_anew(
    redis_link: RedisLink, registry: RedisRegistry, edge: Edge, settings: JobsSettings
) -> None:
    await registered(registry, "door", STARTING, RUNNING)
    leases, door = RedisLeases(redis_link), StreamId("door")
    await swept(redis_link, edge, settings)
    lease = await leases.acquire(Role.INGEST, door, owner="o", address="h:1", ttl_s=60)
    assert lease
    await asyncio.sleep(2 * SOON)
    await swept(redis_link, edge, settings)
    await leases.release(lease)
    done, _ = await swept(redis_link, edge, settings)
    assert done.reaped_streams == []


async def test_jobs_that_wait_are_told_again_and_old_ones_go_with_their_files(
    redis_link: RedisLink, edge: Edge, settings: JobsSettings
) -> None:
    book = JobBook(redis_link)
    for name in ("queued", "working", "silent", "old", "done"):
        await book.create(Job(name, "a.mp4"))
        (settings.out_dir / name).mkdir()
    for name in ("silent", "working", "old", "done"):
        await book.claim(name, "w/1", silent_s=9)
    for name in ("old", "done"):
        await book.finish(name, "w/1", JobState.DONE, JobProgress())
    for name in ("silent", "old"):
        await redis_link.execute("HSET", keys.job(name), "updated_at_ns", time.time_ns() - 7200 * 10**9)
    done, nudged = await swept(redis_link, edge, settings)
    assert sorted(nudged) == ["queued", "silent"]
    assert done.deleted_jobs == ["old"]
    assert sorted(path.name for path in settings.out_dir.iterdir()) == ["done", "queued", "silent", "working"]


async def test_without_a_gateway_jobs_are_swept_all_the_same(
    redis_link: RedisLink, registry: RedisRegistry, settings: JobsSettings
) -> None:
    await registered(registry, "old", STARTING, ENDED)
    await aged(redis_link, "old", 7200)
    await JobBook(redis_link).create(Job("queued", "a.mp4"))
    nudged: list[str] = []
    with GatewayClient("http://127.0.0.1:9") as away:
        done = await Sweep(redis_link, away, settings, nudged.append).run()
    assert (done.deleted_streams, nudged) == ([], ["queued"])
    await registry.get(StreamId("old"))


def test_settings_are_the_services_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESTAR_JOBS_POOL", "prefork")
    monkeypatch.setenv("LIVESTAR_JOBS_GATEWAY", "http://gateway:8080")
    settings = JobsSettings.from_environment()
    assert isinstance(settings, ServiceSettings)
    assert (settings.pool, settings.gateway) == ("prefork", "http://gateway:8080")
