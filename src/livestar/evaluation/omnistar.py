"""OmniStar's files as values: narrated videos (ground truth), online predictions, conversations.

Every reader has its writer, and a value survives the round trip. A file that cannot be understood is
`BadAnnotation`, which names file and line. Keys of a JSON line that are not listed here are ignored.

Source: OmniStar, the data set of LiveStar (arXiv 2511.05299).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from livestar.core.errors import BadAnnotation

IMAGE_PLACEHOLDER = "<image>"
"""Stands for one frame in the text of a human turn."""

_CAPTION = re.compile(r"Timestamp: (\d+):([0-5]\d):([0-5]\d) Caption: ?(.*)", re.ASCII)
_CLOCK = re.compile(r"(\d+):([0-5]\d)", re.ASCII)
_VIDEO = re.compile(r".+\.(mp4|mkv|webm|mov|avi)")


@dataclass(frozen=True, slots=True)
class TimedCaption:
    """A caption at a whole second of its video.

    Raises:
        ValueError: the time is negative.
    """

    time_s: int
    text: str

    def __post_init__(self) -> None:
        if self.time_s < 0:
            raise ValueError(f"a caption's time is not negative, but {self.time_s} s")


@dataclass(frozen=True, slots=True)
class EventSegment:
    """The seconds `start_s` to `end_s`, both included, that one ground-truth caption is about."""

    start_s: int
    end_s: int
    caption: str


@dataclass(frozen=True, slots=True)
class NarratedVideo:
    """The ground truth of one video: captions in rising order, each stamped with the *end* of its segment.

    Raises:
        ValueError: the path is no video's, there is no caption, or times do not rise.
    """

    path: str
    captions: tuple[TimedCaption, ...]

    def __post_init__(self) -> None:
        if not _VIDEO.fullmatch(self.path):
            raise ValueError(f"expected the path of a video file, not {self.path!r}")
        if not self.captions:
            raise ValueError("a narrated video has at least one caption")
        for earlier, later in pairwise(self.captions):
            if later.time_s <= earlier.time_s:
                raise ValueError(f"times must rise, but {_hms(later.time_s)} follows {_hms(earlier.time_s)}")

    @property
    def video_id(self) -> str:
        """Name of the video without folder and suffix."""
        return PurePosixPath(self.path).stem

    @property
    def segments(self) -> tuple[EventSegment, ...]:
        """A segment starts in the second after the previous one; the first is its end second alone."""
        first = self.captions[0]
        return (
            EventSegment(first.time_s, first.time_s, first.text),
            *(EventSegment(a.time_s + 1, b.time_s, b.text) for a, b in pairwise(self.captions)),
        )


@dataclass(frozen=True, slots=True)
class Predictions:
    """What was said over one video, in the order of the file, which need not be that of time."""

    video_id: str
    captions: tuple[TimedCaption, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation; a human turn holds one `<image>` per frame."""

    speaker: Literal["human", "gpt"]
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """One video as a dialogue: `images` are its frame files in order, `heights` and `widths` their pixels.

    Raises:
        ValueError: sizes or placeholders do not match the images.
    """

    id: str | int
    images: tuple[str, ...]
    heights: tuple[int, ...]
    widths: tuple[int, ...]
    turns: tuple[Turn, ...]

    def __post_init__(self) -> None:
        placeholders = sum(t.text.count(IMAGE_PLACEHOLDER) for t in self.turns if t.speaker == "human")
        counts = len(self.images), len(self.heights), len(self.widths), placeholders
        if len(set(counts)) > 1:
            raise ValueError("{} images, but {} heights, {} widths and {} <image>".format(*counts))


def read_narrated_videos(path: Path) -> tuple[NarratedVideo, ...]:
    """Reads ground truth: a line per video, then its `Timestamp: HH:MM:SS Caption: …` lines.

    Raises:
        BadAnnotation: a line is neither, times do not rise, or a video has no caption or is listed twice.
    """
    videos: dict[str, NarratedVideo] = {}
    for head, *body in _video_blocks(path):
        captions = tuple(_timed_caption(line) for line in body)
        try:
            video = NarratedVideo(head.text.rstrip(), captions)
        except ValueError as error:
            raise head.bad(str(error)) from None
        if videos.setdefault(video.video_id, video) is not video:
            raise head.bad(f"video {video.video_id} is listed twice")
    return tuple(videos.values())


def write_narrated_videos(path: Path, videos: Iterable[NarratedVideo]) -> None:
    """Writes ground truth as `read_narrated_videos` reads it.

    Raises:
        ValueError: a caption holds a line break, which the format cannot.
    """
    lines: list[str] = []
    for video in videos:
        lines.append(video.path)
        lines += (f"Timestamp: {_hms(c.time_s)} Caption: {_one_line(c.text)}" for c in video.captions)
    _write_lines(path, lines)


def read_predictions(path: Path) -> tuple[Predictions, ...]:
    """Reads online results: a JSON line `{"video_id": …, "result": [["MM:SS", caption], …]}` per video.

    Raises:
        BadAnnotation: a line is no such object, a time is not `MM:SS`, or a video is listed twice.
    """
    videos: dict[str, Predictions] = {}
    for line, row in _rows(path, _PredictionsRow):
        captions = tuple(TimedCaption(_seconds(line, clock), text) for clock, text in row.result)
        video = Predictions(row.video_id, captions)
        if videos.setdefault(video.video_id, video) is not video:
            raise line.bad(f"video {video.video_id} is listed twice")
    return tuple(videos.values())


def write_predictions(path: Path, videos: Iterable[Predictions]) -> None:
    """Writes online results as `read_predictions` reads them."""
    rows = (
        _PredictionsRow(video_id=v.video_id, result=tuple((_ms(c.time_s), c.text) for c in v.captions))
        for v in videos
    )
    _write_rows(path, rows)


def read_conversations(path: Path) -> tuple[Conversation, ...]:
    """Reads dialogues: a JSON line with id, image, height_list, width_list and conversations per video.

    Raises:
        BadAnnotation: a line is no such object, or its images, sizes and `<image>` placeholders do not match.
    """
    return tuple(_conversation(line, row) for line, row in _rows(path, _ConversationRow))


def write_conversations(path: Path, conversations: Iterable[Conversation]) -> None:
    """Writes dialogues as `read_conversations` reads them."""
    rows = (
        _ConversationRow(
            id=c.id,
            image=c.images,
            height_list=c.heights,
            width_list=c.widths,
            conversations=tuple(_TurnRow(speaker=t.speaker, value=t.text) for t in c.turns),
        )
        for c in conversations
    )
    _write_rows(path, rows)


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, populate_by_name=True)


class _PredictionsRow(_Row):
    video_id: str
    result: tuple[tuple[str, str], ...]


class _TurnRow(_Row):
    speaker: Literal["human", "gpt"] = Field(validation_alias="from", serialization_alias="from")
    value: str


class _ConversationRow(_Row):
    id: str | int
    image: tuple[str, ...]
    height_list: tuple[int, ...]
    width_list: tuple[int, ...]
    conversations: tuple[_TurnRow, ...]


_RowT = TypeVar("_RowT", bound=_Row)


class _Line(NamedTuple):
    path: Path
    number: int
    text: str

    def bad(self, reason: str) -> BadAnnotation:
        return BadAnnotation(f"{self.path}:{self.number}: {reason}")


def _lines(path: Path) -> Iterator[_Line]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadAnnotation(f"{path}: cannot be read: {error}") from error
    # Not splitlines(): captions may hold the rarer separators that it would split at.
    lines = (_Line(path, number, text) for number, text in enumerate(text.split("\n"), start=1))
    return (line for line in lines if line.text.strip())


def _video_blocks(path: Path) -> list[list[_Line]]:
    """Groups the lines into one block per video: its own line, then its captions."""
    blocks: list[list[_Line]] = []
    for line in _lines(path):
        if _VIDEO.fullmatch(line.text.rstrip()) and not _CAPTION.fullmatch(line.text):
            blocks.append([line])
        elif blocks:
            blocks[-1].append(line)
        else:
            raise line.bad("expected the line of a video before its captions")
    return blocks


def _timed_caption(line: _Line) -> TimedCaption:
    if not (match := _CAPTION.fullmatch(line.text)):
        raise line.bad("expected a video file or 'Timestamp: HH:MM:SS Caption: …'")
    hours, minutes, seconds, text = match.groups()
    return TimedCaption(int(hours) * 3600 + int(minutes) * 60 + int(seconds), text)


def _conversation(line: _Line, row: _ConversationRow) -> Conversation:
    turns = tuple(Turn(turn.speaker, turn.value) for turn in row.conversations)
    try:
        return Conversation(row.id, row.image, row.height_list, row.width_list, turns)
    except ValueError as error:
        raise line.bad(str(error)) from None


def _rows(path: Path, row_type: type[_RowT]) -> Iterator[tuple[_Line, _RowT]]:
    for line in _lines(path):
        try:
            yield line, row_type.model_validate_json(line.text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise line.bad(f"{where}: {first['msg']}" if where else first["msg"]) from None


def _write_rows(path: Path, rows: Iterable[_Row]) -> None:
    _write_lines(path, (json.dumps(row.model_dump(by_alias=True), ensure_ascii=False) for row in rows))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _seconds(line: _Line, clock: str) -> int:
    if not (match := _CLOCK.fullmatch(clock)):
        raise line.bad(f"expected a time as 'MM:SS', not {clock!r}")
    return int(match[1]) * 60 + int(match[2])


def _hms(time_s: int) -> str:
    return f"{time_s // 3600:02d}:{time_s // 60 % 60:02d}:{time_s % 60:02d}"


def _ms(time_s: int) -> str:
    return f"{time_s // 60:02d}:{time_s % 60:02d}"


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError(f"the ground-truth format holds a caption on one line, not {text!r}")
    return text
