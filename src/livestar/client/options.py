"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GatewayOption = Annotated[
    str | None,
    typer.Option(
        "--gateway",
        metavar="URL",
        envvar="LIVESTAR_GATEWAY_URL",
        help="The running system's address [default: the one on this machine].",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
LogsOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep the services' logs here [default: a temporary folder]."),
]
ModelOption = Annotated[
    str, typer.Option(metavar="MODEL", help="'nano', which is shipped, or a checkpoint folder.")
]
PortOption = Annotated[
    int, typer.Option(metavar="PORT", min=1, max=65535, help="Of the page and the HTTP interface.")
]
RedisOption = Annotated[
    str,
    typer.Option(
        metavar="URL",
        envvar="REDIS_URL",
        help="A Redis that runs [default: one of its own].",
        show_envvar=True,
    ),
]
FilesOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="DIR",
        help="A folder of recordings that may be watched, beside this one and your own; repeatable.",
    ),
]
TokenOption = Annotated[
    str,
    typer.Option(
        metavar="TOKEN",
        envvar="LIVESTAR_GATEWAY_TOKEN",
        help="What the gateway wants to hear, when it wants one.",
        show_default=False,
    ),
]
