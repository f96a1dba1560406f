"""Composes ingest: settings -> build -> serve -> drain."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from livestar.api.v1 import ingest_pb2, ingest_pb2_grpc
from livestar.bus import Address, Directory, RedisLeases, RedisLink, RedisRegistry, RedisStreams
from livestar.media.source_policy import SourcePolicy
from livestar.rpc import Channels
from livestar.service import Process, run
from services.ingest.capture import Surroundings
from services.ingest.captures import Captures
from services.ingest.frame_size import FrameSize
from services.ingest.metrics import IngestMetrics
from services.ingest.preview_pages import PreviewPages
from services.ingest.service import IngestRpc
from services.ingest.settings import IngestSettings


async def serve(process: Process[IngestSettings]) -> None:
    """One ingest process, from its start to its end."""
    settings = process.settings
    with _preview_folder(settings) as folder:
        async with RedisLink(settings.redis_url.get_secret_value()) as link, Channels(process.metrics) as rpc:
            await process.wait_for("redis", link.check)
            process.spawn(process.keep_checking("redis", link.check), "redis")
            server = process.rpc_server()
            directory = Directory(link)
            policy = SourcePolicy(settings.roots, settings.schemes)
            previews = PreviewPages(folder) if folder else None
            if previews:
                process.pages["/preview/"] = previews
            around = Surroundings(
                RedisStreams(link),
                RedisRegistry(link),
                RedisLeases(link),
                policy,
                settings,
                IngestMetrics(process.metrics),
                previews,
                FrameSize(settings.frame_size, directory, rpc),
            )
            owner = f"ingest-{uuid.uuid4().hex[:12]}"
            captures = Captures(around, owner=owner)
            server.add(
                ingest_pb2_grpc.add_IngestServiceServicer_to_server,
                IngestRpc(captures, policy, timeout_s=settings.source_timeout_s),
                ingest_pb2.DESCRIPTOR,
            )
            async with process.serving(server):
                captures.address = settings.advertised(server.port)
                address = Address(owner, captures.address, process.http_address)
                process.spawn(directory.keep_announcing("ingest", address), "announce")
                looking = process.spawn(captures.run(), "captures")
                await process.until_stopped()
                looking.cancel()
                await captures.drain()


@contextmanager
def _preview_folder(settings: IngestSettings) -> Iterator[Path | None]:
    """The folder for previews; a temporary one goes at the end."""
    if not settings.preview:
        yield None
    elif settings.preview_dir:
        folder = Path(settings.preview_dir)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        temporary = tempfile.mkdtemp(prefix="livestar-preview-")
        try:
            yield Path(temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def main() -> int:
    """Runs ingest; returns the exit status."""
    return run("ingest", IngestSettings, serve)
