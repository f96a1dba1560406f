"""Streams over HTTP: what works, what is refused, and how."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from fakes.gateway import RunningGateway, running_gateway
from fakes.ingest_service import FakeIngest
from livestar.api.v1 import common_pb2, ingest_pb2, memory_pb2, memory_pb2_grpc
from livestar.bus import Address, EmbeddedRedis, RedisLink
from livestar.core.errors import BadVideo, NotFound
from livestar.core.ids import StreamId
from livestar.obs import Metrics
from livestar.rpc import RpcServer

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

TOKEN = "a-token-of-32-characters-or-more"


def problem(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The problem document, which is what it should be."""
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["status"], document["reason"]) == (status, status, reason)
    assert document["type"] == "about:blank"
    assert document["title"]
    assert document["detail"]
    return document


async def test_a_stream_from_its_creation_to_its_end(gateway: RunningGateway) -> None:
    body = {
        "source": "rtsp://user:hunter2@camera/1",
        "id": "door",
        "fps": 2,
        "alpha": 1.1,
        "standing": ["Who?"],
    }
    created = await gateway.http.post("/v1/streams", json=body)
    assert (created.status_code, created.headers["location"]) == (201, "/v1/streams/door")
    told = created.json()
    assert told["state"] == "STREAM_STATE_PENDING"
    assert told["spec"]["source"] == "rtsp://camera/1"
    assert told["spec"]["settings"]["gate"]["alpha"] == 1.1
    assert (await gateway.http.post("/v1/streams", json=body)).json() == told
    assert await gateway.registry.source(StreamId("door")) == body["source"]

    (listed,) = (await gateway.http.get("/v1/streams")).json()["streams"]
    assert listed == told
    shown = (await gateway.http.get("/v1/streams/door")).json()
    assert shown["live"] == {"decoder": None, "capture": None, "behind_frames": 0, "num_subscribers": 0}

    stopped = await gateway.http.delete("/v1/streams/door")
    assert (stopped.status_code, stopped.json()["state"]) == (200, "STREAM_STATE_STOPPED")
    assert (await gateway.http.delete("/v1/streams/door")).json() == stopped.json()


async def test_an_inspection_has_what_decoder_and_ingest_say(gateway: RunningGateway) -> None:
    teller = await gateway.stream()
    teller.next_frame()
    await teller.silent()
    await gateway.registry.note_captured(StreamId("door"), epoch=1, sequence=4, pts_ns=3)
    async with FakeIngest(gateway.leases) as ingest:
        await ingest.own("door")
        ingest.captures.append(ingest_pb2.Capture(stream_id="door", last_sequence=4, num_dropped=2))
        live = (await gateway.http.get("/v1/streams/door")).json()["live"]
    assert live["behind_frames"] == 3
    assert (live["decoder"]["num_trunk_tokens"], live["decoder"]["channels"][0]["channel"]) == (
        203,
        "narration",
    )
    assert (live["capture"]["last_sequence"], live["capture"]["num_dropped"]) == ("4", "2")


async def test_a_process_that_is_away_leaves_an_inspection_without_it(gateway: RunningGateway) -> None:
    await gateway.stream()
    gateway.decoder.refusals.append(NotFound("there is no such stream here"))
    answer = await gateway.http.get("/v1/streams/door")
    assert (answer.status_code, answer.json()["live"]["decoder"]) == (200, None)


async def test_a_long_list_comes_in_pages(gateway: RunningGateway) -> None:
    for number in range(7):
        await gateway.stream(f"s{number}")
    names: list[str] = []
    token = ""
    while True:
        page = (await gateway.http.get("/v1/streams", params={"page_size": 3, "page_token": token})).json()
        names += [stream["spec"]["stream_id"] for stream in page["streams"]]
        if not (token := page["next_page_token"]):
            break
    assert names == [f"s{number}" for number in reversed(range(7))]
    refused = await gateway.http.get("/v1/streams", params={"page_token": "gone"})
    assert "list from the beginning" in problem(refused, 422, "InvalidInput")["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/streams/none"),
        ("DELETE", "/v1/streams/none"),
        ("GET", "/v1/streams/none/events"),
        ("GET", "/v1/streams/none/channels"),
        ("POST", "/v1/streams/none/questions"),
        ("POST", "/v1/streams/none/channels"),
        ("DELETE", "/v1/streams/none/channels/q"),
        ("GET", "/v1/streams/none/preview/index.m3u8"),
    ],
)
async def test_an_unknown_stream_is_404(gateway: RunningGateway, method: str, path: str) -> None:
    body = {"text": "Who?"} if method == "POST" else None
    document = problem(await gateway.http.request(method, path, json=body), 404, "NotFound")
    assert "'none'" in document["detail"]
    assert document["retryable"] is False


@pytest.mark.parametrize("name", ["-x", "a%2F..%2Fb", "a b", "x" * 65, "%00", "ä"])
async def test_what_is_no_id_is_422(gateway: RunningGateway, name: str) -> None:
    answer = await gateway.http.get(f"/v1/streams/{name}")
    # A slash, even an escaped one, makes another address.
    problem(answer, 404 if "%2F" in name else 422, "NotFound" if "%2F" in name else "InvalidInput")


async def test_nothing_and_the_wrong_method_say_so(gateway: RunningGateway) -> None:
    assert "/docs" in problem(await gateway.http.get("/v2/streams"), 404, "NotFound")["detail"]
    answer = await gateway.http.put("/v1/streams", json={})
    problem(answer, 405, "InvalidInput")
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "source", ["gopher://h/secret", "rtsp://", "http://h:99999/secret", "file:///etc/secret"]
)
async def test_a_bad_address_is_422_and_not_quoted(gateway: RunningGateway, source: str) -> None:
    answer = await gateway.http.post("/v1/streams", json={"source": source})
    assert problem(answer, 422, "BadVideo")["detail"].startswith("source:")
    assert "secret" not in answer.text
    assert (await gateway.http.get("/v1/streams")).json()["streams"] == []


async def test_wrong_fields_are_named_and_not_quoted(gateway: RunningGateway) -> None:
    body = {
        "source": "rtsp://u:hunter2@h/",
        "fps": "hunter2",
        "colour": "hunter2",
        "max_silence_s": 1,
        "min_gap_s": 2,
    }
    answer = await gateway.http.post("/v1/streams", json=body)
    document = problem(answer, 422, "InvalidInput")
    assert {error["field"] for error in document["errors"]} == {"fps", "colour"}
    assert "hunter2" not in answer.text
    answer = await gateway.http.post("/v1/streams", json={"source": "x", "max_silence_s": 1, "min_gap_s": 2})
    assert (
        problem(answer, 422, "InvalidInput")["detail"]
        == "settings.gate.max_silence_s has to be more than min_gap_s"
    )


async def test_a_name_that_is_taken_is_409(gateway: RunningGateway) -> None:
    await gateway.stream()
    answer = await gateway.http.post("/v1/streams", json={"source": "other.mp4", "id": "door"})
    problem(answer, 409, "AlreadyExists")


@pytest.mark.parametrize("body", [b"{", b"", b"[1]", b'"x"', b"\xff\xfe", b"null"])
async def test_what_is_no_json_object_is_refused(gateway: RunningGateway, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await gateway.http.post("/v1/streams", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code, "InvalidInput")


async def test_another_content_type_is_415(gateway: RunningGateway) -> None:
    """A form of another page could send these without asking first."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        headers = {"Content-Type": kind}
        answer = await gateway.http.post("/v1/streams", content=b'{"source": "x"}', headers=headers)
        problem(answer, 415, "InvalidInput")


async def test_a_body_that_is_too_long_is_413_whether_it_says_so_or_not(gateway: RunningGateway) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 1024

    headers = {"Content-Type": "application/json"}
    declared = await gateway.http.post("/v1/streams", content=b"x" * 200_000, headers=headers)
    undeclared = await gateway.http.post("/v1/streams", content=pieces(), headers=headers)
    for answer in (declared, undeclared):
        assert "131072 bytes" in problem(answer, 413, "TooLarge")["detail"]


async def test_a_body_that_does_not_come_is_408(redis_server: EmbeddedRedis, redis_link: RedisLink) -> None:
    async with running_gateway(redis_server.url, body_s=0.2) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(gateway.url).port)
        writer.write(b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 408")
        writer.close()


async def test_redis_away_is_503_with_retry_after(redis_link: RedisLink) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with running_gateway(f"redis://:hunter2@127.0.0.1:{port}/0") as gateway:
        answer = await gateway.http.get("/v1/streams")
        document = problem(answer, 503, "Unavailable")
        assert document["retryable"] is True
        assert int(answer.headers["retry-after"]) > 0
        assert "hunter2" not in answer.text


async def test_a_source_that_ingest_cannot_read_makes_no_stream(gateway: RunningGateway) -> None:
    async with FakeIngest(gateway.leases) as ingest:
        await gateway.directory.announce("ingest", Address("ingest-1", ingest.address, "127.0.0.1:1"))
        ingest.refusals.append(BadVideo("clip.xyz holds no video that can be read: check the path"))
        answer = await gateway.http.post("/v1/streams", json={"source": "clip.xyz"})
        assert "clip.xyz" in problem(answer, 422, "BadVideo")["detail"]
        assert (await gateway.http.get("/v1/streams")).json()["streams"] == []
        created = await gateway.http.post("/v1/streams", json={"source": "clip.mp4", "id": "door"})
        assert (created.status_code, ingest.probed) == (201, ["clip.xyz", "clip.mp4"])
        await gateway.http.post("/v1/streams", json={"source": "clip.mp4", "id": "door"})
        await gateway.http.post("/v1/streams", json={"source": "other.mp4", "probe": False})
        assert len(ingest.probed) == 2


async def test_a_source_that_shows_nothing_in_time_says_so(
    redis_server: EmbeddedRedis, redis_link: RedisLink
) -> None:
    async with (
        running_gateway(redis_server.url, probe_s=0.2) as gateway,
        FakeIngest(gateway.leases) as ingest,
    ):
        await gateway.directory.announce("ingest", Address("ingest-1", ingest.address, "127.0.0.1:1"))
        ingest.probe_s = 5.0
        answer = await gateway.http.post("/v1/streams", json={"source": "rtsp://camera/1"})
        assert "no frame within 0.2 s" in problem(answer, 422, "BadVideo")["detail"]


async def test_stopping_tells_ingest_at_once(gateway: RunningGateway) -> None:
    teller = await gateway.stream()
    await teller.state("starting")
    async with FakeIngest(gateway.leases) as ingest:
        await ingest.own("door")
        assert (await gateway.http.delete("/v1/streams/door")).json()["state"] == "STREAM_STATE_STOPPING"
        assert ingest.stopped == ["door"]


class FakeMemory(memory_pb2_grpc.MemoryServiceServicer):
    def __init__(self) -> None:
        self.forgotten: list[str] = []

    async def ForgetStream(
        self, request: memory_pb2.ForgetStreamRequest, _: Any
    ) -> memory_pb2.ForgetStreamResponse:
        self.forgotten.append(request.stream_id)
        return memory_pb2.ForgetStreamResponse()


@asynccontextmanager
async def memory(gateway: RunningGateway) -> AsyncIterator[FakeMemory]:
    fake, server = FakeMemory(), RpcServer(Metrics("memory"), host="127.0.0.1", port=0)
    server.add(memory_pb2_grpc.add_MemoryServiceServicer_to_server, fake, memory_pb2.DESCRIPTOR)
    await server.start()
    await gateway.directory.announce("memory", Address("memory-1", f"127.0.0.1:{server.port}", "127.0.0.1:1"))
    yield fake
    await server.stop(0.1)


async def test_forgetting_removes_everything(gateway: RunningGateway) -> None:
    await gateway.stream()
    away = await gateway.http.delete("/v1/streams/door", params={"forget": "true"})
    assert "no memory service" in problem(away, 503, "Unavailable")["detail"]
    async with memory(gateway) as kept:
        for _ in range(2):
            answer = await gateway.http.delete("/v1/streams/door", params={"forget": "true"})
            assert (answer.status_code, answer.content) == (204, b"")
        assert kept.forgotten == ["door"]
    problem(await gateway.http.get("/v1/streams/door"), 404, "NotFound")


async def test_channels_are_opened_listed_and_closed(gateway: RunningGateway) -> None:
    await gateway.stream()
    opened = await gateway.http.post(
        "/v1/streams/door/channels", json={"text": "How many cars?", "alpha": 1.3}
    )
    assert (opened.status_code, opened.json()) == (201, {"channel": "channel-1"})
    assert opened.headers["location"] == "/v1/streams/door/channels/channel-1"
    assert gateway.decoder.channels["door"]["channel-1"].gate.alpha == 1.3
    gateway.decoder.held["door", "channel-1"] = "Two."
    channels = (await gateway.http.get("/v1/streams/door/channels")).json()["channels"]
    assert [(one["channel"], one["held_text"]) for one in channels] == [
        ("narration", ""),
        ("channel-1", "Two."),
    ]
    again = await gateway.http.post("/v1/streams/door/channels", json={"text": "x", "name": "channel-1"})
    problem(again, 409, "AlreadyExists")
    assert (await gateway.http.delete("/v1/streams/door/channels/channel-1")).status_code == 204
    problem(await gateway.http.delete("/v1/streams/door/channels/channel-1"), 404, "NotFound")
    refused = await gateway.http.delete("/v1/streams/door/channels/narration")
    assert "stop the stream" in problem(refused, 422, "InvalidInput")["detail"]


async def test_channels_asked_for_are_listed_before_a_decoder_comes(gateway: RunningGateway) -> None:
    await gateway.http.post("/v1/streams", json={"source": "clip.mp4", "id": "new", "standing": ["Who?"]})
    (channel,) = (await gateway.http.get("/v1/streams/new/channels")).json()["channels"]
    assert (channel["channel"], channel["text"], channel["kind"]) == (
        "standing-1",
        "Who?",
        "CHANNEL_KIND_STANDING",
    )


async def test_what_goes_wrong_unforeseen_keeps_its_details_to_itself(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    """The registry holds something that no version ever wrote."""
    await gateway.stream()
    await gateway.link.execute("HSET", "stream:{door}", "spec", b"\xff\xffhunter2")
    answer = await gateway.http.get("/v1/streams/door")
    document = problem(answer, 500, "LiveStarError")
    assert document["detail"] == "something went wrong here: see the service's log"
    assert "hunter2" not in answer.text
    assert any(record.exc_info for record in caplog.records)


async def test_every_answer_is_secured(gateway: RunningGateway) -> None:
    for path in ("/", "/docs", "/openapi.json", "/v1/streams", "/v1/streams/none", "/static/js/main.js"):
        headers = (await gateway.http.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


async def test_a_token_is_wanted_where_one_is_set(redis_server: EmbeddedRedis, redis_link: RedisLink) -> None:
    async with running_gateway(redis_server.url, token=TOKEN) as gateway:
        for given in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "Bearer ü"},
        ):
            encoded = {name: value.encode() for name, value in given.items()}
            answer = await gateway.http.get("/v1/streams", headers=encoded)
            problem(answer, 401, "Unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
        fine = {"Authorization": f"Bearer {TOKEN}"}
        assert (await gateway.http.get("/v1/streams", headers=fine)).status_code == 200
        # The page itself holds no secret; it asks for the token.
        assert (await gateway.http.get("/")).status_code == 200
        assert (await gateway.http.get("/openapi.json")).json()["security"] == [{"token": []}]


async def test_pages_of_another_origin_may_not_call(gateway: RunningGateway) -> None:
    body = {"source": "clip.mp4"}
    foreign = {"Origin": "https://evil.example"}
    problem(await gateway.http.post("/v1/streams", json=body, headers=foreign), 403, "PermissionDenied")
    problem(await gateway.http.delete("/v1/streams/door", headers=foreign), 403, "PermissionDenied")
    asked = {**foreign, "Access-Control-Request-Method": "DELETE"}
    problem(await gateway.http.options("/v1/streams/door", headers=asked), 403, "PermissionDenied")
    own = {"Origin": gateway.url}
    assert (await gateway.http.post("/v1/streams", json=body, headers=own)).status_code == 201


async def test_pages_of_an_allowed_origin_may(redis_server: EmbeddedRedis, redis_link: RedisLink) -> None:
    origin = "https://cameras.example"
    async with running_gateway(redis_server.url, allowed_origins=(origin,)) as gateway:
        headers = {"Origin": origin}
        asked = {**headers, "Access-Control-Request-Method": "POST"}
        preflight = await gateway.http.options("/v1/streams", headers=asked)
        assert preflight.status_code == 204
        assert "POST" in preflight.headers["access-control-allow-methods"]
        answer = await gateway.http.post("/v1/streams", json={"source": "x.mp4"}, headers=headers)
        for one in (preflight, answer):
            assert one.headers["access-control-allow-origin"] == origin
            assert "Origin" in one.headers["vary"]


async def test_a_name_that_is_not_ours_is_refused_without_a_token(gateway: RunningGateway) -> None:
    """Else any page of the web could reach a gateway on a desk, by a name of its own that leads there."""
    evil = await gateway.http.get("/v1/streams", headers={"Host": "evil.example:8080"})
    problem(evil, 403, "PermissionDenied")
    for ours in (
        "localhost:8080",
        "127.0.0.1",
        "[::1]:80",
        "gateway:8080",
        "gateway.livestar.svc.cluster.local",
    ):
        assert (await gateway.http.get("/v1/streams", headers={"Host": ours})).status_code == 200


async def test_a_name_may_be_allowed(redis_server: EmbeddedRedis, redis_link: RedisLink) -> None:
    async with running_gateway(redis_server.url, allowed_hosts=("cameras.example",)) as gateway:
        allowed = await gateway.http.get("/v1/streams", headers={"Host": "cameras.example"})
        refused = await gateway.http.get("/v1/streams", headers={"Host": "other.example"})
    assert (allowed.status_code, refused.status_code) == (200, 403)


async def test_requests_are_measured_by_route(gateway: RunningGateway) -> None:
    await gateway.stream()
    await gateway.http.get("/v1/streams/door")
    await gateway.http.get("/v1/streams/none")
    await gateway.http.get("/nothing")
    route = {"route": "/v1/streams/{stream}", "method": "GET"}
    name = "livestar_gateway_http_seconds_count"
    assert gateway.metrics.value(name, **route, status="200") == 1
    assert gateway.metrics.value(name, **route, status="404") == 1
    assert gateway.metrics.value(name, route="none", method="GET", status="404") == 1


async def test_the_page_and_its_parts_are_there(gateway: RunningGateway) -> None:
    page = await gateway.http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    for part in (
        "/static/style.css",
        "/static/js/main.js",
        "/static/js/theme.js",
        "/static/icon.svg",
        "/favicon.ico",
    ):
        answer = await gateway.http.get(part)
        assert answer.status_code == 200, part
        again = await gateway.http.get(part, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == (304 if part.startswith("/static") else again.status_code)
    assert (await gateway.http.get("/static/../settings.py")).status_code == 404
    assert (await gateway.http.get("/static/%2e%2e/settings.py")).status_code == 404
    assert (await gateway.http.head("/")).status_code == 200


async def test_the_stream_is_known_to_its_owner(gateway: RunningGateway) -> None:
    """What the registry keeps is what ingest and decoder read."""
    await gateway.http.post(
        "/v1/streams", json={"source": "x.mp4", "id": "door", "pace": "fast", "standing": ["Who?"]}
    )
    (info,) = await gateway.registry.unfinished()
    assert info.spec.pace == common_pb2.PACE_AS_FAST_AS_POSSIBLE
    assert info.spec.settings.channels[0].text == "Who?"
