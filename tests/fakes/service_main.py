"""A service of nothing but its frame, as a program: `python -m fakes.service_main`."""

from __future__ import annotations

import asyncio
import logging
import sys

from livestar.api.v1 import vision_pb2, vision_pb2_grpc
from livestar.bus import Patience, RedisLink
from livestar.service import Port, Process, ServiceSettings, run

log = logging.getLogger("livestar.echo")


class EchoSettings(ServiceSettings, env_prefix="LIVESTAR_ECHO_"):
    """Settings of the program."""

    drain_s: float = 5.0
    work_s: float = 0.0
    fail_after_s: float = 0.0
    spare_port: Port = 0


class Echo(vision_pb2_grpc.VisionServiceServicer):
    def __init__(self, work_s: float) -> None:
        self._work_s = work_s

    async def Describe(self, request: object, context: object) -> vision_pb2.DescribeResponse:  # type: ignore[override]
        await asyncio.sleep(self._work_s)
        return vision_pb2.DescribeResponse(model_id="echo")


async def fail(after_s: float) -> None:
    await asyncio.sleep(after_s)
    raise RuntimeError("the task died")


async def serve(process: Process[EchoSettings]) -> None:
    settings = process.settings
    async with RedisLink(settings.redis_url.get_secret_value(), patience=Patience(give_up_s=0.3)) as link:
        await process.wait_for("redis", link.check)
        process.spawn(process.keep_checking("redis", link.check, every_s=0.1), "redis")
        if settings.fail_after_s:
            process.spawn(fail(settings.fail_after_s), "doomed")
        server = process.rpc_server()
        server.add(
            vision_pb2_grpc.add_VisionServiceServicer_to_server, Echo(settings.work_s), vision_pb2.DESCRIPTOR
        )
        async with process.serving(server):
            await process.until_stopped()
            log.info("drained")


if __name__ == "__main__":
    sys.exit(run("echo", EchoSettings, serve))
