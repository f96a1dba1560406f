"""Questions over HTTP and WebSocket, to a decoder over real gRPC."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fakes.decoder_service import ANSWER
from fakes.gateway import RunningGateway, running_gateway
from fakes.listener import hear, listening
from fakes.storyteller import Storyteller
from livestar.bus import EmbeddedRedis, RedisLink, Role
from livestar.core.errors import CapacityExceeded, NotOwner
from livestar.core.ids import StreamId

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

QUESTIONS = "/v1/streams/door/questions"
TEXT = "".join(ANSWER)


async def test_an_answer_comes_whole_as_json(gateway: RunningGateway) -> None:
    await gateway.stream()
    answer = await gateway.http.post(QUESTIONS, json={"text": "How many cars?", "chain": "one"})
    told = answer.json()
    assert answer.status_code == 200
    assert told["answer"] == {"question_id": "1", "text": TEXT, "ending": "ENDING_COMPLETE", "token_ids": []}
    assert (told["frame_sequence"], told["pts_ns"]) == ("7", "6000000000")
    (asked,) = gateway.decoder.asked
    assert (asked.stream_id, asked.text, asked.chain) == ("door", "How many cars?", "one")
    assert gateway.metrics.value("livestar_gateway_asked_total", ended="answered") == 1


async def test_an_answer_streams_in_pieces(gateway: RunningGateway) -> None:
    await gateway.stream()
    heard = await hear(gateway.http, QUESTIONS, method="POST", json={"text": "How many cars?"})
    assert [event.kind for event in heard] == ["asked", "piece", "piece", "piece", "answer"]
    assert heard[0].event["asked"] == {"question_id": "1", "text": "How many cars?"}
    assert "".join(event.event["piece"] for event in heard[1:4]) == heard[4].event["answer"]["text"] == TEXT


async def test_pieces_come_as_they_are_made(gateway: RunningGateway) -> None:
    await gateway.stream()
    gateway.decoder.pause_s = 0.2
    loop = asyncio.get_running_loop()
    async with listening(gateway.http, QUESTIONS, method="POST", json={"text": "How many cars?"}) as events:
        came = [loop.time() async for _ in events]
    assert came[3] - came[1] > 0.25


async def test_hanging_up_cancels_the_answer(gateway: RunningGateway) -> None:
    await gateway.stream()
    gateway.decoder.pause_s = 30
    async with listening(gateway.http, QUESTIONS, method="POST", json={"text": "How many cars?"}) as events:
        await anext(events)
    async with asyncio.timeout(5):
        while not gateway.decoder.cancelled:
            await asyncio.sleep(0.01)
    assert gateway.metrics.value("livestar_gateway_asked_total", ended="hung_up") == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": ""}, 422),
        ({"text": "   "}, 422),
        ({"text": "x" * 4097}, 422),
        ({"text": "x" * 200_000}, 413),
        ({"text": "x", "chain": "y" * 65}, 422),
        ({"text": 7}, 422),
        ({}, 422),
    ],
)
async def test_what_is_no_question_is_refused(
    gateway: RunningGateway, body: dict[str, Any], status: int
) -> None:
    await gateway.stream()
    for accept in ("application/json", "text/event-stream"):
        answer = await gateway.http.post(QUESTIONS, json=body, headers={"Accept": accept})
        assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert gateway.decoder.asked == []


async def test_a_stream_that_moves_is_followed_to_its_new_owner(gateway: RunningGateway) -> None:
    await gateway.stream()
    gateway.decoder.refusals += [NotOwner("it is elsewhere"), NotOwner("it is elsewhere")]
    answer = await gateway.http.post(QUESTIONS, json={"text": "How many cars?"})
    assert answer.json()["answer"]["text"] == TEXT


@pytest.mark.slow
async def test_a_decoder_that_refuses_says_why(gateway: RunningGateway) -> None:
    await gateway.stream()
    gateway.decoder.refusals += [CapacityExceeded("there are 16 questions waiting: ask later")] * 100
    answer = await gateway.http.post(QUESTIONS, json={"text": "How many cars?"})
    assert (answer.status_code, answer.json()["detail"]) == (429, "there are 16 questions waiting: ask later")


@pytest.mark.slow
async def test_nobody_to_ask_is_said(gateway: RunningGateway) -> None:
    teller = await gateway.stream()
    await gateway.leases.expire(Role.DECODER, StreamId("door"))
    pending = await gateway.http.post(QUESTIONS, json={"text": "How many cars?"})
    assert (pending.status_code, pending.json()["retryable"]) == (503, True)
    await teller.state("starting")
    await teller.state("ended")
    over = await gateway.http.post(QUESTIONS, json={"text": "How many cars?"})
    assert (over.status_code, over.json()["reason"]) == (409, "FailedPrecondition")
    assert "is over" in over.json()["detail"]


async def test_an_answer_that_takes_too_long_is_given_up(
    redis_server: EmbeddedRedis, redis_link: RedisLink
) -> None:
    async with running_gateway(redis_server.url, answer_s=0.3) as gateway:
        await gateway.stream()
        gateway.decoder.pause_s = 30
        answer = await gateway.http.post(QUESTIONS, json={"text": "How many cars?"})
        assert (answer.status_code, answer.json()["reason"]) == (504, "DeadlineExceeded")
        heard = await hear(gateway.http, QUESTIONS, method="POST", json={"text": "How many cars?"})
        assert [(event.kind, event.event.get("status")) for event in heard] == [
            ("asked", None),
            ("error", 504),
        ]


@asynccontextmanager
async def socket(gateway: RunningGateway, query: str = "", **options: Any) -> AsyncIterator[ClientConnection]:
    url = f"{gateway.url.replace('http', 'ws', 1)}/v1/streams/door/ws{query}"
    async with connect(url, proxy=None, **options) as connection:
        yield connection


async def received(connection: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await asyncio.wait_for(connection.recv(), 5))
    return message


async def a_frame(teller: Storyteller) -> None:
    teller.next_frame()
    await teller.silent()


async def test_a_socket_tells_events_from_a_cursor_to_the_end(gateway: RunningGateway) -> None:
    teller = await gateway.stream()
    await teller.state("starting")
    await a_frame(teller)
    async with socket(gateway, "?after=1") as connection:
        first = await received(connection)
        assert (first["type"], first["event"]["sequence"]) == ("decision", "2")
        await teller.state("ended")
        assert (await received(connection))["event"]["state_changed"]["state"] == "STREAM_STATE_ENDED"
        with pytest.raises(ConnectionClosed) as closed:
            await received(connection)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000


async def test_questions_over_a_socket_are_answered_beside_events(gateway: RunningGateway) -> None:
    teller = await gateway.stream()
    gateway.decoder.pause_s = 0.02
    async with socket(gateway) as connection:
        for name in ("a", "b"):
            await connection.send(json.dumps({"type": "ask", "id": name, "text": "How many cars?"}))
        await a_frame(teller)
        texts = {"a": "", "b": ""}
        events = answers = 0
        while answers < 2 or not events:
            message = await received(connection)
            if message["type"] == "reply":
                texts[message["id"]] += message["reply"].get("piece", "")
                answers += "answer" in message["reply"]
            else:
                events += message["type"] == "decision"
    assert texts == {"a": TEXT, "b": TEXT}


async def test_a_socket_hangs_up_on_a_question(gateway: RunningGateway) -> None:
    await gateway.stream()
    gateway.decoder.pause_s = 30
    async with socket(gateway) as connection:
        await connection.send(json.dumps({"type": "ask", "id": "a", "text": "How many cars?"}))
        assert "asked" in (await received(connection))["reply"]
        await connection.send(json.dumps({"type": "cancel", "id": "a"}))
        async with asyncio.timeout(5):
            while not gateway.decoder.cancelled:
                await asyncio.sleep(0.01)


async def test_a_socket_that_closes_takes_its_questions_with_it(gateway: RunningGateway) -> None:
    await gateway.stream()
    gateway.decoder.pause_s = 30
    async with socket(gateway) as connection:
        await connection.send(json.dumps({"type": "ask", "id": "a", "text": "How many cars?"}))
        await received(connection)
    async with asyncio.timeout(5):
        while not gateway.decoder.cancelled:
            await asyncio.sleep(0.01)
    assert gateway.metrics.value("livestar_gateway_connected_subscribers", transport="websocket") == 0


@pytest.mark.parametrize(
    "message",
    [
        "{",
        "[]",
        "{}",
        '{"type": "dance"}',
        '{"type": "ask", "text": "x"}',
        '{"type": "ask", "id": "a", "text": ""}',
    ],
)
async def test_a_message_that_cannot_be_read_is_told_and_the_socket_lives(
    gateway: RunningGateway, message: str
) -> None:
    teller = await gateway.stream()
    async with socket(gateway) as connection:
        await connection.send(message)
        told = await received(connection)
        assert (told["type"], told["problem"]["status"], told["problem"]["reason"]) == (
            "error",
            422,
            "InvalidInput",
        )
        await a_frame(teller)
        assert (await received(connection))["type"] == "decision"


async def test_a_failed_question_is_told_with_its_id(gateway: RunningGateway) -> None:
    await gateway.stream()
    async with socket(gateway) as connection:
        await connection.send(json.dumps({"type": "ask", "id": 'a"\n', "text": "x"}))
        while (message := await received(connection))["type"] == "reply":
            assert message["id"] == 'a"\n'
            if "answer" in message["reply"]:
                break
        gateway.decoder.pause_s = 30
        for number in range(9):
            await connection.send(json.dumps({"type": "ask", "id": str(number), "text": "x"}))
        while (message := await received(connection))["type"] == "reply":
            pass
        assert (message["id"], message["problem"]["reason"]) == ("8", "CapacityExceeded")


async def test_a_socket_to_nothing_is_refused_with_a_problem(gateway: RunningGateway) -> None:
    for query, status in (("", 404), ("?after=-1", 403)):
        with pytest.raises(InvalidStatus) as refused:
            async with socket(gateway, query):
                pass
        assert refused.value.response.status_code == status


async def test_a_socket_of_another_origin_is_refused(gateway: RunningGateway) -> None:
    await gateway.stream()
    with pytest.raises(InvalidStatus) as refused:
        async with socket(gateway, origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403
    async with socket(gateway, origin=gateway.url):
        pass


async def test_a_socket_brings_the_token_as_a_subprotocol(
    redis_server: EmbeddedRedis, redis_link: RedisLink
) -> None:
    async with running_gateway(redis_server.url, token="secret-token") as gateway:
        await gateway.stream()
        with pytest.raises(InvalidStatus) as refused:
            async with socket(gateway):
                pass
        assert refused.value.response.status_code == 401
        async with socket(gateway, subprotocols=["livestar", "bearer.secret-token"]) as connection:
            assert connection.subprotocol == "livestar"


async def test_a_message_that_is_too_long_ends_the_socket(gateway: RunningGateway) -> None:
    await gateway.stream()
    async with socket(gateway) as connection:
        await connection.send("x" * 100_000)
        with pytest.raises(ConnectionClosed) as closed:
            await received(connection)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
