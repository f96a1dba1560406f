"""Watches the clips of a folder that `livestar synth render` wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from livestar.core.errors import BadAnnotation, BadVideo
from livestar.evaluation.synth_annotations import ClipAnnotations, read_synth_annotations
from livestar.evaluation.synth_export import ANNOTATIONS
from livestar.evaluation.synthstar_watch import WatchSettings, watch_clip
from livestar.evaluation.synthstar_watched import Watched
from livestar.media import VideoSource
from livestar.model import LoadedModel


def read_clips(folder: Path, limit: int | None = None) -> tuple[ClipAnnotations, ...]:
    """The annotations of a folder's first `limit` clips, or of all.

    Raises:
        BadAnnotation: the folder holds no annotations, or they cannot be read.
    """
    clips = read_synth_annotations(folder / ANNOTATIONS)
    if not clips:
        raise BadAnnotation(f"{folder / ANNOTATIONS} holds no clip: write some with 'livestar synth render'")
    return clips[:limit]


def watch_folder(
    model: LoadedModel,
    folder: Path,
    clips: Iterable[ClipAnnotations],
    settings: WatchSettings,
    on_frame: Callable[[], None],
) -> Iterator[Watched]:
    """Watches the videos of a folder one after the other, at one frame a second.

    Args:
        model: what watches.
        folder: where the videos lie.
        clips: which ones.
        settings: how to watch.
        on_frame: called before every frame.

    Raises:
        BadVideo: a video cannot be read, or is not as long as its annotations.
        InvalidInput: the settings do not fit the checkpoint.
    """
    for clip in clips:
        with VideoSource.open(folder / clip.video) as source:
            yield watch_clip(model, clip, _frames(source, folder / clip.video, clip, on_frame), settings)


def _frames(
    source: VideoSource, path: Path, clip: ClipAnnotations, on_frame: Callable[[], None]
) -> Iterator[np.ndarray]:
    """The frames at whole seconds, from 0 s on."""
    count = 0
    for sampled in source.frames(fps=1):
        if sampled.slot != count or count == clip.num_frames:
            break
        on_frame()
        yield sampled.rgb
        count += 1
    # An odd length may end just before its last whole second.
    if count < clip.num_frames - 1:
        raise BadVideo(f"{path} shows {count} of {clip.num_frames} annotated seconds: render it again")
