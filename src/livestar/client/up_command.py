"""`livestar up`: the whole system on this machine, in the foreground."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console

from livestar.client.options import FilesOption, LogsOption, ModelOption, PortOption, RedisOption

LOOK_EVERY_S = 0.2


def up(
    port: PortOption = 8080,
    model: ModelOption = "nano",
    logs: LogsOption = None,
    redis_url: RedisOption = "",
    files: FilesOption = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Stop after so long [default: Ctrl-C stops it].")
    ] = None,
) -> None:
    """Run the whole system on this machine: Redis, every service, and the page.

    Each service is a process of its own; Ctrl-C stops them in order. A service that ends takes the system with it.
    """
    from livestar.client.run_system import running_system
    from livestar.client.system import SystemSettings

    settings = SystemSettings(port, model, redis_url, logs, tuple(files or ()))
    with running_system(settings) as system:
        Console(stderr=True).print(
            f"\n{system.url}   [dim]logs: {system.logs}   Ctrl-C stops[/dim]", soft_wrap=True
        )
        end_s = None if seconds is None else time.monotonic() + seconds
        while end_s is None or time.monotonic() < end_s:
            system.check()
            time.sleep(LOOK_EVERY_S)
