"""SynthStar's ground truth as files: all five tasks of many clips in one JSON-lines file of ours.

A line is one clip; its keys are the fields of `ClipAnnotations`. Times are in seconds from the clip's
start. The narration task alone is also written in OmniStar's published formats, which know whole
seconds only and stamp a segment with its last one.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from livestar.core.errors import BadAnnotation
from livestar.evaluation.omnistar import Conversation, NarratedVideo, TimedCaption, Turn
from livestar.synth import Clip, QuestionChain


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class EventRow(_Row):
    """One event of the narration task (RNG); `facts` is what `livestar.synth.parse_facts` finds in a right text."""

    start_s: float
    end_s: float
    facts: dict[str, str]
    narration: str
    paraphrases: tuple[str, ...]


class GroundingRow(_Row):
    """One query of temporal grounding (OTG), with all its intervals (start_s, end_s)."""

    query: str
    intervals: tuple[tuple[float, float], ...]


class StandingRow(_Row):
    """One standing question (FDQ); an answer (time_s, text) holds until the next."""

    question: str
    answers: tuple[tuple[float, str], ...]


class TurnRow(_Row):
    """One turn of a chain of questions (COQ, MIQ)."""

    time_s: float
    question: str
    answer: str


class ClipAnnotations(_Row):
    """All ground truth of one clip, and what it was made from.

    `otg`, `fdq`, `coq` and `miq` are the tasks; each round of `miq` holds chains asked at the same times.
    `held_out` names what training never saw: "composition", "camera".
    """

    video_id: str
    video: str
    family: str
    seed: int
    split: str
    seconds: float
    fps: int
    size: int
    camera: tuple[str, str]
    held_out: tuple[str, ...]
    events: tuple[EventRow, ...]
    otg: tuple[GroundingRow, ...]
    fdq: tuple[StandingRow, ...]
    coq: tuple[tuple[TurnRow, ...], ...]
    miq: tuple[tuple[tuple[TurnRow, ...], ...], ...]

    @property
    def num_frames(self) -> int:
        """Frames at 1 fps: one at each whole second before the end."""
        return ceil(self.seconds)

    @property
    def last_seconds(self) -> tuple[int, ...]:
        """The last whole second of each event."""
        return tuple(ceil(event.end_s) - 1 for event in self.events)


def annotate(clip: Clip, fps: int, size: int) -> ClipAnnotations:
    """Returns the ground truth of a clip, whose video `<family>-<seed>.mp4` has this rate and this side in pixels."""
    video_id = f"{clip.family}-{clip.seed}"
    return ClipAnnotations(
        video_id=video_id,
        video=f"{video_id}.mp4",
        family=clip.family,
        seed=clip.seed,
        split=clip.split.name.lower(),
        seconds=float(clip.seconds),
        fps=fps,
        size=size,
        camera=clip.camera_condition,
        held_out=tuple(sorted(clip.held_out)),
        events=tuple(
            EventRow(
                start_s=float(e.start_s),
                end_s=float(e.end_s),
                facts=dict(e.facts),
                narration=e.narration,
                paraphrases=e.paraphrases,
            )
            for e in clip.events
        ),
        otg=tuple(GroundingRow(query=g.query, intervals=g.intervals) for g in clip.groundings),
        fdq=tuple(StandingRow(question=q.text, answers=q.answers) for q in clip.standing_questions),
        coq=tuple(_turns(chain) for chain in clip.question_chains),
        miq=tuple(tuple(_turns(chain) for chain in chains) for chains in clip.question_rounds),
    )


def narrated_video(clip: ClipAnnotations) -> NarratedVideo:
    """Returns the narration in OmniStar's ground truth: whole seconds, each the last of its event."""
    captions = zip(clip.last_seconds, clip.events, strict=True)
    return NarratedVideo(
        clip.video, tuple(TimedCaption(time_s, event.narration) for time_s, event in captions)
    )


def conversation(clip: ClipAnnotations, frames: tuple[str, ...]) -> Conversation:
    """Returns the narration as OmniStar's dialogue: a human turn with an event's frames, then its caption."""
    turns: list[Turn] = []
    first = 0
    for last, event in zip(clip.last_seconds, clip.events, strict=True):
        lines = "".join(f"Frame-{i + 1}: <image>\n" for i in range(first, last + 1))
        turns += [Turn("human", lines), Turn("gpt", event.narration)]
        first = last + 1
    sizes = (clip.size,) * len(frames)
    return Conversation(clip.video_id, frames, sizes, sizes, tuple(turns))


def read_synth_annotations(path: Path) -> tuple[ClipAnnotations, ...]:
    """Reads what `write_synth_annotations` wrote.

    Raises:
        BadAnnotation: the file cannot be read, or a line is no clip's.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadAnnotation(f"{path}: cannot be read: {error}") from error
    return tuple(_clip(path, number, line) for number, line in enumerate(lines, start=1) if line.strip())


def write_synth_annotations(path: Path, clips: Iterable[ClipAnnotations]) -> None:
    """Writes a JSON line for each clip."""
    lines = "".join(f"{clip.model_dump_json()}\n" for clip in clips)
    path.write_text(lines, encoding="utf-8", newline="\n")


def _turns(chain: QuestionChain) -> tuple[TurnRow, ...]:
    return tuple(TurnRow(time_s=t, question=question, answer=answer) for t, question, answer in chain.turns)


def _clip(path: Path, number: int, line: str) -> ClipAnnotations:
    try:
        return ClipAnnotations.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadAnnotation(f"{path}:{number}: {where}: {first['msg']}") from None
