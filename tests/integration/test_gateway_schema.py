"""The OpenAPI document is valid, complete, and true: whatever is sent that it allows or forbids is answered as it says."""

from __future__ import annotations

import asyncio
from typing import Any

import hypothesis
import pytest
import schemathesis
from google.protobuf import json_format
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance
from services.gateway.http.schema import schemas_of

from fakes.gateway import RunningGateway
from livestar.api.v1 import common_pb2, events_pb2

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


async def test_the_document_says_what_there_is(gateway: RunningGateway) -> None:
    document = (await gateway.http.get("/openapi.json")).json()
    operations = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    stream = "/v1/streams/{stream}"
    assert operations == {
        ("GET", "/v1/streams"),
        ("POST", "/v1/streams"),
        ("GET", stream),
        ("DELETE", stream),
        ("GET", f"{stream}/events"),
        ("POST", f"{stream}/questions"),
        ("GET", f"{stream}/channels"),
        ("POST", f"{stream}/channels"),
        ("DELETE", f"{stream}/channels/{{channel}}"),
        ("GET", f"{stream}/preview/{{file}}"),
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], (method, path, status)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(one) for one in value.values()))
    return set().union(*(references(one) for one in value)) if isinstance(value, list) else set()


async def test_everything_that_is_referred_to_is_there(gateway: RunningGateway) -> None:
    document = (await gateway.http.get("/openapi.json")).json()
    named = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= named


def test_schemas_of_protos_name_the_fields_of_their_json() -> None:
    schemas = schemas_of([events_pb2.StreamEvent.DESCRIPTOR])
    event = events_pb2.StreamEvent(
        stream_id="door",
        sequence=1,
        decision=events_pb2.Decision(channel="narration", nll=float("nan"), token_ids=[1]),
        state_changed=events_pb2.StateChanged(state=common_pb2.STREAM_STATE_ENDED),
    )
    told = json_format.MessageToDict(event, preserving_proto_field_name=True)
    assert set(told) <= set(schemas["StreamEvent"]["properties"])
    assert schemas["StreamEvent"]["properties"]["sequence"]["type"] == "string"
    assert "STREAM_STATE_ENDED" in schemas["StateChanged"]["properties"]["state"]["enum"]
    assert {"Decision", "ErrorInfo", "EventsMissed"} <= set(schemas)


@pytest.mark.slow
async def test_whatever_is_sent_is_answered_as_the_document_says(gateway: RunningGateway) -> None:
    await gateway.stream()
    await asyncio.to_thread(explore, gateway.url)


def explore(url: str) -> None:
    """Sends what the document allows and what it forbids; rules between fields are not in the document, so it may be refused."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for operation in schema.exclude(path_regex="/events$").get_all_operations():
        api = operation.ok()

        @hypothesis.settings(
            max_examples=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=api.as_strategy())
        def answered_as_said(case: Any) -> None:
            case.call_and_validate(timeout=20, excluded_checks=[positive_data_acceptance])

        try:
            answered_as_said()
        except FailureGroup as failures:
            raise AssertionError(f"{api.label}: {failures}") from None
