"""The memory service: `python -m services memory`."""

from __future__ import annotations

import uuid

from livestar.api.v1 import memory_pb2, memory_pb2_grpc
from livestar.bus import Address, Directory, RedisLink
from livestar.service import Process, run
from services.memory.metrics import MemoryMetrics
from services.memory.service import MemoryRpc
from services.memory.settings import MemorySettings
from services.memory.stream_memory import Bounds, StreamMemory


async def serve(process: Process[MemorySettings]) -> None:
    """Composes, serves until asked to stop, drains."""
    settings = process.settings
    bounds = Bounds(settings.max_segments, settings.max_kept_bytes, settings.keep_ended_s)
    async with RedisLink(settings.redis_url.get_secret_value()) as link:
        await process.wait_for("redis", link.check)
        process.spawn(process.keep_checking("redis", link.check), "redis check")
        owner = f"memory-{uuid.uuid4().hex[:12]}"
        memory = StreamMemory(link, bounds, MemoryMetrics(process.metrics))
        server = process.rpc_server()
        server.add(
            memory_pb2_grpc.add_MemoryServiceServicer_to_server, MemoryRpc(memory), memory_pb2.DESCRIPTOR
        )
        async with process.serving(server):
            address = Address(owner, process.grpc_address, process.http_address)
            process.spawn(Directory(link).keep_announcing("memory", address), "announce")
            await process.until_stopped()


def main() -> int:
    """Runs the service."""
    return run("memory", MemorySettings, serve)
