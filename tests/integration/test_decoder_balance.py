"""A decoder that joins gets its share of the streams; decisions are as if nothing had happened."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from services.decoder.balance import Balance

from fakes.decoding import Edge, decoder, memory, same, until
from fakes.nano import Nano
from livestar.api.v1 import common_pb2
from livestar.bus import Address, Directory, EmbeddedRedis
from livestar.core.ids import StreamId

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


async def announced(edge: Edge, number: int) -> Directory:
    directory = Directory(edge.link)
    for index in range(number):
        await directory.announce("decoder", Address(f"decoder-{index}", "127.0.0.1:1", ""))
    return directory


@pytest.mark.parametrize(
    ("owned", "unfinished", "decoders", "surplus"),
    [
        (4, 4, 2, True),
        (2, 4, 2, False),
        (3, 5, 2, False),
        (4, 5, 2, True),
        (8, 8, 1, False),
        (1, 1, 3, False),
        (4, 0, 0, True),
    ],
)
async def test_a_surplus_is_what_is_above_the_share(
    edge: Edge, owned: int, unfinished: int, decoders: int, surplus: bool
):
    balance = Balance(await announced(edge, decoders), pause_s=0.001)
    await asyncio.sleep(0.01)
    assert await balance.has_surplus(owned, unfinished) is surplus


async def test_it_is_patient_and_more_so_when_a_stream_comes_back(edge: Edge):
    balance = Balance(await announced(edge, 2), pause_s=0.05)
    assert not await balance.has_surplus(4, 4), "not at once"
    await until(lambda: balance.has_surplus(4, 4), "its pause is over")
    assert not await balance.has_surplus(4, 4), "not twice"
    balance.gave(StreamId("door"))
    balance.took(StreamId("door"))
    before_s = time.monotonic()
    await until(lambda: balance.has_surplus(4, 4), "its pause is over")
    assert time.monotonic() - before_s > 0.04


async def test_a_decoder_that_joins_gets_its_share(redis_server: EmbeddedRedis, edge: Edge, nano: Nano):
    clips = [nano.seen(f"clip-{n}", family=n, num_frames=10) for n in range(4)]
    async with memory(redis_server.url) as address, decoder(redis_server.url, address, balance_s=0.2):
        for seen in clips:
            await edge.create(seen.stream)
            await edge.publish(seen.message(n) for n in range(1, 6))
        for seen in clips:
            await edge.until_settled(seen.stream, 5)
        async with decoder(redis_server.url, address, balance_s=0.2):
            await until(lambda: shared_out(edge), "each has two")
            for seen in clips:
                await edge.publish([*(seen.message(n) for n in range(6, 11)), seen.end(11)])
            for seen in clips:
                await edge.until_state(seen.stream, common_pb2.STREAM_STATE_ENDED)
    for seen in clips:
        same(await edge.events(seen.stream), nano.watch(seen))


async def shared_out(edge: Edge) -> bool:
    return sorted(Counter((await edge.owners()).values()).values()) == [2, 2]
