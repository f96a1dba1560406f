"""`livestar synth`: procedural videos with exact ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from livestar.core.errors import InvalidInput

app = typer.Typer(help="Make synthetic streaming videos with exact ground truth.", no_args_is_help=True)


@app.command()
def families() -> None:
    """List the scenario families."""
    from livestar.synth import families as known

    table = Table(box=None, pad_edge=False, show_header=False)
    for family in known():
        table.add_row(family.name, family.description)
    Console().print(table)


@app.command(no_args_is_help=True)
def render(
    family: Annotated[str, typer.Option(metavar="NAME", help="One of `livestar synth families`, or 'all'.")],
    seed: Annotated[
        int, typer.Option(metavar="N", help="Which video; the same number gives the same video.")
    ],
    seconds: Annotated[float, typer.Option(metavar="S", help="Length, at least 3.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to; clips that are there stay.")],
    count: Annotated[int, typer.Option(metavar="N", help="So many videos, with seeds from --seed on.")] = 1,
    fps: Annotated[int, typer.Option(metavar="RATE", help="Frames per second of the video.")] = 25,
    size: Annotated[int, typer.Option(metavar="PIXELS", help="Side of the square video, even.")] = 448,
) -> None:
    """Write H.264 videos and their annotations, in OmniStar's published formats and with all five tasks.

    Example: livestar synth render --family traffic --seed 7 --seconds 60 --out clips
    """
    from livestar.evaluation.synth_export import export_clip
    from livestar.synth import families as known

    names = [info.name for info in known()]
    chosen = names if family == "all" else [family]
    if unknown := [name for name in chosen if name not in names]:
        raise InvalidInput(f"there is no family '{unknown[0]}': choose one of {', '.join(names)}, or all")
    if not 3 <= seconds <= 3600:
        raise InvalidInput(f"--seconds is from 3 to 3600, not {seconds:g}")
    if count < 1 or fps < 1 or size < 32 or size % 2 or not 0 <= seed <= 2**40 - count:
        raise InvalidInput(
            "--count and --fps are at least 1, --size is even and at least 32, --seed is from 0 to 2^40"
        )
    jobs = [(name, seed + k) for name in chosen for k in range(count)]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for name, number in progress.track(jobs, description="rendering"):
            written = export_clip(name, number, seconds, out, fps=fps, size=size)
            typer.echo(out / written.video)


@app.command()
def sample(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to [default: where it is shipped].")
    ] = None,
) -> None:
    """Write the clip that `livestar demo` plays: a minute of traffic."""
    from livestar.client.sample_clip import SAMPLE, write_sample

    write_sample(out or SAMPLE)
    typer.echo(out or SAMPLE)
