"""`livestar eval`: how well and how timely a checkpoint speaks over clips with known ground truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from livestar.client.eval_tables import score_tables
from livestar.client.model_folder import Recommended, find_model
from livestar.core.errors import InvalidInput

if TYPE_CHECKING:
    from livestar.evaluation.synthstar_watch import WatchSettings
    from livestar.evaluation.synthstar_watched import Task, Watched


def evaluate(
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="'nano', which is shipped, or a checkpoint folder.")
    ],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder that `livestar synth render` wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    tasks: Annotated[
        str, typer.Option(metavar="LIST", help="'all', or some of rng,fdq,coq,miq,otg; the others are null.")
    ] = "all",
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="The first N clips only.")] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR", help="Sensitivity of the narration, at least 1 [default: the model's]."
        ),
    ] = None,
    question_alpha: Annotated[
        float | None,
        typer.Option(metavar="FACTOR", help="Sensitivity of standing questions; --alpha when left out."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE", help="'branch' (as trained) or 'reference' (as published; no fdq and no otg)."
        ),
    ] = "branch",
    max_trunk_tokens: Annotated[
        int | None,
        typer.Option(metavar="TOKENS", help="How much of the video is remembered [default: the model's]."),
    ] = None,
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

        folder = find_model(model)
        own = Recommended.of(folder)
        settings = _settings(
            mode, alpha or own.alpha, question_alpha, max_trunk_tokens or own.max_trunk_tokens, tasks
        )
        clips = read_clips(data, limit)
        loaded = LoadedModel.from_directory(folder, dtype=dtype_named(dtype), device=device_named(device))
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
    from livestar.evaluation.synthstar_scores import by_family, report, score

    if as_json:
        typer.echo(json.dumps(report(watched), allow_nan=False))
        return
    rows = {name: score(clips).rounded() for name, clips in by_family(watched).items()}
    rows["overall"] = score(watched).rounded()
    Console().print(score_tables(rows, "family"))
