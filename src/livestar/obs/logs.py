"""Logs: one line an event on stderr, as JSON for machines or as text for people, with the stream and the trace they belong to.

log = logging.getLogger("livestar.ingest")
with about(stream="door"):
    log.warning("fell behind", extra={"num_dropped": 3})
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal, TextIO

from livestar.obs.tracing import current_trace_id

_about: ContextVar[dict[str, str | int]] = ContextVar("about", default={})  # noqa: B039 - never changed in place


@contextmanager
def about(**fields: str | int) -> Iterator[None]:
    """Adds fields, such as `stream`, to everything that is logged within; tasks that are started within inherit them."""
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    finally:
        _about.reset(token)


def configure_logs(
    service: str, *, level: str = "INFO", style: Literal["json", "text"] = "json", to: TextIO | None = None
) -> None:
    """Makes the root logger write to `to` (stderr); call it once, at the start of a process."""
    handler = logging.StreamHandler(to or sys.stderr)
    handler.setFormatter(JsonFormatter(service) if style == "json" else TextFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, ASCII: time, level, service, logger, message, stream, trace_id, the extra fields, error."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": _redacted(record.getMessage()),
            **_about.get(),
        }
        if trace_id := current_trace_id():
            line["trace_id"] = trace_id
        line |= {name: _plain(value) for name, value in _extra(record).items()}
        if record.exc_info:
            line["error"] = _redacted(self.formatException(record.exc_info))
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """A line for people; control characters of untrusted text do not reach the terminal."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback below it where there is one."""
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = " ".join(f"{name}={value}" for name, value in {**_about.get(), **_extra(record)}.items())
        line = _CONTROL.sub(
            " ", f"{time} {self._service} {record.levelname.lower()}: {record.getMessage()} {fields}"
        )
        error = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return _redacted(line.rstrip() + error)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s\"']*@")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def _redacted(text: str) -> str:
    """A second line of defence: no address loses its password here, whoever logs it."""
    return _CREDENTIALS.sub("", text)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, int | float | bool | None) else _redacted(str(value))
