"""A stream's pictures, fetched from whichever ingest holds them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from fakes.gateway import RunningGateway
from fakes.live_preview import LivePreview, write_segments
from livestar.bus import Address, Role
from livestar.core.ids import StreamId

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

PREVIEW = "/v1/streams/door/preview"


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segments")
    pictures = (np.full((48, 64, 3), shade, dtype=np.uint8) for shade in range(0, 200, 10))
    assert write_segments(folder, pictures, fps=10) == 2
    return folder


async def test_playlist_and_segments_come_through(gateway: RunningGateway, segments: Path) -> None:
    await gateway.stream()
    async with LivePreview(segments, 2) as preview:
        await gateway.directory.announce("ingest", Address("one", "127.0.0.1:1", f"127.0.0.1:{preview.port}"))
        assert (await gateway.http.get(f"{PREVIEW}/index.m3u8")).status_code == 404
        preview.begin()
        await asyncio.sleep(1.05)
        playlist = await gateway.http.get(f"{PREVIEW}/index.m3u8")
        assert playlist.headers["content-type"] == "application/vnd.apple.mpegurl"
        assert playlist.headers["cache-control"] == "no-store"
        assert "PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z" in playlist.text
        segment = await gateway.http.get(f"{PREVIEW}/seg-000001.ts")
        assert segment.content == (segments / "seg-000001.ts").read_bytes()
        assert segment.headers["content-type"] == "video/mp2t"
        assert segment.headers["x-content-type-options"] == "nosniff"


async def test_the_owner_of_the_lease_is_asked_first(gateway: RunningGateway, segments: Path) -> None:
    await gateway.stream()
    async with LivePreview(segments, 2) as owner, LivePreview(segments, 0) as other:
        for name, preview in (("a-other", other), ("b-owner", owner)):
            preview.begin()
            await gateway.directory.announce(
                "ingest", Address(name, "127.0.0.1:1", f"127.0.0.1:{preview.port}")
            )
        await gateway.leases.acquire(
            Role.INGEST, StreamId("door"), owner="b-owner", address="127.0.0.1:1", ttl_s=60
        )
        await asyncio.sleep(1.05)
        assert (await gateway.http.get(f"{PREVIEW}/index.m3u8")).status_code == 200


@pytest.mark.parametrize(
    "name",
    ["../index.m3u8", "..%2Findex.m3u8", "secret.txt", "index.m3u8.part", ".m3u8", "x/y.ts", "a%00.ts"],
)
async def test_only_files_of_a_preview_are_let_through(
    gateway: RunningGateway, segments: Path, name: str
) -> None:
    await gateway.stream()
    async with LivePreview(segments, 2) as preview:
        preview.begin()
        await gateway.directory.announce("ingest", Address("one", "127.0.0.1:1", f"127.0.0.1:{preview.port}"))
        answer = await gateway.http.get(f"{PREVIEW}/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_an_ingest_that_is_away_is_503_and_none_at_all_is_404(gateway: RunningGateway) -> None:
    await gateway.stream()
    assert (await gateway.http.get(f"{PREVIEW}/index.m3u8")).status_code == 404
    await gateway.directory.announce("ingest", Address("one", "127.0.0.1:1", "127.0.0.1:1"))
    answer = await gateway.http.get(f"{PREVIEW}/index.m3u8")
    assert (answer.status_code, answer.json()["retryable"]) == (503, True)
