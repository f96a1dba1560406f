"""Real decoders that are killed, stopped and frozen: another takes over, and no event is missing or comes twice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.decoding import Edge, decisions, same, until
from fakes.nano import Nano
from fakes.service_process import ServiceProcess, service
from livestar.api.v1 import common_pb2
from livestar.bus import EmbeddedRedis, RedisLeases, Role, keys

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.anyio]

ENDED = common_pb2.STREAM_STATE_ENDED
NUM_FRAMES = 20


class System:
    """A memory service and as many decoders as are wanted."""

    def __init__(self, url: str, folder: Path, stack: ExitStack) -> None:
        self._url, self._folder, self._stack = url, folder, stack
        self._count = 0
        self.memory = self.start("memory")

    def start(self, name: str, **settings: object) -> ServiceProcess:
        self._count += 1
        log = self._folder / f"{name}-{self._count}.log"
        common = {"key_prefix": "", **settings}
        return self._stack.enter_context(service(name, self._url, log, **common))

    def decoder(self, **settings: object) -> ServiceProcess:
        values = {"memory": self.memory.grpc, "lease_ttl_s": 1.5, "num_pages": 2048, "balance_s": 0}
        return self.start("decoder", **(values | settings))


@pytest.fixture
def system(redis_server: EmbeddedRedis, edge: Edge, tmp_path: Path) -> Iterator[System]:
    with ExitStack() as stack:
        yield System(redis_server.url, tmp_path, stack)


@pytest.fixture(scope="session")
def clips(nano: Nano) -> list:
    return [nano.seen(f"clip-{n}", family=n, num_frames=NUM_FRAMES) for n in range(2)]


async def play(edge: Edge, clips: list, start: int, end: int) -> None:
    for seen in clips:
        await edge.publish(seen.message(n) for n in range(start, end))


async def check(edge: Edge, nano: Nano, clips: list, num_owners: int) -> None:
    """Everything was decided once, as by one engine; `Edge.events` has checked numbers and ids."""
    for seen in clips:
        await edge.until_state(seen.stream, ENDED)
        events = await edge.events(seen.stream)
        assert set(Counter((frame, d.channel) for frame, d in decisions(events)).values()) == {1}
        same(events, nano.watch(seen))
        epochs = [event.epoch for event in events]
        assert epochs == sorted(epochs)
        assert len(set(epochs)) == num_owners


async def test_a_decoder_that_is_killed_in_the_middle_of_its_work(
    system: System, edge: Edge, nano: Nano, clips: list
):
    first = system.decoder()
    for seen in clips:
        await edge.create(seen.stream)
    await edge.until_owned(2)
    await play(edge, clips, 1, NUM_FRAMES + 1)
    await edge.until_settled("clip-0", 2)
    first.end(signal.SIGKILL)
    second = system.decoder()
    for seen in clips:
        await edge.publish([seen.end(NUM_FRAMES + 1)])
    await check(edge, nano, clips, num_owners=2)
    assert "restored" in second.said()
    assert second.end() == 0


async def test_killed_again_and_again(system: System, edge: Edge, nano: Nano, clips: list):
    clip = clips[:1]
    await edge.create("clip-0")
    await play(edge, clip, 1, NUM_FRAMES + 1)
    await edge.publish([clip[0].end(NUM_FRAMES + 1)])
    for settled in (1, 4, 9):
        victim = system.decoder()
        await edge.until_settled("clip-0", settled)
        os.kill(victim.pid, signal.SIGKILL)
    system.decoder()
    await edge.until_state("clip-0", ENDED)
    same(await edge.events("clip-0"), nano.watch(clip[0]))


async def test_a_decoder_that_was_frozen_writes_nothing_when_it_wakes_up(
    system: System, edge: Edge, nano: Nano, clips: list
):
    first = system.decoder()
    for seen in clips:
        await edge.create(seen.stream)
    await edge.until_owned(2)
    await play(edge, clips, 1, 9)
    await edge.until_settled("clip-1", 2)
    first.send(signal.SIGSTOP)
    system.decoder()
    for seen in clips:
        await edge.until_settled(seen.stream, 8)
    owners = await edge.owners()
    first.send(signal.SIGCONT)
    await play(edge, clips, 9, NUM_FRAMES + 1)
    for seen in clips:
        await edge.until_settled(seen.stream, NUM_FRAMES)
    assert await edge.owners() == owners, "who woke up took nothing back"
    for seen in clips:
        await edge.publish([seen.end(NUM_FRAMES + 1)])
    await check(edge, nano, clips, num_owners=2)


async def test_sigterm_hands_everything_over_at_once(system: System, edge: Edge, nano: Nano, clips: list):
    first = system.decoder(lease_ttl_s=60)
    for seen in clips:
        await edge.create(seen.stream)
    await edge.until_owned(2)
    await play(edge, clips, 1, NUM_FRAMES + 1)
    await edge.until_settled("clip-0", 2)
    assert first.end(signal.SIGTERM, within_s=20) == 0
    leases = RedisLeases(edge.link)
    assert [await leases.inspect(Role.DECODER, seen.stream) for seen in clips] == [None, None]
    assert await edge.link.execute("HGETALL", keys.processes("decoder")) in ({}, [])
    system.decoder(lease_ttl_s=60)
    for seen in clips:
        await edge.publish([seen.end(NUM_FRAMES + 1)])
    await check(edge, nano, clips, num_owners=2)


async def test_memory_that_is_away_for_a_while_costs_nothing_but_time(
    system: System, edge: Edge, nano: Nano, clips: list
):
    decoder = system.decoder(lease_ttl_s=30)
    for seen in clips:
        await edge.create(seen.stream)
    await edge.until_owned(2)
    await play(edge, clips, 1, 4)
    await edge.until_settled("clip-0", 2)
    address = system.memory.grpc
    system.memory.end(signal.SIGKILL)
    await play(edge, clips, 4, NUM_FRAMES + 1)
    await asyncio.sleep(1.0)
    before = [len(await edge.events(seen.stream)) for seen in clips]
    await asyncio.sleep(0.5)
    assert [len(await edge.events(seen.stream)) for seen in clips] == before, "nobody sees what is not kept"
    system.start("memory", grpc_port=address.rpartition(":")[2])
    for seen in clips:
        await edge.publish([seen.end(NUM_FRAMES + 1)])
    await check(edge, nano, clips, num_owners=1)
    assert decoder.end() == 0


async def test_redis_that_stops_answering_for_a_while_costs_nothing_but_time(
    system: System, edge: Edge, nano: Nano, clips: list, redis_server: EmbeddedRedis
):
    system.decoder(lease_ttl_s=30)
    for seen in clips:
        await edge.create(seen.stream)
    await edge.until_owned(2)
    await play(edge, clips, 1, NUM_FRAMES + 1)
    await edge.until_settled("clip-0", 2)
    pid = int((await edge.link.call(lambda client: client.info("server")))["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(4.0)
    finally:
        os.kill(pid, signal.SIGCONT)
    await until(lambda: answers(edge), "Redis answers")
    for seen in clips:
        await edge.publish([seen.end(NUM_FRAMES + 1)])
    await check(edge, nano, clips, num_owners=1)


async def answers(edge: Edge) -> bool:
    return bool(await edge.link.execute("PING"))
