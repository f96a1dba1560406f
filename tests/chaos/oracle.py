"""What one engine that nobody interrupts decides on the very frames that were decided, for comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch

from fakes.decoding import decisions
from fakes.nano import Nano
from livestar.api.v1 import events_pb2
from livestar.core.decision import Decision, Event
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber, StreamId
from livestar.engine import Engine, EngineSettings
from livestar.kv import PositionPolicy
from livestar.media import VideoSource
from livestar.media.image import decode_image, encode_image, resize_frame

NS = 1_000_000_000
TOLERANCE_NATS = 1e-3


@dataclass(frozen=True)
class Comparison:
    """What was seen against what an uninterrupted engine says.

    Attributes:
        stream: name of the stream.
        decisions: how many were compared.
        equal: how many are equal in action, rule, clip and text, and in their likelihoods up to `TOLERANCE_NATS`.
        takeovers: how often another owner went on.
        preserved: after how many of them every decision of that owner is equal.
        largest_nats: largest difference of likelihoods where the decisions agree.
        first_difference: where they part, for people; empty where they do not.
    """

    stream: str
    decisions: int
    equal: int
    takeovers: int
    preserved: int
    largest_nats: float
    first_difference: str


def compare(
    stream: str, path: Path, seconds: int, events: Sequence[events_pb2.StreamEvent], positions: str
) -> Comparison:
    """Watches again, in this process, the frames that `events` decide.

    Args:
        stream: name of the stream.
        path: its recording, which was played again and again.
        seconds: length of the recording.
        events: what a subscriber saw.
        positions: the decoders' setting of that name.
    """
    nano = Nano()
    seen = [one for one in decisions(events) if one[1].channel == "narration"]
    pts = {event.frame_sequence: event.pts_ns for event in events if event.HasField("decision")}
    epochs = {event.frame_sequence: event.epoch for event in events if event.HasField("decision")}
    expected = _watch(
        nano, StreamId(stream), _look(nano, path), seconds, [f for f, _ in seen], pts, positions
    )
    equal: dict[int, bool] = {}
    largest, difference = 0.0, ""
    for frame, decision in seen:
        nats = _distance(decision, expected[frame])
        equal[frame] = nats is not None and nats <= TOLERANCE_NATS
        largest = max(largest, nats or 0.0)
        if not equal[frame] and not difference:
            difference = f"frame {frame}: seen {_say(decision)}, expected {_say_own(expected[frame])}"
    owners = sorted(set(epochs.values()))
    wrong = {epochs[frame] for frame, same in equal.items() if not same}
    return Comparison(
        stream,
        len(seen),
        sum(equal.values()),
        len(owners) - 1,
        sum(owner not in wrong for owner in owners[1:]),
        largest,
        difference,
    )


def _look(nano: Nano, path: Path) -> list[torch.Tensor]:
    """Visual tokens of the recording's frames, a second apart: scaled and packed as ingest does."""
    with VideoSource.open(str(path)) as source:
        packed = [encode_image(resize_frame(sample.rgb, 224), "JPEG") for sample in source.frames(1.0)]
    return [nano.model.see([decode_image(data, "JPEG", 224, 224)])[0] for data in packed]


def _watch(
    nano: Nano,
    stream: StreamId,
    tokens: Sequence[torch.Tensor],
    seconds: int,
    frames: Sequence[int],
    pts: dict[int, int],
    positions: str,
) -> dict[int, Decision]:
    engine = Engine.of(nano.model, EngineSettings(num_pages=1024))
    engine.open_stream(stream, nano.settings(positions=PositionPolicy(positions)))
    told: list[Event] = []
    for frame in frames:
        at_s = Fraction(pts[frame], NS) % seconds
        index = round(at_s)
        assert abs(at_s - index) < Fraction(1, 100), f"{stream} frame {frame} lies between two seconds"
        engine.submit_frame(stream, EncodedFrame(FrameNumber(frame), pts[frame], tokens[index % seconds]))
        told += engine.run_until_idle()
    return {event.frame: event for event in told if isinstance(event, Decision)}


def _distance(seen: events_pb2.Decision, expected: Decision) -> float | None:
    """Largest difference of the likelihoods in nats a token; None where the decisions themselves differ."""
    said = (
        events_pb2.Action.Name(seen.action),
        events_pb2.Rule.Name(seen.rule),
        seen.clip,
        seen.text,
        tuple(seen.token_ids),
    )
    own = (
        f"ACTION_{expected.action.name}",
        f"RULE_{expected.rule.name}",
        expected.clip,
        expected.text,
        expected.token_ids,
    )
    if said != own:
        return None
    pairs = [(getattr(seen, name), getattr(expected, name)) for name in ("nll", "reference_nll")]
    return max((abs(a - b) for a, b in pairs if math.isfinite(a) and math.isfinite(b)), default=0.0)


def _say(d: events_pb2.Decision) -> str:
    action = events_pb2.Action.Name(d.action).removeprefix("ACTION_").lower()
    return f"{action} '{d.text}' (clip {d.clip}, nll {d.nll:.4f} of {d.reference_nll:.4f})"


def _say_own(d: Decision) -> str:
    return f"{d.action.name.lower()} '{d.text}' (clip {d.clip}, nll {d.nll:.4f} of {d.reference_nll:.4f})"
