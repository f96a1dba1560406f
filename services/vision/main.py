"""Composes vision: settings -> build -> serve -> drain."""

from __future__ import annotations

import uuid

from livestar.api.v1 import vision_pb2, vision_pb2_grpc
from livestar.bus import Address, Directory, RedisLink, RedisRegistry, RedisStreams
from livestar.client.model_folder import find_model
from livestar.client.placement import device_named, dtype_named
from livestar.service import Process, run
from services.vision.encoder import Encoder
from services.vision.frame_worker import FrameWorker
from services.vision.metrics import VisionMetrics
from services.vision.service import VisionRpc
from services.vision.settings import VisionSettings
from services.vision.token_streams import TokenStreams


async def serve(process: Process[VisionSettings]) -> None:
    """One vision process, from its start to its end."""
    settings, metrics = process.settings, VisionMetrics(process.metrics)
    encoder = Encoder(metrics)
    async with RedisLink(settings.redis_url.get_secret_value()) as link:
        await process.wait_for("redis", link.check)
        process.spawn(process.keep_checking("redis", link.check), "redis")
        description = await encoder.load(
            find_model(settings.model),
            dtype=dtype_named(settings.dtype),
            device=device_named(settings.device),
            threads=settings.torch_threads,
        )
        bus, owner = RedisStreams(link), f"vision-{uuid.uuid4().hex[:12]}"
        worker = FrameWorker(
            bus,
            TokenStreams(RedisRegistry(link)),
            encoder,
            description.model_id,
            settings,
            metrics,
            owner,
        )
        server = process.rpc_server()
        server.add(
            vision_pb2_grpc.add_VisionServiceServicer_to_server,
            VisionRpc(description, settings.max_batch_frames),
            vision_pb2.DESCRIPTOR,
        )
        async with process.serving(server):
            address = Address(owner, settings.advertised(server.port), process.http_address)
            process.spawn(Directory(link).keep_announcing("vision", address), "announce")
            process.spawn(worker.measure(), "measure")
            working = process.spawn(worker.run(), "frames")
            await process.until_stopped()
            worker.stop()
            await working
        encoder.close()


def main() -> int:
    """Runs vision; returns the exit status."""
    return run("vision", VisionSettings, serve)
