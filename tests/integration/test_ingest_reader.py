"""One source, read in a thread: at its pace, around its ends, and as long as somebody wants it."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from services.ingest.inbox import Ended, Inbox, Taken
from services.ingest.metrics import IngestMetrics
from services.ingest.reader import Plan, Reader

from fakes.live_server import file_server, live_server
from fakes.preview import feed
from fakes.video import CLOCK_90K, read_number, steady, write_clip
from livestar.api.v1 import common_pb2, events_pb2
from livestar.core.errors import BadVideo
from livestar.media import VideoSource
from livestar.media.hls import RollingPlaylist
from livestar.media.image import decode_image, resize_frame
from livestar.media.source_policy import Admitted, SourcePolicy
from livestar.obs import Metrics

pytestmark = pytest.mark.integration

FAST = common_pb2.PACE_AS_FAST_AS_POSSIBLE
SIDE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    """Two seconds at 25 fps."""
    return write_clip(steady("two_seconds.mp4", 50, step=512, tick=Fraction(1, 12_800)), folder)


@pytest.fixture(scope="module")
def live(folder: Path) -> bytes:
    """The same as a transport stream."""
    return write_clip(steady("two_seconds.ts", 50, step=3600, tick=CLOCK_90K), folder).read_bytes()


def plan(source: Path | str, **changes: object) -> Plan:
    policy = SourcePolicy((Path("/"),))
    settings: dict[str, object] = {"fps": 5.0, "pace": FAST, "loop": False, "side": SIDE, "kind": "PNG"}
    return Plan(policy.admit(str(source)), **{**settings, "timeout_s": 5.0, **changes})  # type: ignore[arg-type]


class Reading:
    """A reader in its thread, and everything that it gave, taken at once or after a pause."""

    def __init__(self, plan: Plan, *, pause_s: float = 0.0, inbox_size: int = 1) -> None:
        self.metrics = Metrics("ingest")
        self.frames: list[Taken] = []
        self.dropped: list[int] = []
        self.times: list[float] = []
        self.ended: Ended | None = None
        self._pause_s = pause_s
        self._news = threading.Event()
        self.inbox = Inbox(self._news.set, inbox_size)
        self.reader = Reader(plan, self.inbox, IngestMetrics(self.metrics))
        self.reader.start("test")

    def to_the_end(self, *, or_frames: int = 10_000, within_s: float = 20.0) -> Reading:
        until_s = time.monotonic() + within_s
        while not self.ended and len(self.frames) < or_frames:
            assert self._news.wait(max(0.0, until_s - time.monotonic())), "nothing comes any more"
            self._news.clear()
            while self.inbox.waiting and not self.ended:
                self._take()
        return self

    def _take(self) -> None:
        time.sleep(self._pause_s)
        item, dropped, _ = self.inbox.take()
        if isinstance(item, Ended):
            self.ended = item
            self.inbox.close()
            return
        self.dropped.append(dropped)
        self.times.append(time.monotonic())
        self.frames.append(item)

    @property
    def numbers(self) -> list[int]:
        return [read_number(decode_image(frame.data, "PNG", SIDE, SIDE)) for frame in self.frames]

    @property
    def pts_s(self) -> list[float]:
        return [frame.pts_ns / 1e9 for frame in self.frames]

    @property
    def failure(self) -> str:
        assert self.ended
        assert self.ended.reason == events_pb2.END_REASON_FAILED
        assert isinstance(self.ended.error, BadVideo)
        return str(self.ended.error)


def test_a_recording_as_fast_as_it_is_taken_loses_nothing(clip: Path) -> None:
    reading = Reading(plan(clip), pause_s=0.01).to_the_end()
    assert reading.ended == Ended(events_pb2.END_REASON_SOURCE_ENDED)
    assert reading.numbers == list(range(0, 50, 5))
    assert reading.pts_s == [k / 5 for k in range(10)]
    assert set(reading.dropped) == {0}
    assert not any(frame.discontinuity for frame in reading.frames)
    assert abs(reading.frames[0].captured_at_ns - time.time_ns()) < 60e9


def test_what_travels_is_what_the_network_would_be_shown(clip: Path) -> None:
    """Scaled by the library's own resize; the source is larger than the frame that travels."""
    with VideoSource.open(clip) as source:
        expected = [resize_frame(sample.rgb, 20) for sample in source.frames(5)]
    reading = Reading(plan(clip, side=20)).to_the_end()
    for frame, rgb in zip(reading.frames, expected, strict=True):
        assert np.array_equal(decode_image(frame.data, "PNG", 20, 20), rgb)
        assert frame.source_size == (32, 32)


@pytest.mark.slow
def test_a_recording_at_the_pace_of_life(clip: Path) -> None:
    reading = Reading(plan(clip, pace=common_pb2.PACE_UNSPECIFIED)).to_the_end()
    assert reading.numbers == list(range(0, 50, 5))
    steps = np.diff(reading.times)
    assert 1.7 < reading.times[-1] - reading.times[0] < 4
    assert steps.max() < 1.0, "not in bursts"


@pytest.mark.slow
def test_a_taker_that_is_slow_gets_the_latest_frame_and_a_count(clip: Path) -> None:
    reading = Reading(plan(clip, pace=common_pb2.PACE_REALTIME, fps=25.0), pause_s=0.3).to_the_end()
    assert 3 <= len(reading.frames) < 20
    assert len(reading.frames) + sum(reading.dropped) == 50
    ordinals = np.cumsum([1 + dropped for dropped in reading.dropped]) - 1
    assert reading.numbers == ordinals.tolist(), "the count says exactly which are missing"


def test_a_burst_is_taken_in_as_far_as_there_is_room(clip: Path, live: bytes) -> None:
    with live_server(live) as url:
        burst = plan(url, fps=25.0, pace=common_pb2.PACE_LIVE, reconnect_s=0.0)
        reading = Reading(burst, pause_s=0.02, inbox_size=50).to_the_end()
    assert reading.numbers == list(range(50))
    assert set(reading.dropped) == {0}


def test_a_loop_goes_on_in_time(clip: Path) -> None:
    reading = Reading(plan(clip, loop=True)).to_the_end(or_frames=25)
    reading.inbox.close()
    assert reading.numbers[:25] == [*range(0, 50, 5), *range(0, 50, 5), *range(0, 25, 5)]
    assert reading.pts_s[:25] == pytest.approx([k / 5 for k in range(25)], abs=1e-6)
    assert [n for n, frame in enumerate(reading.frames[:25]) if frame.discontinuity] == [10, 20]


def test_another_process_goes_on_where_the_first_one_was(clip: Path) -> None:
    reading = Reading(plan(clip, after_pts_ns=800_000_000)).to_the_end()
    assert reading.numbers == [25, 30, 35, 40, 45]
    assert reading.pts_s == [1.0, 1.2, 1.4, 1.6, 1.8]
    assert [frame.discontinuity for frame in reading.frames] == [True, False, False, False, False]


def test_another_process_goes_on_in_the_middle_of_a_loop(clip: Path) -> None:
    reading = Reading(plan(clip, loop=True, after_pts_ns=2_800_000_000)).to_the_end(or_frames=17)
    reading.inbox.close()
    assert reading.numbers[:17] == [*range(25, 50, 5), *range(0, 50, 5), 0, 5]
    assert reading.pts_s[:17] == pytest.approx([3 + k / 5 for k in range(17)], abs=1e-6)
    assert [n for n, frame in enumerate(reading.frames[:17]) if frame.discontinuity] == [0, 5, 15]


def test_another_process_begins_the_next_round_of_a_loop(clip: Path) -> None:
    reading = Reading(plan(clip, loop=True, after_pts_ns=3_800_000_000)).to_the_end(or_frames=3)
    reading.inbox.close()
    assert reading.numbers[:3] == [0, 5, 10]
    assert reading.pts_s[:3] == [4.0, 4.2, 4.4]


def test_another_process_at_the_end(clip: Path) -> None:
    reading = Reading(plan(clip, after_pts_ns=1_800_000_000)).to_the_end()
    assert (reading.frames, reading.ended) == ([], Ended(events_pb2.END_REASON_SOURCE_ENDED))


def test_a_live_source_that_breaks_off_is_opened_again(live: bytes) -> None:
    with live_server(live, live) as url:
        reading = Reading(plan(url, fps=25.0, pace=common_pb2.PACE_UNSPECIFIED, reconnect_s=1.0)).to_the_end()
    assert reading.ended
    assert reading.reader.counts.reconnects >= 2
    seen = len(reading.frames) + sum(reading.dropped)
    assert seen == 100
    assert reading.pts_s == sorted(reading.pts_s)
    assert sum(frame.discontinuity for frame in reading.frames) <= 1
    gap_s = max(np.diff(reading.pts_s))
    assert 0.1 < gap_s < 5, "the time that it was away has passed in the stream as well"


def test_a_live_source_that_ends_is_over_after_a_while(live: bytes) -> None:
    with live_server(live) as url:
        reading = Reading(plan(url, pace=common_pb2.PACE_LIVE, reconnect_s=0.0)).to_the_end()
    assert reading.ended == Ended(events_pb2.END_REASON_SOURCE_ENDED)


def test_a_live_source_that_breaks_off_for_good_fails(live: bytes) -> None:
    with live_server(live, breaks_off=True) as url:
        reading = Reading(plan(url, pace=common_pb2.PACE_LIVE, reconnect_s=0.5)).to_the_end()
    assert len(reading.frames) + sum(reading.dropped) == 10
    assert "could not be opened" in reading.failure
    assert "hunter2" not in reading.failure


def test_a_live_playlist_that_is_closed_is_over(tmp_path: Path) -> None:
    """Opened again it is a recording of itself: nothing of it is shown twice."""
    playlist = RollingPlaylist(tmp_path)
    clip = write_clip(steady("eight.ts", 200, step=3600, tick=CLOCK_90K), tmp_path)
    feed(clip, playlist)
    with file_server(tmp_path) as url:
        reading = Reading(plan(f"{url}/index.m3u8", pace=common_pb2.PACE_LIVE), inbox_size=50)
        reading.to_the_end(or_frames=14)
        playlist.end()
        reading.to_the_end()
    assert reading.ended == Ended(events_pb2.END_REASON_SOURCE_ENDED)
    numbers = reading.numbers
    assert 100 <= numbers[0] < 150, "a live playlist begins near its end"
    assert numbers == [*range(numbers[0], 200, 5)]


def test_a_dead_address_fails_at_once_in_one_sentence() -> None:
    with live_server() as url:
        pass
    started_s = time.monotonic()
    failure = Reading(plan(url)).to_the_end().failure
    assert "could not be opened (Connection refused): check the address" in failure
    assert "hunter2" not in failure
    assert time.monotonic() - started_s < 5


def test_a_server_that_hangs_fails_by_its_deadline_and_holds_up_nobody(clip: Path) -> None:
    with live_server(then_hang=True) as url:
        hanging = Reading(plan(url, timeout_s=1.0))
        other = Reading(plan(clip)).to_the_end(within_s=10)
        assert len(other.frames) == 10
        assert "did not answer within 1 s" in hanging.to_the_end().failure


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "does not exist"), ("text", "text file|no video"), ("song", "holds audio but no video")],
)
def test_what_is_no_video_is_said(tmp_path: Path, content: str | None, said: str) -> None:
    from fakes.video import write_song

    path = tmp_path / "thing.mp4"
    if content == "song":
        write_song(path)
    elif content:
        path.write_text("not a video\n" * 50)
    failure = Reading(plan(path)).to_the_end().failure
    assert any(part in failure for part in said.split("|"))


def test_a_local_playlist_is_refused(tmp_path: Path, live: bytes) -> None:
    (tmp_path / "seg.ts").write_bytes(live)
    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nseg.ts\n#EXT-X-ENDLIST\n"
    )
    assert "names other files" in Reading(plan(tmp_path / "list.m3u8")).to_the_end().failure


@pytest.mark.parametrize("pace", [FAST, common_pb2.PACE_REALTIME])
def test_a_reader_that_nobody_wants_leaves_at_once(clip: Path, pace: common_pb2.Pace.ValueType) -> None:
    reading = Reading(plan(clip, pace=pace, loop=True)).to_the_end(or_frames=2)
    threads = [thread for thread in threading.enumerate() if thread.name == "read test"]
    reading.inbox.close()
    for thread in threads:
        thread.join(2)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.slow
def test_a_preview_on_a_full_disk_costs_the_preview_only(clip: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    reading = Reading(plan(clip, pace=common_pb2.PACE_REALTIME, preview=gone)).to_the_end()
    assert len(reading.frames) == 10
    assert reading.metrics.value("livestar_ingest_preview_errors_total") == 1


@pytest.mark.slow
def test_a_looping_preview_goes_on(tmp_path: Path) -> None:
    clip = write_clip(steady("second.mp4", 25, step=512, tick=Fraction(1, 12_800)), tmp_path)
    preview = tmp_path / "preview"
    preview.mkdir()
    paced = plan(clip, pace=common_pb2.PACE_REALTIME, loop=True, preview=preview)
    reading = Reading(paced).to_the_end(or_frames=16)
    reading.inbox.close()
    text = (preview / "index.m3u8").read_text()
    assert text.count("#EXT-X-DISCONTINUITY\n") >= 1
    for second in range(2):
        assert f"#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:0{second}.000Z" in text


def test_admitted_options_reach_the_library(clip: Path) -> None:
    """A source whose protocol is not on its list does not open."""
    refused = Reading(
        Plan(Admitted(clip, {"protocol_whitelist": "http"}), 5.0, FAST, loop=False, side=SIDE, kind="PNG")
    )
    assert "could not be opened" in refused.to_the_end().failure
