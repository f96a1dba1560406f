"""The book of jobs in Redis: what was asked for, who works on it, how far it is. The queue only nudges; this is the truth.

Who works on a job is heard of with every `progress`; a job whose worker was not heard of for a while is anybody's again. A write
of a worker that lost its job is refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace

from livestar.bus import keys
from livestar.bus.job import FINAL_JOBS, MAX_ATTEMPTS, Job, JobInfo, JobProgress, JobState, Order
from livestar.bus.redis_link import Argument, RedisLink
from livestar.core.address import without_secrets
from livestar.core.errors import AlreadyExists, LeaseLost, NotFound

FIELDS = ("job", "state", "reason", "attempt", "files", "created_at_ns", "updated_at_ns")
PROGRESS = ("stream", "sequence", "pts_s", "duration_s", "num_captions")


class JobBook:
    """Every step is one script, so it happens or it does not. The link is shared; whoever made it closes it.

    Every method raises `Unavailable` when Redis stays away.
    """

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def create(self, job: Job) -> JobInfo:
        """Writes a job down as QUEUED. The same job again changes nothing.

        Raises:
            AlreadyExists: the id is taken by another job.
        """
        written = json.dumps(asdict(job), sort_keys=True)
        names = [keys.job(job.id), keys.jobs(), keys.active_jobs()]
        if not await self._link.script(_CREATE, names, [job.id, written, time.time_ns()]):
            raise AlreadyExists(f"there is another job '{job.id}': choose another id")
        return await self.get(job.id)

    async def get(self, job: str) -> JobInfo:
        """One job.

        Raises:
            NotFound: there is none of this id.
        """
        values = await self._link.execute("HMGET", keys.job(job), *FIELDS, *PROGRESS)
        if values[0] is None:
            raise _not_found(job)
        return _info([value.decode() if value is not None else "" for value in values])

    async def source(self, job: str) -> str:
        """The source with its credentials; never log it.

        Raises:
            NotFound: there is none of this id.
        """
        written: bytes | None = await self._link.execute("HGET", keys.job(job), "job")
        if written is None:
            raise _not_found(job)
        return str(json.loads(written)["source"])

    async def newest(self, limit: int) -> list[JobInfo]:
        """Up to `limit` jobs, newest first."""
        ids = await self._link.execute("ZREVRANGE", keys.jobs(), 0, limit - 1)
        return [info for job in ids if (info := await self._get_if_there(job.decode()))]

    async def active(self) -> list[JobInfo]:
        """Every job that has not come to its end, by id."""
        ids = sorted(await self._link.execute("SMEMBERS", keys.active_jobs()))
        return [info for job in ids if (info := await self._get_if_there(job.decode()))]

    async def claim(self, job: str, worker: str, *, silent_s: float) -> JobInfo | None:
        """Takes a job that is queued, or whose worker was not heard of for `silent_s`; None: it is not to be had.

        A job that was begun too often has failed.
        """
        taken = await self._link.script(
            _CLAIM,
            [keys.job(job), keys.active_jobs()],
            [job, worker, _ms(silent_s), time.time_ns(), MAX_ATTEMPTS],
        )
        return await self.get(job) if taken else None

    async def progress(self, job: str, worker: str, progress: JobProgress) -> Order:
        """How far a job has come, and that its worker lives; answers what to do.

        Raises:
            LeaseLost: somebody else works on it.
        """
        names = [keys.job(job), keys.leaving_worker(_group(worker))]
        answer = await self._link.script(_PROGRESS, names, [worker, time.time_ns(), *_flat(progress)])
        if not answer:
            raise _lost(job)
        return Order(answer.decode())

    async def finish(
        self,
        job: str,
        worker: str,
        state: JobState,
        progress: JobProgress,
        *,
        reason: str = "",
        files: Mapping[str, str] = {},
    ) -> None:
        """Brings a job to a final state, or back to QUEUED.

        Raises:
            LeaseLost: somebody else works on it.
        """
        names = [keys.job(job), keys.active_jobs(), keys.job_outcomes(_group(worker))]
        final = int(state in FINAL_JOBS)
        values: list[Argument] = [job, worker, state, reason, json.dumps(dict(files)), time.time_ns(), final]
        if not await self._link.script(_FINISH, names, [*values, *_flat(progress)]):
            raise _lost(job)

    async def cancel(self, job: str) -> JobInfo:
        """Asks for the end of a job: a queued one is cancelled now, a running one soon, and any other stays as it is.

        Raises:
            NotFound: there is none of this id.
        """
        if not await self._link.script(_CANCEL, [keys.job(job), keys.active_jobs()], [job, time.time_ns()]):
            raise _not_found(job)
        return await self.get(job)

    async def delete(self, job: str) -> None:
        """Forgets a job."""
        await self._link.script(_DELETE, [keys.job(job), keys.jobs(), keys.active_jobs()], [job])

    async def leave(self, group: str, *, for_s: float) -> None:
        """Every worker of a group shall hand its job back, for so long."""
        await self._link.execute("SET", keys.leaving_worker(group), "1", "PX", _ms(for_s))

    async def outcomes(self, group: str) -> dict[JobState, int]:
        """How many jobs a group of workers has brought to each end."""
        found = await self._link.execute("HGETALL", keys.job_outcomes(group))
        pairs = found.items() if isinstance(found, Mapping) else zip(found[::2], found[1::2], strict=True)
        return {JobState(state.decode()): int(count) for state, count in pairs}

    async def may_sweep(self, *, every_s: float) -> bool:
        """Whether it is this caller's turn: one of all who ask in each `every_s`."""
        return bool(await self._link.execute("SET", keys.jobs_sweep(), "1", "NX", "PX", _ms(every_s)))

    async def _get_if_there(self, job: str) -> JobInfo | None:
        try:
            return await self.get(job)
        except NotFound:
            return None


def _info(values: list[str]) -> JobInfo:
    job, state, reason, attempt, files, created, updated, *progress = values
    stream, sequence, pts_s, duration_s, captions = progress
    asked = json.loads(job)
    return JobInfo(
        job=Job(
            **{**asked, "source": without_secrets(asked["source"]), "standing": tuple(asked["standing"])}
        ),
        state=JobState(state),
        reason=reason,
        progress=JobProgress(
            stream, int(sequence or 0), float(pts_s or 0), float(duration_s or 0), int(captions or 0)
        ),
        attempt=int(attempt or 0),
        files=json.loads(files or "{}"),
        created_at_ns=int(created),
        updated_at_ns=int(updated),
    )


def with_source(info: JobInfo, source: str) -> Job:
    """The job with its true source, to work on."""
    return replace(info.job, source=source)


def _group(worker: str) -> str:
    """The group that a worker belongs to: its name before the slash."""
    return worker.partition("/")[0]


def _flat(progress: JobProgress) -> list[Argument]:
    return [part for name, value in asdict(progress).items() for part in (name, value)]


def _not_found(job: str) -> NotFound:
    return NotFound(f"there is no job '{job}': see `livestar jobs list`")


def _lost(job: str) -> LeaseLost:
    return LeaseLost(f"another worker has job '{job}', or it is gone: stop working on it")


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


_CREATE = """
local known = redis.call('HGET', KEYS[1], 'job')
if known then return known == ARGV[2] and 1 or 0 end
redis.call('HSET', KEYS[1], 'job', ARGV[2], 'state', 'queued', 'reason', '', 'attempt', 0, 'files', '{}',
  'created_at_ns', ARGV[3], 'updated_at_ns', ARGV[3])
redis.call('ZADD', KEYS[2], string.sub(ARGV[3], 1, -4), ARGV[1])
redis.call('SADD', KEYS[3], ARGV[1])
return 1
"""

# Numbers of ns do not fit Lua's doubles: microseconds do.
_CLAIM = """
local found = redis.call('HMGET', KEYS[1], 'state', 'updated_at_ns', 'attempt', 'cancel')
local state = found[1]
if state == 'running' then
  local silent_us = tonumber(string.sub(ARGV[4], 1, -4)) - tonumber(string.sub(found[2], 1, -4))
  if silent_us < ARGV[3] * 1000 then return 0 end
elseif state ~= 'queued' then return 0 end
local ending = (found[4] and 'cancelled') or (tonumber(found[3]) >= tonumber(ARGV[5]) and 'failed')
if ending then
  local reason = ending == 'failed' and 'it was begun ' .. found[3] .. ' times and never ended' or ''
  redis.call('HSET', KEYS[1], 'state', ending, 'reason', reason, 'updated_at_ns', ARGV[4])
  redis.call('SREM', KEYS[2], ARGV[1])
  return 0
end
redis.call('HSET', KEYS[1], 'state', 'running', 'worker', ARGV[2], 'updated_at_ns', ARGV[4], 'reason', '')
redis.call('HINCRBY', KEYS[1], 'attempt', 1)
return 1
"""

_PROGRESS = """
local found = redis.call('HMGET', KEYS[1], 'state', 'worker', 'cancel')
if found[1] ~= 'running' or found[2] ~= ARGV[1] then return false end
redis.call('HSET', KEYS[1], 'updated_at_ns', ARGV[2], unpack(ARGV, 3))
if found[3] then return 'cancel' end
return redis.call('EXISTS', KEYS[2]) == 1 and 'leave' or 'go_on'
"""

_FINISH = """
local found = redis.call('HMGET', KEYS[1], 'state', 'worker')
if found[1] ~= 'running' or found[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'reason', ARGV[4], 'files', ARGV[5], 'updated_at_ns', ARGV[6],
  unpack(ARGV, 8))
if ARGV[7] == '1' then
  redis.call('SREM', KEYS[2], ARGV[1])
  redis.call('HINCRBY', KEYS[3], ARGV[3], 1)
  redis.call('EXPIRE', KEYS[3], 86400)
else
  redis.call('HDEL', KEYS[1], 'worker')
  redis.call('HINCRBY', KEYS[1], 'attempt', -1)
end
return 1
"""

_CANCEL = """
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return 0 end
if state == 'queued' then
  redis.call('HSET', KEYS[1], 'state', 'cancelled', 'updated_at_ns', ARGV[2])
  redis.call('SREM', KEYS[2], ARGV[1])
elseif state == 'running' then
  redis.call('HSET', KEYS[1], 'cancel', 1)
end
return 1
"""

_DELETE = """
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
return redis.call('UNLINK', KEYS[1])
"""
