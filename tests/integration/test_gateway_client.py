"""The client of the gateway: what it asks, and how it holds on to a stream."""

from __future__ import annotations

import socket

import pytest

from fakes.edge import Edge, became, missed, spoke, story
from livestar.client.gateway_client import GatewayClient
from livestar.client.problem import error_of
from livestar.client.stream_request import AskReply, StreamRequest
from livestar.core.errors import (
    AlreadyExists,
    BadVideo,
    FailedPrecondition,
    InvalidInput,
    LiveStarError,
    NotFound,
    Unavailable,
)

pytestmark = pytest.mark.integration


def sequences(client: GatewayClient, **options: int | None) -> list[int]:
    return [event.sequence for event in client.events("door", **options)]


def test_a_stream_is_told_to_its_end() -> None:
    with Edge() as edge, GatewayClient(edge.url) as client:
        events = list(client.events("door"))
    assert events == story()
    assert edge.asked("GET") == ["/v1/streams/door/events?after=0"]


@pytest.mark.parametrize("lagging", [False, True])
def test_a_lost_connection_is_taken_up_where_it_broke(lagging: bool) -> None:
    with Edge(story(6), cut_after=[2, 0, 3], lagging=lagging) as edge, GatewayClient(edge.url) as client:
        assert sequences(client) == list(range(1, 9))
    assert [path.partition("=")[2] for path in edge.asked("GET")] == ["0", "2", "2", "5"]


def test_what_comes_twice_is_told_once() -> None:
    twice = [
        became(1, 0, "running"),
        spoke(2, 0, "Once."),
        spoke(2, 0, "Once."),
        spoke(1, 0, "Late."),
        became(3, 1, "ended"),
    ]
    with Edge(twice) as edge, GatewayClient(edge.url) as client:
        assert sequences(client) == [1, 2, 3]


def test_a_cursor_says_where_to_begin() -> None:
    with Edge() as edge, GatewayClient(edge.url) as client:
        assert sequences(client, after=3) == [4, 5]
        assert len(sequences(client, after=None)) == 5
    assert edge.asked("GET") == ["/v1/streams/door/events?after=3", "/v1/streams/door/events"]


def test_events_that_are_gone_are_told() -> None:
    with Edge([missed(0, 7), became(7, 3, "stopped")]) as edge, GatewayClient(edge.url) as client:
        first, _ = client.events("door")
    assert first.events_missed.oldest_sequence == 7


def test_being_away_for_a_moment_is_waited_for() -> None:
    away = (503, {"detail": "Redis is away", "reason": "Unavailable"})
    with Edge(refusals=[away, away]) as edge, GatewayClient(edge.url) as client:
        assert len(sequences(client)) == 5


def test_being_away_for_long_is_an_error() -> None:
    with Edge(refusals=[(503, {"detail": "Redis is away", "reason": "Unavailable"})] * 99) as edge:
        with (
            GatewayClient(edge.url, give_up_s=0.5) as client,
            pytest.raises(Unavailable, match="Redis is away"),
        ):
            sequences(client)
        assert 2 <= len(edge.asked("GET")) < 20


def test_a_stream_that_is_not_there_is_said_at_once() -> None:
    gone = (404, {"detail": "there is no stream 'door': create it first", "reason": "NotFound"})
    with Edge(refusals=[gone]) as edge, GatewayClient(edge.url) as client:
        with pytest.raises(NotFound, match="no stream 'door'"):
            sequences(client)
        assert len(edge.asked("GET")) == 1


def test_nobody_there_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with GatewayClient(f"http://user:hunter2@127.0.0.1:{port}") as client:
        with pytest.raises(Unavailable, match="start one with `livestar up`") as away:
            client.streams()
        assert "hunter2" not in str(away.value)


def test_what_is_asked_for_is_sent_and_nothing_else() -> None:
    with Edge(token="s3cret") as edge, GatewayClient(edge.url, "s3cret") as client:
        created = client.create_stream(
            StreamRequest("rtsp://camera/1", standing=("Who?",), pace="fast", loop=True)
        )
    assert (created.id, created.state, created.behind_frames, created.decided_pts_s) == (
        "s-1",
        "running",
        2,
        61.0,
    )
    [(_, path, body)] = edge.requests
    assert path == "/v1/streams"
    assert body == {
        "source": "rtsp://camera/1",
        "fps": 1.0,
        "standing": ["Who?"],
        "pace": "fast",
        "loop": True,
    }


def test_a_name_stays_within_its_path() -> None:
    with Edge() as edge, GatewayClient(edge.url) as client:
        client.stop_stream("../admin?x=1")
        client.forget_stream("door")
    assert edge.asked("DELETE") == ["/v1/streams/..%2Fadmin%3Fx%3D1", "/v1/streams/door?forget=true"]


def test_a_question_is_answered_whole_or_in_pieces() -> None:
    whole = AskReply(4, "About Who?", 3.0, "complete")
    with Edge() as edge, GatewayClient(edge.url) as client:
        assert client.ask("door", "Who?", chain="one") == whole
        assert list(client.ask_in_pieces("door", "Who?")) == ["About ", "Who?", whole]
    assert [body for *_, body in edge.requests] == [{"text": "Who?", "chain": "one"}, {"text": "Who?"}]


def test_errors_keep_their_class_and_their_words() -> None:
    with (
        Edge() as edge,
        GatewayClient(edge.url) as client,
        pytest.raises(BadVideo, match=r"^none.mp4 does not exist"),
    ):
        client.create_stream(StreamRequest("/none.mp4"))


@pytest.mark.parametrize("url", ["ftp://host", "no address", "http://[::1", "/tmp"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InvalidInput, match="http://host:port"):
        GatewayClient(url)


def test_classes_come_by_name_then_by_status() -> None:
    assert type(error_of(409, '{"reason": "AlreadyExists", "detail": "taken"}')) is AlreadyExists
    assert type(error_of(409, '{"reason": "os", "detail": "no"}')) is FailedPrecondition
    assert type(error_of(418, "<html>")) is LiveStarError
    assert str(error_of(502, "<html>")) == "the gateway answered with HTTP status 502: see its log"
    assert str(error_of(404, "[1]")) == "the gateway answered with HTTP status 404: see its log"
