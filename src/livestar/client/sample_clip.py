"""The clip that is shipped: a minute at a junction, with a keyframe every second, so that it streams like a camera."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from livestar.synth import Clip

SAMPLE = Path(__file__).with_name("sample.mp4")
"""Written by `livestar synth sample` (`make sample`)."""

FAMILY, SEED, SECONDS = "traffic", 49, 60
FPS, SIZE, CRF = 15, 448, 27
QUESTION = "What colour is the traffic light now?"
"""A standing question that the clip answers five times and more."""


def sample_truth() -> Clip:
    """What happens in the clip. Its seed is from the test split, which training has never seen."""
    from livestar.synth import Split, make_clip

    return make_clip(FAMILY, SEED, SECONDS, Split.TEST)


def write_sample(path: Path) -> None:
    """Renders the clip into a file."""
    from livestar.media import write_video

    clip = sample_truth()
    frames = (clip.render(index / FPS, SIZE) for index in range(SECONDS * FPS))
    write_video(path, frames, FPS, crf=CRF, keyframe_every=FPS)
