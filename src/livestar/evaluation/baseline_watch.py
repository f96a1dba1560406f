"""Watches a clip with a model that decides by a token or by a head, and keeps frames and captions in one growing context.

The published online loop of VideoLLM-online, and of MMDuet: after every frame the last row says how likely silence is; when
it is too unlikely, the caption's turn is opened and decoded greedily, and stays. At the first frame one always speaks, as
the engine does.

Shape suffixes: T tokens, C cached rows, L layers, N query heads, K kv heads, H head width, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from livestar.engine.runner import penalise
from livestar.evaluation.synth_annotations import ClipAnnotations
from livestar.evaluation.synthstar_watched import Said, Watched
from livestar.kv import Sampling
from livestar.model import LoadedModel
from livestar.training.methods import DecisionIds

FRAME_INDEX_LIMIT = 999


@dataclass(frozen=True)
class OnlineSettings:
    """How such a model is served.

    Attributes:
        ids: what the decision is between.
        is_head: silence is weighed against speaking only; otherwise against the whole vocabulary.
        threshold: one speaks when silence is less likely than this.
        max_caption_tokens: captions are closed at this length.
        repetition_penalty: over the tokens of the current caption only, as in the engine.
    """

    ids: DecisionIds
    is_head: bool
    threshold: float = 0.5
    max_caption_tokens: int = 64
    repetition_penalty: float = 1.05

    def silence(self, logits_V: torch.Tensor) -> float:
        """How likely silence is."""
        if self.is_head:
            return float(logits_V[[self.ids.silent, self.ids.speak]].softmax(-1)[0])
        return float(logits_V.softmax(-1)[self.ids.silent])


class GrowingAttend:
    """Causal attention over everything fed so far; see `livestar.model.Attend`. One sequence, no batch.

    Args:
        num_layers: of the network.
        num_rows: room to begin with; doubled where it ends.
    """

    def __init__(self, num_layers: int, num_rows: int = 1024) -> None:
        self._num_layers, self._room = num_layers, num_rows
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self.num_rows = 0

    def __call__(
        self, layer: int, q_TNH: torch.Tensor, k_TKH: torch.Tensor, v_TKH: torch.Tensor
    ) -> torch.Tensor:
        """Adds keys and values, and returns the heads' outputs [T, N, H]."""
        start, end = self.num_rows, self.num_rows + len(k_TKH)
        k_CKH = self._extend(self._keys, layer, k_TKH, start, end)
        v_CKH = self._extend(self._values, layer, v_TKH, start, end)
        if layer == self._num_layers - 1:
            self.num_rows = end
        mask_TC = None if len(q_TNH) == 1 else torch.ones(end - start, end, dtype=torch.bool).tril(start)
        q, k, v = (x.transpose(0, 1)[None] for x in (q_TNH, k_CKH, v_CKH))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask_TC, enable_gqa=True)[0].transpose(0, 1)

    def _extend(
        self, cache: list[torch.Tensor], layer: int, new_TKH: torch.Tensor, start: int, end: int
    ) -> torch.Tensor:
        if layer == len(cache):
            cache.append(new_TKH.new_empty(max(self._room, end), *new_TKH.shape[1:]))
        if end > len(cache[layer]):
            grown = new_TKH.new_empty(max(2 * len(cache[layer]), end), *new_TKH.shape[1:])
            grown[:start] = cache[layer][:start]
            cache[layer] = grown
        cache[layer][start:end] = new_TKH
        return cache[layer][:end]


@dataclass(frozen=True)
class Heard:
    """What became of one frame: how likely silence was, and the ids of what was said; None for silence."""

    silence: float
    ids: tuple[int, ...] | None


class OnlineStream:
    """One stream.

    Args:
        model: on a CPU.
        settings: how it decides.
    """

    def __init__(self, model: LoadedModel, settings: OnlineSettings) -> None:
        self._model, self._settings = model, settings
        self._attend = GrowingAttend(model.network.config.llm_config.num_hidden_layers)
        self._pending: list[int] = list(model.template.system)
        stop = model.template.stop_id
        self._forbidden = tuple(sorted(model.tokenizer.reserved_ids - {stop}))
        self._number = 0

    @torch.inference_mode()
    def watch(self, tokens_VD: torch.Tensor) -> Heard:
        """Takes the visual tokens [16, D] of the next frame."""
        template = self._model.template
        self._number += 1
        index = (self._number - 1) % FRAME_INDEX_LIMIT + 1
        prompt = template.task_prompt if self._number == 1 else ()
        turn = (*template.user_open, *prompt, *template.frame_line(index), *template.turn_close)
        silence = self._settings.silence(self._feed(turn, tokens_VD))
        if self._number > 1 and silence >= self._settings.threshold:
            return Heard(silence, None)
        return Heard(silence, self._say())

    def _say(self) -> tuple[int, ...]:
        template, settings = self._model.template, self._settings
        said: list[int] = []
        logits_V = self._feed(template.assistant_open)
        while len(said) < settings.max_caption_tokens:
            logits_V = penalise(logits_V, Sampling(tuple(said), settings.repetition_penalty))
            logits_V[list(self._forbidden if said else (*self._forbidden, template.stop_id))] = -torch.inf
            token = int(logits_V.argmax())
            if token == template.stop_id:
                break
            said.append(token)
            if len(said) < settings.max_caption_tokens:
                logits_V = self._feed((token,))
            else:
                self._pending.append(token)
        # Fed together with the next frame.
        self._pending += template.turn_close
        return tuple(said)

    def _feed(self, ids: Iterable[int], tokens_VD: torch.Tensor | None = None) -> torch.Tensor:
        """Logits [V] of the last row after what is pending and these ids."""
        network = self._model.network
        ids_T = torch.tensor([*self._pending, *ids])
        self._pending = []
        x_TD = network.embed_tokens(ids_T)
        if tokens_VD is not None:
            x_TD[ids_T == self._model.tokenizer.img_context_id] = tokens_VD.to(x_TD)
        first = self._attend.num_rows
        positions_T = torch.arange(first, first + len(ids_T))
        return network.score(network.hidden_states(x_TD, positions_T, self._attend)[-1:])[0]


def watch_online(
    model: LoadedModel, clip: ClipAnnotations, seen: Iterable[torch.Tensor], settings: OnlineSettings
) -> Watched:
    """Narrates a clip.

    Args:
        model: what watches, on a CPU.
        clip: the ground truth.
        seen: visual tokens [16, D] of the frames at 0 s, 1 s …
        settings: how to decide.
    """
    stream, said, num_frames = OnlineStream(model, settings), [], 0
    for second, tokens_VD in enumerate(seen):
        num_frames += 1
        ids = stream.watch(tokens_VD).ids
        if ids is not None:
            said.append(Said(second, model.tokenizer.decode(ids).strip()))
    return Watched(clip=clip, num_frames=num_frames, busy_s=0.0, said=tuple(said))
