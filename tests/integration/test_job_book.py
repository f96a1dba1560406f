"""The book of jobs: who may work on what, and what is known of it."""

from __future__ import annotations

import asyncio

import pytest

from livestar.bus import RedisLink, keys
from livestar.bus.job import MAX_ATTEMPTS, Job, JobProgress, JobState, Order
from livestar.bus.job_book import JobBook
from livestar.core.errors import AlreadyExists, LeaseLost, NotFound

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

JOB = Job("match", "rtsp://admin:hunter2@camera/1", standing=("Who leads?",), alpha=1.2)
HALF = JobProgress("job-match", 12, 30.0, 60.0, 3)
SOON = 0.05


@pytest.fixture
def book(redis_link: RedisLink) -> JobBook:
    return JobBook(redis_link)


async def test_a_job_is_written_down_once_and_shown_without_secrets(book: JobBook) -> None:
    info = await book.create(JOB)
    assert (info.state, info.attempt, info.progress, info.files) == (JobState.QUEUED, 0, JobProgress(), {})
    assert await book.create(JOB) == info
    assert "hunter2" not in repr((info, await book.newest(9), await book.active()))
    assert (info.job.standing, info.job.alpha) == (("Who leads?",), 1.2)
    assert await book.source("match") == JOB.source
    with pytest.raises(AlreadyExists, match="'match'"):
        await book.create(Job("match", "other.mp4"))


async def test_one_worker_has_it_tells_how_far_it_is_and_ends_it(book: JobBook) -> None:
    await book.create(JOB)
    taken = [await book.claim("match", f"{name}/1", silent_s=9) for name in "ab"]
    assert taken[0] is not None
    assert taken[0].attempt == 1
    assert taken[1] is None
    assert await book.progress("match", "a/1", HALF) is Order.GO_ON
    for call in (book.progress("match", "b/1", HALF), book.finish("match", "b/1", JobState.DONE, HALF)):
        with pytest.raises(LeaseLost, match="another worker has job 'match'"):
            await call
    assert (await book.get("match")).progress.share == 0.5
    await book.finish(
        "match", "a/1", JobState.DONE, JobProgress("job-match", 20, 60.0, 60.0, 5), files={"srt": "/x"}
    )
    info = await book.get("match")
    assert (info.state, info.files, info.progress.sequence, info.progress.share) == (
        JobState.DONE,
        {"srt": "/x"},
        20,
        1.0,
    )
    assert await book.active() == []
    assert await book.claim("match", "b/2", silent_s=0.001) is None, "what is done is not done again"
    assert await book.outcomes("a") == {JobState.DONE: 1}
    assert await book.outcomes("b") == {}


async def test_many_who_claim_at_once_are_one(book: JobBook) -> None:
    await book.create(JOB)
    taken = await asyncio.gather(*(book.claim("match", f"w/{n}", silent_s=9) for n in range(8)))
    assert sum(info is not None for info in taken) == 1


async def test_a_silent_worker_loses_its_job(book: JobBook) -> None:
    await book.create(JOB)
    await book.claim("match", "a/1", silent_s=SOON)
    assert await book.claim("match", "b/1", silent_s=5) is None
    await book.progress("match", "a/1", HALF)
    await asyncio.sleep(2 * SOON)
    again = await book.claim("match", "b/1", silent_s=SOON)
    assert again is not None
    assert (again.attempt, again.progress) == (2, HALF)
    with pytest.raises(LeaseLost):
        await book.progress("match", "a/1", HALF)


async def test_a_job_that_always_breaks_its_worker_has_failed(book: JobBook) -> None:
    await book.create(JOB)
    for attempt in range(MAX_ATTEMPTS):
        assert await book.claim("match", f"a/{attempt}", silent_s=SOON) is not None
        await asyncio.sleep(2 * SOON)
    assert await book.claim("match", "a/9", silent_s=SOON) is None
    info = await book.get("match")
    assert (info.state, info.reason) == (JobState.FAILED, "it was begun 5 times and never ended")


async def test_cancelling_means_what_it_can(book: JobBook) -> None:
    await book.create(JOB)
    assert (await book.cancel("match")).state is JobState.CANCELLED
    await book.create(Job("two", "b.mp4"))
    await book.claim("two", "a/1", silent_s=9)
    assert (await book.cancel("two")).state is JobState.RUNNING
    assert await book.progress("two", "a/1", HALF) is Order.CANCEL
    await book.finish("two", "a/1", JobState.CANCELLED, HALF)
    assert (await book.cancel("two")).state is JobState.CANCELLED
    with pytest.raises(NotFound, match="no job 'none'"):
        await book.cancel("none")


async def test_a_worker_that_leaves_hands_its_jobs_back_and_that_is_no_attempt(book: JobBook) -> None:
    await book.create(JOB)
    await book.claim("match", "a/1", silent_s=9)
    await book.leave("a", for_s=9)
    assert await book.progress("match", "a/1", HALF) is Order.LEAVE
    await book.finish("match", "a/1", JobState.QUEUED, HALF, reason="its worker ended")
    info = await book.get("match")
    assert (info.state, info.attempt, info.progress) == (JobState.QUEUED, 0, HALF)
    assert [job.job.id for job in await book.active()] == ["match"]
    assert await book.claim("match", "b/1", silent_s=9) is not None
    assert await book.progress("match", "b/1", HALF) is Order.GO_ON


async def test_the_newest_come_first_and_what_is_deleted_is_gone(
    book: JobBook, redis_link: RedisLink
) -> None:
    for number in range(3):
        await book.create(Job(f"j{number}", "a.mp4"))
        await asyncio.sleep(0.001)
    assert [info.job.id for info in await book.newest(2)] == ["j2", "j1"]
    for number in range(3):
        await book.delete(f"j{number}")
    assert await book.newest(9) == []
    assert await redis_link.execute("DBSIZE") == 0
    with pytest.raises(NotFound):
        await book.get("j1")
    with pytest.raises(NotFound):
        await book.source("j1")


async def test_one_of_all_who_ask_sweeps(book: JobBook, redis_link: RedisLink) -> None:
    assert [await book.may_sweep(every_s=SOON) for _ in range(3)] == [True, False, False]
    await asyncio.sleep(2 * SOON)
    assert await book.may_sweep(every_s=SOON)
    assert await redis_link.execute("PTTL", keys.jobs_sweep()) > 0
