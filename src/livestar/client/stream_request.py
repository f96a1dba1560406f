"""What is asked of a gateway, and what it tells: values, as its JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self


@dataclass(frozen=True)
class StreamRequest:
    """A stream to create. What is None is the gateway's to choose.

    Attributes:
        source: a path that ingest can read, or an address.
        id: a name; empty: it gets one.
        fps: frames to watch per second.
        pace: "live": as the source sends; "realtime": a recording at the pace of life; "fast": a recording, as fast as it can be
            decided.
        alpha: sensitivity of the narration, at least 1.
        task_prompt: an instruction before the first frame.
        standing: standing questions, open from the start.
        loop: play a recording again whenever it ends.
    """

    source: str
    id: str = ""
    fps: float = 1.0
    pace: Literal["live", "realtime", "fast"] | None = None
    alpha: float | None = None
    task_prompt: str = ""
    standing: tuple[str, ...] = ()
    loop: bool = False

    def as_json(self) -> dict[str, object]:
        """The body of the request, without what is not set."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", (), False)}


@dataclass(frozen=True)
class StreamView:
    """A stream, as a gateway shows it.

    Attributes:
        id: its name.
        state: what it is doing: pending, starting, running, stopping, stopped, ended, failed.
        reason: one sentence on how it came into this state.
        source: where it comes from, without credentials.
        fps: frames per second.
        decided_pts_s: presentation time of the last decided frame, seconds.
        behind_frames: frames that were captured and are not decided yet.
    """

    id: str
    state: str
    reason: str
    source: str
    fps: float
    decided_pts_s: float
    behind_frames: int

    @property
    def over(self) -> bool:
        """Whether it has come to its end."""
        return self.state in ("stopped", "ended", "failed")

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Reads the JSON form of `StreamInfo`."""
        spec = told.get("spec", {})
        captured, decided = int(told.get("captured_sequence", 0)), int(told.get("decided_sequence", 0))
        return cls(
            id=str(spec.get("stream_id", "")),
            state=str(told.get("state", "")).removeprefix("STREAM_STATE_").lower(),
            reason=str(told.get("reason", "")),
            source=str(spec.get("source", "")),
            fps=float(spec.get("fps", 0)),
            decided_pts_s=int(told.get("decided_pts_ns", 0)) / 1e9,
            behind_frames=max(0, captured - decided),
        )


@dataclass(frozen=True)
class AskReply:
    """An answer.

    Attributes:
        question: id of the question within its stream.
        text: the answer.
        pts_s: presentation time of the last frame that it could see, seconds.
        ending: how it ended: complete, truncated, cancelled or degraded.
    """

    question: int
    text: str
    pts_s: float
    ending: str

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Reads the JSON form of an `AskResponse` that holds the answer."""
        answer = told.get("answer", {})
        return cls(
            question=int(answer.get("question_id", 0)),
            text=str(answer.get("text", "")),
            pts_s=int(told.get("pts_ns", 0)) / 1e9,
            ending=str(answer.get("ending", "")).removeprefix("ENDING_").lower(),
        )
