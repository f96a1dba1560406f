"""A video is narrated in this process, without the running system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from livestar.client.json_lines import JsonLines
from livestar.client.model_folder import Recommended, find_model
from livestar.client.plain_text import counted
from livestar.client.timed_question import Asked
from livestar.client.watch_options import WatchOptions
from livestar.core.decision import Decision, Event
from livestar.core.errors import InvalidInput

if TYPE_CHECKING:
    from livestar.engine import StreamSettings


def watch_local(watch: WatchOptions) -> None:
    """Watches and shows, to the end.

    Raises:
        LiveStarError: the video, the model or a setting cannot work.
    """
    from livestar.media import VideoSource
    from livestar.media.opening import shown

    with VideoSource.open(watch.video) as source:
        with Console(stderr=True).status(f"loading {watch.model} …"):
            from livestar.client.local_watcher import LocalWatcher
            from livestar.client.placement import device_named, dtype_named
            from livestar.client.terminal_view import TerminalView

            folder = find_model(watch.model)
            settings = _settings(watch, Recommended.of(folder))
            watcher = LocalWatcher(folder, dtype=dtype_named(watch.dtype), device=device_named(watch.device))
            events = watcher.watch(
                source,
                settings,
                fps=watch.fps,
                speed=1.0 if watch.realtime else None,
                questions=watch.questions,
                standing=watch.standing,
            )
        rate = f"{watch.fps:g} frame{'' if watch.fps == 1 else 's'}/s"
        title = f"{Path(shown(watch.video)).name} at {rate}, mode {watch.mode}, alpha {settings.gate.alpha:g}"
        people = TerminalView(Console(), source, title, tenths=watch.fps > 1)
        with nullcontext(JsonLines()) if watch.as_json else people as shows:
            for event in takewhile(lambda event: _within(event, watch.seconds), events):
                shows.show(event)
        if watch.as_json and source.decode_errors:
            errors = counted(source.decode_errors, "decode error")
            typer.echo(f"livestar: {errors} in {shown(watch.video)}", err=True)


def _within(event: Event | Asked, seconds: float | None) -> bool:
    return seconds is None or not isinstance(event, Decision) or event.pts_ns / 1e9 < seconds


def _settings(watch: WatchOptions, recommended: Recommended) -> StreamSettings:
    from livestar.engine import GateSettings, Mode, StreamSettings

    if watch.mode not in list(Mode):
        raise InvalidInput(f"--mode is {' or '.join(map(repr, map(str, Mode)))}, not '{watch.mode}'")
    alpha = recommended.alpha if watch.alpha is None else watch.alpha
    trunk = watch.max_trunk_tokens
    with _as_invalid_input():
        return StreamSettings(
            mode=Mode(watch.mode),
            gate=GateSettings(alpha, watch.min_gap, watch.hysteresis, watch.max_silence),
            question_alpha=recommended.question_alpha,
            max_caption_tokens=watch.max_caption_tokens,
            max_trunk_tokens=recommended.max_trunk_tokens if trunk is None else trunk,
            max_channels=len(watch.standing),
        )


@contextmanager
def _as_invalid_input() -> Iterator[None]:
    """A value that a settings class refuses is the user's to mend."""
    try:
        yield
    except ValueError as error:
        raise InvalidInput(str(error)) from error
