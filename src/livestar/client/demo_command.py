"""`livestar demo`: the whole system at work on the shipped clip, played as a live stream."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from livestar.client.options import LogsOption, ModelOption, PortOption, RedisOption, TokenOption
from livestar.core.errors import InvalidInput, LiveStarError

if TYPE_CHECKING:
    from livestar.client.system import System

STREAM = "demo"


def demo(
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Stop after so long [default: Ctrl-C stops it].")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON line per event, for programs.")
    ] = False,
    port: PortOption = 8080,
    model: ModelOption = "nano",
    logs: LogsOption = None,
    redis_url: RedisOption = "",
    token: TokenOption = "",
    local: Annotated[
        bool, typer.Option("--local", help="Without the system: narrate the clip in this process.")
    ] = False,
) -> None:
    """Start the whole system, play a street scene as a live stream, and narrate it here and on a page.

    Ctrl-C stops everything. With --seconds it stops by itself.
    """
    if seconds is not None and not 1 <= seconds <= 86_400:
        raise InvalidInput(f"--seconds is from 1 to 86400, not {seconds:g}")
    if local:
        _in_this_process(seconds, model, as_json=as_json)
        return
    from livestar.client.run_system import running_system
    from livestar.client.system import SystemSettings

    with running_system(SystemSettings(port, model, redis_url, logs)) as system:
        if not as_json:
            Console().print(f"\n[bold]{system.url}[/bold]   video, narration and questions\n", soft_wrap=True)
        _narrate(system, seconds, token, as_json=as_json)


def _narrate(system: System, seconds: float | None, token: str, *, as_json: bool) -> None:
    from livestar.client.gateway_client import GatewayClient
    from livestar.client.sample_clip import QUESTION, SAMPLE
    from livestar.client.stream_request import StreamRequest
    from livestar.client.watched import Until, show_stream, shown

    # In a Redis that stays, an earlier demo may have left its events under that name.
    name = STREAM if system.has_own_redis else ""
    with GatewayClient(system.url, token) as gateway:
        request = StreamRequest(str(SAMPLE), id=name, pace="realtime", standing=(QUESTION,), loop=True)
        stream = gateway.create_stream(request).id
        try:
            with shown("a street scene, live", as_json=as_json) as shows:
                show_stream(gateway, stream, shows, until=Until(seconds), check=system.check)
        finally:
            with suppress(LiveStarError):
                gateway.stop_stream(stream)


def _in_this_process(seconds: float | None, model: str, *, as_json: bool) -> None:
    from livestar.client.sample_clip import QUESTION, SAMPLE
    from livestar.client.watch_local import watch_local
    from livestar.client.watch_options import WatchOptions

    watch_local(
        WatchOptions(
            video=str(SAMPLE),
            model=model,
            as_json=as_json,
            realtime=not as_json,
            standing=(QUESTION,),
            seconds=seconds,
        )
    )
