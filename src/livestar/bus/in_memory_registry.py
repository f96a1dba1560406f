"""The registry in one process, for tests. Held to the same conformance suite as the one on Redis."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from livestar.api.v1 import common_pb2
from livestar.bus.redis_registry import shown_spec
from livestar.bus.registry import (
    FINAL,
    MOVES,
    STOP,
    Page,
    State,
    bad_token,
    cannot_move,
    not_found,
    outdated,
    taken,
)
from livestar.core.ids import StreamId


@dataclass
class _Registered:
    spec: common_pb2.StreamSpec
    info: common_pb2.StreamInfo
    ingest_epoch: int = 0
    decoder_epoch: int = 0


class InMemoryRegistry:
    """A `Registry`. Everything is gone with the object."""

    def __init__(self) -> None:
        self._streams: dict[StreamId, _Registered] = {}

    async def create(self, spec: common_pb2.StreamSpec) -> common_pb2.StreamInfo:
        """See `Registry.create`."""
        stream = StreamId(spec.stream_id)
        if known := self._streams.get(stream):
            if known.spec != spec:
                raise taken(stream)
            return _copy(known.info)
        now_ns = time.time_ns()
        kept = common_pb2.StreamSpec()
        kept.CopyFrom(spec)
        info = common_pb2.StreamInfo(
            spec=shown_spec(spec),
            state=common_pb2.STREAM_STATE_PENDING,
            created_at_ns=now_ns,
            updated_at_ns=now_ns,
        )
        self._streams[stream] = _Registered(kept, info)
        return _copy(info)

    async def get(self, stream: StreamId) -> common_pb2.StreamInfo:
        """See `Registry.get`."""
        return _copy(self._registered(stream).info)

    async def source(self, stream: StreamId) -> str:
        """See `Registry.source`."""
        return self._registered(stream).spec.source

    async def page(self, *, limit: int, token: str = "") -> Page:
        """See `Registry.page`."""
        ids = list(reversed(self._streams))
        if token:
            if StreamId(token) not in self._streams:
                raise bad_token()
            ids = ids[ids.index(StreamId(token)) + 1 :]
        streams = [_copy(self._streams[stream].info) for stream in ids[:limit]]
        return Page(streams, ids[limit - 1] if len(ids) > limit else "")

    async def unfinished(self) -> list[common_pb2.StreamInfo]:
        """See `Registry.unfinished`."""
        infos = (self._streams[stream].info for stream in sorted(self._streams))
        return [_copy(info) for info in infos if info.state not in FINAL]

    async def move(self, stream: StreamId, to: State, *, reason: str = "") -> common_pb2.StreamInfo:
        """See `Registry.move`."""
        state = self._registered(stream).info.state
        if to != state and to not in MOVES.get(state, ()):
            raise cannot_move(stream, state, to)
        return self._change(stream, to, reason)

    async def stop(self, stream: StreamId, *, reason: str = "") -> common_pb2.StreamInfo:
        """See `Registry.stop`."""
        info = self._registered(stream).info
        return self._change(stream, STOP[info.state], reason) if info.state in STOP else _copy(info)

    async def delete(self, stream: StreamId) -> bool:
        """See `Registry.delete`."""
        return self._streams.pop(stream, None) is not None

    async def note_captured(self, stream: StreamId, *, epoch: int, sequence: int, pts_ns: int) -> None:
        """See `Registry.note_captured`."""
        known = self._registered(stream)
        fields = {"captured_sequence": sequence, "captured_pts_ns": pts_ns}
        _note(known, known.ingest_epoch, epoch, fields)
        known.ingest_epoch = epoch

    async def note_decided(
        self, stream: StreamId, *, epoch: int, sequence: int, pts_ns: int, event_sequence: int
    ) -> None:
        """See `Registry.note_decided`."""
        known = self._registered(stream)
        fields = {"decided_sequence": sequence, "decided_pts_ns": pts_ns, "event_sequence": event_sequence}
        _note(known, known.decoder_epoch, epoch, fields)
        known.decoder_epoch = epoch

    def _registered(self, stream: StreamId) -> _Registered:
        if stream not in self._streams:
            raise not_found(stream)
        return self._streams[stream]

    def _change(self, stream: StreamId, to: State, reason: str) -> common_pb2.StreamInfo:
        info = self._streams[stream].info
        info.state, info.reason, info.updated_at_ns = to, reason, time.time_ns()
        return _copy(info)


def _note(known: _Registered, last_epoch: int, epoch: int, fields: Mapping[str, int]) -> None:
    if epoch < last_epoch:
        raise outdated(StreamId(known.spec.stream_id), epoch)
    [(first, sequence), *_] = fields.items()
    if epoch == last_epoch and sequence < getattr(known.info, first):
        return
    for name, value in fields.items():
        setattr(known.info, name, value)


def _copy(info: common_pb2.StreamInfo) -> common_pb2.StreamInfo:
    copy = common_pb2.StreamInfo()
    copy.CopyFrom(info)
    return copy
