"""What a source's address may look like; whether anything is there is for ingest to say."""

from __future__ import annotations

from urllib.parse import urlsplit

from livestar.core.errors import BadVideo

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "srt")


def check_source(source: str) -> None:
    """Passes for a path, and for an address that has a known scheme, a host and a port that is one.

    Raises:
        BadVideo: what is wrong; the address, which may hold a password, is not quoted.
    """
    scheme, separator, _ = source.partition("://")
    if not separator:
        return
    if scheme.lower() == "file":
        raise BadVideo("source: give a file as a path, without file://")
    if scheme.lower() not in SCHEMES:
        raise BadVideo(
            f"source: the address has to begin with one of {', '.join(SCHEMES)}, or be a path of ingest's machine"
        )
    try:
        parts = urlsplit(source)
        fine = bool(parts.hostname) and (parts.port or 1) > 0 and not any(c.isspace() for c in parts.netloc)
    except ValueError:
        fine = False
    if not fine:
        raise BadVideo(
            f"source: the address has no host, or a port that is none: use {scheme.lower()}://host:port/path"
        )
