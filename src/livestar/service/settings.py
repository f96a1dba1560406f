"""Settings of a service: frozen, from the environment, parsed once. The only place that reads our variables."""

from __future__ import annotations

import os
import socket
import sys
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from livestar.core.errors import InvalidInput

BAD_SETTINGS = 2
"""Exit status of a service whose settings cannot work."""

ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

FOR_CLIENTS = ("LIVESTAR_GATEWAY_URL",)
"""Variables of the command line, which only look like settings of a service."""

Port = Annotated[int, Field(ge=0, le=65535)]


def _split(value: object) -> object:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""A list that is written with commas."""


class _Shared(BaseSettings):
    redis_url: SecretStr | None = None


class ServiceSettings(BaseSettings):
    """What every service can be told. Subclass it with the prefix, and defaults for the ports:

        class IngestSettings(ServiceSettings, env_prefix="LIVESTAR_INGEST_"):
            grpc_port: Port = 7301
            http_port: Port = 7401

    Attributes:
        redis_url: address of Redis, with user, password and database; REDIS_URL where the prefixed one is not set.
        key_prefix: before every key in Redis, so that several systems can share one; the same for all services of a system.
        host: address to listen on; 0.0.0.0 in a container.
        grpc_port: of the gRPC server; 0 takes a free one.
        http_port: of /metrics, /healthz and /readyz; 0 takes a free one.
        advertise_host: host under which others reach this process; empty: `host`, or this machine's name where that is 0.0.0.0.
        log_level: least level that is logged.
        log_format: "json" for machines, "text" for people.
        otlp_endpoint: where traces go (http://host:4317); empty: tracing is off.
        drain_s: time to finish or hand off after SIGTERM, seconds.
    """  # noqa: D415

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="LIVESTAR_", hide_input_in_errors=True
    )
    shared: ClassVar[tuple[str, ...]] = ("redis_url",)

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    key_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = "livestar"
    host: str = "127.0.0.1"
    grpc_port: Port = 0
    http_port: Port = 0
    advertise_host: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"
    otlp_endpoint: str = ""
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 20.0

    @model_validator(mode="before")
    @classmethod
    def _shared_variables(cls, values: dict[str, object]) -> dict[str, object]:
        shared = _Shared()
        return (
            values
            if "redis_url" in values or not shared.redis_url
            else {**values, "redis_url": shared.redis_url}
        )

    @classmethod
    def from_environment(cls) -> Self:
        """Reads the variables.

        Raises:
            InvalidInput: naming each variable that is unknown, missing or has a value that cannot work; never its value.
        """
        prefix = cls.prefix()
        known = {prefix + name.upper() for name in cls.model_fields}
        unknown = sorted(
            name
            for name in os.environ
            if name.upper().startswith(prefix) and name.upper() not in known and name not in FOR_CLIENTS
        )
        if unknown:
            raise InvalidInput(f"{', '.join(unknown)}: no such setting; there are {', '.join(sorted(known))}")
        try:
            return cls()
        except ValidationError as error:
            wrong = [f"{prefix}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
            raise InvalidInput("; ".join(wrong)) from None

    @classmethod
    def prefix(cls) -> str:
        """What its variables begin with."""
        return str(cls.model_config["env_prefix"])

    def advertised(self, port: int) -> str:
        """The address `host:port` under which others reach a port of this process."""
        own = socket.gethostname() if self.host in ANY_ADDRESS else self.host
        return f"{self.advertise_host or own}:{port}"


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def settings_or_exit(kind: type[SettingsT]) -> SettingsT:
    """The settings of this process; what cannot work is one line on stderr and exit status 2."""
    try:
        return kind.from_environment()
    except InvalidInput as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(BAD_SETTINGS)
