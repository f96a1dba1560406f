"""Server-sent events, as a body brings them (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from livestar.core.errors import InvalidInput

MAX_EVENT_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ServerEvent:
    """One event.

    Attributes:
        id: the cursor; empty where none was given.
        kind: its type; `message` where none was given.
        data: its payload.
    """

    id: str
    kind: str
    data: str


def server_events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """Events of a body. One that is cut off at the end is not an event.

    Raises:
        InvalidInput: an event longer than `MAX_EVENT_BYTES`.
    """
    cursor, kind, data, size = "", "", list[str](), 0
    for line in _lines(chunks):
        if not line:
            if data:
                yield ServerEvent(cursor, kind or "message", "\n".join(data))
            kind, data, size = "", [], 0
            continue
        size += len(line)
        if size > MAX_EVENT_BYTES:
            raise _too_long()
        name, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                data.append(value)
            case "event":
                kind = value
            case "id" if "\0" not in value:
                cursor = value


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines that end in LF or CR LF. Not `str.splitlines`, which also splits at U+2028 and others within a text."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_EVENT_BYTES:
            raise _too_long()
        yield from (line.removesuffix(b"\r") for line in lines)


def _too_long() -> InvalidInput:
    return InvalidInput("the gateway sent an event of more than 1 MiB: is it a gateway?")
