"""The same windows for several methods: every picture is drawn, moved and encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from livestar.model import ChatTemplate
from livestar.model.config import NUM_VISUAL_TOKENS
from livestar.training.batch import Batch, Collate, joined_frames
from livestar.training.methods import Method
from livestar.training.packing import LeafKind, Sample
from livestar.training.synthstar_dataset import ClipSource, Rendered, Stream, Windows
from livestar.training.synthstar_windows import WindowSettings, watch


@dataclass(frozen=True, eq=False)
class ComparedWindow:
    """One window as every method has it, and its pictures, each uint8 [H, W, 3]."""

    samples: tuple[Sample, ...]
    frames: tuple[NDArray[np.uint8], ...]


class ComparedBatch(TypedDict):
    """All pictures uint8 [F, H, W, 3], and for every method what `CompareCollate` makes."""

    frames_FHW3: Tensor
    methods: dict[str, Batch]


class ComparedWindows(Windows[ComparedWindow]):
    """Windows of random clips, packed by every method.

    Args:
        methods: each packs with its own form of the settings, from the same draws.
        template: of the checkpoint.
        max_tokens: length of every sequence.
        source: which clips.
        windows: which stretches of them.
        stream: which part of the endless row of windows.
        questions: whether questions hang off the frames.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        template: ChatTemplate,
        max_tokens: int,
        source: ClipSource,
        windows: WindowSettings,
        stream: Stream,
        *,
        questions: bool = False,
    ) -> None:
        super().__init__(source, windows, stream)
        self._packers = [(method.packer(template, max_tokens), method.windows(windows)) for method in methods]
        self._questions = questions

    def _show(self, rendered: Rendered, seed: str) -> ComparedWindow:
        samples = []
        for packer, windows in self._packers:
            watched = watch(rendered.clip, rendered.span, windows, Random(seed))  # noqa: S311 - data, not secrets
            samples.append(packer.pack(watched if self._questions else watched.without_questions()))
        return ComparedWindow(tuple(samples), rendered.frames(len(rendered.span.seconds)))


class CompareCollate:
    """Pads and joins windows for every method.

    Args:
        methods: in the order of `ComparedWindow.samples`.
        collate: pads ids.
    """

    def __init__(self, methods: Sequence[Method], collate: Collate) -> None:
        self._names = tuple(method.name for method in methods)
        self._collate = collate

    def __call__(self, windows: Sequence[ComparedWindow]) -> ComparedBatch:
        """Joins windows; adds to `Collate.texts`, for every method, what training side by side needs.

        `visual_tokens` [R]: which of the batch's F x 16 visual tokens go to `visual_rows`: a sequence may show fewer frames.
        `is_decision_S`: whether a scored token says whether to speak. `decision_rows_D` and `decisions_D`: rows of the
        B x T ones after which a head decides, and 1 where it should speak.
        """
        num_frames = [len(window.frames) for window in windows]
        first_frames = torch.tensor([0, *num_frames]).cumsum(0)[:-1].tolist()
        return {
            "frames_FHW3": joined_frames([frame for window in windows for frame in window.frames]),
            "methods": {
                name: self._texts([window.samples[k] for window in windows], first_frames)
                for k, name in enumerate(self._names)
            },
        }

    def _texts(self, samples: Sequence[Sample], first_frames: Sequence[int]) -> Batch:
        batch = self._collate.texts(samples)
        num_tokens = batch["ids_BT"].shape[1]
        decisions = [sample.decisions + torch.tensor([b * num_tokens, 0]) for b, sample in enumerate(samples)]
        shown = [
            torch.arange(len(sample.shown) * NUM_VISUAL_TOKENS) + first * NUM_VISUAL_TOKENS
            for sample, first in zip(samples, first_frames, strict=True)
        ]
        is_decision_L = batch.pop("leaf_kind_L") == LeafKind.DECISION
        rows_D, decisions_D = torch.cat(decisions).unbind(1)
        return batch | {
            "visual_tokens": torch.cat(shown),
            "is_decision_S": is_decision_L[batch.pop("leaf_of_S")],
            "decision_rows_D": rows_D.contiguous(),
            "decisions_D": decisions_D.contiguous(),
        }
