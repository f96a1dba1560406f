"""SynthStar, rendered while it is being watched: an endless stream of training windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from livestar.synth import Clip, Split, families, make_clip
from livestar.synth.split import SEEDS_PER_SPLIT
from livestar.training.batch import ShownSample
from livestar.training.packing import Packer
from livestar.training.synthstar_windows import Span, WindowSettings, clip_seconds, draw_span, watch

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Stream:
    """Which windows a process reads.

    What comes is a function of these and of the number of loader workers; a run that is resumed with the same ones sees the
    same windows as a run that was never stopped.

    Attributes:
        batch_size: windows of a batch of one process.
        seed: of everything that is drawn.
        first_batch: batches of this process that are left out in front.
        rank: of the process.
        num_ranks: processes that share the data.
    """

    batch_size: int
    seed: int = 0
    first_batch: int = 0
    rank: int = 0
    num_ranks: int = 1


@dataclass(frozen=True)
class ClipSource:
    """Where clips come from.

    Attributes:
        families: names; empty means all.
        split: whose seeds.
        size: side of the pictures in pixels.
        reuse: how many windows one rendering serves. They come in different batches and differ in their words, questions
            and numbers, but share their pictures.
    """

    families: tuple[str, ...] = ()
    split: Split = Split.TRAIN
    size: int = 224
    reuse: int = 1


class Windows(IterableDataset[T_co], ABC):
    """Windows of random clips of all families, for a loader with `batch_size` of the stream.

    Args:
        source: which clips.
        windows: which stretches of them.
        stream: which part of the endless row of windows.
    """

    def __init__(self, source: ClipSource, windows: WindowSettings, stream: Stream) -> None:
        self._source, self._windows, self._stream = source, windows, stream
        _draw_on_one_thread()
        self._families = source.families or tuple(family.name for family in families())

    def __iter__(self) -> Iterator[T_co]:
        """Yields the windows of this worker's batches, without end."""
        info = get_worker_info()
        lane, num_lanes = (info.id, info.num_workers) if info else (0, 1)
        _draw_on_one_thread()
        stream, first = self._stream, self._stream.first_batch
        # The loader takes batches from its workers in turn, beginning with the first worker.
        batch = first + lane
        shown: dict[int, Rendered] = {}
        while True:
            turn, repeat = divmod(batch // num_lanes, self._source.reuse)
            block = (turn * num_lanes + batch % num_lanes) * stream.num_ranks + stream.rank
            numbers = range(block * stream.batch_size, (block + 1) * stream.batch_size)
            shown = {n: shown[n] if n in shown else self._render(n) for n in numbers}
            for number in numbers:
                yield self._show(shown[number], f"{stream.seed}/{number}/{repeat}")
            batch += num_lanes

    def _render(self, number: int) -> Rendered:
        dice = Random(f"{self._stream.seed}/{number}/clip")  # noqa: S311 - data, not secrets
        thinned = dice.random() < self._windows.thinned
        seconds = clip_seconds(self._windows, dice, thinned=thinned)
        family, seed = dice.choice(self._families), dice.randrange(SEEDS_PER_SPLIT)
        clip = make_clip(family, seed, seconds, self._source.split)
        return Rendered(clip, draw_span(clip, self._windows, dice, thinned=thinned), self._source.size)

    @abstractmethod
    def _show(self, rendered: Rendered, seed: str) -> T_co:
        """One window; the same seed draws the same one."""


class SynthStarWindows(Windows[ShownSample]):
    """Windows, packed.

    Args:
        packer: turns what is watched into ids.
        source: which clips.
        windows: which stretches of them.
        stream: which part of the endless row of windows.
    """

    def __init__(self, packer: Packer, source: ClipSource, windows: WindowSettings, stream: Stream) -> None:
        super().__init__(source, windows, stream)
        self._packer = packer

    def _show(self, rendered: Rendered, seed: str) -> ShownSample:
        watched = watch(rendered.clip, rendered.span, self._windows, Random(seed))  # noqa: S311
        sample = self._packer.pack(watched)
        return ShownSample(sample, rendered.frames(len(sample.shown)))


@dataclass
class Rendered:
    """One clip's window and its pictures, which are drawn when they are first asked for."""

    clip: Clip
    span: Span
    size: int
    _frames: list[NDArray[np.uint8]] = field(default_factory=list)

    def frames(self, count: int) -> tuple[NDArray[np.uint8], ...]:
        """The first pictures of the window."""
        for second in self.span.seconds[len(self._frames) : count]:
            self._frames.append(self.clip.render(float(second), self.size))
        return tuple(self._frames[:count])


def _draw_on_one_thread() -> None:
    """Loaders have a process per core, and a process that forks while OpenCV's threads live leaves children that hang."""
    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)
