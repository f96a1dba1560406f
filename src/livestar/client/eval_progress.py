"""How far an evaluation has come, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from livestar.evaluation.worker_pool import in_processes

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def watched_with_progress(
    work: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    frames: Callable[[ItemT], int],
    processes: int,
    *,
    title: str = "watching",
) -> Iterator[ResultT]:
    """Yields `work(item)` in order, while a bar shows how many of the items' frames are done."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(title, total=sum(map(frames, items)))
        for item, result in zip(items, in_processes(work, items, processes), strict=True):
            progress.advance(bar, frames(item))
            yield result
