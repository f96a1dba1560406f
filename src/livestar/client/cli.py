"""The `livestar` command. Commands import what they need when they run, so that `--help` is quick."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from livestar import __version__
from livestar.client import jobs_command, synth_command
from livestar.client.demo_command import demo
from livestar.client.eval_command import evaluate
from livestar.client.plain_text import printable
from livestar.client.stream_commands import ask, stop, streams
from livestar.client.up_command import up
from livestar.client.watch_command import watch
from livestar.core.errors import LiveStarError
from livestar.training.train import train

USER_ERROR = 2
FAILED_CHECK = 1

app = typer.Typer(
    name="livestar",
    help="Watches video and speaks at the right moment.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(no_args_is_help=True)(watch)
app.command()(up)
app.command()(demo)
app.command()(streams)
app.command(no_args_is_help=True)(ask)
app.command(no_args_is_help=True)(stop)
app.command("eval", no_args_is_help=True)(evaluate)
app.add_typer(jobs_command.app, name="jobs")
app.add_typer(synth_command.app, name="synth")
app.command(no_args_is_help=True)(train)


@app.command(no_args_is_help=True)
def parity(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Checkpoint folder with golden vectors of the published reference."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Compare this implementation with the published reference.

    Every golden file in DIR is checked; a missing one is skipped (null in JSON). The exit status is 1 when something differs.
    """
    with Console(stderr=True).status("comparing …"):
        from livestar.client.parity_table import parity_json, parity_table
        from livestar.evaluation.parity import check_parity

        report = check_parity(directory)
    if as_json:
        typer.echo(parity_json(report))
    else:
        Console().print(parity_table(report))
    if not report.ok:
        raise typer.Exit(FAILED_CHECK)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Entry point: errors that we know are one sentence on stderr and exit status 2."""
    if not sys.warnoptions:
        # Notes of libraries to their callers; `python -W default` and PYTHONWARNINGS bring them back.
        warnings.simplefilter("ignore")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that is not UTF-8 shows what it can.
        sys.stdout.reconfigure(errors="replace")
    try:
        app(prog_name="livestar")
    except LiveStarError as error:
        message = f"livestar: {printable(str(error))}"
        Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(USER_ERROR)
