"""Writes SynthStar clips into a folder: videos, frames, and the annotations of all that lie there.

DIR/<family>-<seed>.mp4          H.264
DIR/<family>-<seed>/00000.jpg    one frame a second, which the conversations name
DIR/RNG_task_eval.txt            narrations, OmniStar's ground truth
DIR/RNG_task_eval.jsonl          narrations, OmniStar's conversations
DIR/synthstar.jsonl              all five tasks with exact times, see `synth_annotations`
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from livestar.evaluation.omnistar import write_conversations, write_narrated_videos
from livestar.evaluation.synth_annotations import (
    ClipAnnotations,
    annotate,
    conversation,
    narrated_video,
    read_synth_annotations,
    write_synth_annotations,
)
from livestar.media import write_video
from livestar.synth import Clip, Split, make_clip

ANNOTATIONS = "synthstar.jsonl"
NARRATIONS = "RNG_task_eval.txt"
CONVERSATIONS = "RNG_task_eval.jsonl"


def export_clip(
    family: str,
    seed: int,
    seconds: float,
    out_dir: Path,
    *,
    split: Split = Split.TEST,
    fps: int = 25,
    size: int = 448,
) -> ClipAnnotations:
    """Renders one clip into a folder, beside those that are there; one of the same family and seed is replaced.

    Args:
        family: one of `livestar.synth.families()`.
        seed: any whole number from 0 to 2**40 - 1.
        seconds: length, at least 3.
        out_dir: the folder; made when it is missing.
        split: TEST may show held-out compositions and cameras.
        fps: frames per second of the video.
        size: side of the square video in pixels, even.

    Returns:
        The ground truth that was written.

    Raises:
        ValueError: there is no such family, or a number is out of range.
        BadAnnotation: the folder holds annotations that cannot be read.
    """
    clip = make_clip(family, seed, seconds, split)
    out_dir.mkdir(parents=True, exist_ok=True)
    annotations = annotate(clip, fps, size)
    known = {a.video_id: a for a in _known(out_dir)} | {annotations.video_id: annotations}
    write_video(out_dir / annotations.video, _frames(clip, fps, size), fps)
    _write_stills(clip, annotations, out_dir, size)
    _write_annotations(out_dir, [known[video_id] for video_id in sorted(known)])
    return annotations


def _known(out_dir: Path) -> tuple[ClipAnnotations, ...]:
    path = out_dir / ANNOTATIONS
    return read_synth_annotations(path) if path.exists() else ()


def _frames(clip: Clip, fps: int, size: int) -> Iterator[NDArray[np.uint8]]:
    return (clip.render(i / fps, size) for i in range(round(clip.seconds * fps)))


def _write_stills(clip: Clip, annotations: ClipAnnotations, out_dir: Path, size: int) -> None:
    (out_dir / annotations.video_id).mkdir(exist_ok=True)
    for second, name in enumerate(_still_names(annotations)):
        Image.fromarray(clip.render(second, size)).save(out_dir / name, quality=90)


def _still_names(annotations: ClipAnnotations) -> tuple[str, ...]:
    return tuple(f"{annotations.video_id}/{second:05d}.jpg" for second in range(annotations.num_frames))


def _write_annotations(out_dir: Path, clips: list[ClipAnnotations]) -> None:
    write_synth_annotations(out_dir / ANNOTATIONS, clips)
    write_narrated_videos(out_dir / NARRATIONS, map(narrated_video, clips))
    conversations = (conversation(clip, _still_names(clip)) for clip in clips)
    write_conversations(out_dir / CONVERSATIONS, conversations)
