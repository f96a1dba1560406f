"""Brings a stream into the engine: anew, or from what the memory keeps of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from livestar.api.v1 import common_pb2, memory_pb2
from livestar.bus import Lease
from livestar.core.errors import FailedPrecondition, InvalidInput, LiveStarError
from livestar.core.ids import ChannelId, StreamId
from livestar.engine import Engine, StreamSettings, StreamSnapshot
from livestar.memory import PlannedElsewhere
from livestar.wire.errors import error_info
from livestar.wire.settings import complete_gate, complete_settings, gate_of, stream_settings
from livestar.wire.snapshot import snapshot_of
from services.decoder.journal import Journal
from services.decoder.shared import Kept, Shared

log = logging.getLogger("livestar.decoder")


def wanted_settings(
    spec: common_pb2.StreamSpec, shared: Shared
) -> tuple[common_pb2.WatchSettings, StreamSettings]:
    """How a new stream is to be watched, for the wire and for the engine.

    Raises:
        InvalidInput: that cannot work.
    """
    whole = complete_settings(spec.settings, shared.defaults)
    return whole, engine_settings(whole, spec, shared)


def engine_settings(
    whole: common_pb2.WatchSettings, spec: common_pb2.StreamSpec, shared: Shared
) -> StreamSettings:
    """Complete settings as the engine takes them; the inbox holds every frame that may be under way.

    Raises:
        InvalidInput: they cannot work.
    """
    return replace(stream_settings(whole, shared.defaults), max_pending_frames=max(1, spec.max_in_flight))


@dataclass(frozen=True)
class Opening:
    """A stream before the engine has it.

    Attributes:
        journal: what the memory will be told; it has to be there before the engine says anything.
        snapshot: where the stream goes on; None: it is opened anew.
        settings: how it is watched.
        planned: takes the memory's plans.
        channels: to be opened at once.
        problem: why it is not restored although something is kept.
    """

    journal: Journal
    snapshot: StreamSnapshot | None
    settings: StreamSettings
    planned: PlannedElsewhere
    channels: tuple[common_pb2.ChannelSpec, ...] = ()
    problem: LiveStarError | None = None

    @classmethod
    def of(cls, spec: common_pb2.StreamSpec, lease: Lease, kept: Kept, shared: Shared) -> Opening:
        """Decides how a stream is opened.

        Raises:
            InvalidInput: its settings cannot work.
        """
        if not kept.head.epoch:
            return cls.anew(spec, lease, kept.head, shared)
        try:
            return cls._restored(spec, lease, kept, shared)
        except (InvalidInput, FailedPrecondition) as error:
            return cls.anew(spec, lease, kept.head, shared, problem=error)

    @classmethod
    def anew(
        cls,
        spec: common_pb2.StreamSpec,
        lease: Lease,
        known: memory_pb2.StreamHead,
        shared: Shared,
        *,
        problem: LiveStarError | None = None,
    ) -> Opening:
        """A stream that remembers nothing; it goes on behind the frames and events that are there already."""
        whole, settings = wanted_settings(spec, shared)
        planned = _planned(settings)
        head = memory_pb2.StreamHead(
            epoch=lease.epoch,
            settings=whole,
            model_id=shared.model_id,
            decided_sequence=known.decided_sequence,
            event_sequence=known.event_sequence,
            ingest_epoch=known.ingest_epoch,
            last_order=known.last_order,
            last_question_id=known.last_question_id,
            open_question_ids=known.open_question_ids,
        )
        journal = Journal(
            head,
            StreamSnapshot(lease.stream, settings),
            texts={ChannelId(channel.channel): channel.text for channel in whole.channels},
            image_token_id=shared.image_token_id,
            replace=True,
        )
        if problem:
            log.warning("watching begins anew: %s", problem)
            journal.failed(error_info(problem))
        return cls(
            journal,
            None,
            replace(settings, memory=planned),
            planned,
            tuple(whole.channels),
            problem,
        )

    @classmethod
    def _restored(cls, spec: common_pb2.StreamSpec, lease: Lease, kept: Kept, shared: Shared) -> Opening:
        if kept.head.model_id != shared.model_id:
            raise FailedPrecondition(
                f"what is remembered of this stream belongs to checkpoint {kept.head.model_id}, and this decoder has "
                f"{shared.model_id}: give all decoders the same one"
            )
        settings = engine_settings(kept.head.settings, spec, shared)
        planned = _planned(settings)
        snapshot = snapshot_of(
            lease.stream, replace(settings, memory=planned), kept.head, kept.segments, kept.frames
        )
        head = memory_pb2.StreamHead()
        head.CopyFrom(kept.head)
        head.epoch, head.batch = lease.epoch, 0
        journal = Journal(
            head,
            replace(snapshot, settings=settings, visual_tokens={}),
            orders=[segment.order for segment in kept.segments],
            texts={ChannelId(channel.channel): channel.text for channel in kept.head.channels},
            image_token_id=shared.image_token_id,
        )
        journal.abandon_questions()
        return cls(journal, snapshot, snapshot.settings, planned)

    def enter(self, engine: Engine) -> None:
        """Opens the stream; on the engine's thread.

        Raises:
            InvalidInput: settings or snapshot cannot be right.
            CapacityExceeded: the engine is full.
        """
        if self.snapshot:
            engine.restore(self.snapshot)
            return
        stream = self.journal.stream
        engine.open_stream(stream, self.settings)
        try:
            for channel in self.channels:
                open_channel(engine, stream, channel, self.settings)
        except LiveStarError:
            engine.close_stream(stream)
            raise


def open_channel(
    engine: Engine, stream: StreamId, channel: common_pb2.ChannelSpec, settings: StreamSettings
) -> ChannelId:
    """Opens a standing question or a probe; on the engine's thread."""
    if channel.kind == common_pb2.CHANNEL_KIND_PROBE:
        return engine.probe(stream, channel.text, channel=channel.channel)
    gate = gate_of(complete_gate(channel.gate, settings.question_gate))
    return engine.stand(stream, channel.text, channel=channel.channel, gate=gate)


def _planned(settings: StreamSettings) -> PlannedElsewhere:
    assert settings.memory is not None, "settings for the wire name a policy"
    return PlannedElsewhere(settings.memory)
