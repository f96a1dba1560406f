"""Perplexity and token accuracy of a dialogue's captions, fed once: OmniStar's offline evaluation.

The dialogue is fed as it is written: its turns, its words, its frame numbers. What is scored is known from how the sequence
is put together, so that questions between the frames and large frame numbers do no harm.
Source: OmniStar, offline evaluation (PPL, TokAcc).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from livestar.core.errors import BadAnnotation, InvalidInput
from livestar.evaluation.omnistar import Conversation
from livestar.evaluation.omnistar_folder import located
from livestar.evaluation.omnistar_watch import NotScored
from livestar.evaluation.synthstar_watch import see
from livestar.evaluation.synthstar_watched import Forced
from livestar.evaluation.teacher_forcing import ForcedTurn, fitting, force_turns
from livestar.evaluation.worker_pool import Checkpoint
from livestar.model import ChatTemplate, read_image
from livestar.model.config import NUM_VISUAL_TOKENS

_FRAME_LINE = re.compile(r"(?:Frame-(\d{1,9}): ?)?<image>\n?", re.ASCII)


@dataclass(frozen=True)
class ForcedDialogue:
    """The captions of one dialogue.

    Attributes:
        id: of the dialogue.
        forced: of the captions that were scored.
        too_long: captions at the end that did not fit.
    """

    id: str
    forced: tuple[Forced, ...]
    too_long: int


@dataclass(frozen=True)
class DialogueForcing:
    """Scores the dialogues of a folder.

    Attributes:
        checkpoint: what predicts.
        folder: where the frames lie.
        max_tokens: a dialogue is fed up to this length.
    """

    checkpoint: Checkpoint
    folder: Path
    max_tokens: int

    def force(self, conversation: Conversation) -> ForcedDialogue | NotScored:
        """Scores one dialogue; one whose frames cannot be read is left out."""
        model, name = self.checkpoint.load(), str(conversation.id)
        try:
            turns = dialogue_turns(conversation, model.template)
            kept = fitting(turns, self.max_tokens)
            if not kept:
                return NotScored(name, f"its first caption does not fit {self.max_tokens} tokens")
            shown = sum(turn.shown.count(model.tokenizer.img_context_id) for turn in kept)
            paths = [
                located(self.folder, image) for image in conversation.images[: shown // NUM_VISUAL_TOKENS]
            ]
            tokens = [frame.tokens for frame in see(model, map(read_image, paths))]
        except InvalidInput as error:
            return NotScored(name, str(error))
        return ForcedDialogue(name, force_turns(model, kept, tokens), len(turns) - len(kept))


def dialogue_turns(conversation: Conversation, template: ChatTemplate) -> list[ForcedTurn]:
    """The ids of a dialogue: one item a caption, with every human turn before it.

    A frame line without a number gets the next one. Where the first turn has no words, the checkpoint's task prompt stands
    in their place.

    Raises:
        BadAnnotation: nothing is said in the dialogue.
    """
    turns: list[ForcedTurn] = []
    shown, number = [*template.system], 0
    is_first = True
    for turn in conversation.turns:
        if turn.speaker == "gpt":
            turns.append(ForcedTurn.of(template, shown, turn.text))
            shown = []
            continue
        ids, number = _human(turn.text, template, number)
        prompt = template.task_prompt if is_first and not _FRAME_LINE.sub("", turn.text).strip() else ()
        shown += [*template.user_open, *prompt, *ids, *template.turn_close]
        is_first = False
    if not turns:
        raise BadAnnotation(f"nothing is said in the dialogue '{conversation.id}'")
    return turns


def _human(text: str, template: ChatTemplate, number: int) -> tuple[list[int], int]:
    """Ids of a human turn, and the number of its last frame."""
    ids: list[int] = []
    at = 0
    for line in _FRAME_LINE.finditer(text):
        ids += template.text(text[at : line.start()])
        number = int(line[1] or number + 1)
        ids += template.frame_line(number)
        at = line.end()
    return [*ids, *template.text(text[at:])], number
