"""The OpenAPI document: answers are protos in their JSON form, so their schemas come from the protos themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from livestar.api.v1 import common_pb2, decoder_pb2, events_pb2, ingest_pb2

Schema = dict[str, Any]

MESSAGES = (
    common_pb2.StreamInfo.DESCRIPTOR,
    events_pb2.StreamEvent.DESCRIPTOR,
    decoder_pb2.AskResponse.DESCRIPTOR,
    decoder_pb2.InspectStreamResponse.DESCRIPTOR,
    ingest_pb2.Capture.DESCRIPTOR,
)

_F = FieldDescriptor
_INTEGERS = frozenset({_F.TYPE_INT32, _F.TYPE_UINT32, _F.TYPE_SINT32, _F.TYPE_FIXED32, _F.TYPE_SFIXED32})
_LONGS = frozenset({_F.TYPE_INT64, _F.TYPE_UINT64, _F.TYPE_SINT64, _F.TYPE_FIXED64, _F.TYPE_SFIXED64})
_REALS = frozenset({_F.TYPE_DOUBLE, _F.TYPE_FLOAT})

PROBLEM: Schema = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "required": ["type", "title", "status", "detail", "reason", "retryable"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence that says what to do."},
        "reason": {"type": "string", "description": "Class of the error, for programs."},
        "retryable": {"type": "boolean", "description": "Whether the same request may succeed later."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def install_schema(app: FastAPI, *, secured: bool) -> None:
    """Makes `app.openapi()` complete."""

    def openapi() -> Schema:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            components = document.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            schemas |= {**schemas_of(MESSAGES), "Problem": PROBLEM}
            for operation in _operations(document):
                operation["responses"] = {
                    status: _as_problem(answer) if int(status) >= 400 else answer
                    for status, answer in operation["responses"].items()
                }
            if secured:
                components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
                document["security"] = [{"token": []}]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def schemas_of(messages: Iterable[Descriptor]) -> dict[str, Schema]:
    """Schemas of these messages and of all that they use, by name."""
    found: dict[str, Schema] = {}
    waiting = list(messages)
    while waiting:
        message = waiting.pop()
        if message.name not in found:
            properties = {field.name: _field(field) for field in message.fields}
            found[message.name] = {"type": "object", "title": message.name, "properties": properties}
            waiting += [field.message_type for field in message.fields if field.message_type]
    return found


def reference(name: str) -> Schema:
    """Refers to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


Responses = dict[int | str, dict[str, Any]]


def failures(*statuses: int) -> Responses:
    """How a route may fail, beside what any may."""
    return {status: {"description": _WORDS[status]} for status in (*statuses, 401, 403, 503)}


_WORDS = {
    400: "The body is not JSON.",
    401: "The token is missing or wrong.",
    403: "The caller may not call from where it is.",
    404: "There is no such thing.",
    409: "It is taken, or the stream is not in a state for this.",
    413: "The body is too long.",
    415: "The body is not JSON by its own word.",
    422: "A value cannot work; `errors` says where.",
    429: "There are as many as there may be.",
    503: "Something that is needed is away; try again after Retry-After.",
    504: "No answer in time.",
}

BODY = (400, 413, 415, 422)


def _operations(document: Schema) -> Iterable[Schema]:
    return (operation for path in document["paths"].values() for operation in path.values())


def _as_problem(answer: Schema) -> Schema:
    return {
        "description": answer.get("description", "It failed."),
        "content": {"application/problem+json": {"schema": reference("Problem")}},
    }


def _field(field: FieldDescriptor) -> Schema:
    one = _value(field)
    return {"type": "array", "items": one} if field.is_repeated else one


def _value(field: FieldDescriptor) -> Schema:
    if field.message_type:
        return reference(field.message_type.name)
    if field.enum_type:
        return _enum(field.enum_type)
    if field.type in _INTEGERS:
        return {"type": "integer"}
    if field.type in _LONGS:
        return {"type": "string", "pattern": r"^-?\d+$", "description": "An integer of 64 bits, as text."}
    if field.type in _REALS:
        names = {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}
        return {"anyOf": [{"type": "number"}, names]}
    if field.type == _F.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type == _F.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    return {"type": "string"}


def _enum(enum: EnumDescriptor) -> Schema:
    return {"type": "string", "enum": [value.name for value in enum.values]}
