"""A source is narrated by the running system, and shown here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer

from livestar.client.gateway_client import GatewayClient
from livestar.client.stream_request import StreamRequest
from livestar.client.watch_options import WatchOptions
from livestar.client.watched import show_stream, shown
from livestar.core.address import without_secrets
from livestar.core.errors import BadVideo, LiveStarError

ATTACH = "stream:"


def watch_remote(client: GatewayClient, watch: WatchOptions, *, name: str = "", keep: bool = False) -> None:
    """Creates a stream, or goes to one that is there (`stream:NAME`), and shows it to its end.

    Args:
        client: its gateway; closed at the end.
        watch: what to watch and how.
        name: of the new stream; empty: it gets one.
        keep: a stream that was created here goes on when this is interrupted.

    Raises:
        LiveStarError: the source, a value, or the way to the gateway.
    """
    with client as gateway:
        if watch.video.startswith(ATTACH):
            stream = gateway.stream(watch.video.removeprefix(ATTACH)).id
            _show(gateway, stream, watch, after=None)
            return
        stream = gateway.create_stream(_request(watch, name)).id
        try:
            _show(gateway, stream, watch, after=0)
        except BaseException:
            if not keep:
                _stop(gateway, stream)
            raise


def _show(gateway: GatewayClient, stream: str, watch: WatchOptions, *, after: int | None) -> None:
    rate = f"{watch.fps:g} frame{'' if watch.fps == 1 else 's'}/s"
    source = Path(without_secrets(watch.video)).name
    title = f"{source} at {rate}, stream {stream} at {without_secrets(gateway.url)}"
    with shown(title, as_json=watch.as_json, tenths=watch.fps > 1) as shows:
        show_stream(gateway, stream, shows, questions=watch.questions, after=after)


def _request(watch: WatchOptions, name: str) -> StreamRequest:
    is_url = "://" in watch.video
    if not is_url and not Path(watch.video).exists():
        raise BadVideo(f"{watch.video} does not exist: check the path.")
    pace: Literal["live", "realtime", "fast"] | None = "fast"
    if is_url:
        # Whether it is live is for ingest to find out.
        pace = "live" if watch.realtime else None
    elif watch.realtime:
        pace = "realtime"
    return StreamRequest(
        # Ingest has a working directory of its own.
        source=watch.video if is_url else str(Path(watch.video).resolve()),
        id=name,
        fps=watch.fps,
        pace=pace,
        alpha=watch.alpha,
        standing=watch.standing,
    )


def _stop(gateway: GatewayClient, stream: str) -> None:
    try:
        gateway.stop_stream(stream)
    except LiveStarError as error:
        typer.echo(f"livestar: the stream '{stream}' could not be stopped: {error}", err=True)
