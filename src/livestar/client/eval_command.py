"""`livestar eval`: how well and how timely a checkpoint speaks over clips with known ground truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from livestar.core.errors import InvalidInput

if TYPE_CHECKING:
    from livestar.evaluation.synthstar_watch import WatchSettings
    from livestar.evaluation.synthstar_watched import Task, Watched


def evaluate(
    model: Annotated[Path, typer.Option(metavar="DIR", help="Checkpoint folder.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder that `livestar synth render` wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    tasks: Annotated[
        str, typer.Option(metavar="LIST", help="'all', or some of rng,fdq,coq,miq,otg; the others are null.")
    ] = "all",
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="The first N clips only.")] = None,
    alpha: Annotated[
        float, typer.Option(metavar="FACTOR", help="Sensitivity of the narration, at least 1.")
    ] = 1.03,
    question_alpha: Annotated[
        float | None,
        typer.Option(metavar="FACTOR", help="Sensitivity of standing questions [default: --alpha]."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE", help="'branch' (as trained) or 'reference' (as published; no fdq and no otg)."
        ),
    ] = "branch",
    max_trunk_tokens: Annotated[
        int, typer.Option(metavar="TOKENS", help="How much of the video is remembered.")
    ] = 6000,
    device: Annotated[str, typer.Option(metavar="NAME", help="'cpu', 'cuda' or 'cuda:N'.")] = "cpu",
    dtype: Annotated[str, typer.Option(metavar="TYPE", help="'float32' or 'bfloat16'.")] = "float32",
) -> None:
    """Score a checkpoint on SynthStar: facts, timing, questions and grounding, per family.

    Example: livestar eval --model nano --data clips --json
    """
    progress = Progress(
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        waiting = progress.add_task("loading", total=None)
        from livestar.client.placement import device_named, dtype_named
        from livestar.evaluation.synthstar_folder import read_clips, watch_folder
        from livestar.model import LoadedModel

        settings = _settings(mode, alpha, question_alpha, max_trunk_tokens, tasks)
        clips = read_clips(data, limit)
        loaded = LoadedModel.from_directory(model, dtype=dtype_named(dtype), device=device_named(device))
        progress.remove_task(waiting)
        frames = progress.add_task("watching", total=sum(clip.num_frames for clip in clips))
        watched = list(watch_folder(loaded, data, clips, settings, lambda: progress.advance(frames)))
    _show(watched, as_json=as_json)


def _settings(
    mode: str, alpha: float, question_alpha: float | None, max_trunk_tokens: int, tasks: str
) -> WatchSettings:
    """Settings from what a user typed; a value that a settings class refuses is the user's to mend."""
    from livestar.engine import GateSettings, Mode
    from livestar.evaluation.synthstar_watch import DEFAULT_STREAM, WatchSettings

    if mode not in list(Mode):
        raise InvalidInput(f"--mode is {' or '.join(map(repr, map(str, Mode)))}, not '{mode}'")
    try:
        stream = replace(
            DEFAULT_STREAM, mode=Mode(mode), gate=GateSettings(alpha), max_trunk_tokens=max_trunk_tokens
        )
        question_gate = None if question_alpha is None else GateSettings(question_alpha)
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    return WatchSettings(stream, question_gate, _tasks(tasks))


def _tasks(text: str) -> frozenset[Task]:
    from livestar.evaluation.synthstar_watched import Task

    names = list(Task) if text == "all" else [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in list(Task)]:
        raise InvalidInput(f"--tasks is 'all' or some of {','.join(Task)}, not '{unknown[0]}'")
    return frozenset(map(Task, names))


def _show(watched: list[Watched], *, as_json: bool) -> None:
    from livestar.evaluation.synthstar_scores import report

    if as_json:
        typer.echo(json.dumps(report(watched), allow_nan=False))
    else:
        Console().print(_table(watched))


def _table(watched: list[Watched]) -> Table:
    """A row for each score, a column for each family and one for all together."""
    from livestar.evaluation.synthstar_scores import by_family, score

    columns = {"overall": score(watched)} | {name: score(clips) for name, clips in by_family(watched).items()}
    table = Table(title="SynthStar", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("score", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right")
    by_column = [scores.rounded() for scores in columns.values()]
    for name in by_column[0]:
        table.add_row(name, *(_cell(scores[name]) for scores in by_column))
    return table


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
