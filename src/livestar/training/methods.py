"""The methods that are trained side by side: how each turns a watched window into a sequence, and what it decides by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from livestar.core.errors import InvalidInput
from livestar.model import ChatTemplate
from livestar.training.baseline_packing import CausalPacker, OnlinePacker, RecentPacker
from livestar.training.boundaries import Boundaries
from livestar.training.packing import Packer
from livestar.training.synthstar_windows import WindowSettings

RECENT_FRAMES = 4
"""Frames that `recent` sees."""

JITTER = Boundaries(late=0.5, doubled=0.03, misheard=0.1)
"""Shares of the trunk's clips that end late, of frames that end a clip by mistake, and of wrong terminal captions."""


EOS_ID, UNKNOWN_ID = 2, 0
"""`</s>` and `<unk>` of the published vocabulary: no template and no text holds them, and nothing generates them."""


@dataclass(frozen=True, slots=True)
class DecisionIds:
    """What a decision is between.

    `silent` and `speak` are rows of the vocabulary. In `eos` they are tokens; in `head` two ids that no text and no template
    holds, whose output rows are a linear head on the hidden state.
    """

    silent: int
    speak: int


@dataclass(frozen=True)
class Method:
    """A method of training.

    Attributes:
        name: on the command line, and of its folder.
        summary: what it is.
        packer: for a template and a length of sequences.
        windows: its own version of the common settings; must show the same frames.
        speak_weight: a head decides; weight of "speak" in its cross entropy against "silent". None: no head.
    """

    name: str
    summary: str
    packer: Callable[[ChatTemplate, int], Packer]
    windows: Callable[[WindowSettings], WindowSettings] = lambda windows: windows
    speak_weight: float | None = None


def eos_ids(template: ChatTemplate) -> DecisionIds:
    """`eos` decides between the end of the sequence and the beginning of a caption's turn."""
    return DecisionIds(EOS_ID, template.assistant_open[0])


HEAD_IDS = DecisionIds(EOS_ID, UNKNOWN_ID)
"""What `head` decides between."""


def chosen(names: Sequence[str]) -> tuple[Method, ...]:
    """Methods by name, each once.

    Raises:
        InvalidInput: there is no such method, or none is named.
    """
    if not names:
        raise InvalidInput(f"name at least one method: {', '.join(METHODS)}")
    if unknown := [name for name in names if name not in METHODS]:
        raise InvalidInput(f"there is no method {unknown[0]!r}: choose from {', '.join(METHODS)}")
    return tuple(METHODS[name] for name in dict.fromkeys(names))


def _jittered(windows: WindowSettings) -> WindowSettings:
    return replace(windows, boundaries=JITTER)


def _eos_packer(template: ChatTemplate, max_tokens: int) -> Packer:
    return OnlinePacker(template, silent_id=EOS_ID, max_tokens=max_tokens)


METHODS = {
    method.name: method
    for method in (
        Method(
            "scam-paper",
            "SCAM, a clip's last caption stays visible",
            lambda template, size: Packer(template, variant="paper", max_tokens=size),
        ),
        Method(
            "scam-released",
            "SCAM, every caption is hidden",
            lambda template, size: Packer(template, variant="released", max_tokens=size),
        ),
        Method(
            "scam-jitter",
            "SCAM as in the paper, the trunk's clips end late, twice or with a wrong caption",
            lambda template, size: Packer(template, variant="paper", max_tokens=size),
            windows=_jittered,
        ),
        Method("eos", "a caption once, silence is the end-of-sequence token (VideoLLM-online)", _eos_packer),
        Method(
            "head",
            "a caption once, a head decides at every frame (MMDuet)",
            lambda template, size: OnlinePacker(template, max_tokens=size),
            speak_weight=4.0,
        ),
        Method(
            "causal",
            "a caption at every frame, everything visible: no SCAM",
            lambda template, size: CausalPacker(template, max_tokens=size),
        ),
        Method(
            "recent",
            "SCAM, every caption hidden, the last four frames only (SimpleStream)",
            lambda template, size: RecentPacker(template, num_frames=RECENT_FRAMES, max_tokens=size),
        ),
    )
}
