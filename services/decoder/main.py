"""The decoder: `python -m services decoder`."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import torch

from livestar.api.v1 import decoder_pb2, decoder_pb2_grpc
from livestar.bus import Address, Directory, RedisLeases, RedisLink, RedisRegistry, RedisStreams
from livestar.client.model_folder import Recommended, find_model
from livestar.client.placement import device_named, dtype_named
from livestar.engine import Engine, EngineSettings, GateSettings, StreamSettings
from livestar.kv import PositionPolicy
from livestar.model import LoadedModel
from livestar.model.identity import model_id
from livestar.rpc import Channels
from livestar.service import Process, run
from services.decoder.balance import Balance
from services.decoder.engine_thread import EngineThread
from services.decoder.metrics import DecoderMetrics
from services.decoder.service import DecoderRpc
from services.decoder.settings import DecoderSettings
from services.decoder.shared import MemoryClient, Shared
from services.decoder.streams import Streams


async def serve(process: Process[DecoderSettings]) -> None:
    """Composes, serves until asked to stop, hands every stream over."""
    settings, metrics = process.settings, DecoderMetrics(process.metrics)
    folder = find_model(settings.model)
    model = await asyncio.to_thread(_load, folder, settings)
    engine = Engine.of(model, EngineSettings(num_pages=settings.num_pages, page_size=settings.page_size))
    engine.on_pass = metrics.passed
    link = RedisLink(settings.redis_url.get_secret_value())
    async with link, Channels(process.metrics) as channels:
        memory = MemoryClient(channels, settings.memory)
        await process.wait_for("redis", link.check)
        await process.wait_for("memory", memory.check)
        thread = EngineThread(engine)
        shared = Shared(
            engine=thread,
            memory=memory,
            bus=RedisStreams(link),
            registry=RedisRegistry(link),
            metrics=metrics,
            settings=settings,
            defaults=_defaults(folder, settings),
            model_id=model_id(folder),
            image_token_id=model.tokenizer.img_context_id,
        )
        owner = f"decoder-{uuid.uuid4().hex[:12]}"
        directory = Directory(link)
        balance = Balance(directory, pause_s=settings.balance_s)
        streams = Streams(shared, RedisLeases(link), owner=owner, balance=balance)
        server = process.rpc_server()
        server.add(
            decoder_pb2_grpc.add_DecoderServiceServicer_to_server, DecoderRpc(streams), decoder_pb2.DESCRIPTOR
        )
        thread.start(streams.take)
        try:
            async with process.serving(server):
                process.spawn(thread.until_failed(), "engine")
                address = Address(owner, process.grpc_address, process.http_address)
                process.spawn(directory.keep_announcing("decoder", address), "announce")
                process.spawn(streams.keep_owning(address.grpc), "owning")
                process.spawn(streams.keep_reading(), "reading")
                process.spawn(process.keep_checking("redis", link.check), "redis check")
                process.spawn(process.keep_checking("memory", memory.check), "memory check")
                await process.until_stopped()
                await streams.drain()
        finally:
            await thread.stop()


def _load(folder: Path, settings: DecoderSettings) -> LoadedModel:
    torch.set_num_threads(settings.threads)
    return LoadedModel.from_directory(
        folder, dtype=dtype_named(settings.dtype), device=device_named(settings.device)
    )


def _defaults(folder: Path, settings: DecoderSettings) -> StreamSettings:
    """How a stream is watched where it does not say: as the checkpoint was calibrated."""
    recommended = Recommended.of(folder)
    return StreamSettings(
        gate=GateSettings(alpha=recommended.alpha),
        question_alpha=recommended.question_alpha,
        max_trunk_tokens=recommended.max_trunk_tokens,
        max_caption_tokens=settings.max_caption_tokens,
        max_question_tokens=settings.max_question_tokens,
        max_chain_tokens=settings.max_chain_tokens,
        max_channels=settings.max_channels,
        max_open_questions=settings.max_open_questions,
        positions=PositionPolicy(settings.positions),
    )


def main() -> int:
    """Runs the service."""
    return run("decoder", DecoderSettings, serve)
