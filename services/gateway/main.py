"""Starts the gateway."""

from __future__ import annotations

import logging
import uuid

from livestar.bus import Address, Directory, RedisLink
from livestar.rpc import Channels
from livestar.service import Process, run
from services.gateway.gateway import Gateway
from services.gateway.settings import GatewaySettings

log = logging.getLogger("livestar.gateway")


async def serve(process: Process[GatewaySettings]) -> None:
    """Composes the gateway and runs it to its end."""
    settings = process.settings
    async with (
        RedisLink(settings.redis_url.get_secret_value()) as link,
        Channels(process.metrics) as channels,
    ):
        await process.wait_for("redis", link.check)
        async with Gateway(process, link, channels) as gateway, process.serving(gateway.rpc):
            edge = settings.advertised(gateway.http.port)
            log.info("the page is open", extra={"page": f"http://{edge}/"})
            address = Address(f"gateway-{uuid.uuid4().hex[:12]}", settings.advertised(gateway.rpc.port), edge)
            process.spawn(Directory(link).keep_announcing("gateway", address), "directory")
            await process.until_stopped()
            await gateway.drain()


def main() -> int:
    """Runs the gateway; returns the exit status."""
    return run("gateway", GatewaySettings, serve)
