"""A folder with OmniStar's own annotation files, and where the videos and frames lie that they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from livestar.core.errors import BadAnnotation
from livestar.evaluation.omnistar import (
    Conversation,
    NarratedVideo,
    read_conversations,
    read_narrated_videos,
)
from livestar.evaluation.synth_export import CONVERSATIONS, NARRATIONS


@dataclass(frozen=True)
class OmniStarFolder:
    """What is annotated in a folder.

    Attributes:
        path: the folder.
        videos: narrated videos, for watching; empty when there is no RNG_task_eval.txt.
        conversations: dialogues over frames, for teacher forcing; empty when there is no RNG_task_eval.jsonl.
    """

    path: Path
    videos: tuple[NarratedVideo, ...]
    conversations: tuple[Conversation, ...]

    @classmethod
    def read(cls, path: Path, limit: int | None = None) -> Self:
        """Reads the first `limit` videos and dialogues, or all.

        Raises:
            BadAnnotation: neither file is there, one cannot be read, or both are empty.
        """
        narrations, dialogues = path / NARRATIONS, path / CONVERSATIONS
        videos = read_narrated_videos(narrations) if narrations.is_file() else ()
        conversations = read_conversations(dialogues) if dialogues.is_file() else ()
        if not (videos or conversations):
            raise BadAnnotation(
                f"{path} holds no annotated video: put {NARRATIONS} or {CONVERSATIONS} into it"
            )
        return cls(path, videos[:limit], conversations[:limit])


def located(folder: Path, name: str) -> Path:
    """Where a file lies that an annotation names: at its path below the folder, or directly in it.

    Raises:
        BadAnnotation: the name leads out of the folder, or the file is in neither place.
    """
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise BadAnnotation(f"'{name}' leads out of {folder}: name files below it")
    for path in (folder / relative, folder / relative.name):
        if path.is_file():
            return path
    raise BadAnnotation(f"there is no '{name}' in {folder}: put the file there")
