"""The memory service: one step or none, once, in order, by the newest owner only."""

from __future__ import annotations

import asyncio
import math

import pytest

from fakes.decoding import Edge, memory, memory_stub
from livestar.api.v1 import common_pb2, memory_pb2
from livestar.bus import RedisLeases, Role, keys
from livestar.core.errors import CapacityExceeded, FailedPrecondition, InvalidInput, LeaseLost, NotFound
from livestar.core.ids import FrameNumber, StreamId
from livestar.memory import (
    CaptionEntry,
    FrameEntry,
    Ledger,
    ProbabilisticPeakEnd,
    PublishedPeakEnd,
    TokenBudget,
)
from livestar.wire.ledger import forget_of
from livestar.wire.policy import complete_policy

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

DOOR = StreamId("door")
FRAME_TOKENS = 29


@pytest.fixture
async def stub(memory_address: str, edge: Edge):
    await edge.create("door", max_events=20)
    async with memory_stub(memory_address) as found:
        yield found


class Owner:
    """A decoder that watches a frame a batch, and remembers what it has told."""

    def __init__(self, epoch: int, memory: common_pb2.MemoryPolicy | None = None) -> None:
        policy = complete_policy(memory or common_pb2.MemoryPolicy(), max_trunk_tokens=1000)
        settings = common_pb2.WatchSettings(memory=policy)
        self.head = memory_pb2.StreamHead(epoch=epoch, settings=settings, model_id="nano")

    def batch(self, *, frames: int = 1, events: int = 1, **fields: object) -> memory_pb2.CommitRequest:
        head = self.head
        head.batch += 1
        request = memory_pb2.CommitRequest(stream_id="door", **fields)
        for _ in range(frames):
            head.decided_sequence += 1
            head.last_order += 1
            head.decided_pts_ns = head.decided_sequence * 10**9
            request.changed_segments.append(frame(head.last_order, head.decided_sequence))
            tokens = common_pb2.Tensor(
                dtype=common_pb2.TENSOR_TYPE_FLOAT32, shape=[1], data=bytes([head.decided_sequence] * 4)
            )
            request.kept_frames.add(frame_sequence=head.decided_sequence, tokens=tokens)
        for _ in range(events):
            head.event_sequence += 1
            request.events.add(
                stream_id="door", sequence=head.event_sequence, epoch=head.epoch, pts_ns=head.decided_pts_ns
            )
        request.head.CopyFrom(head)
        return request


def frame(order: int, sequence: int, nll: float | None = None) -> memory_pb2.Segment:
    return memory_pb2.Segment(
        order=order,
        kind=memory_pb2.SEGMENT_KIND_FRAME,
        token_ids=range(FRAME_TOKENS),
        clip=1 + sequence // 8,
        frame_sequence=sequence,
        pts_ns=sequence * 10**9,
        nll=math.sin(sequence) if nll is None else nll,
    )


async def loaded(stub, epoch: int) -> tuple[memory_pb2.StreamHead, list[int], list[bytes]]:
    parts = [part async for part in stub.Load(memory_pb2.LoadRequest(stream_id="door", epoch=epoch))]
    segments = [part.segment.order for part in parts if part.HasField("segment")]
    tokens = [part.kept_frame.tokens.data for part in parts if part.HasField("kept_frame")]
    return parts[0].head, segments, tokens


async def test_what_is_committed_is_loaded_and_seen(stub, edge: Edge):
    owner = Owner(epoch=1)
    for _ in range(3):
        response = await stub.Commit(owner.batch(events=2))
        assert response.batch == owner.head.batch
    removed = owner.batch(removed_orders=[2])
    await stub.Commit(removed)
    head, orders, tokens = await loaded(stub, epoch=2)
    assert head == removed.head
    assert orders == [1, 3, 4]
    assert tokens == [bytes([n] * 4) for n in (1, 3, 4)]
    events = await edge.events("door")
    assert len(events) == 7
    info = await edge.registry.get(DOOR)
    assert (info.decided_sequence, info.decided_pts_ns, info.event_sequence) == (4, 4 * 10**9, 7)


async def test_a_stream_without_memory_has_an_empty_head(stub):
    assert await loaded(stub, epoch=1) == (memory_pb2.StreamHead(), [], [])


async def test_a_batch_that_is_sent_twice_is_written_once_and_answered_alike(stub, edge: Edge):
    owner = Owner(epoch=1)
    await stub.Commit(owner.batch())
    request = owner.batch(events=3, coming_tokens=60)
    answers = await asyncio.gather(*(stub.Commit(request) for _ in range(5)))
    assert answers == [answers[0]] * 5
    assert answers[0].plan.batch == 2
    assert len(await edge.events("door")) == 4
    await stub.Commit(owner.batch())
    with pytest.raises(FailedPrecondition, match="does not follow batch 3"):
        await stub.Commit(request)


async def test_batches_and_events_without_the_one_before_are_refused(stub, edge: Edge):
    owner = Owner(epoch=1)
    await stub.Commit(owner.batch())
    owner.batch()
    with pytest.raises(FailedPrecondition, match="batch 3 of epoch 1 does not follow batch 1 of epoch 1"):
        await stub.Commit(owner.batch())
    other = Owner(epoch=2)
    other.head.event_sequence = 5
    with pytest.raises(FailedPrecondition, match="do not follow event 1"):
        await stub.Commit(other.batch())
    late = Owner(epoch=3)
    late.head.batch = 1
    with pytest.raises(FailedPrecondition, match="batch 2 of epoch 3"):
        await stub.Commit(late.batch())
    assert len(await edge.events("door")) == 1


async def test_an_owner_whose_time_is_over_writes_nothing(stub, edge: Edge):
    old, new = Owner(epoch=1), Owner(epoch=4)
    await stub.Commit(old.batch())
    await loaded(stub, epoch=4)
    before = await edge.link.execute("HGETALL", keys.ledger(DOOR))
    with pytest.raises(LeaseLost, match="epoch 1 of stream 'door' is over"):
        await stub.Commit(old.batch())
    with pytest.raises(LeaseLost):
        await loaded(stub, epoch=3)
    assert await edge.link.execute("HGETALL", keys.ledger(DOOR)) == before
    new.head.event_sequence, new.head.decided_sequence, new.head.last_order = 1, 1, 1
    await stub.Commit(new.batch())
    with pytest.raises(LeaseLost):
        await stub.Commit(old.batch())
    assert [event.epoch for event in await edge.events("door")] == [1, 4]


async def test_a_newer_lease_alone_ends_the_old_owner(stub, edge: Edge):
    leases = RedisLeases(edge.link)
    mine = await leases.acquire(Role.DECODER, DOOR, owner="a", address="a:1", ttl_s=60)
    owner = Owner(epoch=mine.epoch)
    await stub.Commit(owner.batch())
    await leases.expire(Role.DECODER, DOOR)
    await stub.Commit(owner.batch())  # nobody else has it
    theirs = await leases.acquire(Role.DECODER, DOOR, owner="b", address="b:1", ttl_s=60)
    assert theirs.epoch > mine.epoch
    with pytest.raises(LeaseLost):
        await stub.Commit(owner.batch())
    assert len(await edge.events("door")) == 2


async def test_events_are_bounded_and_so_is_what_is_kept(redis_server, edge: Edge):
    await edge.create("door", max_events=20)
    async with (
        memory(redis_server.url, max_segments=20, max_kept_bytes=2**20) as address,
        memory_stub(address) as stub,
    ):
        owner = Owner(epoch=1)
        await stub.Commit(owner.batch(events=30))
        assert (await edge.bus.bounds(keys.events(DOOR))) == ("11-0", "30-0")
        request = owner.batch(frames=20)
        with pytest.raises(CapacityExceeded, match="more than 20 segments"):
            await stub.Commit(request)
        big = Owner(epoch=2)
        big.head.event_sequence = 30
        request = big.batch()
        request.kept_frames[0].tokens.data = bytes(2**20)
        with pytest.raises(CapacityExceeded, match="bytes of visual tokens"):
            await stub.Commit(request)
        head, orders, _ = await loaded(stub, epoch=2)
        assert (head.batch, orders) == (1, [1]), "nothing of it was written"


async def test_everything_may_be_replaced(stub):
    owner = Owner(epoch=1)
    await stub.Commit(owner.batch(frames=5))
    request = owner.batch(replace=True, coming_tokens=10)
    response = await stub.Commit(request)
    _, orders, tokens = await loaded(stub, epoch=1)
    assert (orders, len(tokens)) == ([6], 1)
    ledger = Ledger((entry(6),), (), 10)
    assert response.plan.ledger_version == ledger.version


def entry(sequence: int) -> FrameEntry:
    return FrameEntry(
        FrameNumber(sequence), 1 + sequence // 8, math.sin(sequence), FRAME_TOKENS, sequence * 10**9
    )


@pytest.mark.parametrize(
    ("asked", "policy"),
    [
        ({"max_trunk_tokens": 600}, TokenBudget(max_trunk_tokens=600)),
        ({"kind": common_pb2.MEMORY_POLICY_KIND_PUBLISHED_PEAK_END}, PublishedPeakEnd()),
        (
            {
                "kind": common_pb2.MEMORY_POLICY_KIND_PROBABILISTIC_PEAK_END,
                "window_frames": 3,
                "strength": 0.9,
            },
            ProbabilisticPeakEnd(3, 0.9),
        ),
    ],
    ids=["budget", "peak-end", "probabilistic"],
)
async def test_plans_are_the_policys_for_exactly_this_ledger_whoever_wrote_before(
    redis_server, memory_address: str, stub, asked: dict, policy
):
    owner = Owner(epoch=1, memory=common_pb2.MemoryPolicy(**asked))
    preamble = memory_pb2.Segment(order=1, kind=memory_pb2.SEGMENT_KIND_PREAMBLE, token_ids=[1] * 40)
    caption = memory_pb2.Segment(order=2, kind=memory_pb2.SEGMENT_KIND_CAPTION, token_ids=[1] * 12, clip=1)
    owner.head.last_order = 2
    async with memory(redis_server.url) as other_address, memory_stub(other_address) as other:
        forgot = False
        for sequence in range(1, 31):
            request = owner.batch(coming_tokens=55)
            if sequence == 1:
                request.changed_segments.extend([preamble, caption])
            # Two processes take turns: neither may trust what it remembers.
            response = await (stub if sequence % 3 else other).Commit(request)
            frames = tuple(entry(n) for n in range(1, sequence + 1))
            ledger = Ledger(frames, (CaptionEntry(1, 12),), 40 + 55)
            assert response.plan.ledger_version == ledger.version
            assert (response.plan.batch, response.plan.coming_tokens) == (sequence, 55)
            assert forget_of(response.plan) == policy.plan(ledger)
            forgot |= bool(policy.plan(ledger))
        assert forgot
        again = await other.Plan(memory_pb2.PlanRequest(stream_id="door", coming_tokens=55))
        assert again.plan == response.plan


async def test_a_stream_that_is_forgotten_is_gone(stub, edge: Edge):
    await stub.Commit(Owner(epoch=1).batch())
    await edge.bus.publish(keys.tokens(DOOR), b"frame", maxlen=8)
    for _ in range(2):
        await stub.ForgetStream(memory_pb2.ForgetStreamRequest(stream_id="door"))
    left = [key.decode() for key in await edge.link.execute("KEYS", "*{door}*")]
    assert left == [keys.stream(DOOR)]
    with pytest.raises(NotFound):
        await stub.Plan(memory_pb2.PlanRequest(stream_id="door"))


async def test_a_ledger_that_was_lost_goes_on_behind_the_events(stub, edge: Edge):
    owner = Owner(epoch=1)
    await stub.Commit(owner.batch(events=3))
    await edge.link.execute("DEL", keys.ledger(DOOR), keys.kept(DOOR))
    head, orders, _ = await loaded(stub, epoch=2)
    assert (head.epoch, head.event_sequence, orders) == (0, 3, [])
    new = Owner(epoch=2)
    new.head.event_sequence = 3
    await stub.Commit(new.batch())
    assert len(await edge.events("door")) == 4


async def test_after_the_last_word_only_the_events_stay(redis_server, edge: Edge):
    await edge.create("door")
    async with memory(redis_server.url, keep_ended_s=0.05) as address, memory_stub(address) as stub:
        request = Owner(epoch=1).batch()
        request.events[0].state_changed.state = common_pb2.STREAM_STATE_ENDED
        await stub.Commit(request)
        await asyncio.sleep(0.2)
        assert await edge.link.execute("EXISTS", keys.ledger(DOOR), keys.kept(DOOR)) == 0
        assert len(await edge.events("door")) == 1


async def test_nothing_is_kept_of_a_stream_that_nobody_registered(stub, edge: Edge):
    await edge.registry.delete(DOOR)
    with pytest.raises(NotFound, match="there is no stream 'door'"):
        await stub.Commit(Owner(epoch=1).batch())
    with pytest.raises(NotFound):
        await loaded(stub, epoch=1)
    assert await edge.link.execute("KEYS", "*{door}*") == []


def spoilt(field: str) -> memory_pb2.CommitRequest:
    request = Owner(epoch=1).batch(events=2)
    match field:
        case "epoch":
            request.head.epoch = 0
        case "batch":
            request.head.batch = 0
        case "order":
            request.changed_segments[0].order = 0
        case "ids":
            del request.changed_segments[0].token_ids[:]
        case "tokens":
            request.kept_frames[0].frame_sequence = 9
        case "sequence":
            request.events[1].sequence = 7
        case "stream":
            request.events[1].stream_id = "another"
        case "id":
            request.stream_id = "a/b"
    return request


@pytest.mark.parametrize("field", ["epoch", "batch", "order", "ids", "tokens", "sequence", "stream", "id"])
async def test_a_batch_that_makes_no_sense_is_refused(stub, edge: Edge, field: str):
    with pytest.raises(InvalidInput):
        await stub.Commit(spoilt(field))
    assert await edge.events("door") == []
