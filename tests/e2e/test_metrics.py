"""What can be measured of the running system: scraped from every service after some traffic, as Prometheus does."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from e2e.subscribers import Subscriber
from e2e.whole import SERVICES, Whole, running, soon, write_clip
from livestar.client.gateway_client import GatewayClient
from livestar.synth import Split, make_clip

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]

STREAM = "a-stream-that-no-label-names"


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Sample]]]:
    """Samples of each service: one stream has ended, one has failed, one is being watched and heard."""
    files = tmp_path_factory.mktemp("files")
    clip = write_clip(make_clip("traffic", 49, 30, Split.TEST), files / "clip.mp4", size=224)
    (files / "bad.mp4").write_bytes(b"no video")
    with running(tmp_path_factory.mktemp("logs"), files) as system:
        system.create(id="ended", source=str(clip), pace="fast")
        system.create(id="failed", source=str(files / "bad.mp4"), probe=False)
        assert soon(lambda: system.state("ended") == "ended", 60)
        assert soon(lambda: system.state("failed") == "failed", 60)
        system.create(id=STREAM, source=str(clip), pace="realtime", loop=True)
        subscriber = Subscriber(system.url, STREAM)
        subscriber.start()
        assert soon(lambda: subscriber.decided_frame() >= 6)
        with GatewayClient(system.url) as gateway, system.client() as client:
            assert gateway.ask(STREAM, "What colour is the traffic light now?").text
            assert client.get("/v1/streams/nobody").status_code == 404
        # Gauges are set now and then.
        assert soon(lambda: subscriber.decided_frame() >= 9)
        found = {name: scrape(system, name) for name in SERVICES}
        system.check()
        yield found


def scrape(system: Whole, service: str) -> list[Sample]:
    """All samples; /healthz and /readyz answer, too."""
    for page in ("healthz", "readyz"):
        assert httpx.get(f"{system.http(service)}/{page}", trust_env=False).status_code == 200
    response = httpx.get(f"{system.http(service)}/metrics", trust_env=False)
    assert response.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return [sample for family in families for sample in family.samples]


def total(samples: list[Sample], name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels; there has to be one."""
    found = [s.value for s in samples if s.name == name and labels.items() <= s.labels.items()]
    assert found, f"{name} {labels} is not there"
    return sum(found)


MOVED = {
    "frames in": [
        ("ingest", "frames_captured_total", {}),
        ("ingest", "frame_bytes_total", {}),
        ("vision", "frames_encoded_total", {}),
        ("decoder", "frames_total", {}),
        ("memory", "events_total", {}),
        ("gateway", "events_read_total", {}),
    ],
    "batch size": [
        ("vision", "batch_frames_count", {}),
        ("decoder", "batch_streams_count", {}),
        ("decoder", "pass_tokens_count", {}),
        ("memory", "batch_bytes_count", {}),
    ],
    "ViT seconds": [("vision", "encode_seconds_count", {}), ("vision", "encode_seconds_sum", {})],
    "verify seconds": [("decoder", "pass_seconds_sum", {"kind": "verify"})],
    "decode seconds": [("decoder", "pass_seconds_sum", {"kind": "decode"})],
    "latency": [
        ("ingest", "publish_seconds_count", {}),
        ("vision", "frame_age_seconds_count", {}),
        ("decoder", "frame_to_decision_seconds_count", {}),
        ("decoder", "commit_seconds_count", {}),
        ("gateway", "delivery_seconds_count", {}),
        ("gateway", "answer_seconds_count", {}),
    ],
    "decisions by kind": [
        ("decoder", "decisions_total", {"action": "speak", "rule": "first"}),
        ("decoder", "decisions_total", {"action": "speak", "rule": "perplexity"}),
        ("decoder", "decisions_total", {"action": "silent", "rule": "holds"}),
    ],
    "KV pages": [("decoder", "kv_pages", {"state": "used"}), ("decoder", "kv_pages", {"state": "free"})],
    "streams owned": [("ingest", "owned_streams", {}), ("decoder", "owned_streams", {})],
    "subscribers": [
        ("gateway", "connected_subscribers", {"transport": "sse"}),
        ("gateway", "followed_streams", {}),
        ("gateway", "events_sent_total", {"transport": "sse"}),
    ],
    "questions": [
        ("gateway", "asked_total", {"ended": "answered"}),
        ("decoder", "answers_total", {"ending": "complete"}),
    ],
    "errors": [
        ("ingest", "streams_ended_total", {"reason": "failed"}),
        ("decoder", "failures_total", {"reason": "BadVideo"}),
        ("gateway", "http_seconds_count", {"status": "404"}),
    ],
    "calls": [
        ("memory", "rpc_served_seconds_count", {"code": "OK"}),
        ("decoder", "rpc_called_seconds_count", {"code": "OK"}),
    ],
}
"""What has to be more than 0 by then, by the words of the specification."""

THERE = {
    "dropped": [("ingest", "frames_dropped_total", {})],
    "behind-live seconds": [("ingest", "behind_live_seconds", {}), ("decoder", "behind_live_seconds", {})],
    "queue depth": [
        ("vision", "queue_frames", {}),
        ("vision", "pending_frames", {}),
        ("ingest", "in_flight_frames", {}),
        ("decoder", "waiting_frames", {"where": "order"}),
        ("decoder", "waiting_frames", {"where": "engine"}),
        ("decoder", "commands_entries", {}),
        ("decoder", "uncommitted_entries", {}),
        ("jobs", "active_entries", {"state": "queued"}),
    ],
    "errors": [
        ("ingest", "decode_errors_total", {}),
        ("ingest", "reconnects_total", {}),
        ("decoder", "passes_failed_total", {}),
        ("gateway", "read_failures_total", {}),
        ("gateway", "lagging_total", {}),
    ],
}
"""What has to be there, and may be 0."""


@pytest.mark.parametrize("what", MOVED)
def test_it_has_been_counted(scraped: dict[str, list[Sample]], what: str) -> None:
    for service, name, labels in MOVED[what]:
        assert total(scraped[service], f"livestar_{service}_{name}", **labels) > 0, (service, name, labels)


@pytest.mark.parametrize("what", THERE)
def test_it_is_there(scraped: dict[str, list[Sample]], what: str) -> None:
    for service, name, labels in THERE[what]:
        assert total(scraped[service], f"livestar_{service}_{name}", **labels) >= 0


def test_what_adds_up(scraped: dict[str, list[Sample]]) -> None:
    captured = total(scraped["ingest"], "livestar_ingest_frames_captured_total")
    encoded = total(scraped["vision"], "livestar_vision_frames_encoded_total")
    decided = total(scraped["decoder"], "livestar_decoder_frames_total")
    assert captured >= 30 + 9
    # Services are asked one after the other, and a frame a second comes.
    assert abs(captured - encoded) <= 3
    assert abs(encoded - decided) <= 3
    assert total(scraped["decoder"], "livestar_decoder_owned_streams") == 1
    assert total(scraped["ingest"], "livestar_ingest_owned_streams") == 1


@pytest.mark.parametrize("service", SERVICES)
def test_no_label_names_a_stream(scraped: dict[str, list[Sample]], service: str) -> None:
    assert scraped[service]
    values = {value for sample in scraped[service] for value in sample.labels.values()}
    assert not [value for value in values if STREAM in value]
