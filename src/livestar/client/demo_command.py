"""`livestar demo`: the shipped model narrates a synthetic street scene, as a live stream, in this process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from livestar.client.watch_command import watch
from livestar.core.errors import InvalidInput

SIZE = 448
FPS = 12


def demo(
    seconds: Annotated[float, typer.Option(metavar="S", help="How much to watch, from 5 to 600.")] = 40.0,
    family: Annotated[
        str, typer.Option(metavar="NAME", help="Scenario; see `livestar synth families`.")
    ] = "traffic",
    seed: Annotated[int, typer.Option(metavar="N", help="Which clip of the scenario.")] = 11,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON line per decision, as fast as possible.")
    ] = False,
) -> None:
    """Narrate a synthetic clip with the shipped model, at the pace of life.

    The clip is rendered first; its seed is from the test split, which training has never seen.
    """
    if not 5 <= seconds <= 600:
        raise InvalidInput(f"--seconds is from 5 to 600, not {seconds:g}")
    from livestar.evaluation.synth_export import export_clip
    from livestar.synth import families

    if family not in (names := [info.name for info in families()]):
        raise InvalidInput(f"there is no family '{family}': choose one of {', '.join(names)}")
    with tempfile.TemporaryDirectory(prefix="livestar-demo-") as directory:
        with Console(stderr=True).status(f"rendering {seconds:g} s of {family} …"):
            clip = export_clip(family, seed, seconds, Path(directory), fps=FPS, size=SIZE)
        watch(
            str(Path(directory) / clip.video),
            as_json=as_json,
            realtime=not as_json,
            standing=[clip.fdq[0].question] if clip.fdq else None,
        )
