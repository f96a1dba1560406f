"""OmniStar's conversations as training sequences: every frame a turn of its own, the caption of its event behind it.

Source: LiveStar (arXiv 2511.05299), published training code, which repeats a clip's caption after each of its frames.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from pydantic import BaseModel, Field, ValidationError
from torch.utils.data import IterableDataset, get_worker_info

from livestar.core.errors import BadAnnotation
from livestar.model import read_image, resize_frame
from livestar.training.batch import ShownSample
from livestar.training.packing import LeafKind, Packer, Question, Watched, WatchedFrame
from livestar.training.synthstar_dataset import Stream

_FRAME_LINE = re.compile(r"(?:Frame-\d+: ?)?<image>\n?")


class _Turn(BaseModel):
    speaker: Literal["human", "gpt"] = Field(alias="from")
    value: str


class _Row(BaseModel):
    image: list[str]
    conversations: list[_Turn]


@dataclass(frozen=True)
class Dialogue:
    """One video: its picture files, and what is said over them."""

    images: tuple[str, ...]
    watched: Watched


class OmniStarDialogues(IterableDataset[ShownSample]):
    """Random dialogues of a file, without end.

    Args:
        packer: turns dialogues into ids; what exceeds its length is cut off.
        annotations: conversation file, one JSON object per line.
        root: folder of the pictures.
        size: side of the network's pictures in pixels.
        stream: which part of the endless row of dialogues.

    Raises:
        BadAnnotation: the file cannot be read, or a line is no dialogue.
    """

    def __init__(self, packer: Packer, annotations: Path, root: Path, size: int, stream: Stream) -> None:
        self._packer, self._root, self._size, self._stream = packer, root, size, stream
        self._dialogues = read_dialogues(annotations)

    def __iter__(self) -> Iterator[ShownSample]:
        """Yields this worker's dialogues; which ones depends on the stream alone."""
        info = get_worker_info()
        lane, num_lanes = (info.id, info.num_workers) if info else (0, 1)
        stream = self._stream
        batch = stream.first_batch + lane
        while True:
            first = (batch * stream.num_ranks + stream.rank) * stream.batch_size
            for number in range(first, first + stream.batch_size):
                yield self._sample(number)
            batch += num_lanes

    def _sample(self, number: int) -> ShownSample:
        """Dialogues come in a new order in every pass over the file."""
        count = len(self._dialogues)
        turn, at = divmod(number, count)
        order = Random(f"{self._stream.seed}/{turn}").sample(range(count), count)  # noqa: S311 - data, not secrets
        dialogue = self._dialogues[order[at]]
        sample = self._packer.pack(dialogue.watched)
        paths = [self._root / dialogue.images[n - 1] for n in sample.shown]
        return ShownSample(sample, tuple(resize_frame(read_image(path), self._size) for path in paths))


def read_dialogues(annotations: Path) -> tuple[Dialogue, ...]:
    """Reads a conversation file.

    Raises:
        BadAnnotation: it cannot be read, is empty, or a line is no dialogue whose placeholders match its images.
    """
    try:
        lines = annotations.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadAnnotation(f"{annotations}: cannot be read: {error}") from error
    dialogues = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                dialogues.append(_dialogue(_Row.model_validate(json.loads(line))))
            except (ValidationError, ValueError) as error:
                raise BadAnnotation(f"{annotations}:{number}: {' '.join(str(error).split())}") from None
    if not dialogues:
        raise BadAnnotation(f"{annotations}: holds no dialogue")
    return tuple(dialogues)


def _dialogue(row: _Row) -> Dialogue:
    """An event ends where the caption changes. Words beside frames are a question, but for those of the first turn."""
    items: list[WatchedFrame] = []
    questions: list[tuple[int, Question]] = []
    event, before = 0, None
    for human, gpt in zip(row.conversations[::2], row.conversations[1::2], strict=True):
        if (human.speaker, gpt.speaker) != ("human", "gpt"):
            raise ValueError("human and gpt take turns")
        count, asked = human.value.count("<image>"), _FRAME_LINE.sub("", human.value).strip()
        is_question = bool(asked and items)
        if not is_question:
            event, is_onset = event + (gpt.value != before), gpt.value != before
            before = gpt.value
        caption = None if is_question else gpt.value
        items += [
            WatchedFrame(len(items) + 1 + i, event, caption, is_onset=not is_question and is_onset and i == 0)
            for i in range(count)
        ]
        if is_question:
            questions.append((len(items) - 1, Question(LeafKind.CHAIN, ((asked, gpt.value),))))
    if len(items) != len(row.image) or not items:
        raise ValueError(f"{len(row.image)} images, but {len(items)} <image>")
    return Dialogue(tuple(row.image), Watched(tuple(items), from_start=True, questions=tuple(questions)))
