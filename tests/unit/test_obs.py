from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from livestar.core.errors import Unavailable
from livestar.obs import (
    FAST_S,
    Health,
    Metrics,
    ObservabilityEndpoint,
    Tracing,
    about,
    configure_logs,
    current_trace_id,
    current_traceparent,
    span,
)

pytestmark = pytest.mark.unit


# --- metrics


def test_metrics_are_named_alike_and_do_not_meet_those_of_another_process() -> None:
    metrics = Metrics("ingest")
    metrics.counter("frames", "Frames read.").inc(3)
    metrics.gauge("behind_live", "seconds", "Behind.").set(1.5)
    metrics.histogram("encode", "seconds", "Encoding.", buckets=FAST_S, labels=("kind",)).labels(
        "jpeg"
    ).observe(0.003)
    assert metrics.names() == {
        "livestar_ingest_frames_total",
        "livestar_ingest_behind_live_seconds",
        "livestar_ingest_encode_seconds",
    }
    assert metrics.value("livestar_ingest_frames_total") == 3
    assert b'livestar_ingest_encode_seconds_bucket{kind="jpeg",le="0.005"} 1.0' in metrics.exposition()
    assert Metrics("ingest").names() == set()


@pytest.mark.parametrize("what", ["Frames", "frames-read", "", "frames__read", "1st"])
def test_odd_names_are_refused(what: str) -> None:
    with pytest.raises(ValueError, match="small letters"):
        Metrics("ingest").counter(what, "Frames read.")


def test_units_are_base_units_and_streams_are_no_labels() -> None:
    with pytest.raises(ValueError, match="measured in one of"):
        Metrics("ingest").gauge("wait", "milliseconds", "Waiting.")
    with pytest.raises(ValueError, match="stream_id has too many values"):
        Metrics("ingest").counter("frames", "Frames read.", labels=("stream_id",))


# --- health


def test_a_process_is_ready_when_started_and_every_check_passes() -> None:
    health, heard = Health(), list[bool]()
    health.on_change(heard.append)
    health.fails("redis", "Redis is away")
    health.started()
    assert not health.ready
    health.passes("redis")
    assert health.ready
    health.fails("redis", "Redis is away")
    health.passes("redis")
    health.drain()
    assert heard == [False, True, False, True, False]
    assert json.loads(health.as_json()) == {
        "ready": False,
        "checks": {"start": "ok", "redis": "ok", "drain": "draining"},
    }


# --- endpoint


async def ask(port: int, request: bytes) -> tuple[int, str, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().splitlines()
    return (int(lines[0].split()[1]) if lines else 0), head.decode().lower(), body


@pytest.mark.anyio
async def test_the_endpoint_answers_what_prometheus_and_kubernetes_ask() -> None:
    metrics, health = Metrics("ingest"), Health()
    metrics.counter("frames", "Frames read.").inc()
    async with ObservabilityEndpoint(metrics, health, host="127.0.0.1", port=0) as endpoint:
        get = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
        status, head, body = await ask(endpoint.port, get % b"/metrics")
        assert (status, b"livestar_ingest_frames_total 1.0" in body) == (200, True)
        assert "content-type: text/plain; version=" in head
        assert f"content-length: {len(body)}" in head
        assert (await ask(endpoint.port, get % b"/healthz"))[0] == 200
        assert (await ask(endpoint.port, get % b"/readyz"))[0] == 503
        health.started()
        status, _, body = await ask(endpoint.port, get % b"/readyz?verbose")
        assert (status, json.loads(body)["ready"]) == (200, True)
        assert (await ask(endpoint.port, get % b"/secrets"))[0] == 404
        assert (await ask(endpoint.port, b"POST /metrics HTTP/1.1\r\n\r\n"))[0] == 405
        assert (await ask(endpoint.port, b"HEAD /healthz HTTP/1.1\r\n\r\n"))[2] == b""
        assert (await ask(endpoint.port, b"nonsense\r\n\r\n"))[0] == 405
        assert (await ask(endpoint.port, b"GET /" + b"x" * 100_000))[0] == 0
        assert (await ask(endpoint.port, get % b"/healthz"))[0] == 200


@pytest.mark.anyio
async def test_a_port_in_use_is_said() -> None:
    metrics, health = Metrics("ingest"), Health()
    async with ObservabilityEndpoint(metrics, health, host="127.0.0.1", port=0) as endpoint:
        with pytest.raises(Unavailable, match=f"127.0.0.1:{endpoint.port} cannot be listened on"):
            async with ObservabilityEndpoint(metrics, health, host="127.0.0.1", port=endpoint.port):
                pass


# --- logs


@pytest.fixture
def restored_logs() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.mark.usefixtures("restored_logs")
def test_a_log_line_is_json_with_its_stream_and_without_secrets() -> None:
    out = io.StringIO()
    configure_logs("ingest", to=out)
    log = logging.getLogger("livestar.ingest")
    with about(stream="door"):
        with about(attempt=2):
            log.warning(
                "no answer from %s\n",
                "rtsp://u:hunter2@cam/1",
                extra={"url": "rtsp://u:hunter2@cam", "nan": float("nan")},
            )
        log.info("fine")
    try:
        raise ValueError("rtsp://u:hunter2@cam")
    except ValueError:
        log.exception("failed")
    log.debug("not shown")
    warning, fine, failed = (json.loads(line) for line in out.getvalue().splitlines())
    assert (warning["level"], warning["service"], warning["stream"], warning["attempt"]) == (
        "WARNING",
        "ingest",
        "door",
        2,
    )
    assert warning["message"] == "no answer from rtsp://cam/1\n"
    assert (warning["url"], warning["nan"]) == ("rtsp://cam", "nan")
    assert warning["time"].endswith("+00:00")
    assert "attempt" not in fine
    assert "stream" not in failed
    assert "ValueError" in failed["error"]
    assert "hunter2" not in out.getvalue()


@pytest.mark.usefixtures("restored_logs")
def test_text_for_people_keeps_control_characters_from_the_terminal() -> None:
    out = io.StringIO()
    configure_logs("ingest", style="text", to=out)
    with about(stream="door"):
        logging.getLogger("x").info("caption \x1b[2J\r\n%s", "rtsp://u:hunter2@cam/1")
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 1
    assert "ingest info: caption" in out.getvalue()
    assert "stream=door" in out.getvalue()
    assert "hunter2" not in out.getvalue()


# --- traces

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_switched_off_a_trace_is_handed_on_unchanged() -> None:
    assert current_traceparent() is None
    assert current_trace_id() is None
    with span("work", PARENT):
        assert current_traceparent() == PARENT
        assert current_trace_id() == TRACE
    with span("work", "nonsense"):
        assert current_traceparent() is None


def test_switched_on_spans_are_recorded_under_the_one_that_came_in() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("ingest", exporter=exporter)
    with span("outer", PARENT, frames=3), span("inner"):
        inside = current_traceparent()
    tracing.close()
    inner, outer = exporter.get_finished_spans()
    assert (outer.name, outer.attributes) == ("outer", {"frames": 3})
    assert outer.parent is not None
    assert f"{outer.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert inner.context is not None
    assert inside == f"00-{TRACE}-{inner.context.span_id:016x}-01"
    with span("after"):
        assert current_traceparent() is None
