from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestar.core.errors import BadAnnotation
from livestar.evaluation.omnistar import (
    Conversation,
    EventSegment,
    NarratedVideo,
    Predictions,
    TimedCaption,
    Turn,
    read_conversations,
    read_narrated_videos,
    read_predictions,
    write_conversations,
    write_narrated_videos,
    write_predictions,
)

pytestmark = pytest.mark.unit

TEXTS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("omnistar") / "file"


def refused(read: object, file: Path, text: str, message: str) -> None:
    file.write_text(text, encoding="utf-8")
    assert callable(read)
    with pytest.raises(BadAnnotation, match=f"^{re.escape(str(file))}:{message}"):
        read(file)


class TestNarratedVideos:
    def test_a_file_becomes_videos_with_segments(self, file: Path) -> None:
        file.write_text(
            "data/caption_videos/a b.mp4\n"
            "Timestamp: 00:00:00 Caption: A dog: it  barks.\n"
            "Timestamp: 01:02:03 Caption: See Timestamp: 00:00:00 of x.mp4\n"
            "\n"
            "videos/c.mp4\n"
            "Timestamp: 00:00:07 Caption:\n"
        )
        first, second = read_narrated_videos(file)
        assert (first.path, first.video_id) == ("data/caption_videos/a b.mp4", "a b")
        assert first.segments == (
            EventSegment(0, 0, "A dog: it  barks."),
            EventSegment(1, 3723, "See Timestamp: 00:00:00 of x.mp4"),
        )
        assert second == NarratedVideo("videos/c.mp4", (TimedCaption(7, ""),))
        assert second.segments == (EventSegment(7, 7, ""),)

    @given(
        st.dictionaries(
            st.text("abc0-_ ", min_size=1, max_size=5),
            st.dictionaries(st.integers(0, 400_000), TEXTS, min_size=1, max_size=4),
            max_size=3,
        )
    )
    def test_round_trip(self, file: Path, drawn: dict[str, dict[int, str]]) -> None:
        videos = tuple(
            NarratedVideo(
                f"v/{name}.mp4", tuple(TimedCaption(t, text) for t, text in sorted(captions.items()))
            )
            for name, captions in drawn.items()
        )
        write_narrated_videos(file, videos)
        assert read_narrated_videos(file) == videos

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("Timestamp: 00:00:01 Caption: x\n", "1: expected the line of a video"),
            ("a.mp4\nTimestamp: 00:00:01 Caption: x\nand more\n", "3: expected a video file or 'Timestamp"),
            ("a.mp4\nTimestamp: 00:61:00 Caption: x\n", "2: expected a video file or 'Timestamp"),
            (
                "\na.mp4\nb.mp4\nTimestamp: 00:00:01 Caption: x\n",
                "2: a narrated video has at least one caption",
            ),
            (
                "a.mp4\nTimestamp: 00:00:09 Caption: x\nTimestamp: 00:00:09 Caption: y\n",
                "1: times must rise, but 00:00:09 follows 00:00:09",
            ),
            (
                "v/a.mp4\nTimestamp: 00:00:01 Caption: x\nw/a.mp4\nTimestamp: 00:00:01 Caption: x\n",
                "3: video a is listed twice",
            ),
        ],
    )
    def test_a_bad_file_is_refused_by_line(self, file: Path, text: str, message: str) -> None:
        refused(read_narrated_videos, file, text, message)

    def test_values_that_the_format_cannot_hold_are_refused(self, file: Path) -> None:
        with pytest.raises(ValueError, match="on one line"):
            write_narrated_videos(file, [NarratedVideo("a.mp4", (TimedCaption(0, "two\nlines"),))])
        with pytest.raises(ValueError, match="path of a video"):
            NarratedVideo("dog", (TimedCaption(0, "x"),))
        with pytest.raises(ValueError, match="not negative"):
            TimedCaption(-1, "x")


class TestPredictions:
    def test_times_are_minutes_and_seconds_and_keep_the_order_of_the_file(self, file: Path) -> None:
        file.write_text('{"video_id": "a", "result": [["75:00", "x"], ["00:03", "y"]], "other": 1}\n')
        assert read_predictions(file) == (Predictions("a", (TimedCaption(4500, "x"), TimedCaption(3, "y"))),)

    @given(
        st.dictionaries(
            TEXTS, st.lists(st.builds(TimedCaption, st.integers(0, 400_000), TEXTS), max_size=4), max_size=3
        )
    )
    def test_round_trip(self, file: Path, drawn: dict[str, list[TimedCaption]]) -> None:
        videos = tuple(Predictions(video_id, tuple(captions)) for video_id, captions in drawn.items())
        write_predictions(file, videos)
        assert read_predictions(file) == videos

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"video_id": "a", "result": []}\n{"video_id": ', "2: Invalid JSON"),
            ('{"video_id": "a"}\n', "1: result: Field required"),
            ('{"video_id": "a", "result": [["00:01"]]}\n', "1: result.0.1: Field required"),
            ('{"video_id": 7, "result": []}\n', "1: video_id: "),
            ('{"video_id": "a", "result": [["00:60", "x"]]}\n', "1: expected a time as 'MM:SS', not '00:60'"),
            (
                '{"video_id": "a", "result": []}\n{"video_id": "a", "result": []}\n',
                "2: video a is listed twice",
            ),
        ],
    )
    def test_a_bad_file_is_refused_by_line(self, file: Path, text: str, message: str) -> None:
        refused(read_predictions, file, text, message)


class TestConversations:
    TURNS = (Turn("human", "Task.\nFrame-1: <image>\nFrame-2: <image>\n"), Turn("gpt", "Ein Hund – <image>?"))
    DOG = Conversation("dog", ("1.jpg", "2.jpg"), (720, 720), (1280, 1280), TURNS)

    def test_a_line_becomes_a_conversation(self, file: Path) -> None:
        file.write_text(
            '{"id": 3, "image": ["1.jpg"], "height_list": [2], "width_list": [4], "conversations": '
            '[{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "x"}]}\n'
        )
        turns = (Turn("human", "<image>"), Turn("gpt", "x"))
        assert read_conversations(file) == (Conversation(3, ("1.jpg",), (2,), (4,), turns),)

    def test_round_trip(self, file: Path) -> None:
        write_conversations(file, [self.DOG, self.DOG])
        text = file.read_text(encoding="utf-8")
        assert read_conversations(file) == (self.DOG, self.DOG)
        assert '{"from": "gpt", "value": "Ein Hund – <image>?"}' in text
        write_conversations(file, read_conversations(file))
        assert file.read_text(encoding="utf-8") == text

    @pytest.mark.parametrize(
        ("broken", "message"),
        [
            (('"gpt"', '"robot"'), "1: conversations.1.from: Input should be 'human' or 'gpt'"),
            (("[720, 720]", "[720]"), "1: 2 images, but 1 heights, 2 widths and 2 <image>"),
            (("Frame-2: <image>", "Frame-2: "), "1: 2 images, but 2 heights, 2 widths and 1 <image>"),
        ],
    )
    def test_a_bad_file_is_refused_by_line(self, file: Path, broken: tuple[str, str], message: str) -> None:
        write_conversations(file, [self.DOG])
        refused(read_conversations, file, file.read_text(encoding="utf-8").replace(*broken), message)


def test_a_file_that_cannot_be_read_is_refused(file: Path) -> None:
    with pytest.raises(BadAnnotation, match="cannot be read"):
        read_predictions(file.with_name("nowhere"))
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BadAnnotation, match="cannot be read"):
        read_narrated_videos(file)
