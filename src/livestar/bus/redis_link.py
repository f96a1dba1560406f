"""The connection to Redis: deadlines, reconnecting, and errors that say what to do without saying the password."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import redis.asyncio as redis
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from livestar.core.address import without_secrets
from livestar.core.backoff import Backoff
from livestar.core.errors import (
    CapacityExceeded,
    FailedPrecondition,
    InvalidInput,
    LiveStarError,
    Unavailable,
)

T = TypeVar("T")
Argument = str | bytes | int | float


@dataclass(frozen=True)
class Patience:
    """How long the link waits.

    Attributes:
        connect_s: for one connection.
        answer_s: for one answer, beyond the time that a command blocks by itself.
        give_up_s: from the first failure of a command to `Unavailable`; it is tried again until then.
    """

    connect_s: float = 1.0
    answer_s: float = 2.0
    give_up_s: float = 5.0


class RedisLink:
    """A pool of connections that everything on one Redis shares. Belongs to one event loop.

    A command that failed for want of a connection is sent again, so it may be carried out twice: whatever uses this link is
    idempotent, or at least once.

    Args:
        url: redis://, rediss:// or unix://, with user, password and database; it is never logged.
        patience: deadlines.
        max_connections: of the pool; each blocked read holds one.

    Raises:
        InvalidInput: the address is none.
    """

    def __init__(self, url: str, *, patience: Patience = Patience(), max_connections: int = 64) -> None:
        self.address = without_secrets(url)
        self._patience = patience
        try:
            pool = redis.BlockingConnectionPool.from_url(
                url,
                max_connections=max_connections,
                timeout=patience.answer_s,
                protocol=2,
                decode_responses=False,
                socket_connect_timeout=patience.connect_s,
                socket_timeout=None,
                health_check_interval=15,
                retry=Retry(NoBackoff(), 0),
            )
        except (ValueError, TypeError):
            # Without the cause: it quotes the address, and with it the password.
            raise InvalidInput(
                "the address of Redis is not one: use redis://[user:password@]host:port/0"
            ) from None
        self._redis = redis.Redis(connection_pool=pool)

    def __repr__(self) -> str:
        return f"RedisLink({self.address})"

    async def call(self, command: Callable[[redis.Redis], Awaitable[T]], *, block_s: float = 0.0) -> T:
        """Runs a command, again and again until it succeeds or `give_up_s` is over.

        Args:
            command: sends one command (or pipeline) and returns its answer.
            block_s: how long the command blocks by itself.

        Raises:
            Unavailable: Redis is away, loading, or cannot write.
            CapacityExceeded: Redis is out of memory.
            FailedPrecondition: Redis refuses the user, the password or the command.
        """
        backoff, failing_since_s = Backoff(0.02, 0.5), None
        while True:
            try:
                return await self._attempt(command, block_s)
            except (exceptions.RedisError, OSError) as error:
                failing_since_s = failing_since_s or time.monotonic()
                pause_s = backoff.pause_s()
                if (
                    not _may_pass(error)
                    or time.monotonic() + pause_s > failing_since_s + self._patience.give_up_s
                ):
                    explained = self._explained(error)
                    if explained is None:
                        raise
                    # Without the cause, which may quote the address.
                    raise explained from None
            await asyncio.sleep(pause_s)

    async def _attempt(self, command: Callable[[redis.Redis], Awaitable[T]], block_s: float) -> T:
        async with asyncio.timeout(block_s + self._patience.answer_s):
            return await command(self._redis)

    async def execute(self, *command: Argument, block_s: float = 0.0) -> Any:
        """One command as it is written in Redis' manual; the answer as redis-py gives it, texts as bytes.

        Raises:
            as `call`, and redis.ResponseError where Redis refuses the command for what it says.
        """
        return await self.call(lambda client: client.execute_command(*command), block_s=block_s)

    async def script(self, source: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Runs a Lua script, which is atomic. It is sent once and then named by its hash.

        Raises:
            as `execute`.
        """
        script = self._redis.register_script(source)
        return await self.call(lambda _: script(keys=list(keys), args=list(arguments)))

    async def check(self) -> None:
        """Passes when Redis answers and is new enough.

        Raises:
            as `call`; FailedPrecondition: it is older than 7.0.
        """
        info = await self.call(lambda client: client.info("server"))
        version = str(info.get("redis_version", "0"))
        if int(version.split(".")[0]) < 7:
            raise FailedPrecondition(
                f"Redis at {self.address} is {version}: use Redis 7.0 or Valkey 7.2, or newer"
            )

    async def close(self) -> None:
        """Closes every connection. May be called again."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _explained(self, error: Exception) -> LiveStarError | None:
        where = f"Redis at {self.address}"
        if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError):
            return FailedPrecondition(f"{where} refuses this user or password: check REDIS_URL")
        if isinstance(error, exceptions.OutOfMemoryError):
            return CapacityExceeded(f"{where} is out of memory: delete streams or raise its maxmemory")
        if isinstance(error, exceptions.ResponseError):
            text = str(error)
            if text.startswith(("MISCONF", "NOREPLICAS")):
                return Unavailable(
                    f"{where} cannot keep what is written: free its disk and look into its log"
                )
            if text.startswith("NOAUTH"):
                return FailedPrecondition(f"{where} wants a password: put it into REDIS_URL")
            if text.startswith(_TRANSIENT):
                return Unavailable(f"{where} is not ready yet: try again")
            return None
        return Unavailable(f"{where} does not answer: start it, or set REDIS_URL")


_TRANSIENT = ("LOADING", "READONLY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "BUSY ")


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, exceptions.AuthenticationError | exceptions.AuthorizationError):
        return False
    if isinstance(error, exceptions.ResponseError):
        return isinstance(error, exceptions.ReadOnlyError) or str(error).startswith(_TRANSIENT)
    return isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | TimeoutError | OSError)
