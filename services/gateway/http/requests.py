"""Bodies that callers send, and what they mean as protos. A field that is not given takes the default of whoever uses it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from livestar.api.v1 import common_pb2
from livestar.bus.specification import (
    MAX_CHANNELS,
    MAX_FPS,
    MAX_SOURCE_CHARS,
    MAX_TEXT_CHARS,
    MAX_TITLE_CHARS,
)
from livestar.core.ids import MAX_ID_CHARS

NAME = rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_ID_CHARS - 1}}}$"

Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]

PACES = {
    "auto": common_pb2.PACE_UNSPECIFIED,
    "live": common_pb2.PACE_LIVE,
    "realtime": common_pb2.PACE_REALTIME,
    "fast": common_pb2.PACE_AS_FAST_AS_POSSIBLE,
}
MODES = {
    None: common_pb2.DECODING_MODE_UNSPECIFIED,
    "branch": common_pb2.DECODING_MODE_BRANCH,
    "reference": common_pb2.DECODING_MODE_REFERENCE,
}
POLICIES = {
    None: common_pb2.MEMORY_POLICY_KIND_UNSPECIFIED,
    "budget": common_pb2.MEMORY_POLICY_KIND_TOKEN_BUDGET,
    "published": common_pb2.MEMORY_POLICY_KIND_PUBLISHED_PEAK_END,
    "probabilistic": common_pb2.MEMORY_POLICY_KIND_PROBABILISTIC_PEAK_END,
}
KINDS = {"standing": common_pb2.CHANNEL_KIND_STANDING, "probe": common_pb2.CHANNEL_KIND_PROBE}


class Body(BaseModel):
    """A body; a field that nobody knows is refused, so that a misspelt one is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Gate(Body):
    """When a channel speaks."""

    alpha: Annotated[
        float | None,
        Field(
            ge=1,
            allow_inf_nan=False,
            description="Speak when the perplexity exceeds the reference by this factor.",
        ),
    ] = None
    min_gap_s: Annotated[Seconds | None, Field(description="Seconds of silence after speaking.")] = None
    hysteresis: Annotated[
        bool | None, Field(description="Let a second frame confirm a rise of up to alpha squared.")
    ] = None
    max_silence_s: Annotated[
        Seconds | None, Field(description="Speak again after so many seconds; more than min_gap_s.")
    ] = None

    def gate(self) -> common_pb2.GateSettings:
        """As a proto; `max_silence_s` is checked with the rest of a specification."""
        return common_pb2.GateSettings(
            alpha=self.alpha,
            min_gap_s=self.min_gap_s,
            hysteresis=self.hysteresis,
            max_silence_s=self.max_silence_s,
        )


class Channel(Gate):
    """A standing question, answered again whenever its answer stops holding; or a text whose likelihood is measured."""

    text: Annotated[Text, Field(description="The question, or the text to measure.")]
    name: Annotated[
        Name | None, Field(description="Name within the stream; it gets one when none is given.")
    ] = None
    kind: Literal["standing", "probe"] = "standing"

    def spec(self, name: str = "") -> common_pb2.ChannelSpec:
        """As a proto; `name` where it has none of its own."""
        return common_pb2.ChannelSpec(
            channel=self.name or name, kind=KINDS[self.kind], text=self.text, gate=self.gate()
        )


class Retention(Body):
    """What is remembered of a stream, and what of its events is kept."""

    policy: Annotated[
        Literal["budget", "published", "probabilistic"] | None, Field(description="What the memory forgets.")
    ] = None
    max_trunk_tokens: Annotated[int | None, Field(ge=1, le=2**32 - 1)] = None
    low_water: Annotated[float | None, Field(gt=0, le=1)] = None
    protect_s: Seconds | None = None
    trigger_frames: Annotated[int | None, Field(ge=1, le=2**32 - 1)] = None
    window_frames: Annotated[int | None, Field(ge=0, le=2**32 - 1)] = None
    strength: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    seed: Annotated[int | None, Field(ge=0, le=2**64 - 1)] = None
    max_events: Annotated[
        int | None, Field(ge=16, le=1_000_000, description="Events kept for those who come later; 10000.")
    ] = None

    def policy_proto(self) -> common_pb2.MemoryPolicy:
        """The memory's part, as a proto."""
        return common_pb2.MemoryPolicy(
            kind=POLICIES[self.policy],
            max_trunk_tokens=self.max_trunk_tokens,
            low_water=self.low_water,
            protect_s=self.protect_s,
            trigger_frames=self.trigger_frames,
            window_frames=self.window_frames,
            strength=self.strength,
            seed=self.seed,
        )


class NewStream(Gate):
    """A source, and how to watch it."""

    source: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_SOURCE_CHARS,
            description="A path that ingest can read, or an address (rtsp, rtmp, http …).",
        ),
    ]
    id: Annotated[Name | None, Field(description="Name of the stream; it gets one when none is given.")] = (
        None
    )
    title: Annotated[str, Field(max_length=MAX_TITLE_CHARS)] = ""
    fps: Annotated[float, Field(gt=0, le=MAX_FPS, description="Frames watched per second.")] = 1.0
    pace: Annotated[
        Literal["auto", "live", "realtime", "fast"],
        Field(
            description="live: as the source sends; realtime: a recording at the pace of life; fast: a recording, as fast as it "
            "can be decided, without dropping a frame; auto: live or realtime, as the source is."
        ),
    ] = "auto"
    loop: Annotated[bool, Field(description="Play a recording again whenever it ends.")] = False
    mode: Annotated[Literal["branch", "reference"] | None, Field(description="Form of decoding.")] = None
    max_caption_tokens: Annotated[int | None, Field(ge=1, le=2048)] = None
    task_prompt: Annotated[
        str | None, Field(max_length=MAX_TEXT_CHARS, description="Instruction before the first frame.")
    ] = None
    standing: Annotated[
        list[Text | Channel], Field(max_length=MAX_CHANNELS, description="Standing questions from the start.")
    ] = Field(default_factory=list)
    retention: Retention = Retention()
    max_in_flight: Annotated[
        int | None, Field(ge=1, le=256, description="Frames under way between ingest and decoder; 8.")
    ] = None
    probe: Annotated[
        bool,
        Field(description="Look at the source first, so that one that cannot be watched is refused at once."),
    ] = True

    def spec(self) -> common_pb2.StreamSpec:
        """As a proto."""
        channels = [
            channel.spec(f"standing-{number}")
            if isinstance(channel, Channel)
            else common_pb2.ChannelSpec(
                channel=f"standing-{number}", kind=common_pb2.CHANNEL_KIND_STANDING, text=channel
            )
            for number, channel in enumerate(self.standing, 1)
        ]
        settings = common_pb2.WatchSettings(
            mode=MODES[self.mode],
            gate=self.gate(),
            max_caption_tokens=self.max_caption_tokens,
            task_prompt=self.task_prompt,
            memory=self.retention.policy_proto(),
            channels=channels,
        )
        return common_pb2.StreamSpec(
            stream_id=self.id or "",
            source=self.source,
            fps=self.fps,
            pace=PACES[self.pace],
            max_in_flight=self.max_in_flight or 0,
            max_events=self.retention.max_events or 0,
            settings=settings,
            title=self.title,
            loop=self.loop,
        )


class Question(Body):
    """A question about what has been seen."""

    text: Annotated[Text, Field(description="The question.")]
    chain: Annotated[
        str, Field(max_length=64, description="Questions of one chain see each other's turns.")
    ] = ""
