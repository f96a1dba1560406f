"""Watches narrated videos as live streams: OmniStar's online evaluation of narration (RNG)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from livestar.core.decision import Action, Decision, Ending
from livestar.core.errors import InvalidInput
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber
from livestar.engine import Engine, EngineSettings
from livestar.engine.channel import NARRATION
from livestar.engine.gate import NS_PER_S
from livestar.evaluation.omnistar import NarratedVideo, TimedCaption
from livestar.evaluation.omnistar_folder import located
from livestar.evaluation.synthstar_folder import frames_at_seconds
from livestar.evaluation.synthstar_watch import STREAM, SeenFrame, WatchSettings, check_kept, see
from livestar.evaluation.worker_pool import Checkpoint
from livestar.media import VideoSource
from livestar.model import LoadedModel


@dataclass(frozen=True)
class NarratedAnew:
    """What a model said over a narrated video.

    Attributes:
        video: the ground truth.
        said: captions at the seconds of their frames.
        num_frames: frames watched: those at 0 s, 1 s … to the end of the last segment.
        busy_s: seconds that seeing and watching took.
    """

    video: NarratedVideo
    said: tuple[TimedCaption, ...]
    num_frames: int
    busy_s: float


@dataclass(frozen=True)
class NotScored:
    """A video or a dialogue that is left out of the scores, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class NarrationWatch:
    """Watches the videos of a folder at one frame a second.

    Attributes:
        checkpoint: what watches.
        folder: where the videos lie.
        settings: how to watch; only the narration runs.
    """

    checkpoint: Checkpoint
    folder: Path
    settings: WatchSettings

    def watch(self, video: NarratedVideo) -> NarratedAnew | NotScored:
        """Watches one video up to the end of its last segment; one that cannot be read is left out.

        Raises:
            InvalidInput: the settings do not fit the checkpoint.
        """
        model, num_frames = self.checkpoint.load(), video.captions[-1].time_s + 1
        try:
            path = located(self.folder, video.path)
            with VideoSource.open(path) as source:
                seen = list(see(model, frames_at_seconds(source, num_frames)))
        except InvalidInput as error:
            return NotScored(video.video_id, str(error))
        # The last second that is annotated may be the end of the video, at which there is no frame.
        if len(seen) < num_frames - 1:
            return NotScored(video.video_id, f"{path} shows {len(seen)} of {num_frames} annotated seconds")
        return narrate(model, video, seen, self.settings)


def narrate(
    model: LoadedModel, video: NarratedVideo, seen: Sequence[SeenFrame], settings: WatchSettings
) -> NarratedAnew:
    """Watches encoded frames, those at 0 s, 1 s …, and keeps what is said.

    Raises:
        InvalidInput: the settings do not fit the checkpoint.
    """
    stream = settings.memory.fit(settings.stream, model, len(seen))
    engine = Engine.of(model, EngineSettings(num_pages=stream.max_rows // EngineSettings().page_size + 2))
    engine.open_stream(STREAM, stream)
    said, busy_s = [], 0.0
    for second, frame in enumerate(seen):
        began_s = perf_counter()
        engine.submit_frame(STREAM, EncodedFrame(FrameNumber(second + 1), second * NS_PER_S, frame.tokens))
        for event in engine.run_until_idle():
            match event:
                case Decision(channel=channel, action=Action.SPEAK, ending=ending) if (
                    channel == NARRATION and ending is not Ending.DEGRADED
                ):
                    said.append(TimedCaption(second, event.text))
        busy_s += frame.busy_s + perf_counter() - began_s
    check_kept(engine, settings, video.video_id, len(seen))
    return NarratedAnew(video, tuple(said), len(seen), busy_s)
