"""Watches the clips of a folder that `livestar synth render` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from livestar.core.errors import BadAnnotation, BadVideo
from livestar.evaluation.synth_annotations import ClipAnnotations, read_synth_annotations
from livestar.evaluation.synth_export import ANNOTATIONS
from livestar.evaluation.synthstar_watch import WatchSettings, see, watch_variants
from livestar.evaluation.synthstar_watched import Watched
from livestar.evaluation.worker_pool import Checkpoint
from livestar.media import VideoSource


def read_clips(folder: Path, limit: int | None = None) -> tuple[ClipAnnotations, ...]:
    """The annotations of a folder's first `limit` clips, or of all.

    Raises:
        BadAnnotation: the folder holds no annotations, or they cannot be read.
    """
    clips = read_synth_annotations(folder / ANNOTATIONS)
    if not clips:
        raise BadAnnotation(f"{folder / ANNOTATIONS} holds no clip: write some with 'livestar synth render'")
    return clips[:limit]


@dataclass(frozen=True)
class FolderWatch:
    """Watches the videos of a folder, each at one frame a second and once with each of the settings.

    Attributes:
        checkpoint: what watches.
        folder: where the videos lie.
        settings: how to watch.
    """

    checkpoint: Checkpoint
    folder: Path
    settings: tuple[WatchSettings, ...]

    def watch(self, clip: ClipAnnotations) -> tuple[Watched, ...]:
        """Watches one clip.

        Raises:
            BadVideo: the video cannot be read, or is not as long as its annotations.
            InvalidInput: the settings do not fit the checkpoint.
        """
        model = self.checkpoint.load()
        path = self.folder / clip.video
        with VideoSource.open(path) as source:
            seen = list(see(model, frames_at_seconds(source, clip.num_frames)))
        # An odd length may end just before its last whole second.
        if len(seen) < clip.num_frames - 1:
            raise BadVideo(
                f"{path} shows {len(seen)} of {clip.num_frames} annotated seconds: render it again"
            )
        return watch_variants(model, clip, seen, self.settings)


def frames_at_seconds(source: VideoSource, num_frames: int) -> Iterator[np.ndarray]:
    """The frames at 0 s, 1 s …, at most so many; a gap in the video ends it."""
    for count, sampled in enumerate(source.frames(fps=1)):
        if sampled.slot != count or count == num_frames:
            break
        yield sampled.rgb
