"""The `livestar` command. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from livestar import __version__
from livestar.core.errors import InvalidInput, LiveStarError

if TYPE_CHECKING:
    from livestar.client.local_watcher import TimedQuestion

app = typer.Typer(
    name="livestar",
    help="Watches video and speaks at the right moment.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

USER_ERROR = 2
FAILED_CHECK = 1

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def parity(
    directory: Annotated[Path, typer.Argument(help="Folder with golden vectors of the published reference.")],
    as_json: JsonFlag = False,
) -> None:
    """Compares this implementation with the published reference; exits 1 when something differs."""
    from livestar.client.parity_table import parity_table
    from livestar.evaluation.parity import check_parity

    report = check_parity(directory)
    if as_json:
        typer.echo(json.dumps(asdict(report)))
    else:
        Console().print(parity_table(report))
    if not report.ok:
        raise typer.Exit(FAILED_CHECK)


@app.command()
def watch(
    video: Annotated[str, typer.Argument(help="A video file.")],
    model: Annotated[Path, typer.Option(help="Checkpoint folder.")],
    fps: Annotated[float, typer.Option(help="Frames to watch per second of video.")] = 1.0,
    as_json: JsonFlag = False,
    mode: Annotated[str, typer.Option(help="'branch' (as trained) or 'reference' (as published).")] = "branch",
    alpha: Annotated[float, typer.Option(help="Sensitivity, at least 1; larger speaks less.")] = 1.03,
    min_gap: Annotated[float, typer.Option(help="Stay silent for this many seconds after speaking.")] = 0.0,
    max_silence: Annotated[
        float | None, typer.Option(help="Speak again after this many seconds, whatever happens.")
    ] = None,
    hysteresis: Annotated[bool, typer.Option("--hysteresis", help="A small rise wants a second frame.")] = False,
    max_caption_tokens: Annotated[int, typer.Option(help="Captions are closed at this length.")] = 256,
    max_trunk_tokens: Annotated[int, typer.Option(help="Memory of the stream, in tokens.")] = 6000,
    ask: Annotated[
        list[str] | None, typer.Option(help="A question at a time, as SECONDS:TEXT; may be repeated.")
    ] = None,
    standing: Annotated[
        list[str] | None, typer.Option(help="A question answered whenever its answer changes; may be repeated.")
    ] = None,
    realtime: Annotated[bool, typer.Option("--realtime", help="At the pace of life, as a live stream.")] = False,
) -> None:
    """Narrates a video in this process: one line whenever the held caption has become perplexing."""
    from livestar.client.local_watcher import LocalWatcher
    from livestar.client.rendering import TerminalView, to_json
    from livestar.engine import GateSettings, Mode, StreamSettings
    from livestar.media import VideoSource

    if not 0 < fps < float("inf"):
        raise InvalidInput(f"--fps is more than 0, not {fps}: give frames per second")
    with _as_invalid_input():
        settings = StreamSettings(
            mode=Mode(mode),
            gate=GateSettings(
                alpha=alpha, min_gap_s=min_gap, max_silence_s=max_silence, hysteresis=hysteresis
            ),
            max_caption_tokens=max_caption_tokens,
            max_trunk_tokens=max_trunk_tokens,
        )
    questions = tuple(_timed_question(text) for text in ask or ())
    with VideoSource.open(video) as source:
        events = LocalWatcher(model).watch(
            source,
            settings,
            fps=fps,
            speed=1.0 if realtime else None,
            questions=questions,
            standing=tuple(standing or ()),
        )
        if as_json:
            for event in events:
                if line := to_json(event):
                    typer.echo(line)
            return
        with TerminalView(Console(), f"{Path(video).name} at {fps:g} frames/s") as view:
            for event in events:
                view.show(event)


@app.command()
def version() -> None:
    """Prints the version."""
    typer.echo(__version__)


def main() -> None:
    """Entry point: errors that we know are one sentence on stderr and exit status 2."""
    try:
        app()
    except LiveStarError as error:
        Console(stderr=True).print(f"livestar: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(USER_ERROR)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


@contextmanager
def _as_invalid_input() -> Iterator[None]:
    """A value that a settings class refuses is the user's to mend."""
    try:
        yield
    except ValueError as error:
        raise InvalidInput(str(error)) from error


def _timed_question(text: str) -> TimedQuestion:
    from livestar.client.local_watcher import TimedQuestion

    seconds, separator, question = text.partition(":")
    try:
        at_s = float(seconds)
    except ValueError:
        separator = ""
    if not separator or not question.strip():
        raise InvalidInput(f"--ask is SECONDS:TEXT, as in '12:How many people?', not '{text}'")
    return TimedQuestion(at_s, question.strip())
