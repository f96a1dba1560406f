"""`livestar jobs`: recordings, narrated from beginning to end."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from livestar.client.options import JsonOption
from livestar.client.plain_text import clock, counted, printable
from livestar.core.errors import BadVideo, LiveStarError, Unavailable

if TYPE_CHECKING:
    from livestar.bus.job import JobInfo
    from livestar.bus.job_book import JobBook

app = typer.Typer(help="Narrate recordings from beginning to end.", no_args_is_help=True)

LOOK_EVERY_S = 0.5
T = TypeVar("T")

RedisOption = Annotated[
    str,
    typer.Option(
        metavar="URL",
        envvar="REDIS_URL",
        help="Redis of the running system [default: of the one on this machine].",
    ),
]
PrefixOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", envvar="LIVESTAR_JOBS_KEY_PREFIX", help="Before the system's keys in Redis."
    ),
]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Its id; see `livestar jobs list`.")]


@app.command(no_args_is_help=True)
def narrate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A recording, or its address.")],
    name: Annotated[
        str, typer.Option("--id", metavar="NAME", help="Id of the job [default: it gets one].")
    ] = "",
    fps: Annotated[float, typer.Option(metavar="RATE", help="Frames to watch per second.")] = 1.0,
    alpha: Annotated[
        float | None, typer.Option(metavar="FACTOR", help="Sensitivity, at least 1 [default: the model's].")
    ] = None,
    standing: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Answer this whenever the answer changes; repeatable."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, with a bar.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Copy the JSONL, SRT and WebVTT files here; waits.")
    ] = None,
    redis_url: RedisOption = "",
    key_prefix: PrefixOption = "livestar",
    as_json: JsonOption = False,
) -> None:
    """Narrate a recording as fast as it can be decided, into JSONL, SubRip and WebVTT.

    Prints the job's id. The same id with the same recording again is the same job.
    """
    from livestar.bus.job import Job
    from livestar.bus.job_queue import celery_app, nudge
    from livestar.bus.specification import new_stream_id
    from livestar.core.ids import stream_id

    if not 0 < fps <= 30:
        raise BadVideo(f"--fps is more than 0 and at most 30, not {fps:g}")
    if "://" not in file and not Path(file).is_file():
        raise BadVideo(f"{file} does not exist or is no file: check the path.")
    source = file if "://" in file else str(Path(file).resolve())
    # A stream is named after it, with something before and behind.
    job = Job(
        stream_id(name or new_stream_id().removeprefix("s-"))[:48],
        source,
        fps,
        alpha,
        "",
        tuple(standing or ()),
    )
    url = _redis(redis_url, key_prefix)
    info = _with_book(url, lambda book: book.create(job))
    nudge(celery_app(url), job.id)
    if not (wait or out):
        typer.echo(json.dumps(_fields(info)) if as_json else job.id)
        return
    info = _wait(url, job.id)
    if info.state != "done":
        raise LiveStarError(
            f"job {job.id} {info.state}: {info.reason}" if info.reason else f"job {job.id} {info.state}"
        )
    files = _copied(info, out) if out else info.files
    typer.echo(json.dumps(_fields(info) | {"files": files}) if as_json else "\n".join(files.values()))


@app.command("list")
def list_jobs(
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="The newest N.")] = 20,
    redis_url: RedisOption = "",
    key_prefix: PrefixOption = "livestar",
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    found = _with_book(_redis(redis_url, key_prefix), lambda book: book.newest(limit))
    if as_json:
        for info in found:
            typer.echo(json.dumps(_fields(info)))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("job", "state", "progress", "captions", "source"):
        table.add_column(heading, justify="right" if heading in ("progress", "captions") else "left")
    for info in found:
        state = f"{info.state}: {info.reason}" if info.reason else str(info.state)
        cells = (info.job.id, state, _progress(info), str(info.progress.num_captions), info.job.source)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console().print(table if found else Text("no jobs", style="dim"))


@app.command(no_args_is_help=True)
def show(
    job: JobArgument,
    redis_url: RedisOption = "",
    key_prefix: PrefixOption = "livestar",
    as_json: JsonOption = False,
) -> None:
    """Show one job: how far it is, and where its files are."""
    _show(_with_book(_redis(redis_url, key_prefix), lambda book: book.get(job)), as_json=as_json)


@app.command(no_args_is_help=True)
def cancel(
    job: JobArgument,
    redis_url: RedisOption = "",
    key_prefix: PrefixOption = "livestar",
    as_json: JsonOption = False,
) -> None:
    """Cancel a job; one that is over stays as it is."""
    _show(_with_book(_redis(redis_url, key_prefix), lambda book: book.cancel(job)), as_json=as_json)


def _redis(named: str, prefix: str) -> str:
    from livestar.bus import keys
    from livestar.client.running_system import RunningSystem

    keys.use_prefix(prefix)
    if named:
        return named
    if running := RunningSystem.find():
        return running.redis_url
    raise Unavailable("no system runs here: start one with `livestar up`, or set REDIS_URL")


def _with_book(url: str, work: Callable[[JobBook], Awaitable[T]]) -> T:
    async def run() -> T:
        from livestar.bus import RedisLink
        from livestar.bus.job_book import JobBook

        async with RedisLink(url, max_connections=2) as link:
            return await work(JobBook(link))

    return asyncio.run(run())


def _wait(url: str, job: str) -> JobInfo:
    """The job at its end, with a bar until then."""
    from livestar.bus.job import FINAL_JOBS

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("waiting for a worker", total=None)
        while True:
            info = _with_book(url, lambda book: book.get(job))
            bar.update(task, description=str(info.state), total=1.0, completed=info.progress.share or 0.0)
            if info.state in FINAL_JOBS:
                return info
            time.sleep(LOOK_EVERY_S)


def _copied(info: JobInfo, out: Path) -> dict[str, str]:
    out.mkdir(parents=True, exist_ok=True)
    copies = {}
    for kind, path in info.files.items():
        name = Path(info.job.source).stem or info.job.id
        try:
            copies[kind] = str(shutil.copyfile(path, out / f"{name}.{kind}"))
        except OSError as error:
            raise LiveStarError(
                f"{path} cannot be copied ({error.strerror}): it is where the worker runs"
            ) from None
    return copies


def _show(info: JobInfo, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_fields(info)))
        return
    state = f"{info.state}: {info.reason}" if info.reason else str(info.state)
    rows = {
        "job": info.job.id,
        "state": state,
        "source": info.job.source,
        "progress": _progress(info),
        "captions": counted(info.progress.num_captions, "caption"),
        **info.files,
    }
    for name, value in rows.items():
        typer.echo(f"{name:<9} {printable(value)}")


def _progress(info: JobInfo) -> str:
    at = clock(info.progress.pts_s)
    return at if info.progress.share is None else f"{at} ({info.progress.share:.0%})"


def _fields(info: JobInfo) -> dict[str, object]:
    return asdict(info)
