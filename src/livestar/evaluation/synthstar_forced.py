"""Perplexity and token accuracy of the true narrations, fed once: OmniStar's offline evaluation.

Every event's frames come first and then its narration, as the trunk of mode `branch` holds them; each narration is
predicted from all frames and narrations before it. Source: OmniStar, offline evaluation (PPL, TokAcc).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from livestar.engine import StreamSettings
from livestar.evaluation.synth_annotations import ClipAnnotations
from livestar.evaluation.synthstar_watched import Forced
from livestar.evaluation.teacher_forcing import ForcedTurn, fitting, force_turns
from livestar.model import ChatTemplate, LoadedModel


def force(
    model: LoadedModel, clip: ClipAnnotations, seen: Sequence[torch.Tensor], settings: StreamSettings
) -> tuple[Forced, ...]:
    """Scores the narrations of a clip's first events, as many as fit `settings.max_trunk_tokens`.

    Args:
        model: what predicts.
        clip: the ground truth.
        seen: visual tokens [16, D] of the frames at 0 s, 1 s …
        settings: of the stream; the displayed frame numbers and the task prompt follow them.
    """
    turns = _turns(clip, model.template, settings, len(seen))
    return force_turns(model, fitting(turns, settings.max_trunk_tokens), seen)


def _turns(
    clip: ClipAnnotations, template: ChatTemplate, settings: StreamSettings, num_frames: int
) -> list[ForcedTurn]:
    own = settings.task_prompt
    prompt = template.task_prompt if own is None else template.text(f"{own.rstrip()}\n")
    limit = settings.frame_index_limit or num_frames
    turns, first = [], 0
    for last, event in zip(clip.last_seconds, clip.events, strict=True):
        shown = [*template.system] if first == 0 else []
        for second in range(first, min(last + 1, num_frames)):
            opening = (*template.user_open, *prompt) if second == 0 else template.user_open
            shown += [*opening, *template.frame_line(second % limit + 1), *template.turn_close]
        turns.append(ForcedTurn.of(template, shown, event.narration))
        first = last + 1
    return turns
