"""Perplexity and token accuracy of the true narrations, fed once: OmniStar's offline evaluation.

Every event's frames come first and then its narration, as the trunk of mode `branch` holds them; each narration is
predicted from all frames and narrations before it. Source: OmniStar, offline evaluation (PPL, TokAcc).

Shape suffixes: T tokens, S scored tokens, F frames, D width, V vocabulary.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch.nn import functional as F

from livestar.engine import StreamSettings
from livestar.evaluation.synth_annotations import ClipAnnotations
from livestar.evaluation.synthstar_watched import Forced
from livestar.model import ChatTemplate, DenseAttend, LoadedModel


@torch.inference_mode()
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
    events = _events(clip, model.template, settings, len(seen))
    ends = list(accumulate(len(frames) + len(told) for frames, told in events))
    events = events[: bisect_right(ends, settings.max_trunk_tokens)]
    if not events:
        return ()
    ids_T = torch.tensor(
        [i for frames, told in events for i in (*frames, *told)], device=model.network.device
    )
    hidden_TD = model.network.hidden_states(
        _embed(model, ids_T, seen), torch.arange(len(ids_T), device=ids_T.device), DenseAttend()
    )
    skipped = len(model.template.assistant_open)
    scored = []
    for (_, told), end in zip(events, ends, strict=False):
        # The words and the stop token; only the line break after it is free.
        rows = torch.arange(end - len(told) + skipped, end - len(model.template.turn_close) + 1)
        scored.append(_score(model, hidden_TD[rows - 1], ids_T[rows]))
    return tuple(scored)


def _events(
    clip: ClipAnnotations, template: ChatTemplate, settings: StreamSettings, num_frames: int
) -> list[tuple[list[int], list[int]]]:
    """For every event the ids of its frames, and those of its narration as a turn."""
    own = settings.task_prompt
    prompt = template.task_prompt if own is None else template.text(f"{own.rstrip()}\n")
    limit = settings.frame_index_limit or num_frames
    events, first = [], 0
    for last, event in zip(clip.last_seconds, clip.events, strict=True):
        frames = [*template.system] if first == 0 else []
        for second in range(first, min(last + 1, num_frames)):
            opening = (*template.user_open, *prompt) if second == 0 else template.user_open
            frames += [*opening, *template.frame_line(second % limit + 1), *template.turn_close]
        told = [*template.assistant_open, *template.text(event.narration), *template.turn_close]
        events.append((frames, told))
        first = last + 1
    return events


def _embed(model: LoadedModel, ids_T: torch.Tensor, seen: Sequence[torch.Tensor]) -> torch.Tensor:
    """Embeddings [T, D] with the visual tokens in their places."""
    x_TD = model.network.embed_tokens(ids_T).clone()
    places_T = ids_T == model.tokenizer.img_context_id
    visual_RD = torch.cat(list(seen))[: int(places_T.sum())]
    x_TD[places_T] = visual_RD.to(x_TD)
    return x_TD


def _score(model: LoadedModel, hidden_SD: torch.Tensor, targets_S: torch.Tensor) -> Forced:
    logits_SV = model.network.score(hidden_SD)
    right_S = logits_SV.argmax(-1) == targets_S
    return Forced(float(F.cross_entropy(logits_SV, targets_S)), float(right_S.float().mean()))
