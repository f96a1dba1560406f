"""One conformance suite for every `Registry`."""

from __future__ import annotations

import asyncio

import pytest

from livestar.api.v1 import common_pb2
from livestar.bus import InMemoryRegistry, RedisLink, RedisRegistry, Registry, checked, keys
from livestar.bus.registry import FIELDS, MOVES, State
from livestar.core.errors import AlreadyExists, FailedPrecondition, InvalidInput, LeaseLost, NotFound
from livestar.core.ids import StreamId

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

DOOR = StreamId("door")
SOURCE = "rtsp://admin:hunter2@camera/1?token=abc"
RUNNING, STARTING = common_pb2.STREAM_STATE_RUNNING, common_pb2.STREAM_STATE_STARTING


@pytest.fixture(params=["memory", "redis"])
def registry(request: pytest.FixtureRequest) -> Registry:
    if request.param == "memory":
        return InMemoryRegistry()
    return RedisRegistry(request.getfixturevalue("redis_link"))


def spec(stream: str = "door", source: str = SOURCE, **fields: float) -> common_pb2.StreamSpec:
    return checked(common_pb2.StreamSpec(stream_id=stream, source=source, **fields))  # type: ignore[arg-type]


async def test_a_stream_is_pending_and_its_source_is_shown_without_secrets(registry: Registry) -> None:
    info = await registry.create(spec(fps=2))
    assert info == await registry.get(DOOR)
    assert info.state == common_pb2.STREAM_STATE_PENDING
    assert info.spec.source == "rtsp://camera/1"
    assert (info.spec.fps, info.spec.max_in_flight) == (2, 8)
    assert info.created_at_ns == info.updated_at_ns > 1_700_000_000 * 10**9
    assert await registry.source(DOOR) == SOURCE


async def test_no_answer_but_one_gives_the_secret_out(registry: Registry) -> None:
    await registry.create(spec())
    page = await registry.page(limit=10)
    said = f"{registry!r} {await registry.get(DOOR)} {page} {await registry.unfinished()} {await registry.stop(DOOR)}"
    assert "camera" in said
    assert "hunter2" not in said
    assert "abc" not in said


async def test_creating_again_is_fine_for_the_same_and_refused_for_another(registry: Registry) -> None:
    first = await registry.create(spec())
    assert await registry.create(spec()) == first
    for other in (spec(source="rtsp://admin:other@camera/1"), spec(fps=3)):
        with pytest.raises(AlreadyExists, match="'door'") as refused:
            await registry.create(other)
        assert "other@" not in str(refused.value)
    assert await registry.source(DOOR) == SOURCE


async def test_what_nobody_created_is_not_found(registry: Registry) -> None:
    for call in (
        registry.get(DOOR),
        registry.source(DOOR),
        registry.stop(DOOR),
        registry.move(DOOR, RUNNING),
        registry.note_captured(DOOR, epoch=1, sequence=1, pts_ns=1),
        registry.note_decided(DOOR, epoch=1, sequence=1, pts_ns=1, event_sequence=1),
    ):
        with pytest.raises(NotFound, match="no stream 'door'"):
            await call
    assert await registry.delete(DOOR) is False
    assert await registry.unfinished() == []


async def test_a_stream_goes_where_the_states_allow_and_nowhere_else(registry: Registry) -> None:
    everything: list[State] = [state for state in common_pb2.StreamState.values() if state]
    for number, start in enumerate(everything):
        for to in everything:
            stream = f"s{number}-{to}"
            await registry.create(spec(stream))
            for step in _way_to(start):
                await registry.move(StreamId(stream), step)
            if to == start or to in MOVES.get(start, ()):
                moved = await registry.move(StreamId(stream), to, reason="because")
                assert (moved.state, moved.reason) == (to, "because")
            else:
                with pytest.raises(FailedPrecondition, match="cannot become"):
                    await registry.move(StreamId(stream), to)
                assert (await registry.get(StreamId(stream))).state == start


def _way_to(state: State) -> list[State]:
    ways: dict[State, list[State]] = {common_pb2.STREAM_STATE_PENDING: []}
    while state not in ways:
        ways |= {
            to: [*way, to] for at, way in list(ways.items()) for to in MOVES.get(at, ()) if to not in ways
        }
    return ways[state]


async def test_stopping_means_what_it_can_in_each_state(registry: Registry) -> None:
    await registry.create(spec())
    assert (await registry.stop(DOOR, reason="enough")).state == common_pb2.STREAM_STATE_STOPPED
    assert (await registry.stop(DOOR)).reason == "enough"
    yard = StreamId("yard")
    await registry.create(spec("yard"))
    await registry.move(yard, STARTING)
    await registry.move(yard, RUNNING)
    for _ in range(2):
        assert (await registry.stop(yard)).state == common_pb2.STREAM_STATE_STOPPING
    assert [info.spec.stream_id for info in await registry.unfinished()] == ["yard"]
    await registry.move(yard, common_pb2.STREAM_STATE_STOPPED)
    assert await registry.unfinished() == []
    assert (await registry.stop(yard)).state == common_pb2.STREAM_STATE_STOPPED


async def test_pages_go_from_the_newest_to_the_oldest(registry: Registry) -> None:
    for number in range(5):
        await registry.create(spec(f"s{number}"))
        await asyncio.sleep(0.001)
    seen, token = [], ""
    for size in (2, 2, 1):
        page = await registry.page(limit=2, token=token)
        assert len(page.streams) == size
        seen += [info.spec.stream_id for info in page.streams]
        token = page.next_token
    assert seen == ["s4", "s3", "s2", "s1", "s0"]
    assert token == ""
    with pytest.raises(InvalidInput, match="page token"):
        await registry.page(limit=2, token="gone")
    assert len((await registry.page(limit=5)).streams) == 5


async def test_a_deleted_stream_is_gone_and_its_id_is_free(registry: Registry) -> None:
    await registry.create(spec())
    await registry.note_captured(DOOR, epoch=3, sequence=7, pts_ns=7)
    assert await registry.delete(DOOR) is True
    with pytest.raises(NotFound):
        await registry.get(DOOR)
    assert (await registry.page(limit=5)).streams == []
    assert (await registry.create(spec(fps=4))).captured_sequence == 0


async def test_progress_only_grows_within_an_epoch_and_older_epochs_are_refused(registry: Registry) -> None:
    await registry.create(spec())
    await registry.note_captured(DOOR, epoch=2, sequence=5, pts_ns=50)
    await registry.note_captured(DOOR, epoch=2, sequence=4, pts_ns=40)
    await registry.note_decided(DOOR, epoch=1, sequence=3, pts_ns=-30, event_sequence=9)
    info = await registry.get(DOOR)
    assert (info.captured_sequence, info.captured_pts_ns) == (5, 50)
    assert (info.decided_sequence, info.decided_pts_ns, info.event_sequence) == (3, -30, 9)
    with pytest.raises(LeaseLost, match="epoch 1"):
        await registry.note_captured(DOOR, epoch=1, sequence=9, pts_ns=90)
    await registry.note_captured(DOOR, epoch=3, sequence=6, pts_ns=2**62)
    await registry.note_decided(DOOR, epoch=4, sequence=3, pts_ns=30, event_sequence=10)
    with pytest.raises(LeaseLost):
        await registry.note_decided(DOOR, epoch=3, sequence=4, pts_ns=40, event_sequence=11)
    info = await registry.get(DOOR)
    assert (info.captured_sequence, info.captured_pts_ns, info.event_sequence) == (6, 2**62, 10)


async def test_those_who_create_at_once_get_one_stream(registry: Registry) -> None:
    created = await asyncio.gather(
        *(registry.create(spec(fps=n % 2 + 1)) for n in range(10)), return_exceptions=True
    )
    infos = [info for info in created if isinstance(info, common_pb2.StreamInfo)]
    assert len(infos) == 5
    assert all(isinstance(other, AlreadyExists) for other in created if other not in infos)
    assert len({info.created_at_ns for info in infos}) == 1


async def test_the_hash_has_the_fields_that_are_written_down(redis_link: RedisLink) -> None:
    registry = RedisRegistry(redis_link)
    await registry.create(spec())
    await registry.note_captured(DOOR, epoch=1, sequence=1, pts_ns=1)
    await registry.note_decided(DOOR, epoch=1, sequence=1, pts_ns=1, event_sequence=1)
    fields = await redis_link.execute("HKEYS", keys.stream(DOOR))
    assert {field.decode() for field in fields} == set(FIELDS)
