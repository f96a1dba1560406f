"""Which sources may be read, and how FFmpeg is kept from reading others on their behalf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from livestar.core.errors import BadVideo, InvalidInput
from livestar.media.opening import is_url, shown

SCHEMES = ("file", "http", "https", "rtsp", "rtsps", "rtmp", "rtmps")
"""What is allowed unless told otherwise; FFmpeg also knows udp, tcp and more."""

_HTTP = "http,https,httpproxy,tcp,tls,crypto,data"
_ON_BEHALF = {
    "file": "file,crypto,data",
    "http": _HTTP,
    "https": _HTTP,
    "rtsp": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https",
    "rtsps": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
}
"""Protocols that a source of each scheme may lead to: a playlist from the net never opens a file."""

_OPTIONS: Mapping[str, Mapping[str, str]] = {
    # TCP first: cameras behind NAT, and no packets lost on the way.
    "rtsp": {"rtsp_flags": "prefer_tcp", "analyzeduration": "500000"},
    "rtsps": {"rtsp_flags": "prefer_tcp", "analyzeduration": "500000"},
    "rtmp": {"analyzeduration": "1000000"},
    "rtmps": {"analyzeduration": "1000000"},
}

PLAYLISTS = ("hls", "concat", "dash")
"""Formats that name other files: fine from the net, not from a local file, which could name any other."""


@dataclass(frozen=True)
class Admitted:
    """A source that may be read.

    Attributes:
        location: a resolved path, or an address.
        options: FFmpeg's, to open it with.
    """

    location: Path | str
    options: Mapping[str, str]

    @property
    def is_file(self) -> bool:
        """Whether it is a local file."""
        return isinstance(self.location, Path)


@dataclass(frozen=True)
class SourcePolicy:
    """What may be read.

    Attributes:
        roots: folders below which local files may lie, symbolic links resolved; a relative path counts from the first one.
        schemes: allowed schemes; "file" stands for paths.
    """

    roots: tuple[Path, ...]
    schemes: tuple[str, ...] = SCHEMES

    def admit(self, source: str) -> Admitted:
        """Passes a source that may be read; whether it can be is another question.

        Raises:
            BadVideo: the scheme is not allowed, or the file lies elsewhere; one sentence without secrets.
        """
        scheme = source.partition("://")[0].lower() if is_url(source) else "file"
        if scheme not in self.schemes:
            raise BadVideo(
                f"{shown(source)} cannot be read: {scheme} is not among {', '.join(self.schemes)}."
            )
        if scheme == "file":
            return Admitted(self._path(source), {"protocol_whitelist": _ON_BEHALF["file"]})
        leads_to = _ON_BEHALF.get(scheme, f"{scheme},udp,tcp,tls")
        return Admitted(source, {"protocol_whitelist": leads_to, **_OPTIONS.get(scheme, {})})

    def _path(self, source: str) -> Path:
        name = unquote(urlsplit(source).path) if is_url(source) else source
        if not self.roots:
            raise BadVideo(f"{name} cannot be read: this ingest reads no local files, so give an address.")
        try:
            path = (self.roots[0] / Path(name).expanduser()).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise InvalidInput(f"{name[:200]!r} is no path: {error}.") from None
        if not any(path.is_relative_to(root.resolve()) for root in self.roots):
            folders = ", ".join(map(str, self.roots))
            raise BadVideo(f"{name} lies outside the folders that ingest may read: put it below {folders}.")
        return path
