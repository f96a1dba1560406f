"""A job: work that is not live. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_ATTEMPTS = 5


class JobState(StrEnum):
    """What a job is doing."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL_JOBS = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})
"""States that a job never leaves."""


class Order(StrEnum):
    """What whoever works on a job shall do now."""

    GO_ON = "go_on"
    CANCEL = "cancel"
    """A caller wants no more of it."""
    LEAVE = "leave"
    """The worker ends: hand the job back."""


@dataclass(frozen=True)
class Job:
    """What is asked for: narrate a recording from its beginning to its end.

    Attributes:
        id: its name; as a stream id, but at most 48 characters.
        source: a path that ingest can read, or an address.
        fps: frames per second.
        alpha: sensitivity; None: the decoder's.
        task_prompt: an instruction before the first frame.
        standing: standing questions.
    """

    id: str
    source: str
    fps: float = 1.0
    alpha: float | None = None
    task_prompt: str = ""
    standing: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobProgress:
    """How far a job has come.

    Attributes:
        stream: the stream that narrates; empty in a worker's own process.
        sequence: last event that was written down.
        pts_s: presentation time up to which it is narrated, seconds.
        duration_s: length of the recording; 0: unknown.
        num_captions: captions so far.
    """

    stream: str = ""
    sequence: int = 0
    pts_s: float = 0.0
    duration_s: float = 0.0
    num_captions: int = 0

    @property
    def share(self) -> float | None:
        """From 0 to 1; None: unknown."""
        return min(1.0, self.pts_s / self.duration_s) if self.duration_s > 0 else None


@dataclass(frozen=True)
class JobInfo:
    """A job as the book knows it; its source is without credentials.

    Attributes:
        job: what was asked for.
        state: what it is doing.
        reason: one sentence on how it came into this state; may be empty.
        progress: how far it has come.
        attempt: how often it was begun, from 1; 0: not yet.
        files: what it has written, by kind.
        created_at_ns: when it was asked for.
        updated_at_ns: when it was last heard of.
    """

    job: Job
    state: JobState
    reason: str
    progress: JobProgress
    attempt: int
    files: dict[str, str]
    created_at_ns: int
    updated_at_ns: int
