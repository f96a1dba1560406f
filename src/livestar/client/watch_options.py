"""What to watch and how, as `livestar watch` takes it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from livestar.client.timed_question import TimedQuestion


@dataclass(frozen=True)
class WatchOptions:
    """See the help of `livestar watch`.

    Attributes:
        seconds: of the video; None: all of it.
    """

    OF_THIS_PROCESS: ClassVar[tuple[str, ...]] = (
        "model",
        "min_gap",
        "max_silence",
        "hysteresis",
        "mode",
        "max_caption_tokens",
        "max_trunk_tokens",
        "device",
        "dtype",
    )
    """What the running system has been told already, or chooses itself."""

    video: str
    model: str = "nano"
    fps: float = 1.0
    as_json: bool = False
    realtime: bool = False
    alpha: float | None = None
    min_gap: float = 0.0
    max_silence: float | None = None
    hysteresis: bool = False
    mode: str = "branch"
    questions: tuple[TimedQuestion, ...] = ()
    standing: tuple[str, ...] = ()
    max_caption_tokens: int = 256
    max_trunk_tokens: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    seconds: float | None = None

    def of_this_process(self) -> list[str]:
        """Options that were chosen and that only this process can follow, as they are typed."""
        defaults = {field.name: field.default for field in fields(self)}
        chosen = [name for name in self.OF_THIS_PROCESS if getattr(self, name) != defaults[name]]
        return [f"--{name.replace('_', '-')}" for name in chosen]
