"""What every stream is, in Redis: commits, loads, and plans of what to forget."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError

from livestar.api.v1 import common_pb2, memory_pb2
from livestar.bus import RedisLink, RedisRegistry, Role, keys
from livestar.core.errors import CapacityExceeded, FailedPrecondition, InvalidInput, LeaseLost, NotFound
from livestar.core.ids import StreamId, stream_id
from livestar.obs import current_traceparent
from livestar.wire.ledger import LedgerEntry, ledger_of, plan_proto
from livestar.wire.policy import policy_of
from services.memory import commit, scripts
from services.memory.metrics import MemoryMetrics

log = logging.getLogger("livestar.memory")

MAX_REMEMBERED = 1024
"""Streams whose ledgers are held in this process beside Redis."""


@dataclass(frozen=True)
class Bounds:
    """Most of what one stream may keep.

    Attributes:
        max_segments: fields of its ledger: segments of the trunk and a few more.
        max_kept_bytes: of visual tokens.
        keep_ended_s: ledger and visual tokens of a stream that is over are dropped after so long; its events stay.
    """

    max_segments: int = 16_384
    max_kept_bytes: int = 512 * 2**20
    keep_ended_s: float = 600.0


@dataclass
class _Known:
    """The ledger of a stream as it was after a batch."""

    epoch: int = 0
    batch: int = 0
    entries: dict[int, LedgerEntry] = field(default_factory=dict)

    @property
    def at(self) -> tuple[int, int]:
        return self.epoch, self.batch


@dataclass(frozen=True)
class Kept:
    """A whole stream.

    Attributes:
        head: its default where nothing was ever committed.
        segments: in order.
        frames: visual tokens, in the same order.
    """

    head: memory_pb2.StreamHead
    segments: list[memory_pb2.Segment]
    frames: list[memory_pb2.KeptFrame]


class StreamMemory:
    """The durable truth is Redis; ledgers are also held here, so that a plan costs no read. Any number of processes may serve.

    Args:
        link: shared; whoever made it closes it.
        bounds: of one stream.
        metrics: of the process.
    """

    def __init__(self, link: RedisLink, bounds: Bounds, metrics: MemoryMetrics) -> None:
        self._link = link
        self._registry = RedisRegistry(link)
        self._bounds = bounds
        self._metrics = metrics
        self._known: OrderedDict[StreamId, _Known] = OrderedDict()
        self._max_events: OrderedDict[StreamId, int] = OrderedDict()

    async def commit(self, request: memory_pb2.CommitRequest) -> memory_pb2.CommitResponse:
        """Writes a batch; see `MemoryService.Commit`.

        Raises:
            InvalidInput: the batch is not well formed.
            NotFound: the stream is not registered (any more).
            LeaseLost: a newer epoch has the stream.
            FailedPrecondition: a batch or an event before this one is missing.
            CapacityExceeded: the stream would keep more than it may; nothing is written.
        """
        stream = stream_id(request.stream_id)
        commit.check(request)
        self._metrics.batch_bytes.observe(request.ByteSize())
        status, *rest = await self._link.script(
            scripts.COMMIT,
            [*_data(stream), keys.events(stream), keys.stream(stream), keys.lease(Role.DECODER, stream)],
            commit.arguments(
                request,
                max_events=await self._events_of(stream),
                max_segments=self._bounds.max_segments,
                max_kept_bytes=self._bounds.max_kept_bytes,
                traceparent=current_traceparent(),
            ),
        )
        self._metrics.commits.labels(status.decode()).inc()
        self._require(status, stream, request.head, rest)
        if status == b"written":
            self._metrics.events.inc(len(request.events))
            self._advance(stream, request, before=(int(rest[0]), int(rest[1])))
        if commit.ends(request):
            await self._expire(stream)
        response = memory_pb2.CommitResponse(batch=request.head.batch)
        if request.coming_tokens:
            known = await self._ledger(stream, request.head.epoch, request.head.batch)
            with self._metrics.plan_seconds.time():
                plan = _plan(known, request.head.settings.memory, request.coming_tokens)
            if plan:
                response.plan.CopyFrom(plan)
        return response

    async def load(self, stream: StreamId, epoch: int) -> Kept:
        """Everything that is kept of a stream; from then on older epochs are refused.

        Raises:
            NotFound: the stream is not registered.
            LeaseLost: a newer epoch has the stream.
        """
        status, *rest = await self._link.script(
            scripts.LOAD,
            [*_data(stream), keys.stream(stream), keys.lease(Role.DECODER, stream), keys.events(stream)],
            [epoch],
        )
        self._require(status, stream, memory_pb2.StreamHead(epoch=epoch), rest)
        self._metrics.loads.inc()
        return _kept(stream, _pairs(rest[0]), _pairs(rest[1]))

    async def plan(self, stream: StreamId, coming_tokens: int) -> memory_pb2.ForgetPlan:
        """What to forget before so many tokens come.

        Raises:
            NotFound: nothing is kept of the stream.
            FailedPrecondition: its policy cannot make room for them.
        """
        fields = _pairs(await self._link.execute("HGETALL", keys.ledger(stream)))
        if b"head" not in fields:
            raise NotFound(f"nothing is kept of a stream '{stream}': commit first")
        head = memory_pb2.StreamHead.FromString(fields[b"head"])
        plan = _plan(_read(fields), head.settings.memory, coming_tokens)
        if plan is None:
            raise FailedPrecondition(
                f"the memory policy of stream '{stream}' cannot make room for {coming_tokens} more tokens: raise its "
                "max_trunk_tokens"
            )
        return plan

    async def forget(self, stream: StreamId) -> None:
        """Removes everything of a stream; fine where there is nothing."""
        self._known.pop(stream, None)
        self._max_events.pop(stream, None)
        await self._link.execute("UNLINK", *_data(stream), keys.events(stream), keys.tokens(stream))

    def _require(self, status: bytes, stream: StreamId, head: memory_pb2.StreamHead, rest: list[Any]) -> None:
        """Raises what a script's refusal means."""
        match status:
            case b"unknown":
                self._known.pop(stream, None)
                self._max_events.pop(stream, None)
                raise NotFound(f"there is no stream '{stream}': create it first")
            case b"lost":
                raise LeaseLost(
                    f"epoch {head.epoch} of stream '{stream}' is over, another owner has it: stop working on it"
                )
            case b"missing":
                raise FailedPrecondition(
                    f"batch {head.batch} of epoch {head.epoch} does not follow batch {rest[1]} of epoch {rest[0]} of stream "
                    f"'{stream}': send the one before it"
                )
            case b"sequence":
                raise FailedPrecondition(
                    f"the events of batch {head.batch} do not follow event {_text(rest[0])} of stream '{stream}': load it again"
                )
            case b"full":
                raise CapacityExceeded(
                    f"stream '{stream}' would keep more than {self._bounds.max_segments} segments or "
                    f"{self._bounds.max_kept_bytes} bytes of visual tokens: lower its max_trunk_tokens"
                )

    def _advance(
        self, stream: StreamId, request: memory_pb2.CommitRequest, *, before: tuple[int, int]
    ) -> None:
        """Brings the ledger that is held here forward, if it is the one that was written upon."""
        known = self._known.pop(stream, None) or _Known()
        if request.replace:
            known = _Known(*before)
        if known.at != before:
            return
        for order in request.removed_orders:
            known.entries.pop(order, None)
        known.entries |= {s.order: LedgerEntry.of(s) for s in request.changed_segments}
        known.epoch, known.batch = request.head.epoch, request.head.batch
        self._known[stream] = known
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    async def _ledger(self, stream: StreamId, epoch: int, batch: int) -> _Known:
        """The ledger after a batch, from Redis where another process wrote before."""
        known = self._known.get(stream)
        if known is None or known.at != (epoch, batch):
            known = _read(_pairs(await self._link.execute("HGETALL", keys.ledger(stream))))
            self._known[stream] = known
        return known

    async def _events_of(self, stream: StreamId) -> int:
        """How many events of a stream are kept."""
        if stream not in self._max_events:
            try:
                self._max_events[stream] = max(1, (await self._registry.get(stream)).spec.max_events)
            except NotFound:
                # The script says so.
                return 1
            while len(self._max_events) > MAX_REMEMBERED:
                self._max_events.popitem(last=False)
        return self._max_events[stream]

    async def _expire(self, stream: StreamId) -> None:
        for key in _data(stream):
            await self._link.execute("PEXPIRE", key, max(1, round(self._bounds.keep_ended_s * 1000)))
        self._known.pop(stream, None)
        self._max_events.pop(stream, None)


def _data(stream: StreamId) -> tuple[str, str]:
    return keys.ledger(stream), keys.kept(stream)


def _plan(known: _Known, memory: common_pb2.MemoryPolicy, coming_tokens: int) -> memory_pb2.ForgetPlan | None:
    """What to forget; None where the policy cannot say: what is written is written, and the engine finds out by itself."""
    try:
        ledger = ledger_of(known.entries.values(), coming_tokens=coming_tokens)
        forget = policy_of(memory).plan(ledger)
    except (InvalidInput, ValueError):
        return None
    return plan_proto(forget, ledger, batch=known.batch, coming_tokens=coming_tokens)


def _read(fields: dict[bytes, bytes]) -> _Known:
    entries = {segment.order: LedgerEntry.of(segment) for segment in _segments(fields)}
    return _Known(int(fields.get(b"epoch", 0)), int(fields.get(b"batch", 0)), entries)


def _kept(stream: StreamId, fields: dict[bytes, bytes], tokens: dict[bytes, bytes]) -> Kept:
    """What Redis holds; where a part cannot be read, only what says how to go on without it."""
    head = memory_pb2.StreamHead()
    try:
        head = memory_pb2.StreamHead.FromString(fields.get(b"head", b""))
        segments = _segments(fields)
        frames = [
            memory_pb2.KeptFrame.FromString(tokens[key])
            for segment in segments
            if (key := b"%d" % segment.order) in tokens
        ]
    except DecodeError:
        log.error("what is kept of a stream cannot be read", extra={"stream": stream})
        segments, frames = [], []
    head.event_sequence = int(fields[b"events"])
    return Kept(head, segments, frames)


def _segments(fields: dict[bytes, bytes]) -> list[memory_pb2.Segment]:
    found = [memory_pb2.Segment.FromString(value) for name, value in fields.items() if name.startswith(b"s:")]
    return sorted(found, key=lambda segment: segment.order)


def _pairs(answer: Any) -> dict[bytes, bytes]:
    """A hash as redis-py gives it: a dict from a command, a flat list from a script."""
    if isinstance(answer, dict):
        return answer
    return dict(zip(answer[::2], answer[1::2], strict=True))


def _text(value: bytes | int) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
