"""What may be read, and one sentence for what may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.video import CLOCK_90K, steady, write_clip
from livestar.core.errors import BadVideo, InvalidInput
from livestar.media import VideoSource
from livestar.media.source_policy import Admitted, SourcePolicy

pytestmark = pytest.mark.unit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    return tmp_path / "clips"


def admitted(root: Path, source: str, **more: tuple[str, ...]) -> Admitted:
    return SourcePolicy((root,), **more).admit(source)


@pytest.mark.parametrize("written", ["a.mp4", "./b/../a.mp4", "{root}/a.mp4", "file://{root}/a.mp4"])
def test_files_below_a_root(root: Path, written: str) -> None:
    found = admitted(root, written.format(root=root))
    assert found.location == root / "a.mp4"
    assert found.is_file


@pytest.mark.parametrize(
    "written", ["../secret.mp4", "/etc/passwd", "file:///etc/passwd", "out/a.mp4", "file://{root}/%2e%2e/x"]
)
def test_files_elsewhere(root: Path, written: str) -> None:
    (root / "out").symlink_to(root.parent)
    with pytest.raises(BadVideo, match=r"outside the folders that ingest may read: put it below .*clips\."):
        admitted(root, written.format(root=root))


def test_a_second_root_and_none(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert SourcePolicy((root, other)).admit(f"{other}/a.mp4").location == other / "a.mp4"
    with pytest.raises(BadVideo, match="reads no local files"):
        SourcePolicy(()).admit("a.mp4")
    with pytest.raises(InvalidInput, match="is no path"):
        SourcePolicy((root,)).admit("a\x00.mp4")


def test_schemes(root: Path) -> None:
    assert admitted(root, "RTSP://u:p@camera/1").location == "RTSP://u:p@camera/1"
    with pytest.raises(BadVideo) as refused:
        admitted(root, "udp://u:hunter2@0.0.0.0:5000?x=hunter2")
    assert str(refused.value) == (
        "udp://0.0.0.0:5000 cannot be read: udp is not among file, http, https, rtsp, rtsps, rtmp, rtmps."
    )
    assert admitted(root, "udp://0.0.0.0:5000", schemes=("udp",)).options["protocol_whitelist"]
    with pytest.raises(BadVideo, match="file is not among http"):
        admitted(root, "a.mp4", schemes=("http",))


def test_a_playlist_leads_nowhere_else(root: Path) -> None:
    """Neither from the net to a file, nor from a file to the net."""
    assert "file" not in admitted(root, "https://a/b.m3u8").options["protocol_whitelist"].split(",")
    listed = write_clip(steady("seg.ts", 50, step=3600, tick=CLOCK_90K), root)
    playlist = root / "list.m3u8"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:9/{listed.name}\n#EXT-X-ENDLIST\n"
    )
    source = admitted(root, "list.m3u8")
    with pytest.raises(BadVideo):
        VideoSource.open(source.location, options=source.options)
