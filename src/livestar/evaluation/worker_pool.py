"""Work over several processes of one torch thread each, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import cv2
import torch

from livestar.core.errors import CapacityExceeded
from livestar.model import LoadedModel

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def in_processes(
    work: Callable[[ItemT], ResultT], items: Iterable[ItemT], processes: int = 1
) -> Iterator[ResultT]:
    """Yields `work(item)` in the order of the items; one process is this one.

    Raises:
        CapacityExceeded: a process died, for which too little memory is the usual reason.
    """
    if processes == 1:
        yield from map(work, items)
        return
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
    try:
        yield from pool.map(work, items)
    except BrokenProcessPool as error:
        raise CapacityExceeded("a worker process died: run fewer processes at a time") from error
    finally:
        # What is left over is not begun when the caller stops early, or at an error.
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that every process loads once.

    Attributes:
        directory: in the published layout.
        dtype: of weights and cache.
        device: where the network runs.
        one_thread: whether loading it keeps the process to one thread.
    """

    directory: Path
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    one_thread: bool = True

    def load(self) -> LoadedModel:
        """Loads it, or returns what this process has loaded before.

        Raises:
            CheckpointError: the folder does not hold a LiveStar checkpoint.
        """
        return _load(self)


@cache
def _load(checkpoint: Checkpoint) -> LoadedModel:
    if checkpoint.one_thread:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
    return LoadedModel.from_directory(checkpoint.directory, dtype=checkpoint.dtype, device=checkpoint.device)
