"""`livestar watch`: a video is narrated in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from livestar.client.json_lines import JsonLines
from livestar.client.model_folder import Recommended, find_model
from livestar.client.plain_text import counted
from livestar.client.timed_question import TimedQuestion
from livestar.core.errors import InvalidInput

_gate = partial(typer.Option, rich_help_panel="When to speak")
_questions = partial(typer.Option, rich_help_panel="Questions")
_machine = partial(typer.Option, rich_help_panel="Memory and machine")


def watch(
    video: Annotated[
        str, typer.Argument(metavar="VIDEO", help="A video file, or an address (https://, rtsp:// …).")
    ],
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="'nano', which is shipped, or a checkpoint folder.")
    ] = "nano",
    fps: Annotated[float, typer.Option(metavar="RATE", help="Frames to watch per second of video.")] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON line per decision, for programs.")
    ] = False,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Watch at the pace of life, like a live stream.")
    ] = False,
    alpha: Annotated[
        float | None,
        _gate(
            metavar="FACTOR",
            help="Speak when the last caption has become more perplexing by this factor, at least 1 [default: the model's].",
        ),
    ] = None,
    min_gap: Annotated[float, _gate(metavar="SECONDS", help="Stay silent for so long after speaking.")] = 0.0,
    max_silence: Annotated[
        float | None, _gate(metavar="SECONDS", help="Speak again after so long, whatever happens.")
    ] = None,
    hysteresis: Annotated[
        bool, _gate("--hysteresis", help="Let a second frame confirm a small change.")
    ] = False,
    mode: Annotated[
        str, _gate(metavar="MODE", help="'branch' (as trained) or 'reference' (as published).")
    ] = "branch",
    ask: Annotated[
        list[str] | None,
        _questions(metavar="SECONDS:TEXT", help="Ask this at that time of the video; repeatable."),
    ] = None,
    standing: Annotated[
        list[str] | None,
        _questions(
            metavar="TEXT", help="Answer this whenever the answer changes, as [q1], [q2] …; repeatable."
        ),
    ] = None,
    max_caption_tokens: Annotated[
        int, _machine(metavar="TOKENS", help="Captions are cut off at this length.")
    ] = 256,
    max_trunk_tokens: Annotated[
        int | None,
        _machine(metavar="TOKENS", help="How much of the video is remembered [default: the model's]."),
    ] = None,
    device: Annotated[str, _machine(metavar="NAME", help="'cpu', 'cuda' or 'cuda:N'.")] = "cpu",
    dtype: Annotated[str, _machine(metavar="TYPE", help="'float32' or 'bfloat16'.")] = "float32",
) -> None:
    """Watch a video and narrate it: a new caption whenever the last one has become perplexing.

    Example: livestar watch clip.mp4 --ask "12:How many people are there?"
    """
    questions = tuple(map(TimedQuestion.parse, ask or ()))
    if not 0 < fps < float("inf"):
        raise InvalidInput(f"--fps is frames per second, more than 0, not {fps:g}")
    from livestar.media import VideoSource
    from livestar.media.opening import shown

    with VideoSource.open(video) as source:
        with Console(stderr=True).status(f"loading {model} …"):
            from livestar.client.local_watcher import LocalWatcher
            from livestar.client.placement import device_named, dtype_named
            from livestar.client.terminal_view import TerminalView
            from livestar.engine import GateSettings, Mode, StreamSettings

            if mode not in list(Mode):
                raise InvalidInput(f"--mode is {' or '.join(map(repr, map(str, Mode)))}, not '{mode}'")
            folder = find_model(model)
            recommended = Recommended.of(folder)
            alpha = recommended.alpha if alpha is None else alpha
            if max_trunk_tokens is None:
                max_trunk_tokens = recommended.max_trunk_tokens
            with _as_invalid_input():
                settings = StreamSettings(
                    mode=Mode(mode),
                    gate=GateSettings(alpha, min_gap, hysteresis, max_silence),
                    max_caption_tokens=max_caption_tokens,
                    max_trunk_tokens=max_trunk_tokens,
                    max_channels=len(standing or ()),
                )
            watcher = LocalWatcher(folder, dtype=dtype_named(dtype), device=device_named(device))
            events = watcher.watch(
                source,
                settings,
                fps=fps,
                speed=1.0 if realtime else None,
                questions=questions,
                standing=tuple(standing or ()),
            )
        title = f"{Path(shown(video)).name} at {fps:g} frame{'' if fps == 1 else 's'}/s, mode {mode}, alpha {alpha:g}"
        view = nullcontext(JsonLines()) if as_json else TerminalView(Console(), source, title, tenths=fps > 1)
        with view as shows:
            for event in events:
                shows.show(event)
        if as_json and source.decode_errors:
            typer.echo(
                f"livestar: {counted(source.decode_errors, 'decode error')} in {shown(video)}", err=True
            )


@contextmanager
def _as_invalid_input() -> Iterator[None]:
    """A value that a settings class refuses is the user's to mend."""
    try:
        yield
    except ValueError as error:
        raise InvalidInput(str(error)) from error
