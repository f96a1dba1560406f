"""`livestar streams`, `stop` and `ask`: the streams of a running system."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from livestar.client.options import GatewayOption, JsonOption, TokenOption
from livestar.client.plain_text import clock, printable


def streams(gateway: GatewayOption = None, token: TokenOption = "", as_json: JsonOption = False) -> None:
    """List the streams of the running system, newest first."""
    from dataclasses import asdict

    from livestar.client.find_gateway import gateway_or_raise
    from livestar.client.gateway_client import GatewayClient

    with GatewayClient(gateway_or_raise(gateway), token) as client:
        found = client.streams()
    if as_json:
        for stream in found:
            typer.echo(json.dumps(asdict(stream)))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("stream", "state", "at", "behind", "source"):
        table.add_column(heading, justify="right" if heading in ("at", "behind") else "left")
    for stream in found:
        state = f"{stream.state}: {stream.reason}" if stream.reason else stream.state
        cells = (stream.id, state, clock(stream.decided_pts_s), str(stream.behind_frames), stream.source)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console().print(table if found else Text("no streams", style="dim"))


def stop(
    names: Annotated[list[str], typer.Argument(metavar="STREAM...", help="Their names.")],
    gateway: GatewayOption = None,
    token: TokenOption = "",
) -> None:
    """Stop streams; frames under way are still decided."""
    from livestar.client.find_gateway import gateway_or_raise
    from livestar.client.gateway_client import GatewayClient

    with GatewayClient(gateway_or_raise(gateway), token) as client:
        for name in names:
            client.stop_stream(name)


def ask(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="Its name; see `livestar streams`.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The question.")],
    chain: Annotated[
        str, typer.Option(metavar="NAME", help="Questions of one chain know the ones before.")
    ] = "",
    gateway: GatewayOption = None,
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Ask about what a stream has shown so far.

    Example: livestar ask door "Who came in?"
    """
    from dataclasses import asdict

    from livestar.client.find_gateway import gateway_or_raise
    from livestar.client.gateway_client import GatewayClient

    with GatewayClient(gateway_or_raise(gateway), token) as client:
        if as_json:
            typer.echo(json.dumps(asdict(client.ask(stream, text, chain=chain))))
            return
        for piece in client.ask_in_pieces(stream, text, chain=chain):
            if isinstance(piece, str):
                typer.echo(printable(piece), nl=False)
            else:
                typer.echo(f"  ({piece.ending})" if piece.ending not in ("", "complete") else "")
