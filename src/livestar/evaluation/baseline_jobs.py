"""The work of a comparison, cut into pieces that processes of one thread each can take."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar

import cv2
import numpy as np
import torch

from livestar.evaluation.baseline_serving import Serving, serve
from livestar.evaluation.synth_annotations import ClipAnnotations, annotate
from livestar.evaluation.synthstar_watched import Watched
from livestar.model import LoadedModel
from livestar.synth import Split, make_clip

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Job(Hashable, Protocol[T_co]):
    """Travels to a process and is done there."""

    def __call__(self) -> T_co:
        """The result."""
        ...


@dataclass(frozen=True)
class Look:
    """Draws and encodes a clip.

    Attributes:
        model: folder of any of the methods: they look through the same eyes.
        folder: gets the visual tokens.
        split: whose seeds.
        family: of the clip.
        seed: of the clip.
        seconds: its length.
    """

    model: Path
    folder: Path
    split: Split
    family: str
    seed: int
    seconds: float

    @property
    def tokens(self) -> Path:
        """File of the visual tokens, float32 [F, 16, D]."""
        return self.folder / f"{self.split.name}-{self.family}-{self.seed}.npy"

    def __call__(self) -> ClipAnnotations:
        """Writes the tokens, and returns the ground truth."""
        model = _model(self.model)
        size = model.network.config.vision_config.image_size
        clip = make_clip(self.family, self.seed, self.seconds, self.split)
        annotations = annotate(clip, 1, size)
        seen = [model.see([clip.render(float(t), size)])[0] for t in range(annotations.num_frames)]
        np.save(self.tokens, torch.stack(seen).numpy())
        return annotations


@dataclass(frozen=True)
class Watch:
    """Watches an encoded clip.

    Attributes:
        model: folder of the method.
        look: the clip, encoded.
        serving: how.
        max_trunk_tokens: see `serve`.
    """

    model: Path
    look: Look
    serving: Serving
    max_trunk_tokens: int

    def __call__(self) -> Watched:
        """What was said."""
        look, model = self.look, _model(self.model)
        size = model.network.config.vision_config.image_size
        clip = annotate(make_clip(look.family, look.seed, look.seconds, look.split), 1, size)
        tokens = torch.from_numpy(np.load(look.tokens))
        return serve(model, clip, tokens, self.serving, self.max_trunk_tokens)


def processes(number: int) -> ProcessPoolExecutor:
    """Processes of one thread each."""
    return ProcessPoolExecutor(number, mp_context=get_context("spawn"), initializer=_one_thread)


def run_all(
    pool: Executor, jobs: Sequence[Job[T]], what: str, until_s: float | None = None
) -> dict[Job[T], T]:
    """Results by job; those that have not been begun at `until_s` of the monotonic clock are left out."""
    futures = {pool.submit(_do, job): job for job in jobs}
    left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
    done: dict[Job[T], T] = {}
    try:
        for future in as_completed(futures, timeout=left_s):
            done[futures[future]] = future.result()
            if len(done) % max(1, len(jobs) // 10) == 0:
                sys.stderr.write(f"{what}: {len(done)} of {len(jobs)}\n")
                sys.stderr.flush()
    except TimeoutError:
        sys.stderr.write(f"{what}: the time is up after {len(done)} of {len(jobs)}\n")
        for future in futures:
            future.cancel()
    return done


def _do(job: Callable[[], T]) -> T:
    return job()


def _one_thread() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@cache
def _model(directory: Path) -> LoadedModel:
    return LoadedModel.from_directory(directory)
